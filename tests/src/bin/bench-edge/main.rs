//! `make bench-edge`: the CPU time that Envoy spends on a request, with Evenkeel and without.
//!
//! All edges are up during the whole run and get the same requests, in turn and in small rounds:
//! what else the machine does hits all of them alike. CPU time is Linux's own account of Envoy's
//! threads, so that neither the clients nor the upstreams count. What a variant adds is the median
//! of the differences within each turn.

mod envoy;
mod load;
mod report;
mod variants;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use envoy::Envoy;
use evenkeel_tests::figures::load_average;
use evenkeel_tests::parts;
use report::{Measured, Memory, Report};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use variants::{Parts, Variant};

/// Compares Envoy's CPU time per request between native routes, Lua, an empty wasm filter and
/// Evenkeel. Takes some minutes. Linux only.
#[derive(Debug, Parser)]
struct Options {
    /// Turns; each measures every variant once, in another order. At least 7 for figures to quote.
    /// Many short turns tell more than few long ones: other load comes in bursts.
    #[arg(long, default_value_t = 41)]
    rounds: usize,
    /// Requests of one variant in one turn.
    #[arg(long, default_value_t = 4_000)]
    requests: u64,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Only these variants, of a, a2, b, c, d, e, f; a always runs.
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    only: Vec<String>,
    /// Another build of the filter, as NAME=FILE, measured as one more variant. May be repeated.
    #[arg(long = "build", value_name = "NAME=FILE", value_parser = build)]
    builds: Vec<(String, PathBuf)>,
    /// Also sends a million requests through the default configuration and through the static route,
    /// and watches the memory.
    #[arg(long)]
    million: bool,
    /// Where the results go.
    #[arg(long, default_value = "bench-out")]
    out: PathBuf,
}

fn build(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("write it as NAME=FILE")?;
    Ok((name.to_owned(), std::path::absolute(file).map_err(|error| error.to_string())?))
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(run(&options))?;
    print!("{report}");
    for (name, content) in
        [("edge.json", serde_json::to_string_pretty(&report.json())?), ("edge.svg", report.svg())]
    {
        let path = options.out.join(name);
        std::fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    Ok(if report.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(options: &Options) -> anyhow::Result<Report> {
    ensure!(options.rounds > 0 && options.requests > 0 && options.connections > 0, "nothing to measure");
    let edges = edges(options).await?;
    let requests = Arc::new(load::requests());
    for edge in &edges {
        edge.check(&requests).await.with_context(|| format!("variant {}", edge.variant.id))?;
        load::closed_loop(edge.envoy.address, options.connections, WARM_UP, &requests).await?;
    }

    let before = load_average();
    let mut measured: Vec<Measured> = edges.iter().map(|edge| Measured::of(&edge.variant)).collect();
    for round in 0..options.rounds {
        eprint!("\rturn {} of {}", round + 1, options.rounds);
        for step in 0..edges.len() {
            let place = (round + step) % edges.len();
            let (edge, measured) = (&edges[place], &mut measured[place]);
            let before = edge.envoy.cpu_time()?;
            let took =
                load::closed_loop(edge.envoy.address, options.connections, options.requests, &requests)
                    .await?;
            let used = edge.envoy.cpu_time()? - before;
            measured.cpu_us.push(used.as_secs_f64() * 1e6 / options.requests as f64);
            measured.per_second.push(options.requests as f64 / took.as_secs_f64());
        }
    }
    eprintln!();
    idle(&edges, &mut measured).await?;
    latency(&edges, &mut measured, &requests).await?;
    for (edge, measured) in edges.iter().zip(&mut measured) {
        measured.resident_kib = edge.envoy.resident_kib()?;
    }
    let mut memory = Vec::new();
    if options.million {
        for edge in edges.iter().filter(|edge| ["a", "e"].contains(&edge.variant.id.as_str())) {
            memory.push(a_million(edge, options.connections, &requests).await?);
        }
    }
    Ok(Report {
        measured,
        memory,
        rounds: options.rounds,
        requests: options.requests,
        connections: options.connections,
        envoy_version: envoy_version(&parts::envoy())?,
        module_bytes: std::fs::metadata(parts::wasm())?.len(),
        load_average: [before, load_average()],
    })
}

/// Requests that each edge gets before it is measured: V8 compiles what is called often once more.
const WARM_UP: u64 = 20_000;

struct Edge {
    variant: Variant,
    envoy: Envoy,
}

async fn edges(options: &Options) -> anyhow::Result<Vec<Edge>> {
    let parts = Parts {
        module: std::path::absolute(parts::wasm())?,
        empty: std::path::absolute(parts::wasm_empty())?,
        builds: options.builds.clone(),
        taiwan: load::upstream("taiwan").await?,
        japan: load::upstream("japan").await?,
        companion: load::upstream("companion").await?,
    };
    let mut variants = variants::all(&parts)?;
    for id in &options.only {
        ensure!(variants.iter().any(|variant| variant.id == *id), "no variant '{id}': see --help");
    }
    let named = |id: &str| options.builds.iter().any(|(name, _)| name == id);
    if !options.only.is_empty() {
        variants.retain(|v| v.id == "a" || options.only.contains(&v.id) || named(&v.id));
    }
    let folder = options.out.join("edge");
    std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut edges = Vec::new();
    for variant in variants {
        let envoy = Envoy::start(&parts::envoy(), &folder, &variant.id, &variant.bootstrap)?;
        edges.push(Edge { variant, envoy });
    }
    Ok(edges)
}

impl Edge {
    /// Whether it does what it is measured for.
    async fn check(&self, requests: &[Vec<u8>]) -> anyhow::Result<()> {
        let mut client = load::Client::connect(self.envoy.address).await?;
        for request in requests {
            let said = |country: &str| {
                let line = format!("\r\nx-country-code: {country}\r\n");
                request.windows(line.len()).any(|window| window == line.as_bytes())
            };
            let expected = match self.variant.by_country {
                true if said("TW") => "taiwan",
                true if said("JP") => "japan",
                _ => continue,
            };
            let region = client.ask(request).await?;
            if region != expected {
                bail!("a request that {expected} claims went to {region}");
            }
        }
        Ok(())
    }
}

/// What an edge costs while nothing comes in: probes and ticks.
async fn idle(edges: &[Edge], measured: &mut [Measured]) -> anyhow::Result<()> {
    eprintln!("idle for 10 s");
    let before = edges.iter().map(|edge| edge.envoy.cpu_time()).collect::<anyhow::Result<Vec<_>>>()?;
    let started = Instant::now();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let seconds = started.elapsed().as_secs_f64();
    for ((edge, before), measured) in edges.iter().zip(before).zip(measured) {
        measured.idle_ms = (edge.envoy.cpu_time()? - before).as_secs_f64() * 1e3 / seconds;
    }
    Ok(())
}

/// One request at a time, to each variant in turn: what a lone client sees, and what a request
/// costs where nothing is warm in the processor's caches. The idle cost is taken off.
async fn latency(edges: &[Edge], measured: &mut [Measured], requests: &[Vec<u8>]) -> anyhow::Result<()> {
    const SAMPLES: usize = 1000;
    eprintln!("{SAMPLES} requests one by one");
    let mut clients = Vec::new();
    for edge in edges {
        clients.push(load::Client::connect(edge.envoy.address).await?);
    }
    let before = edges.iter().map(|edge| edge.envoy.cpu_time()).collect::<anyhow::Result<Vec<_>>>()?;
    let phase = Instant::now();
    for number in 0..SAMPLES {
        // Whoever is first after the pause finds the machine asleep: that must not be always the same.
        for step in 0..edges.len() {
            let place = (number + step) % edges.len();
            let started = Instant::now();
            clients[place].ask(&requests[number % requests.len()]).await?;
            measured[place].latency_us.push(started.elapsed().as_secs_f64() * 1e6);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = phase.elapsed().as_secs_f64();
    for ((edge, before), measured) in edges.iter().zip(before).zip(measured) {
        let used_ms = (edge.envoy.cpu_time()? - before).as_secs_f64() * 1e3 - measured.idle_ms * seconds;
        measured.alone_us = used_ms * 1e3 / SAMPLES as f64;
    }
    Ok(())
}

/// Memory over a million requests: after each 50,000 the resident set, and each VM's linear memory.
async fn a_million(edge: &Edge, connections: usize, requests: &Arc<Vec<Vec<u8>>>) -> anyhow::Result<Memory> {
    const STEP: u64 = 50_000;
    let mut memory = Memory::of(&edge.variant.id);
    for step in 0..=20 {
        eprint!("\rmemory of {}: {} requests ", edge.variant.id, step * STEP);
        if step > 0 {
            load::closed_loop(edge.envoy.address, connections, STEP, requests).await?;
        }
        memory.resident_kib.push(edge.envoy.resident_kib()?);
        memory.linear_kib.push(edge.envoy.linear_memories_kib()?);
    }
    eprintln!();
    memory.wasm_stats = edge
        .envoy
        .admin("/stats?filter=wasm.*(active|created|cloned|reload|fail|crash)")
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("wasm"))
        .map(str::to_owned)
        .collect();
    Ok(memory)
}

/// `1.40.0`, from "…/envoy  version: REVISION/1.40.0/Clean/RELEASE/BoringSSL".
fn envoy_version(binary: &Path) -> anyhow::Result<String> {
    let output = std::process::Command::new(binary).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split('/').rev().nth(3).map(str::to_owned).context("Envoy does not say its version")
}
