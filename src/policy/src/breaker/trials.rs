//! The permits that the half-open state has given out and not yet got back.

use crate::time::{Millis, Time};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Trials {
    next: u32,
    held: Vec<Held>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Held {
    trial: u32,
    since: Time,
}

impl Trials {
    /// Gives out a permit.
    pub fn give(&mut self, now: Time) -> u32 {
        let trial = self.next;
        self.next = trial.wrapping_add(1);
        self.held.push(Held { trial, since: now });
        trial
    }

    /// Takes a permit back. False if it is not out: it came back before, or its time ran out.
    pub fn take_back(&mut self, trial: u32) -> bool {
        let found = self.held.iter().position(|held| held.trial == trial);
        found.map(|index| self.held.swap_remove(index)).is_some()
    }

    /// Takes back every permit that has been out for `timeout`.
    pub fn expire(&mut self, now: Time, timeout: Millis) {
        self.held.retain_mut(|held| {
            // A start that lies ahead (a clock that stepped back) would hold the permit for ever.
            held.since = held.since.min(now);
            now.since(held.since) < timeout
        });
    }

    /// How many permits are out, less those that have been out for `timeout`.
    pub fn out(&self, now: Time, timeout: Millis) -> u32 {
        let out = self.held.iter().filter(|held| now.since(held.since) < timeout).count();
        u32::try_from(out).unwrap_or(u32::MAX)
    }
}
