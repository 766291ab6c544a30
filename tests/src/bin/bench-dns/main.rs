//! `make bench-dns`: Evenkeel's DNS responder beside gdnsd and PowerDNS' geoip backend, with the same zone.
//!
//! Sections: `throughput` (dnsperf, CPU time), `flips` (from a health flip to the first answer that
//! follows it), `weights` (60/40 over many answers), `memory` (over millions of queries).

mod flips;
mod front;
mod memory;
#[path = "../../../../src/dns/tests/support/mmdb.rs"]
mod mmdb;
mod picture;
mod throughput;
mod weights;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use evenkeel_tests::figures::{load_average, machine};
use evenkeel_tests::verdict::Verdict;
use front::Kind;
use serde_json::{Map, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures Evenkeel's DNS responder beside gdnsd and PowerDNS, in one run, interleaved. Takes about
/// eight minutes. Linux only.
#[derive(Debug, Parser)]
struct Options {
    /// Only these sections.
    #[arg(long, value_delimiter = ',', value_name = "SECTIONS")]
    only: Vec<Section>,
    /// throughput: only these servers; what they leave out is not judged.
    #[arg(long, value_delimiter = ',', value_name = "SERVERS", default_value = "gdnsd,evenkeel,powerdns")]
    servers: Vec<Kind>,
    /// throughput: turns; each runs every server with every question once, in another order.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// throughput: seconds of one server and question in one turn.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// flips: how many, half of them down and half up.
    #[arg(long, default_value_t = 20)]
    flips: usize,
    /// weights: answers.
    #[arg(long, default_value_t = 10_000)]
    answers: usize,
    /// memory: queries.
    #[arg(long, default_value_t = 10_000_000)]
    queries: u64,
    /// Where the results go.
    #[arg(long, default_value = "bench-out")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    Throughput,
    Flips,
    Weights,
    Memory,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    ensure!(options.rounds > 0 && options.seconds > 0, "nothing to measure");
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("{} cannot be made", options.out.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let missed = runtime.block_on(run(&options))?;
    Ok(if missed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn run(options: &Options) -> anyhow::Result<bool> {
    let chosen = |section| options.only.is_empty() || options.only.contains(&section);
    let (mut verdicts, mut results, mut picture) = (Vec::new(), Map::new(), None);
    let before = load_average();
    if chosen(Section::Throughput) {
        let found = throughput::run(&options.servers, options.rounds, options.seconds).await?;
        println!("{found}");
        verdicts.extend(found.verdicts());
        results.insert("throughput".to_owned(), found.json());
        picture = Some(picture::svg(&found));
    }
    if chosen(Section::Flips) {
        let found = flips::run(options.flips).await?;
        println!("{found}");
        verdicts.extend(found.verdicts());
        results.insert("flips".to_owned(), found.json());
    }
    if chosen(Section::Weights) {
        let found = weights::run(options.answers).await?;
        println!("{found}");
        verdicts.extend(found.verdicts());
        results.insert("weights".to_owned(), found.json());
    }
    if chosen(Section::Memory) {
        let found = memory::run(options.queries).await?;
        println!("{found}");
        verdicts.extend(found.verdicts());
        results.insert("memory".to_owned(), found.json());
    }
    for verdict in &verdicts {
        println!("{verdict}");
    }
    results.insert("machine".to_owned(), machine().into());
    results.insert("load_average".to_owned(), json!([before, load_average()]));
    results.insert("verdicts".to_owned(), verdicts.iter().map(Verdict::json).collect());
    let written = [("dns.json", Some(serde_json::to_string_pretty(&results)?)), ("dns.svg", picture)];
    for (name, content) in written {
        let Some(content) = content else { continue };
        let path = options.out.join(name);
        std::fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    Ok(verdicts.iter().any(Verdict::is_missed))
}
