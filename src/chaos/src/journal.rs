//! A run as it happened: what was done, each request, each look, each order. Everything that is shown or
//! judged is computed from it, and from nothing else.
//!
//! It owns the record's form. It must never know a figure or a verdict. Times count from the run's start,
//! in milliseconds with three decimals where they are requests'.

mod alerts;
#[cfg(test)]
pub(crate) mod fixture;

pub use alerts::{ActiveAlerts, Alert, AlertLook, AlertState, AlertWatch};

use crate::experiment::Experiment;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Milliseconds since the run began.
pub type Ms = f64;

/// A whole run. What is inside is complete: the file alone gives the same verdict again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Of this form: 1.
    pub version: u32,
    /// `NAME-20261124T020000Z`.
    pub run: String,
    /// When it began, RFC 3339, UTC.
    pub began: String,
    /// The experiment's name in the catalogue, or its file's.
    pub name: String,
    /// The experiment as it was read.
    pub experiment: Experiment,
    /// Where it ran.
    pub environment: Environment,
    /// How it ended.
    pub status: Status,
    /// Why, in a sentence, if not completed.
    pub reason: Option<String>,
    /// The hypothesis before.
    pub before: SteadyState,
    /// The hypothesis after everything was undone.
    pub after: Option<SteadyState>,
    /// The moment that everything is measured from: the first fault's.
    pub injected: Option<Ms>,
    /// When undoing began.
    pub rollback: Option<Ms>,
    /// When the steady state held again.
    pub healed: Option<Ms>,
    /// When the load ended.
    pub ended: Ms,
    /// All that was done, in order.
    pub activities: Vec<Activity>,
    /// The clients' regions, which requests refer to by number.
    pub clients: Vec<String>,
    /// The regions of the topology, which requests refer to by number.
    pub regions: Vec<String>,
    /// Every request, in the order in which they were due.
    pub requests: Vec<Request>,
    /// Every look, in order.
    pub samples: Vec<Sample>,
    /// What a Prometheus said of alerts. None: the target names none, or the run is older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<AlertWatch>,
    /// Every order that a client placed.
    pub ledger: Vec<Order>,
    /// What the databases held afterwards. None: there is no database, or nobody could look.
    pub audit: Option<Audit>,
}

/// Where a run ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The target's name.
    pub target: String,
    /// Its profile.
    pub profile: Option<String>,
    /// What the whole was started by, to do it again.
    pub command: String,
    /// Evenkeel's version.
    pub evenkeel: String,
    /// The topology file's fingerprint.
    pub config: String,
    /// Versions of what it ran on, as they say themselves: `kernel`, `docker`, `envoy`, `postgresql`.
    pub versions: BTreeMap<String, String>,
    /// Processors.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// The normal round trip between regions, in milliseconds, if a link tells.
    pub round_trip: Option<f64>,
}

/// How a run ended, in Chaos Toolkit's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It went its whole way; whether it was passed is the verdict's matter.
    Completed,
    /// The hypothesis did not hold before: nothing was done.
    Failed,
    /// A step could not be done, or the stop condition tripped: everything was undone.
    Aborted,
    /// Somebody stopped it: everything was undone.
    Interrupted,
}

/// The hypothesis at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SteadyState {
    /// All probes are within what is tolerated.
    pub met: bool,
    /// When the last probe ended.
    pub at: Ms,
    /// One by one.
    pub probes: Vec<Probed>,
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// As in the experiment.
    pub name: String,
    /// Within what is tolerated.
    pub met: bool,
    /// What was seen.
    pub output: serde_json::Value,
}

/// Something done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// In words.
    pub name: String,
    /// Which part of the experiment it belongs to.
    pub part: ActivityPart,
    /// When it began.
    pub began: Ms,
    /// When it was done.
    pub ended: Ms,
    /// Whom it met, by name.
    pub met: Vec<String>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Which part of an experiment something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivityPart {
    /// What is done on purpose.
    Method,
    /// What undoes it.
    Rollback,
}

/// One request, from its client's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "RequestRow", into = "RequestRow")]
pub struct Request {
    /// When it was due: what its latency counts from.
    pub due: Ms,
    /// When its answer was complete, or given up.
    pub end: Ms,
    /// Whose client sent it: a place in [`Journal::clients`].
    pub client: u8,
    /// An order, or else a read.
    pub order: bool,
    /// The answer's status; 0: no answer within the client's patience, or not the order asked for.
    pub status: u16,
    /// Who answered: a place in [`Journal::regions`].
    pub region: Option<u8>,
    /// When it really left. Much later than it was due: the generator stalled, and the run is not
    /// trustworthy.
    pub sent: Ms,
    /// The order that it reads, by the number that its key ends with.
    pub reads: Option<u32>,
}

impl Request {
    /// Answered, and with what was asked for.
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// From the moment it was due.
    pub fn latency(&self) -> Ms {
        self.end - self.due
    }
}

/// `[due, end, client, order, status, region, sent, reads]`: there are tens of thousands of them.
type RequestRow = (Ms, Ms, u8, u8, u16, Option<u8>, Ms, Option<u32>);

impl From<RequestRow> for Request {
    fn from((due, end, client, order, status, region, sent, reads): RequestRow) -> Self {
        Request { due, end, client, order: order != 0, status, region, sent, reads }
    }
}

impl From<Request> for RequestRow {
    fn from(request: Request) -> Self {
        let Request { due, end, client, order, status, region, sent, reads } = request;
        let micro = |ms: Ms| (ms * 1000.0).round() / 1000.0;
        (micro(due), micro(end), client, u8::from(order), status, region, micro(sent), reads)
    }
}

/// The key of a run's order: the run's name and the order's number.
pub fn order_key(run: &str, number: u32) -> String {
    format!("{run}-{number}")
}

/// One look at one observer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When the question left.
    pub asked: Ms,
    /// When the answer was complete: what it shows had happened by then.
    pub at: Ms,
    /// Who was asked.
    pub observer: Observer,
    /// Whose region's.
    pub region: String,
    /// What it said. None: nothing.
    pub seen: Option<Seen>,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observer {
    /// An Envoy, by its metrics.
    Edge,
    /// A companion, by its status.
    Companion,
}

/// What an observer said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// Each region as an edge sees it.
    Edge(BTreeMap<String, EdgeView>),
    /// The platform as a companion sees it.
    Companion(CompanionView),
}

/// One region as an edge sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EdgeView {
    /// Its probes say so.
    pub healthy: bool,
    /// 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// Per cent of its normal share.
    pub share: f64,
}

/// The platform as a companion sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CompanionView {
    /// The region can serve.
    pub ready: bool,
    /// The components that are not up.
    pub down: Vec<String>,
    /// The writer's node.
    pub writer: Option<String>,
    /// Replication lag by node, in seconds.
    pub lag: BTreeMap<String, f64>,
    /// Nodes that cannot be reached.
    pub unreachable: Vec<String>,
    /// Per cent of its normal share of DNS answers, by region.
    pub dns: BTreeMap<String, f64>,
}

/// An order as its client knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Its idempotency key, which is its customer's name too: doubles are found by either.
    pub key: String,
    /// When it was due.
    pub due: Ms,
    /// When its fate was known, or given up.
    pub end: Ms,
    /// Whose client placed it: a place in [`Journal::clients`].
    pub client: u8,
    /// What it costs.
    pub total_cents: i64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an order, as its client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The shop said that it is taken, with its number: it must be there for ever.
    Acknowledged(String),
    /// The shop said that it is not: it may be there all the same, since an answer can be late.
    Refused(u16),
    /// Nobody said anything.
    Unknown,
}

/// What the databases held afterwards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Rows of this run, by node.
    pub nodes: BTreeMap<String, u64>,
    /// Acknowledged, and missing on the writer. By key.
    pub lost: Vec<String>,
    /// There more than once.
    pub doubled: Vec<String>,
    /// There with another number, customer or sum than the client was told.
    pub corrupt: Vec<String>,
    /// There, though nobody placed it.
    pub unasked: Vec<String>,
    /// Different or missing on a node though the writer has it, as `node: key`.
    pub diverged: Vec<String>,
    /// Neither acknowledged nor refused, and there after all: harmless, and counted.
    pub unknown_present: u64,
}
