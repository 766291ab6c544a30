//! The time of a run: waiting under load, with an eye on who wants it to end, and on what is shown.

use super::hypothesis;
use crate::clock::Clock;
use crate::experiment::Experiment;
use crate::journal::{Activity, EdgeView, Journal, Ms, Observer, Seen, Status, SteadyState};
use crate::load::{self, Traffic};
use crate::target::Target;
use crate::watch;
use evenkeel_policy::time::Millis;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks whether the run has to end.
const LOOK: Duration = Duration::from_millis(200);

/// Between two attempts at the hypothesis.
const ATTEMPT: Duration = Duration::from_millis(500);

/// The time that rates are taken over.
const WINDOW: Millis = Millis::from_secs(1);

/// Whoever shows a run while it goes on.
pub trait Progress: Send {
    /// Something happened.
    fn event(&mut self, at: Ms, text: &str);
    /// This is how it stands, about once a second.
    fn now(&mut self, now: &Now);
}

/// How a run stands.
#[derive(Clone, Debug, Default)]
pub struct Now {
    /// When.
    pub at: Ms,
    /// How requests fare.
    pub traffic: Traffic,
    /// Each edge's view of each region, by the edge's region.
    pub edges: BTreeMap<String, BTreeMap<String, EdgeView>>,
    /// The database's writer.
    pub writer: Option<String>,
}

/// Why a run ends before its time.
#[derive(Debug)]
pub enum End {
    /// The hypothesis did not hold before.
    Unsteady,
    /// A step could not be done.
    Broken(String),
    /// The stop condition tripped.
    Tripped(String),
    /// Somebody wants it.
    Interrupted,
}

impl End {
    /// Says so in the journal.
    pub fn note(self, journal: &mut Journal) {
        let (status, reason) = match self {
            End::Unsteady => {
                let unmet: Vec<String> = journal
                    .before
                    .probes
                    .iter()
                    .filter(|probe| !probe.met)
                    .map(|probe| format!("{} ({})", probe.name, hypothesis::in_words(&probe.output)))
                    .collect();
                let reason =
                    format!("the steady state does not hold, nothing was done: {}", unmet.join("; "));
                (Status::Failed, reason)
            }
            End::Broken(reason) => (Status::Aborted, reason),
            End::Tripped(reason) => (Status::Aborted, reason),
            End::Interrupted => (Status::Interrupted, "somebody stopped it".to_owned()),
        };
        (journal.status, journal.reason) = (status, Some(reason));
    }
}

/// What a run needs while it waits.
pub struct Session<'a> {
    pub experiment: &'a Experiment,
    pub target: &'a Target,
    clock: &'a Clock,
    watch: &'a watch::Running,
    load: Option<(&'a load::Running, Instant)>,
    stop: tokio::sync::watch::Receiver<bool>,
    progress: &'a mut dyn Progress,
    shown: Option<Instant>,
}

impl<'a> Session<'a> {
    pub fn new(
        experiment: &'a Experiment,
        target: &'a Target,
        clock: &'a Clock,
        watch: &'a watch::Running,
        stop: tokio::sync::watch::Receiver<bool>,
        progress: &'a mut dyn Progress,
    ) -> Self {
        Session { experiment, target, clock, watch, load: None, stop, progress, shown: None }
    }

    /// The load runs from now on.
    pub fn loaded(&mut self, load: &'a load::Running) {
        self.load = Some((load, Instant::now()));
    }

    pub fn clock(&self) -> &'a Clock {
        self.clock
    }

    pub fn say(&mut self, text: &str) {
        self.progress.event(self.clock.now(), text);
    }

    pub fn done(&mut self, activity: &Activity) {
        let met =
            if activity.met.is_empty() { String::new() } else { format!(": {}", activity.met.join(", ")) };
        let text = match &activity.error {
            None => format!("{}{met} ({:.1} s)", activity.name, (activity.ended - activity.began) / 1000.0),
            Some(error) => format!("{}{met}: FAILED: {error}", activity.name),
        };
        self.progress.event(activity.ended, &text);
    }

    /// Waits so long.
    ///
    /// # Errors
    /// Why it ended earlier.
    pub async fn pause(&mut self, span: Duration) -> Result<(), End> {
        let deadline = Instant::now() + span;
        loop {
            self.look()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.wait(left.min(LOOK)).await;
        }
    }

    /// The same when nothing ends it any more.
    pub async fn rest(&mut self, span: Duration) {
        let deadline = Instant::now() + span;
        while Instant::now() < deadline {
            self.show();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Until then, or until somebody wants an end.
    async fn wait(&mut self, span: Duration) {
        tokio::select! {
            () = tokio::time::sleep(span) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
    }

    fn look(&mut self) -> Result<(), End> {
        self.show();
        if *self.stop.borrow() {
            return Err(End::Interrupted);
        }
        let stop = self.experiment.stop_condition;
        let Some((load, _)) = self.load.filter(|(_, since)| since.elapsed() >= stop.over.to_duration())
        else {
            return Ok(());
        };
        let percent = load.recent(stop.over).percent().unwrap_or(0.0);
        if percent > stop.error_rate_percent {
            return Err(End::Tripped(format!(
                "the stop condition tripped: {percent:.1} % of requests failed over {} (at most {} %)",
                stop.over, stop.error_rate_percent
            )));
        }
        Ok(())
    }

    /// Tries the hypothesis until it holds, or for so long, but once at least. `to_the_end`: nobody's wish
    /// ends it earlier.
    pub async fn steady(&mut self, patience: Duration, to_the_end: bool) -> (SteadyState, Option<End>) {
        let deadline = Instant::now() + patience;
        let mut unmet = Vec::new();
        loop {
            let state =
                hypothesis::look(&self.experiment.steady_state_hypothesis, self.target, self.clock).await;
            self.show();
            let missing: Vec<String> =
                state.probes.iter().filter(|probe| !probe.met).map(|probe| probe.name.clone()).collect();
            if missing != unmet && !missing.is_empty() {
                self.say(&format!("not yet: {}", missing.join("; ")));
            }
            unmet = missing;
            if !to_the_end && *self.stop.borrow() {
                return (state, Some(End::Interrupted));
            }
            if state.met || Instant::now() >= deadline {
                return (state, None);
            }
            match to_the_end {
                true => tokio::time::sleep(ATTEMPT).await,
                false => self.wait(ATTEMPT).await,
            }
        }
    }

    fn show(&mut self) {
        if self.shown.is_some_and(|shown| shown.elapsed() < WINDOW.to_duration()) {
            return;
        }
        self.shown = Some(Instant::now());
        let mut now = Now { at: self.clock.now(), ..Now::default() };
        let patience = self.experiment.load.patience;
        now.traffic = self.load.map(|(load, _)| load.traffic(WINDOW, patience)).unwrap_or_default();
        for sample in self.watch.latest() {
            match (sample.observer, sample.seen) {
                (Observer::Edge, Some(Seen::Edge(views))) => {
                    now.edges.insert(sample.region, views);
                }
                (Observer::Companion, Some(Seen::Companion(view))) => now.writer = now.writer.or(view.writer),
                _ => {}
            }
        }
        self.progress.now(&now);
    }
}
