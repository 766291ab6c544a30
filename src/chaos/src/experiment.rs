//! An experiment, in Chaos Toolkit's words: what should hold, what is done, how it is undone; and what
//! Evenkeel adds: the load, the criteria that it is judged by and the condition that stops it.
//!
//! It owns the file's form and what is wrong with one. It must never know what a fault does or how a
//! figure is measured.

mod checks;

use anyhow::{Context, Result};
use evenkeel_config::{Document, Problems};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A whole experiment file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Experiment {
    /// Chaos Toolkit's format: `1.0.0`, the default.
    #[serde(default = "format_version")]
    pub version: String,
    /// What it is called in reports.
    pub title: String,
    /// Why it is done, what is left out and why.
    pub description: String,
    /// Which kind of incident it stands for, which trends are kept by.
    pub kind: Kind,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What clients do meanwhile.
    #[serde(default)]
    pub load: Load,
    /// What holds before, and again after everything is undone.
    pub steady_state_hypothesis: Hypothesis,
    /// What is done, one after the other.
    pub method: Vec<Step>,
    /// What is undone at the end, besides what every fault undoes by itself. Always run.
    #[serde(default)]
    pub rollbacks: Vec<Step>,
    /// What the run is judged by.
    pub criteria: Criteria,
    /// When the run is stopped early and everything undone.
    #[serde(default)]
    pub stop_condition: StopCondition,
    /// When it is due. None: by hand alone.
    #[serde(default)]
    pub schedule: Option<Schedule>,
}

impl Experiment {
    /// Reads and checks an experiment file.
    ///
    /// # Errors
    /// Everything that is wrong with it: field, value and remedy.
    pub fn load(path: &Path) -> Result<Experiment> {
        let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        Experiment::read(&bytes).with_context(|| path.display().to_string())
    }

    /// The same from memory.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn read(bytes: &[u8]) -> Result<Experiment, Problems> {
        let remedy = "begin with \"title:\", \"description:\" and \"kind:\"";
        let document =
            Document::<Experiment>::read(bytes, "the experiment", remedy).map_err(checks::in_our_words)?;
        let mut errors = ConfigErrors::default();
        checks::check(&document.value, &mut errors);
        if errors.0.is_empty() { Ok(document.value) } else { Err(document.problems(errors)) }
    }
}

fn format_version() -> String {
    "1.0.0".to_owned()
}

/// The kind of incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// All that serves in one region is gone.
    RegionFailure,
    /// The database's writer is gone.
    DatabaseFailure,
    /// The regions do not hear each other.
    NetworkPartition,
    /// A region's cache is gone.
    CacheFailure,
    /// An instance of the application is gone.
    ApplicationFailure,
    /// Several of these at once.
    MultiComponentFailure,
    /// A region is slow or lossy for long.
    Degradation,
    /// The way between the regions is slow.
    CrossRegionLatency,
    /// A region is gone with its edge, and clients find the other by DNS.
    DisasterRecovery,
    /// An operator moves a region's traffic away, without any fault.
    Drill,
}

/// What clients do: open-loop, that is, requests leave when they are due, whatever became of earlier ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Load {
    /// Requests per second over all clients. Default: 200.
    pub rate: u32,
    /// How many of 100 requests are new orders; the others read one that was acknowledged. Default: 20.
    pub orders: u8,
    /// How long clients are watched before anything is done. Default: 20s.
    pub baseline: Millis,
    /// How long a client waits for an answer. Default: 30s.
    pub patience: Millis,
    /// What is answered later than this counts as an outage, though not as an error. Default: 1s.
    pub slow: Millis,
    /// Clients take another address from DNS when theirs does not answer. Default: false, each stays with
    /// its region's edge.
    pub follow_dns: bool,
}

impl Default for Load {
    fn default() -> Self {
        Load {
            rate: 200,
            orders: 20,
            baseline: Millis::from_secs(20),
            patience: Millis::from_secs(30),
            slow: Millis::from_secs(1),
            follow_dns: false,
        }
    }
}

/// What holds while all is well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hypothesis {
    /// In words.
    pub title: String,
    /// What shows it. At least one.
    pub probes: Vec<Probe>,
}

/// One observation with what is tolerated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// In words.
    pub name: String,
    /// How it is observed.
    pub provider: ProbeProvider,
    /// What is tolerated: a value, or `[low, high]` for numbers. Default: true.
    #[serde(default = "tolerates_true")]
    pub tolerance: serde_json::Value,
}

fn tolerates_true() -> serde_json::Value {
    serde_json::Value::Bool(true)
}

/// How something is observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ProbeProvider {
    /// Evenkeel's own eyes.
    Evenkeel {
        /// What is looked at.
        look: Look,
    },
    /// The status of a page.
    Http {
        /// `http://host:port/path`.
        url: String,
        /// Default: 3s.
        #[serde(default = "probe_timeout")]
        timeout: Millis,
    },
    /// The exit code of a program.
    Process {
        /// The program.
        path: String,
        /// Its arguments.
        #[serde(default)]
        arguments: Vec<String>,
        /// Default: 3s.
        #[serde(default = "probe_timeout")]
        timeout: Millis,
    },
}

fn probe_timeout() -> Millis {
    Millis::from_secs(3)
}

/// What Evenkeel can look at by itself; each gives true or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Each region has its whole share at every edge, every breaker is closed.
    SharesWhole,
    /// Each database node is reachable, and there is one writer.
    DatabaseWhole,
    /// Every companion is ready and hears every voter.
    CompanionsReady,
    /// An order is taken, and read back, at every client's edge.
    OrdersTaken,
}

/// One step of the method: something done, and the pauses around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// In words.
    pub name: String,
    /// What is done.
    pub provider: ActionProvider,
    /// What is waited around it.
    #[serde(default)]
    pub pauses: Pauses,
}

/// Waits around a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pauses {
    /// Default: 0s.
    pub before: Millis,
    /// Default: 0s.
    pub after: Millis,
}

/// How something is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ActionProvider {
    /// A fault that Evenkeel does and undoes.
    Evenkeel {
        /// What is done.
        fault: Fault,
        /// Whom it meets.
        on: Selection,
    },
    /// A request, whatever it is good for; undone by a rollback of the experiment's own.
    Http {
        /// `http://host:port/path`.
        url: String,
        /// Default: POST.
        #[serde(default = "post")]
        method: String,
        /// What is sent.
        #[serde(default)]
        body: String,
        /// Default: 3s.
        #[serde(default = "probe_timeout")]
        timeout: Millis,
    },
    /// A program; undone by a rollback of the experiment's own.
    Process {
        /// The program.
        path: String,
        /// Its arguments.
        #[serde(default)]
        arguments: Vec<String>,
        /// Default: 3s.
        #[serde(default = "probe_timeout")]
        timeout: Millis,
    },
}

fn post() -> String {
    "POST".to_owned()
}

/// What is done to whom it meets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// SIGKILL; undone by a start.
    Kill,
    /// Frozen (SIGSTOP, `docker pause`): it holds its connections and answers nothing; undone by a thaw.
    Pause,
    /// A link passes nothing; undone by what it was.
    Cut,
    /// A link is slow, lossy or both; undone by what it was.
    Impair {
        /// What it takes from now on.
        #[serde(default)]
        round_trip: Option<Millis>,
        /// Per cent that is lost.
        #[serde(default)]
        loss_percent: Option<f64>,
    },
    /// An operator's drain of a region, as `evenkeel drain`; undone by its end.
    Drain {
        /// Ends by itself after this.
        ttl: Millis,
    },
}

/// Whom a fault meets. What is named must all fit; nothing named is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Parts of this region. `writer`: the region in which the database's writer is when it is done.
    pub region: Option<String>,
    /// Parts of these roles. `writer`: the database node that is the writer when it is done.
    pub roles: Vec<String>,
    /// Not these roles.
    pub except: Vec<String>,
    /// These parts, by name.
    pub parts: Vec<String>,
    /// These links, by name; `all`.
    pub links: Vec<String>,
}

/// What a run is judged by. What is not given is measured and shown, and not judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Criteria {
    /// Reads: from the fault to verified recovery.
    pub rto_reads: Option<Millis>,
    /// Orders: from the fault to verified recovery.
    pub rto_orders: Option<Millis>,
    /// The oldest acknowledged order that is lost was acknowledged no longer than this before the fault, by
    /// profile (`rpo0: 0s`, `rpo1s: 1s`).
    pub rpo: BTreeMap<String, Millis>,
    /// Acknowledged orders that may be lost, by profile.
    pub lost_orders: BTreeMap<String, u64>,
    /// Orders that may be doubled, changed or different between nodes afterwards.
    pub corrupt_orders: Option<u64>,
    /// Orders of the whole run that may be left without any answer within the load's `patience`: what is not
    /// taken has to be refused, so that its customer knows.
    pub unanswered_orders: Option<u64>,
    /// Per cent of requests from the fault until 60 s later that are failures.
    pub error_rate_percent: Option<f64>,
    /// The same, of reads alone.
    pub read_error_rate_percent: Option<f64>,
    /// Per cent by which the 95th percentile may grow after recovery, against the surviving regions'
    /// baseline plus one round trip.
    pub latency_increase_percent: Option<f64>,
    /// Until the first transition that the fault causes.
    pub detection: Option<Millis>,
    /// Until readiness and traffic stand as configured for a lost cache.
    pub settled: Option<Millis>,
    /// Until the regions that the method names give fewer than 1 % of the answers, and go on so until the fault
    /// is undone.
    pub evacuated: Option<Millis>,
    /// After everything is undone, until the steady state holds again.
    pub healed: Option<Millis>,
}

/// When a run is stopped early.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct StopCondition {
    /// More than this many per cent of requests fail… Default: 50.
    pub error_rate_percent: f64,
    /// …for so long. Default: 60s.
    pub over: Millis,
}

impl Default for StopCondition {
    fn default() -> Self {
        StopCondition { error_rate_percent: 50.0, over: Millis::from_secs(60) }
    }
}

/// When an experiment is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Schedule {
    /// How often.
    pub every: Every,
    /// Which Monday of the month, 1 to 4.
    pub monday: u8,
    /// Hour and minute, UTC. Default: 02:00.
    #[serde(default = "two_in_the_morning")]
    pub at: String,
}

fn two_in_the_morning() -> String {
    "02:00".to_owned()
}

impl Schedule {
    /// Hour and minute. None: `at` is no time of day.
    pub fn time(&self) -> Option<(u8, u8)> {
        let (hour, minute) = self.at.split_once(':')?;
        let two = |text: &str, below: u8| {
            text.parse().ok().filter(|number| {
                text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()) && *number < below
            })
        };
        Some((two(hour, 24)?, two(minute, 60)?))
    }
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Every {
    /// Each month.
    Month,
    /// January, April, July and October.
    Quarter,
}
