//! What all sessions share: the view of the database, the pools, the limits, the operator's word.

use super::cancel::Cancels;
use super::pool::Pools;
use super::wire::backend::{Report, code};
use crate::watch::Watch;
use arc_swap::ArcSwap;
use evenkeel_config::database::{Hold, Mode, Pool};
use evenkeel_policy::database::{Rules, Writer};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// What the configuration says to sessions.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What happens to statements while there is no writer.
    pub hold: Hold,
    /// Connections to the nodes.
    pub pool: Pool,
    /// Which replicas may serve reads.
    pub rules: Rules,
    /// Whether each node stands in this region, in configuration order.
    pub local: Vec<bool>,
    /// The nodes' names, in configuration order.
    pub names: Vec<String>,
}

impl Limits {
    /// A node's name.
    pub fn name(&self, node: usize) -> &str {
        self.names.get(node).map_or("?", String::as_str)
    }

    /// Whether a node stands in this region.
    pub fn is_local(&self, node: usize) -> bool {
        self.local.get(node).copied().unwrap_or(false)
    }
}

/// What all sessions share.
pub struct Hub {
    /// What is known of the nodes.
    pub watch: Watch,
    /// Connections to the nodes.
    pub pools: Pools,
    /// Who may cancel what.
    pub cancels: Cancels,
    /// What the configuration says.
    pub limits: ArcSwap<Limits>,
    /// True: new statements wait, by an operator's order.
    pub paused: watch::Sender<bool>,
    /// What interrupts sessions: it changes seldom.
    pub news: watch::Sender<News>,
    /// What a node tells every session of one identity at log-in.
    pub welcome: Welcome,
    /// Statements that wait.
    pub held: Held,
    /// Sessions that keep their connections.
    pub pinned: AtomicU32,
    /// How sessions come back to a new writer.
    pub admission: Admission,
    /// Numbers prepared statements.
    pub parses: AtomicU64,
    /// What was counted.
    pub counters: Counters,
}

/// What interrupts sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// The writer: statements under way at another node are lost.
    pub writer: Writer,
    /// True: sessions end as soon as they are idle.
    pub stopping: bool,
}

/// What is counted over all sessions.
#[derive(Debug, Default)]
pub struct Counters {
    /// Exchanges with the writer.
    pub to_writer: AtomicU64,
    /// Exchanges with a replica of this region.
    pub to_local_replica: AtomicU64,
    /// Exchanges with a replica of another region.
    pub to_other_replica: AtomicU64,
    /// Reads that had to wait for a replica to replay.
    pub replay_waits: AtomicU64,
    /// Reads that went to the writer since no replica had replayed in time.
    pub replay_timeouts: AtomicU64,
    /// Statements that a replica refused as writes, and the writer then got.
    pub refused_near: AtomicU64,
    /// Statements that had to wait for a writer.
    pub held: AtomicU64,
    /// Statements that waited in vain.
    pub held_in_vain: AtomicU64,
    /// Transactions lost with their node before COMMIT.
    pub lost_transactions: AtomicU64,
    /// Lost COMMITs of which it is certain that they were made.
    pub commits_resolved: AtomicU64,
    /// Lost COMMITs and single writes whose fate is unknown.
    pub commits_unknown: AtomicU64,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What a node tells every session of one identity at log-in, so that not every log-in needs a
/// node connection. One entry for each user and database that has logged in.
#[derive(Debug, Default)]
pub struct Welcome(Mutex<HashMap<(String, String), Parameters>>);

/// Parameters as a node reports them.
pub type Parameters = Arc<Vec<(String, String)>>;

impl Welcome {
    /// What is known for this user and database.
    pub fn get(&self, user: &str, database: &str) -> Option<Parameters> {
        let known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(&(user.to_owned(), database.to_owned())).cloned()
    }

    /// Notes what a node told.
    pub fn set(&self, user: &str, database: &str, parameters: Parameters) {
        let mut known = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.insert((user.to_owned(), database.to_owned()), parameters);
    }

    /// Forgets everything: the nodes may have another release now.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
    }
}

/// Statements that wait, bounded in number and bytes.
#[derive(Debug, Default)]
pub struct Held {
    statements: AtomicU32,
    bytes: AtomicU64,
}

/// One statement that waits.
#[derive(Debug)]
pub struct Waiting<'a> {
    held: &'a Held,
    bytes: u64,
}

impl Held {
    /// How many wait now.
    pub fn statements(&self) -> u32 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lets one more statement wait.
    ///
    /// # Errors
    /// If too many wait already, or too many bytes.
    pub fn enter(&self, limits: &Hold, bytes: usize) -> Result<Waiting<'_>, Report> {
        let waiting = Waiting { held: self, bytes: bytes as u64 };
        let statements = self.statements.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(waiting.bytes, Ordering::Relaxed) + waiting.bytes;
        if statements > limits.max_statements {
            return Err(Report::error(
                code::TOO_MANY_CONNECTIONS,
                format!("no writer is known, and {} statements wait for one already", limits.max_statements),
                "Try again later. The limit is database.hold.max_statements.",
            ));
        }
        if bytes > limits.max_bytes {
            return Err(Report::error(
                code::TOO_MANY_CONNECTIONS,
                format!("no writer is known, and {} bytes of statements wait already", limits.max_bytes),
                "Try again later. The limit is database.hold.max_bytes.",
            ));
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.held.statements.fetch_sub(1, Ordering::Relaxed);
        self.held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How sessions come back to a new writer: one at first, then twice as many each time one has
/// arrived, so that a fresh node is not met by all of them at once.
#[derive(Debug)]
pub struct Admission {
    places: Semaphore,
    /// False: everyone may pass.
    narrow: AtomicBool,
    /// The number of places there are.
    width: AtomicU32,
}

/// From here on the gate is as good as open.
const WIDE: u32 = 1024;

/// No session may keep others waiting at the gate for longer than this.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

impl Default for Admission {
    fn default() -> Self {
        Admission { places: Semaphore::new(0), narrow: AtomicBool::new(false), width: AtomicU32::new(0) }
    }
}

/// A place in the gate. Dropped: the session has arrived, or has given up.
#[derive(Debug)]
pub struct Place<'a> {
    admission: &'a Admission,
    permit: Option<SemaphorePermit<'a>>,
}

impl Admission {
    /// A new writer is known: the gate is one place wide again.
    pub fn narrow(&self) {
        self.places.forget_permits(Semaphore::MAX_PERMITS);
        self.width.store(1, Ordering::Relaxed);
        self.places.add_permits(1);
        self.narrow.store(true, Ordering::Release);
    }

    /// Waits for a place, if the gate is narrow.
    pub async fn enter(&self) -> Place<'_> {
        if !self.narrow.load(Ordering::Acquire) {
            return Place { admission: self, permit: None };
        }
        let permit = tokio::time::timeout(LONGEST_WAIT, self.places.acquire()).await;
        Place { admission: self, permit: permit.ok().and_then(Result::ok) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.permit.take().is_some() {
            let admission = self.admission;
            let before = admission.width.fetch_add(1, Ordering::Relaxed);
            admission.places.add_permits(1);
            if before >= WIDE {
                admission.narrow.store(false, Ordering::Release);
            }
        }
    }
}

/// One listener, as its sessions see it.
#[derive(Debug)]
pub struct Port {
    /// Its configuration.
    pub config: evenkeel_config::database::Listener,
    /// Sessions by what they do.
    pub sessions: Gauges,
}

impl Port {
    /// Whether its sessions may write at all.
    pub fn is_read_only(&self) -> bool {
        use evenkeel_config::database::Consistency;
        self.config.mode == Mode::Reader
            || self.config.mode == Mode::Auto && self.config.consistency == Consistency::Off
    }
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It waits for its client, outside a transaction.
    Idle,
    /// It waits for its client, inside a transaction.
    IdleInTransaction,
    /// It waits for a node's answer.
    Active,
    /// It waits for a writer, or for the operator.
    Held,
}

impl Doing {
    /// All, with their words.
    pub const ALL: [(Doing, &'static str); 4] = [
        (Doing::Idle, "idle"),
        (Doing::IdleInTransaction, "idle_in_transaction"),
        (Doing::Active, "active"),
        (Doing::Held, "held"),
    ];
}

/// Sessions by what they do.
#[derive(Debug, Default)]
pub struct Gauges([AtomicU32; 4]);

impl Gauges {
    /// How many do this.
    pub fn get(&self, doing: Doing) -> u32 {
        self.0.get(doing as usize).map_or(0, |gauge| gauge.load(Ordering::Relaxed))
    }

    /// One more does this.
    pub fn add(&self, doing: Doing) {
        if let Some(gauge) = self.0.get(doing as usize) {
            gauge.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One fewer does this.
    pub fn remove(&self, doing: Doing) {
        if let Some(gauge) = self.0.get(doing as usize) {
            gauge.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_in_number_and_bytes() {
        let held = Held::default();
        let limits = Hold { max_statements: 2, max_bytes: 10, ..Hold::default() };
        let first = held.enter(&limits, 4).unwrap();
        let second = held.enter(&limits, 4).unwrap();
        assert_eq!(held.enter(&limits, 1).unwrap_err().code, code::TOO_MANY_CONNECTIONS);
        drop(second);
        assert!(held.enter(&limits, 7).unwrap_err().message.contains("10 bytes"));
        drop(first);
        assert_eq!((held.statements(), held.bytes()), (0, 0));
    }

    #[tokio::test]
    async fn the_gate_widens_as_sessions_arrive() {
        let gate = Admission::default();
        assert!(gate.enter().await.permit.is_none(), "open at first");
        gate.narrow();
        let first = gate.enter().await;
        assert!(first.permit.is_some());
        assert_eq!(gate.places.available_permits(), 0);
        drop(first);
        assert_eq!(gate.places.available_permits(), 2);
        let pair = (gate.enter().await, gate.enter().await);
        drop(pair);
        assert_eq!(gate.places.available_permits(), 4);
        gate.narrow();
        assert_eq!(gate.places.available_permits(), 1);
    }
}
