//! What was seen a while ago: lag over time, writers, transitions. Bounded, and gone with the process.

use crate::clock;
use crate::edges::Transition;
use evenkeel_policy::database::{View, Writer};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lag samples kept for each node: ten minutes at one every two seconds.
pub const LAG_SAMPLES: usize = 300;

/// Seconds between two lag samples.
pub const LAG_STEP: u64 = 2;

/// Writers and transitions kept.
const KEPT: usize = 50;

/// A writer that took over, or the lack of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterChange {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// In words: `tw-a, timeline 3`, `none`, `conflict: tw-a and jp-a`.
    pub writer: String,
    /// Whether one is known.
    pub known: bool,
}

/// A transition that an edge told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it came, in milliseconds since 1970.
    pub at: u64,
    /// The edge.
    pub edge: String,
    /// What changed.
    #[serde(flatten)]
    pub transition: Transition,
}

/// The daemon's memory of what was.
#[derive(Debug, Default)]
pub struct History(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// For each node: lag in milliseconds, none where it was not known.
    lag: Vec<VecDeque<Option<u64>>>,
    writers: VecDeque<WriterChange>,
    transitions: VecDeque<Told>,
}

impl History {
    /// Notes every replica's lag; called every [`LAG_STEP`] seconds.
    pub fn sample_lag(&self, view: &View) {
        let mut kept = self.lock();
        kept.lag.resize_with(view.nodes.len(), VecDeque::new);
        for (samples, node) in kept.lag.iter_mut().zip(&view.nodes) {
            push(samples, node.lag.filter(|_| node.reachable).map(|lag| lag.get()), LAG_SAMPLES);
        }
    }

    /// Notes another writer.
    pub fn writer(&self, writer: &Writer, name: impl Fn(usize) -> String) {
        let (known, writer) = match writer {
            Writer::Known { node, timeline } => (true, format!("{}, timeline {timeline}", name(*node))),
            Writer::None => (false, "none".to_owned()),
            Writer::Conflict { nodes: (one, other), timeline } => {
                (false, format!("conflict: {} and {} on timeline {timeline}", name(*one), name(*other)))
            }
        };
        push(&mut self.lock().writers, WriterChange { at: clock::unix_ms(), writer, known }, KEPT);
    }

    /// Notes what an edge told.
    pub fn transitions(&self, edge: &str, transitions: Vec<Transition>) {
        let mut kept = self.lock();
        for transition in transitions {
            let told = Told { at: clock::unix_ms(), edge: edge.to_owned(), transition };
            push(&mut kept.transitions, told, KEPT);
        }
    }

    /// A node's lag over time, the oldest first.
    pub fn lag(&self, node: usize) -> Vec<Option<u64>> {
        self.lock().lag.get(node).map(|samples| samples.iter().copied().collect()).unwrap_or_default()
    }

    /// The writers, the newest first.
    pub fn writers(&self) -> Vec<WriterChange> {
        self.lock().writers.iter().rev().cloned().collect()
    }

    /// The transitions, the newest first.
    pub fn told(&self) -> Vec<Told> {
        self.lock().transitions.iter().rev().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(kept: &mut VecDeque<T>, item: T, most: usize) {
    while kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(item);
}
