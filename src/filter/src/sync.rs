//! One state for all VMs of the process.
//!
//! Each VM holds a copy and reads the shared value at every tick. A change is made on the newest
//! value and written back only if no one wrote meanwhile; else it is made again on what they wrote.
//! No VM owns the state, so none is missed when it dies.
//!
//! Successes are gathered until the tick; a failure, a probe and a trial are written at once. So a
//! breaker's window may run over by what was in flight and by what arrives within two ticks.

use crate::edge::Edge;
use crate::host::Host;
use evenkeel_policy::engine::{Attempt, Engine};
use evenkeel_policy::state::{State, Transition};
use evenkeel_policy::time::Time;
use evenkeel_policy::words::{Cause, Kind, Phase};

/// The shared value's key.
pub const STATE: &str = "evenkeel.state";

/// How often a change is tried again when others write at the same time. Between two VMs one always
/// gets through, so this is reached only when something is very wrong; the change then stays local
/// until the next pull.
const TRIES: usize = 16;

/// How many successes are gathered at most.
const GATHER: usize = 64;

impl<H: Host> Edge<H> {
    /// Takes up what other VMs wrote.
    pub(crate) fn pull(&mut self, now: Time) {
        let Some((bytes, version)) = self.host.shared(STATE) else { return };
        if self.version == Some(version) {
            return;
        }
        match State::decode(&bytes, self.engine.topology(), now) {
            Some(state) => self.engine.adopt(state, now),
            None => log::warn!("shared state: not of this version: replaced"),
        }
        self.version = Some(version);
    }

    /// Changes the shared state.
    pub(crate) fn change<T>(&mut self, now: Time, mut make: impl FnMut(&mut Engine) -> T) -> T {
        let mut result = None;
        for _ in 0..TRIES {
            self.pull(now);
            let made = make(&mut self.engine);
            let changes = self.engine.take_changes();
            let bytes = self.engine.state().encode(self.engine.topology());
            if self.host.share(STATE, &bytes, self.version) {
                self.announce(&changes);
                return made;
            }
            // The copy now holds what was not written: the next pull must replace it.
            self.version = None;
            result = Some(made);
        }
        log::error!("shared state: could not be written in {TRIES} tries");
        result.unwrap_or_else(|| make(&mut self.engine))
    }

    /// Lets time pass. Whoever is first to see that something is due writes it and announces it.
    pub(crate) fn pass_time(&mut self, now: Time) {
        let before = self.engine.state().transitions;
        self.engine.tick(now);
        let due = self.engine.state().transitions != before;
        self.engine.take_changes();
        if due {
            // Made once more, on the newest state: another VM may have been quicker.
            self.version = None;
            self.change(now, |engine| engine.tick(now));
        }
    }

    /// Notes what came of an attempt, and writes it at once if others must know soon.
    pub(crate) fn note(&mut self, attempt: Attempt) {
        let urgent = attempt.outcome.is_failure() || attempt.permit.is_some_and(|permit| permit.is_trial());
        self.unsaid.push(attempt);
        if urgent || self.unsaid.len() >= GATHER {
            self.say_everything();
        }
    }

    /// Writes all outcomes that the shared state has not seen.
    pub(crate) fn say_everything(&mut self) {
        if self.unsaid.is_empty() {
            return;
        }
        let now = self.host.now();
        let unsaid = std::mem::take(&mut self.unsaid);
        self.change(now, |engine| {
            for attempt in &unsaid {
                engine.report(now, attempt);
            }
            engine.tick(now);
        });
        self.unsaid = unsaid;
        self.unsaid.clear();
    }

    /// Leaves a state for others, if there is none.
    pub(crate) fn leave_a_state(&mut self, now: Time) {
        if self.host.shared(STATE).is_none() {
            self.change(now, |_| ());
        }
    }

    /// Says what changed: a log line each, and the metrics of changes that move traffic.
    fn announce(&self, changes: &[Transition]) {
        let topology = self.engine.topology();
        for change in changes {
            let region = change.region().map_or("all", |id| topology.name(id));
            let Transition { kind, from, to, .. } = change;
            let cause = change.cause.map_or("-", |cause| cause.as_str());
            let line = format!("transition region={region} kind={kind} from={from} to={to} cause={cause}");
            match (change.to, change.kind) {
                (Phase::Unhealthy | Phase::Open | Phase::Out | Phase::StepBack | Phase::DrainRefused, _)
                | (_, Kind::Override) => log::warn!("{line}"),
                _ => log::info!("{line}"),
            }
            if change.to == Phase::DrainRefused {
                self.metrics.refused_drain(&self.host);
            }
            if change.is_out()
                && let Some(from) = change.region()
            {
                let to = self.engine.takes_over(from).map_or("none", |to| topology.name(to));
                let cause = change.cause.unwrap_or(Cause::Unhealthy);
                self.metrics.failed_over(&self.host, topology.name(from), to, cause);
            }
        }
    }
}
