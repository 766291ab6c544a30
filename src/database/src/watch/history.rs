//! How far each node was behind lately, for the status page.

use evenkeel_policy::time::Millis;
use std::collections::VecDeque;
use std::time::SystemTime;

/// Ten minutes at one point a second.
const KEPT: usize = 600;

/// A node's lag at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagPoint {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// In time; none where it was not known.
    pub lag: Option<Millis>,
    /// In bytes; none where it was not known.
    pub bytes: Option<u64>,
}

/// A node's lag over the last ten minutes.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<LagPoint>);

impl History {
    pub(super) fn push(&mut self, point: LagPoint) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    /// The oldest first.
    pub(super) fn points(&self) -> Vec<LagPoint> {
        self.0.iter().copied().collect()
    }
}
