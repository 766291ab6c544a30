//! Throughput and latency of `pgbench -S`, through each front in turn.
//!
//! All fronts are up during the whole section and take short turns, so that what else the machine
//! does hits all of them alike; ratios are taken within each turn.

use crate::front::{Behind, Front, Kind};
use anyhow::{Context, ensure};
use evenkeel_tests::figures::{cpu_time, quantile};
use evenkeel_tests::postgres::{self, Cluster, ClusterOptions, PASSWORD};
use evenkeel_tests::verdict::Verdict;
use serde_json::{Value, json};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

/// How pgbench is run.
pub struct Load {
    /// Turns; each runs every front once, in another order.
    pub rounds: usize,
    /// Seconds of one front in one turn.
    pub seconds: u64,
    /// `-c`.
    pub clients: usize,
}

/// The fronts, in order.
pub struct Throughput {
    /// One for each front.
    pub measured: Vec<Measured>,
}

/// What was measured of one front: one value for each turn.
pub struct Measured {
    /// Which.
    pub kind: Kind,
    /// Transactions per second.
    pub tps: Vec<f64>,
    /// Mean latency in ms.
    pub mean_ms: Vec<f64>,
    /// 99th percentile of the latency in ms.
    pub p99_ms: Vec<f64>,
    /// CPU time of the front for one transaction in µs.
    pub cpu_us: Vec<f64>,
}

/// One in so many transactions is logged by pgbench for the percentiles: all of them would cost it
/// more than the query.
const SAMPLED: f64 = 0.1;

/// Runs the section.
///
/// # Errors
/// If a front does not start or a transaction fails.
pub async fn run(kinds: &[Kind], load: &Load, folder: &Path) -> anyhow::Result<Throughput> {
    let settings = [("shared_buffers", "128MB"), ("max_connections", "300")];
    let cluster = Cluster::start(ClusterOptions {
        standbys: 0,
        synchronous: false,
        scram: true,
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..ClusterOptions::default()
    })
    .await;
    let node = cluster.node(0);
    let behind =
        [Behind { name: node.name().to_owned(), address: node.direct(), region: "near", role: None }];
    pgbench(node.direct(), &["-i", "-q", "-s", "1"]).await?;
    let mut fronts = Vec::new();
    for kind in kinds {
        fronts.push(Front::start(*kind, "writer", &behind, folder).await?);
    }
    let mut measured: Vec<Measured> = kinds.iter().map(|kind| Measured::of(*kind)).collect();
    for front in &fronts {
        turn(front, 1, load.clients).await.with_context(|| format!("warming {}", front.kind.title()))?;
    }
    for round in 0..load.rounds {
        eprint!("\rpgbench: turn {} of {} ", round + 1, load.rounds);
        for step in 0..fronts.len() {
            let place = (round + step) % fronts.len();
            let turn = turn(&fronts[place], load.seconds, load.clients).await?;
            measured[place].add(&turn);
        }
    }
    eprintln!();
    Ok(Throughput { measured })
}

struct Turn {
    tps: f64,
    mean_ms: f64,
    latencies_ms: Vec<f64>,
    cpu_us: f64,
}

async fn turn(front: &Front, seconds: u64, clients: usize) -> anyhow::Result<Turn> {
    let logs = tempfile::Builder::new().prefix("evenkeel-pgbench-").tempdir_in(memory())?;
    let prefix = format!("--log-prefix={}", logs.path().join("log").display());
    let (seconds, clients) = (seconds.to_string(), clients.to_string());
    let sampled = format!("--sampling-rate={SAMPLED}");
    let cpu = || front.pid().map(cpu_time).transpose().map(Option::unwrap_or_default);
    let before = cpu()?;
    let said = pgbench(
        front.address,
        &["-n", "-S", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds, "-l", &prefix, &sampled],
    )
    .await?;
    let used = cpu()? - before;
    let number = |before: &str| {
        let rest = said.split(before).nth(1).and_then(|rest| rest.split_whitespace().next());
        rest.and_then(|word| word.parse::<f64>().ok()).with_context(|| format!("no '{before}' in {said}"))
    };
    ensure!(number("number of failed transactions: ")? == 0.0, "transactions failed: {said}");
    let done = number("number of transactions actually processed: ")?;
    let mut latencies_ms = Vec::new();
    for log in std::fs::read_dir(logs.path())? {
        // "client transaction latency_in_us script seconds microseconds"
        for line in std::fs::read_to_string(log?.path())?.lines() {
            let latency = line.split(' ').nth(2).context("a line of pgbench's log")?;
            latencies_ms.push(latency.parse::<f64>()? / 1e3);
        }
    }
    ensure!(!latencies_ms.is_empty(), "pgbench logged no transaction: give it more seconds");
    Ok(Turn {
        tps: number("tps = ")?,
        mean_ms: number("latency average = ")?,
        latencies_ms,
        cpu_us: used.as_secs_f64() * 1e6 / done,
    })
}

/// Where a log costs no disk.
fn memory() -> std::path::PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

async fn pgbench(address: SocketAddr, arguments: &[&str]) -> anyhow::Result<String> {
    let output = tokio::process::Command::new(postgres::program("pgbench"))
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-U", "app"])
        .args(arguments)
        .arg("app")
        .env("PGPASSWORD", PASSWORD)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("pgbench cannot be started")?;
    ensure!(output.status.success(), "pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Measured {
    fn of(kind: Kind) -> Self {
        Measured { kind, tps: vec![], mean_ms: vec![], p99_ms: vec![], cpu_us: vec![] }
    }

    fn add(&mut self, turn: &Turn) {
        self.tps.push(turn.tps);
        self.mean_ms.push(turn.mean_ms);
        self.p99_ms.push(quantile(&turn.latencies_ms, 0.99));
        self.cpu_us.push(turn.cpu_us);
    }
}

/// How many times HAProxy's p99 Evenkeel's may be.
const P99: f64 = 1.2;

impl Throughput {
    /// The promises.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let judge =
            |promise: &str, other: Kind, of: fn(&Measured) -> &Vec<f64>, holds: fn(f64) -> bool| match (
                self.of(Kind::Evenkeel),
                self.of(other),
            ) {
                (Some(own), Some(other)) => {
                    let ratio = median_ratio(of(own), of(other));
                    Verdict::of(promise, format!("{ratio:.2} ×"), holds(ratio))
                }
                _ => Verdict::none(promise, format!("needs Evenkeel and {}", other.title())),
            };
        vec![
            judge("at least PgBouncer's throughput", Kind::PgBouncer, |m| &m.tps, |ratio| ratio >= 1.0),
            judge("at least HAProxy's throughput", Kind::HaProxy, |m| &m.tps, |ratio| ratio >= 1.0),
            judge("p99 at most 1.2 × HAProxy's", Kind::HaProxy, |m| &m.p99_ms, |ratio| ratio <= P99),
        ]
    }

    fn of(&self, kind: Kind) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.kind == kind)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let one = |m: &Measured| {
            json!({
                "front": m.kind.id(),
                "tps": m.tps, "median_tps": quantile(&m.tps, 0.5),
                "mean_ms": m.mean_ms, "p99_ms": m.p99_ms, "median_p99_ms": quantile(&m.p99_ms, 0.5),
                "cpu_us_per_transaction": m.cpu_us, "median_cpu_us": quantile(&m.cpu_us, 0.5),
            })
        };
        self.measured.iter().map(one).collect()
    }
}

impl Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pgbench -S -M prepared, medians (quartiles)")?;
        writeln!(
            f,
            "{:<12} {:>24} {:>9} {:>20} {:>12} {:>10}",
            "", "tps", "mean ms", "p99 ms", "CPU µs / tx", "× direct"
        )?;
        for m in &self.measured {
            let ratio = self.of(Kind::Direct).map(|direct| median_ratio(&m.tps, &direct.tps));
            writeln!(
                f,
                "{:<12} {:>24} {:>9.3} {:>20} {:>12} {:>10}",
                m.kind.title(),
                spread(&m.tps, 0),
                quantile(&m.mean_ms, 0.5),
                spread(&m.p99_ms, 3),
                if m.kind == Kind::Direct {
                    "–".to_owned()
                } else {
                    format!("{:.1}", quantile(&m.cpu_us, 0.5))
                },
                ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
            )?;
        }
        Ok(())
    }
}

fn spread(values: &[f64], digits: usize) -> String {
    let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(values, part));
    format!("{middle:.digits$} ({low:.digits$}–{high:.digits$})")
}

/// The median of the ratios within each turn.
fn median_ratio(own: &[f64], other: &[f64]) -> f64 {
    let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| own / other).collect();
    quantile(&ratios, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(kind: Kind, tps: &[f64], p99_ms: &[f64]) -> Measured {
        Measured { tps: tps.to_vec(), p99_ms: p99_ms.to_vec(), ..Measured::of(kind) }
    }

    #[test]
    fn ratios_are_taken_within_each_turn() {
        // The machine was half as fast in the second turn, for all.
        let throughput = Throughput {
            measured: vec![
                measured(Kind::PgBouncer, &[100.0, 50.0, 100.0], &[1.0, 2.0, 1.0]),
                measured(Kind::HaProxy, &[120.0, 60.0, 120.0], &[1.0, 2.0, 1.0]),
                measured(Kind::Evenkeel, &[110.0, 55.0, 110.0], &[1.3, 2.6, 1.3]),
            ],
        };
        let missed: Vec<bool> = throughput.verdicts().iter().map(Verdict::is_missed).collect();
        assert_eq!(missed, [false, true, true]);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let throughput = Throughput { measured: vec![measured(Kind::HaProxy, &[1.0], &[1.0])] };
        assert!(throughput.verdicts().iter().all(|v| v.to_string().starts_with("not judged")));
    }
}
