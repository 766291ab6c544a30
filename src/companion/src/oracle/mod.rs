//! The oracle: which regions and checks are healthy, by the votes of all who look.
//!
//! Each voter (a companion, the witness) probes every check from where it stands ([`probe`], [`judge`]),
//! tells the others its votes ([`said`], [`ask`], [`etcd`]), settles what all say by `evenkeel-policy`'s
//! rule ([`mind`]), and publishes what DNS answers by. A region's settled verdict goes through the same
//! engine as an edge's probes, so that hold, ramp, drain, pin and freeze follow the same rules
//! ([`regions`]).

mod anchor;
mod ask;
mod etcd;
mod http;
mod judge;
mod mind;
mod probe;
mod regions;
mod report;
mod said;
mod setup;
mod tls;

pub use report::{Counters, layer};
pub use said::{MAX_AGE, Said};
pub use setup::{Setup, WITNESS};

use crate::clock;
use crate::edges::Known;
use evenkeel_dns::Standing;
use evenkeel_policy::time::{Millis, Time};
use judge::Next;
use mind::{Mind, News};
use probe::{Measured, Question};
use regions::Moment;
use setup::{ETCD, Exchange};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How often time alone is looked at: a ramp grows, a vote grows old, an order ends.
const TICK: Duration = Duration::from_millis(100);

/// One voter.
pub struct Oracle {
    mind: Mutex<Mind>,
    standing: watch::Sender<Standing>,
    said: watch::Sender<Arc<Said>>,
    /// What it counts.
    pub counters: Counters,
    /// Why a voter is not heard, by its name.
    silence: Mutex<BTreeMap<String, String>>,
    tasks: Mutex<JoinSet<()>>,
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oracle").field("mind", &self.mind()).finish_non_exhaustive()
    }
}

impl Oracle {
    /// One that knows nothing yet; [`start`](Self::start) begins its work.
    pub fn new(setup: Setup) -> Arc<Oracle> {
        let mut mind = Mind::new(Arc::new(setup), moment());
        let standing = mind.look(moment()).standing;
        Arc::new(Oracle {
            standing: watch::Sender::new(standing),
            said: watch::Sender::new(mind.said.clone()),
            counters: Counters::default(),
            silence: Mutex::default(),
            tasks: Mutex::default(),
            mind: Mutex::new(mind),
        })
    }

    /// What DNS answers by now.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Wakes when that changes.
    pub fn changes(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// This voter's own votes; wakes when they change.
    pub fn said(&self) -> watch::Receiver<Arc<Said>> {
        self.said.subscribe()
    }

    /// Begins to probe, to vote and to hear others. Must be called within a runtime.
    pub fn start(self: &Arc<Self>) {
        let setup = self.mind().setup.clone();
        let mut tasks = JoinSet::new();
        for check in &setup.checks {
            let Some(asked) = check.asked().filter(|asked| !asked.disabled) else { continue };
            if let Some(question) = &asked.question {
                tasks.spawn(keep_asking(self.clone(), check.name.clone(), question.clone()));
            }
        }
        match &setup.exchange {
            Exchange::Direct => {
                let others = setup.voters.iter().filter(|voter| voter.name != setup.voter);
                for voter in others {
                    let Some(address) = voter.address.clone() else { continue };
                    tasks.spawn(ask::ask(self.clone(), voter.name.clone(), address));
                }
            }
            Exchange::Etcd(access) => {
                tasks.spawn(etcd::read(self.clone(), access.clone(), setup.voters.clone()));
                tasks.spawn(etcd::write(self.clone(), access.clone()));
            }
        }
        if !setup.anchors.is_empty() {
            tasks.spawn(anchor::ask(self.clone(), setup.anchors.clone()));
        }
        tasks.spawn(tick(self.clone()));
        // Those of the settings before end with this.
        *self.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
    }

    /// Takes up other settings, and keeps what is known by name. Must be called within a runtime.
    pub fn reload(self: &Arc<Self>, setup: Setup) {
        self.silence().retain(|voter, _| setup.voters.iter().any(|known| known.name == *voter));
        self.change(|mind, at| mind.reconfigure(Arc::new(setup), at));
        self.start();
    }

    /// Ends what was begun.
    pub fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// What the edges say now.
    pub fn edges(&self, edges: &[Known]) {
        self.change(|mind, at| mind.edges(edges, at.now));
    }

    /// What remains of an order to drain this companion's own region.
    pub fn drain(&self, left: Option<Millis>) {
        self.change(|mind, at| mind.drain(left, at.now));
    }

    /// Takes in a probe; when the next one is due, unless there is no such check any more.
    fn probed(&self, check: &str, measured: Measured) -> Option<Next> {
        self.change(|mind, at| {
            let next = mind.probed(check, measured, at.now);
            self.counters.probed(mind, check);
            next
        })
    }

    /// A voter was asked at `at`, and said this.
    fn heard(&self, said: Said, at: Time) {
        self.silence().remove(&said.voter);
        self.change(|mind, _| mind.hear(said, at));
    }

    /// etcd was asked at `at`, and holds these votes.
    fn rolled(&self, votes: Vec<Said>, at: Time) {
        let well = |voter: &str| votes.iter().any(|said| said.voter == voter && !said.config.is_empty());
        self.silence().retain(|voter, _| voter != ETCD && !well(voter));
        self.change(|mind, _| mind.roll(votes, at));
    }

    /// Why a voter is not heard.
    fn not_heard(&self, voter: &str, reason: &str) {
        self.silence().insert(voter.to_owned(), reason.to_owned());
    }

    /// What was told in a voter's name is not its votes. Logged once.
    fn strange(&self, voter: &str, problem: &str) {
        let before = self.silence().insert(voter.to_owned(), problem.to_owned());
        if before.as_deref() != Some(problem) {
            tracing::warn!(voter, problem, "an answer that is not counted as votes");
        }
    }

    fn anchored(&self, at: Option<Time>) {
        self.change(|mind, _| mind.anchored(at));
    }

    fn needs_anchor(&self) -> bool {
        self.mind().needs_anchor(clock::now())
    }

    /// Changes what is known, and lets everything follow from it at once.
    fn change<T>(&self, change: impl FnOnce(&mut Mind, Moment) -> T) -> T {
        let mut mind = self.mind();
        let at = moment();
        let result = change(&mut mind, at);
        let news = mind.look(at);
        // Told under the lock, so that whoever looks sees the steps in their order.
        self.tell(&mind, news);
        result
    }

    fn tell(&self, mind: &Mind, news: News) {
        if news.voted {
            self.said.send_replace(mind.said.clone());
        }
        report::log(mind, &news);
        self.counters.moved(mind, &news);
        self.standing.send_if_modified(|standing| {
            let changed = *standing != news.standing;
            *standing = news.standing;
            changed
        });
    }

    fn mind(&self) -> MutexGuard<'_, Mind> {
        self.mind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silence(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn moment() -> Moment {
    Moment { now: clock::now(), unix_ms: clock::unix_ms() }
}

/// Asks one check's question, for ever.
async fn keep_asking(oracle: Arc<Oracle>, check: String, question: Question) {
    loop {
        let began = Instant::now();
        let measured = question.ask().await;
        match oracle.probed(&check, measured) {
            Some(Next::FromBegin(pause)) => sleep_until(began + pause.to_duration()).await,
            Some(Next::FromEnd(pause)) => tokio::time::sleep(pause.to_duration()).await,
            None => return,
        }
    }
}

async fn tick(oracle: Arc<Oracle>) {
    let mut every = interval(TICK);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        oracle.change(|_, _| ());
    }
}

#[cfg(test)]
mod tests;
