//! `make bench-db`: Evenkeel's database router beside PgBouncer in session mode, HAProxy, and no router
//! at all, on real PostgreSQL.
//!
//! Sections: `pgbench` (throughput, latency, CPU time), `failover` (the router's share of the outage,
//! idle sessions, the ledger of acknowledged commits, the guard against older timelines), `reads` (of
//! one's own writes, on late replicas), `memory` (idle sessions).

mod failover;
mod front;
mod memory;
mod picture;
mod reads;
mod session;
mod throughput;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use evenkeel_tests::figures::{load_average, machine};
use evenkeel_tests::verdict::Verdict;
use front::Kind;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Measures Evenkeel's database router beside PgBouncer and HAProxy, in one run, interleaved. Takes
/// about 40 minutes with figures to quote: `--rounds 41 --failovers 20`. Linux only.
#[derive(Debug, Parser)]
struct Options {
    /// Only these sections.
    #[arg(long, value_delimiter = ',', value_name = "SECTIONS")]
    only: Vec<Section>,
    /// Only these fronts; what they leave out is not judged.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "FRONTS",
        default_value = "direct,pgbouncer,haproxy,haproxy-fast,evenkeel"
    )]
    fronts: Vec<Kind>,
    /// pgbench: turns; each runs every front once, in another order. Many short turns tell more than
    /// few long ones: other load comes in bursts.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// pgbench: seconds of one front in one turn.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// pgbench: clients.
    #[arg(long, default_value_t = 10)]
    clients: usize,
    /// failover: how many kills, freezes and switchovers, of each. 20 for figures to quote.
    #[arg(long, default_value_t = 3)]
    failovers: usize,
    /// failover: idle sessions.
    #[arg(long, default_value_t = 100)]
    idle: usize,
    /// reads: pairs of a write and a read.
    #[arg(long, default_value_t = 10_000)]
    pairs: u64,
    /// reads: how late the replicas replay, in ms.
    #[arg(long, default_value_t = 20)]
    delay: u64,
    /// memory: idle sessions.
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Where the results go.
    #[arg(long, default_value = "bench-out")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    Pgbench,
    Failover,
    Reads,
    Memory,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (verdicts, mut results, picture) = runtime.block_on(run(&options))?;
    println!();
    for verdict in &verdicts {
        println!("{verdict}");
    }
    results.insert("verdicts".to_owned(), verdicts.iter().map(Verdict::json).collect());
    for (name, content) in [("db.json", serde_json::to_string_pretty(&results)?), ("db.svg", picture)] {
        let path = options.out.join(name);
        std::fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    Ok(if verdicts.iter().any(Verdict::is_missed) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn run(options: &Options) -> anyhow::Result<(Vec<Verdict>, Map<String, Value>, String)> {
    ensure!(options.rounds > 0 && options.seconds > 0 && options.clients > 0, "nothing to measure");
    let folder = std::path::absolute(options.out.join("db"))?;
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let chosen = |section| options.only.is_empty() || options.only.contains(&section);
    let fronts = |possible: &[Kind]| -> Vec<Kind> {
        possible.iter().copied().filter(|kind| options.fronts.contains(kind)).collect()
    };
    let evenkeel = options.fronts.contains(&Kind::Evenkeel);
    let mut verdicts = Vec::new();
    let mut results = Map::new();
    let before = load_average();

    let mut throughput = None;
    if chosen(Section::Pgbench) {
        let load =
            throughput::Load { rounds: options.rounds, seconds: options.seconds, clients: options.clients };
        let kinds = fronts(&[Kind::Direct, Kind::PgBouncer, Kind::HaProxy, Kind::Evenkeel]);
        let found = throughput::run(&kinds, &load, &folder).await.context("pgbench")?;
        println!("{found}");
        verdicts.extend(found.verdicts());
        results.insert("pgbench".to_owned(), found.json());
        throughput = Some(found);
    }
    let mut failovers = None;
    if chosen(Section::Failover) {
        let plan = failover::Plan { each: options.failovers, idle: options.idle };
        let kinds = fronts(&[Kind::HaProxy, Kind::HaProxyFast, Kind::Evenkeel]);
        let found = failover::run(&kinds, &plan, &folder).await.context("failover")?;
        println!("{found}");
        verdicts.extend(found.verdicts());
        results.insert("failover".to_owned(), found.json());
        failovers = Some(found);
    }
    if chosen(Section::Reads) {
        if evenkeel {
            let plan = reads::Plan { pairs: options.pairs, delay: Duration::from_millis(options.delay) };
            let found = reads::run(&plan, &folder).await.context("reads")?;
            println!("{found}");
            verdicts.extend(found.verdicts());
            results.insert("reads".to_owned(), found.json());
        } else {
            verdicts.push(Verdict::none("no stale read of one's own write", "needs Evenkeel"));
        }
    }
    if chosen(Section::Memory) {
        if evenkeel {
            let found = memory::run(options.sessions, &folder).await.context("memory")?;
            println!("{found}");
            verdicts.extend(found.verdicts());
            results.insert("memory".to_owned(), found.json());
        } else {
            verdicts.push(Verdict::none("idle sessions cost little memory", "needs Evenkeel"));
        }
    }
    results.insert("machine".to_owned(), machine().into());
    results.insert("load_average".to_owned(), json!([before, load_average()]));
    let picture = picture::svg(throughput.as_ref(), failovers.as_ref());
    Ok((verdicts, results, picture))
}
