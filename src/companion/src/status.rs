//! Everything that the status page, `/v1/status` and `evenkeel db status` show, as one value.

use crate::alerts::{Active, Severity};
use crate::database::Figures;
use crate::edges::EdgeState;
use crate::history::{Told, WriterChange};
use crate::peers::Peer;
use crate::readiness::Readiness;
use evenkeel_policy::database::Role;
use evenkeel_policy::words::Cause;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole of it at one moment. Times are milliseconds since 1970, ages milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The service.
    pub service: String,
    /// The region this companion stands in.
    pub region: String,
    /// Its version.
    pub version: String,
    /// When this was written.
    pub now: u64,
    /// When the companion began.
    pub started: u64,
    /// It is being shut down.
    pub stopping: bool,
    /// What remains of an operator's drain of this region.
    pub drain_ms: Option<u64>,
    /// The regions in configuration order.
    pub regions: Vec<String>,
    /// What the region depends on.
    pub readiness: Readiness,
    /// What each edge last said.
    pub edges: Vec<Edge>,
    /// The other companions.
    pub peers: Vec<Peer>,
    /// Who votes on what DNS answers; none where there is no `dns`.
    pub votes: Option<Votes>,
    /// What DNS' answers depend on, in configuration order.
    pub checks: Vec<CheckStatus>,
    /// The database; none where none is configured.
    pub database: Option<Database>,
    /// What is wrong, the gravest first.
    pub alerts: Vec<Active>,
    /// What became of each webhook's alerts.
    pub webhooks: Vec<Webhook>,
    /// What edges told, the newest first.
    pub transitions: Vec<Told>,
    /// The topology file.
    pub config: Config,
}

impl Status {
    /// How bad it is; none, and all is well.
    pub fn gravest(&self) -> Option<Severity> {
        self.alerts.iter().map(|alert| alert.severity).max()
    }
}

/// One edge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// What it last said.
    #[serde(flatten)]
    pub state: EdgeState,
    /// How long ago.
    pub age_ms: u64,
    /// Whether that still counts.
    pub in_force: bool,
    /// Whether it runs the configuration that this companion runs; none where it stands elsewhere.
    pub same_config: Option<bool>,
    /// Why regions do not have their full share.
    pub causes: BTreeMap<String, Cause>,
}

/// Who votes on what DNS answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Votes {
    /// How votes are exchanged: `direct` or `etcd`.
    pub exchange: String,
    /// How many there are by the configuration.
    pub configured: usize,
    /// How many voters are heard, this one included.
    pub in_force: usize,
    /// How long these have been fewer than a majority; none: they are not.
    pub lost_ms: Option<u64>,
    /// This voter decides alone: it is one of two, hears the other no more, and an anchor answers.
    pub alone: bool,
    /// The voters in configuration order.
    pub voters: Vec<Voter>,
}

impl Votes {
    /// The votes that settle something.
    pub fn majority(&self) -> usize {
        self.configured / 2 + 1
    }
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voter {
    /// Its name: its region's, `witness` or `etcd`.
    pub name: String,
    /// This very companion.
    pub own: bool,
    /// Whether what it says counts.
    pub heard: bool,
    /// How old that is.
    pub age_ms: Option<u64>,
    /// Whether it runs the same configuration; none where that is not known.
    pub same_config: Option<bool>,
    /// Why it is not heard.
    pub error: Option<String>,
}

/// What a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// A region's readiness.
    Region,
    /// Something else that is asked.
    Asked,
    /// Made from others.
    Calculated,
    /// Not asked, by configuration.
    Disabled,
}

/// One health check of DNS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: CheckKind,
    /// The settled verdict.
    pub up: bool,
    /// How long that has been so.
    pub since_ms: u64,
    /// Per cent of its normal share that it gets in the answers.
    pub share: u8,
    /// Why that is not all.
    pub cause: Option<Cause>,
    /// Per cent of the votes in force that are for up.
    pub healthy_percent: Option<f64>,
    /// The votes in force: whether each voter says up.
    pub votes: BTreeMap<String, bool>,
    /// To connect, in this companion's last probe.
    pub connect_ms: Option<f64>,
    /// That probe's TLS handshake.
    pub tls_ms: Option<f64>,
    /// From that probe's request to the answer's head.
    pub first_byte_ms: Option<f64>,
    /// Why that probe failed.
    pub error: Option<String>,
    /// Every edge of this region calls it unhealthy.
    pub out_by_edges: bool,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// In words, as the writer history has it.
    pub writer: String,
    /// Whether one is known.
    pub writer_known: bool,
    /// Two nodes claim to be it.
    pub conflict: bool,
    /// How long this has been so.
    pub writer_age_ms: u64,
    /// The highest timeline ever seen.
    pub highest_timeline: u32,
    /// The nodes in configuration order.
    pub nodes: Vec<Node>,
    /// The writers, the newest first.
    pub writers: Vec<WriterChange>,
    /// What is counted.
    pub figures: Figures,
}

/// One database node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Where it listens.
    pub address: String,
    /// Whether it stands in this companion's region.
    pub local: bool,
    /// Whether it is the one that accepts writes.
    pub writer: bool,
    /// It claims to accept writes, and the rules do not believe it.
    pub disputed: bool,
    /// What it says it is.
    pub role: Option<Role>,
    /// Whether it answers.
    pub reachable: bool,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// How old its last replayed transaction is.
    pub lag_ms: Option<u64>,
    /// What it has yet to replay.
    pub lag_bytes: Option<u64>,
    /// How long it has been reachable or not, in this role.
    pub age_ms: u64,
    /// Why it is not reachable.
    pub error: Option<String>,
    /// Out of use by order.
    pub drained: bool,
    /// What remains of that, where it has an end.
    pub drain_ms: Option<u64>,
    /// Connections of the router's that serve a session.
    pub in_use: u64,
    /// Lag over time, the oldest first, one value every two seconds.
    pub lag_history: Vec<Option<u64>>,
}

/// What became of a webhook's alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its name.
    pub name: String,
    /// Taken.
    pub sent: u64,
    /// Given up.
    pub failed: u64,
    /// Pushed out of a full queue.
    pub dropped: u64,
}

/// The topology file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Where it is.
    pub file: String,
    /// Names what is in force.
    pub hash: String,
    /// When that was read.
    pub loaded_at: u64,
    /// Reloads that failed since the start.
    pub failures: u64,
    /// Why the file as it is now is not in force.
    pub error: Option<String>,
    /// What was changed and waits for a restart.
    pub waiting: Vec<String>,
}
