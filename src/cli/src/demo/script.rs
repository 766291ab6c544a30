//! The play: who is started, struck and restored, and when.

use super::children::{Ports, Process, local};
use super::journal::{Blow, Journal, Region, Standing};
use super::observe;
use anyhow::{Context, Result, bail};
use evenkeel_chaos::http::{self, Pool};
use evenkeel_chaos::watch::gauges;
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a wait looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// How long regions and Envoy may take to start.
const START: Duration = Duration::from_secs(20);

/// The lengths of the play's parts.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Undisturbed load before the first blow.
    pub warm_up: Duration,
    /// How long Taiwan stays dead, and later frozen.
    pub outage: Duration,
    /// Undisturbed load after each way back.
    pub settle: Duration,
    /// The longest way back that the topology allows.
    pub whole_again: Duration,
}

/// All processes of the demo; dropping it ends them.
pub struct Stage {
    pub ports: Ports,
    regions: [Process; 2],
    envoy: Process,
    out: PathBuf,
}

impl Stage {
    /// Starts both regions and Envoy, and waits until they serve.
    pub async fn start(ports: Ports, envoy: &Path, bootstrap: &Path, out: &Path) -> Result<Stage> {
        let region = |region: Region| Process::region(region, ports.region(region), out);
        let regions = [region(Region::Taiwan)?, region(Region::Japan)?];
        let envoy = Process::envoy(envoy, bootstrap, out)?;
        let mut stage = Stage { ports, regions, envoy, out: out.to_owned() };
        let pages = [
            (ports.regions[0], "/actuator/health/readiness"),
            (ports.regions[1], "/actuator/health/readiness"),
            (ports.admin, "/ready"),
            (ports.edge, "/"),
        ];
        for (port, page) in pages {
            stage.answers(port, page, |_| true).await?;
        }
        // The filter publishes its gauges a moment after it has begun.
        let whole = |page: &str| observe::standings(page).iter().all(Standing::is_whole);
        stage.answers(ports.admin, gauges::PAGE, whole).await.context("the filter does not run")?;
        Ok(stage)
    }

    /// Waits for a page that is as it should be.
    async fn answers(&mut self, port: u16, page: &str, good: impl Fn(&str) -> bool) -> Result<()> {
        let deadline = tokio::time::Instant::now() + START;
        let pool = Pool::new(local(port));
        loop {
            self.alive()?;
            let answer = http::get(&pool, page).await;
            if matches!(&answer, Ok(text) if good(text)) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                let log = self.out.join("envoy.log");
                let late = format!("http://127.0.0.1:{port}{page} is not as it should be after {START:?}");
                bail!("{late}; see {}; last: {answer:?}", log.display());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Process ids of the regions, for those who want to strike by hand.
    pub fn pid(&self, region: Region) -> Option<u32> {
        self.regions[region as usize].pid()
    }

    pub fn envoy_alive(&mut self) -> Result<()> {
        self.envoy.alive()
    }

    fn alive(&mut self) -> Result<()> {
        self.envoy.alive()?;
        self.regions.iter_mut().try_for_each(Process::alive)
    }

    /// Waits until `done` or for `limit`; true if done. An error if a process has ended that
    /// should run.
    async fn wait(&mut self, limit: Duration, mut done: impl FnMut() -> bool) -> Result<bool> {
        let deadline = tokio::time::Instant::now() + limit;
        while !done() {
            self.envoy.alive()?;
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(true)
    }
}

/// Plays the whole script on a running stage under load.
pub async fn play(stage: &mut Stage, journal: &Journal, timing: &Timing) -> Result<()> {
    let taiwan = Region::Taiwan as usize;

    journal.phase("all is well");
    stage.wait(timing.warm_up, || false).await?;
    stage.alive()?;

    journal.phase("Taiwan is dead (SIGKILL)");
    let at = journal.now();
    stage.regions[taiwan].signal(Signal::KILL)?;
    journal.struck(at, Blow::Kill);
    stage.regions[taiwan].ended().await?;
    stage.wait(timing.outage, || false).await?;

    let at = journal.now();
    let port = stage.ports.region(Region::Taiwan);
    stage.regions[taiwan] = Process::region(Region::Taiwan, port, &stage.out).context("restart")?;
    journal.struck(at, Blow::Restart);
    come_back(stage, journal, timing, at, "Taiwan runs again").await?;

    journal.phase("Taiwan is frozen (SIGSTOP)");
    let at = journal.now();
    stage.regions[taiwan].signal(Signal::STOP)?;
    journal.struck(at, Blow::Freeze);
    stage.wait(timing.outage, || false).await?;

    let at = journal.now();
    stage.regions[taiwan].signal(Signal::CONT)?;
    journal.struck(at, Blow::Thaw);
    come_back(stage, journal, timing, at, "Taiwan thawed").await?;
    stage.alive()
}

/// Waits until Taiwan has its whole share; if it never gets it, the verdict will say so.
async fn come_back(
    stage: &mut Stage,
    journal: &Journal,
    timing: &Timing,
    since: Duration,
    title: &str,
) -> Result<()> {
    let mut ramping = false;
    let limit = timing.whole_again + Duration::from_secs(5);
    journal.phase(format!("{title}: probes, then hold"));
    let whole = || {
        let last = journal.log().samples.last().filter(|s| s.asked > since).map(|s| s.of(Region::Taiwan));
        let Some(taiwan) = last else { return false };
        if !ramping && taiwan.share.is_some_and(|share| share > 0) {
            ramping = true;
            journal.phase(format!("{title}: ramp"));
        }
        taiwan.is_whole()
    };
    if stage.wait(limit, whole).await? {
        journal.phase("all is well again");
        stage.wait(timing.settle, || false).await?;
    }
    Ok(())
}
