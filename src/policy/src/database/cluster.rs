//! Observations in, a [`View`] out.

use super::{Lsn, NodeView, Role, Timeline, View, Writer};
use crate::time::{Millis, Time};

/// How patient the rules are.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Failed probes in a row that make a node unreachable.
    pub unhealthy_threshold: u32,
    /// Good probes in a row that make it reachable again.
    pub healthy_threshold: u32,
    /// Between two probes of a node.
    pub interval: Millis,
    /// The same while no writer is known.
    pub interval_without_writer: Millis,
    /// A replica further behind than this answers no reads.
    pub max_replica_lag: Millis,
    /// The same in bytes.
    pub max_replica_lag_bytes: Option<u64>,
}

/// What a node answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it says it is.
    pub role: Role,
    /// The timeline it is on.
    pub timeline: Timeline,
    /// How far its log is written (writer) or replayed (replica).
    pub lsn: Lsn,
    /// How far a replica's log was received.
    pub received: Option<Lsn>,
    /// How old the last replayed transaction is.
    pub replay_age: Option<Millis>,
}

/// What one probe of a node found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It answered.
    Sample(Sample),
    /// It did not answer in time.
    TimedOut,
    /// The connection was refused or broke: the reason in words.
    Lost(String),
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another writer, or none, or two.
    Writer {
        /// Before.
        from: Writer,
        /// Now.
        to: Writer,
    },
    /// A node became reachable or unreachable.
    Reachable {
        /// Its place in the configuration.
        node: usize,
        /// Whether it is.
        reachable: bool,
    },
    /// A node claims to write on a timeline below the highest that was seen.
    Stale {
        /// Its place in the configuration.
        node: usize,
        /// What it claims.
        timeline: Timeline,
    },
}

/// The rules at work on one database.
#[derive(Clone, Debug)]
pub struct Cluster {
    rules: Rules,
    view: View,
}

impl Cluster {
    /// A database of so many nodes, of which nothing is known but the highest timeline ever seen.
    pub fn new(rules: Rules, nodes: usize, highest_timeline: Timeline, now: Time) -> Self {
        let node = NodeView {
            reachable: false,
            role: None,
            timeline: None,
            lsn: None,
            lag_bytes: None,
            lag: None,
            sampled_at: None,
            since: now,
            error: None,
            drained: false,
        };
        let view = View {
            nodes: vec![node; nodes],
            writer: Writer::None,
            generation: 0,
            highest_timeline,
            writer_since: now,
        };
        Cluster { rules, view }
    }

    /// What is known now.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}
