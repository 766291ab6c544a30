//! What the companion needs of the database: the seam to `evenkeel-database`.
//!
//! The watcher's view and the router's counters reach readiness, metrics, alerts and the status page
//! through [`Database`] alone; tests put a database of their own there.

mod live;

pub use live::start;

use evenkeel_policy::database::View;
use evenkeel_policy::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The database under watch, and the sessions to it.
pub trait Database: fmt::Debug + Send + Sync + 'static {
    /// Now, on the clock that the view's times are on.
    fn now(&self) -> Time;
    /// What is known of the nodes, renewed with every probe.
    fn view(&self) -> Arc<View>;
    /// Wakes when something other than positions and lag changes.
    fn changes(&self) -> watch::Receiver<Arc<View>>;
    /// What is counted.
    fn figures(&self) -> Figures;
    /// Takes a node out of use, or gives it back. Its sessions move when they come to rest.
    fn drain(&self, node: usize, drained: bool);
    /// Holds new statements and transactions on all listeners, or lets them go on.
    fn pause(&self, paused: bool);
    /// Takes up what may change while it runs; tells what may not, as fields.
    ///
    /// # Errors
    /// What of the settings cannot be used: the old ones stay in force.
    fn reload(&self, settings: &crate::settings::Settings) -> Result<Vec<String>, String>;
    /// Takes no new sessions, and ends those that come to rest, the others at the end of `within`.
    /// The future is over when none is left.
    fn stop(&self, within: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What the watcher and the router count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// For each node, in configuration order.
    pub nodes: Vec<NodeFigures>,
    /// For each listener, in configuration order.
    pub listeners: Vec<ListenerFigures>,
    /// For each node that has connections, in configuration order.
    pub pools: Vec<PoolFigures>,
    /// Statements that wait for a writer now.
    pub held_statements: u64,
    /// Their bytes.
    pub held_bytes: u64,
    /// Statements that waited and went on, since the start.
    pub held_total: u64,
    /// Statements that waited in vain, since the start.
    pub held_timeouts_total: u64,
    /// New statements are held by order.
    pub paused: bool,
    /// Sessions that keep their node connections for state of theirs.
    pub pinned: u64,
    /// Counts over all sessions since the start.
    pub counts: Counts,
}

/// What the router counts over all sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Exchanges with a node, by which: `writer`, `local_replica`, `other_replica`.
    pub exchanges: Vec<(String, u64)>,
    /// Reads that had to wait for a replica to replay.
    pub replay_waits: u64,
    /// Of these, those that went to the writer since no replica had replayed in time.
    pub replay_timeouts: u64,
    /// Statements that a replica refused as writes, and the writer then got.
    pub refused_near: u64,
    /// Transactions lost with their node before COMMIT.
    pub lost_transactions: u64,
    /// Lost COMMITs of which it is certain that they were made.
    pub commits_resolved: u64,
    /// Lost COMMITs and single writes whose fate is unknown.
    pub commits_unknown: u64,
}

/// What a node's own statistics say; none where it was not asked yet or may not be asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeFigures {
    /// Sessions on the node, those of others too.
    pub connections: Option<u64>,
    /// Its `max_connections`.
    pub max_connections: Option<u64>,
    /// Sessions that execute something.
    pub active_sessions: Option<u64>,
    /// Sessions that wait, by the type of what they wait for.
    pub wait_events: Vec<(String, u64)>,
    /// Statements in pg_stat_statements whose mean is above a second.
    pub slow_statements: Option<u64>,
    /// The slowest statement's mean.
    pub slowest_mean_ms: Option<f64>,
}

/// A listener's sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListenerFigures {
    /// Its name.
    pub name: String,
    /// Sessions by state: `idle`, `idle_in_transaction`, `active`, `held`.
    pub sessions: Vec<(String, u64)>,
    /// Clients that were refused because too many were in.
    pub refused: u64,
}

/// A node's pools, added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolFigures {
    /// The node's name.
    pub node: String,
    /// Connections that serve a session.
    pub in_use: u64,
    /// Connections that wait for one.
    pub idle: u64,
    /// Sessions that wait for a connection.
    pub waiting: u64,
}
