//! `evenkeel demo`: two regions, a real Envoy, real failures, and a verdict.

mod children;
mod journal;
mod keep;
mod live;
mod load;
mod now;
mod observe;
mod picture;
mod plain;
pub mod region;
mod report;
mod script;
mod stats;
mod target;
mod topology;
mod verdict;
#[cfg(test)]
mod verdict_tests;
mod words;

use anyhow::{Context, Result, ensure};
use children::{Ports, local};
use clap::Args;
use journal::Journal;
use script::{Stage, Timing};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use topology::Topology;

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Envoy's binary
    #[arg(long, value_name = "PATH", default_value = "envoy")]
    envoy: PathBuf,
    /// The filter's module
    #[arg(long, value_name = "PATH", default_value = "target/wasm/evenkeel_filter.wasm")]
    wasm: PathBuf,
    /// Where the report, the picture, the configuration and the logs go
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    out: PathBuf,
    /// Requests per second [default: 300, with --keep 50]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=5000))]
    rate: Option<u32>,
    /// Seconds of load before the first blow
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=600))]
    warm_up: u64,
    /// Seconds that Taiwan stays dead, and later frozen
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u64).range(3..=600))]
    outage: u64,
    /// Seconds of load after each way back
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u64).range(0..=600))]
    settle: u64,
    /// Lines instead of the live view
    #[arg(long)]
    no_live: bool,
    /// Strike nobody: leave everything running for you to try, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Runs the demo. Exit code 0: all targets hold; 1: some do not; 130: it was stopped.
pub fn run(options: Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    // The demo's own future stays on this thread, which lives as long as the process: children
    // are started from here (see `children`). Whatever ends the future drops them.
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = demo(&options) => ended,
            stopped = told_to_stop() => stopped,
        }
    });
    // A load that still waits for answers must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn told_to_stop() -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
        _ = hangup.recv() => (),
    }
    Ok(stopped())
}

fn stopped() -> ExitCode {
    eprintln!("stopped; regions and Envoy are ended");
    ExitCode::from(130)
}

async fn demo(options: &Options) -> Result<ExitCode> {
    ensure!(
        options.wasm.is_file(),
        "--wasm {}: no such file; `make wasm` builds the filter",
        options.wasm.display()
    );
    fs::create_dir_all(&options.out)
        .with_context(|| format!("--out {}: cannot create it", options.out.display()))?;
    let ports = Ports::free()?;
    let topology = topology::topology(&ports, &options.wasm)?;
    let bootstrap = prepare(&options.out, &topology)?;
    let mut stage = Stage::start(ports, &options.envoy, &bootstrap, &options.out).await?;
    if options.keep {
        return keep::run(&mut stage, options).await;
    }

    let timing = Timing {
        warm_up: Duration::from_secs(options.warm_up),
        outage: Duration::from_secs(options.outage),
        settle: Duration::from_secs(options.settle),
        whole_again: topology.promise.whole_again,
    };
    let rate = options.rate.unwrap_or(300);
    let length = timing.warm_up + (timing.outage + timing.settle + topology.way_back) * 2;
    let about = [
        format!(
            "{rate} requests/s through a real Envoy with 2 workers; takes about {} s · q stops",
            length.as_secs()
        ),
        format!("shortened: {}", topology.about),
    ];
    let journal = Arc::new(Journal::new(None));
    tokio::spawn(observe::run(local(ports.admin), journal.clone()));
    let (stop, stopping) = watch::channel(false);
    let load = tokio::spawn(load::run(local(ports.edge), rate, journal.clone(), stopping));
    let play = async {
        script::play(&mut stage, &journal, &timing).await?;
        let end = journal.now();
        journal.phase("waiting for the last answers");
        stop.send(true).ok();
        load.await?;
        anyhow::Ok(end)
    };
    let end = if live::possible() && !options.no_live {
        let mut live = live::Live::start()?;
        tokio::select! {
            end = play => end?,
            quit = live.run(&journal, &about) => {
                drop(live);
                return quit.map(|()| stopped());
            }
        }
    } else {
        println!("Evenkeel demo: {}\n{}", about[0].replace(" · q stops", ""), about[1]);
        tokio::select! { end = play => end?, never = plain::run(&journal, true) => match never {}, }
    };
    drop(stage);
    conclude(options, &topology, &journal, rate, end)
}

/// Writes what Envoy loads, and the topology it came from, where people can read it; empties the
/// logs of an earlier run.
fn prepare(out: &Path, topology: &Topology) -> Result<PathBuf> {
    let bootstrap = out.join("envoy.yaml");
    write(&out.join("evenkeel.yaml"), &topology.yaml)?;
    write(&bootstrap, &topology.bootstrap)?;
    for log in ["taiwan.log", "japan.log", "envoy.log"] {
        write(&out.join(log), "")?;
    }
    Ok(bootstrap)
}

fn conclude(
    options: &Options,
    topology: &Topology,
    journal: &Journal,
    rate: u32,
    end: Duration,
) -> Result<ExitCode> {
    let log = journal.log();
    let verdict = verdict::judge(&log, &topology.promise, end);
    let settings = serde_json::json!({
        "rate": rate, "warm_up_s": options.warm_up, "outage_s": options.outage, "settle_s": options.settle,
        "topology": "evenkeel.yaml",
    });
    let report = report::report(&log, &verdict, settings, end);
    write(&options.out.join("report.json"), &format!("{report:#}\n"))?;
    write(&options.out.join("requests.csv"), &report::requests(&log))?;
    let slowest = topology.promise.per_try_timeout + verdict::FREEZE_MARGIN;
    write(&options.out.join("timeline.svg"), &picture::svg(&log, &verdict, slowest, end))?;
    println!("\n{}", words::verdict(&verdict, words::coloured()));
    println!("Picture: {0}/timeline.svg   Figures: {0}/report.json", options.out.display());
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
