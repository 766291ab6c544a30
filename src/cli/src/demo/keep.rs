//! `evenkeel demo --keep`: everything runs, nobody is struck, and you are told what to try.

use super::children::local;
use super::journal::{Journal, Region};
use super::script::Stage;
use super::{Options, kept, load, observe, plain};
use anyhow::Result;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Records kept of a run that has no end.
const KEEP: usize = 20_000;

/// Runs until something ends by itself; Ctrl-C ends it from outside.
pub async fn run(stage: &mut Stage, options: &Options) -> Result<ExitCode> {
    let rate = options.rate.unwrap_or(50);
    kept::write(stage, &options.out)?;
    let journal = Arc::new(Journal::new(Some(KEEP)));
    // Held to the end: a closed channel would stop the load.
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(observe::run(local(stage.ports.admin), journal.clone()));
    tokio::spawn(load::run(local(stage.ports.edge), rate, journal.clone(), stopping));
    println!("{}", invitation(stage, options, rate));
    tokio::select! {
        ended = until_envoy_ends(stage) => ended,
        never = plain::run(&journal, false) => match never {},
    }
}

async fn until_envoy_ends(stage: &mut Stage) -> Result<ExitCode> {
    loop {
        stage.envoy_alive()?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn invitation(stage: &Stage, options: &Options, rate: u32) -> String {
    let (edge, admin, out) = (stage.ports.edge, stage.ports.admin, options.out.display());
    let pid = |region| stage.pid(region).unwrap_or_default();
    let (taiwan, port) = (pid(Region::Taiwan), stage.ports.region(Region::Taiwan));
    let this = std::env::current_exe().unwrap_or_else(|_| "evenkeel".into());
    let this = this.display();
    format!(
        "Two regions and Envoy are running, with {rate} requests/s of steady load. Ctrl-C ends everything.

  edge    http://127.0.0.1:{edge}      admin  http://127.0.0.1:{admin}
  taiwan  http://127.0.0.1:{port}      process {taiwan}
  japan   http://127.0.0.1:{}      process {}

Ask as a client from Taiwan, Japan or Germany; x-evenkeel-decision tells the choice and why:
  curl -i -H 'x-country-code: TW' http://127.0.0.1:{edge}/orders/1
  curl -i -H 'x-country-code: JP' http://127.0.0.1:{edge}/orders/1
  curl -i -H 'x-country-code: DE' http://127.0.0.1:{edge}/orders/1
See the filter's metrics:
  curl -s 'http://127.0.0.1:{admin}/stats/prometheus?filter=evenkeel'
Freeze Taiwan, and thaw it:
  kill -STOP {taiwan}
  kill -CONT {taiwan}
Kill Taiwan, and start it again (that one ends with its own Ctrl-C):
  kill -KILL {taiwan}
  {this} demo-region --name taiwan --port {port}
Kill it under measured load, start it again, and see a verdict (about three minutes):
  {this} chaos run application-failure --target {out}/target.yaml

Configuration and logs: {out}/evenkeel.yaml, {out}/envoy.yaml, {out}/envoy.log

What moves:",
        stage.ports.region(Region::Japan),
        pid(Region::Japan),
    )
}
