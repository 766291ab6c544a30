//! What became of alerts.

use crate::journal::{AlertState, Ms};
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of alerts in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Alerts {
    /// Between two looks.
    pub interval: Ms,
    /// Looks that were answered in all of the run.
    pub answered: u64,
    /// Looks that were not.
    pub unanswered: u64,
    /// The longest time after the fault of which unanswered looks tell nothing. 0: all were answered.
    pub longest_gap: Ms,
    /// Each alert that was active at some time, in the order in which they were first seen.
    pub seen: Vec<AlertSeen>,
}

/// One alert that was active.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertSeen {
    /// The rule's name.
    pub name: String,
    /// Its label `severity`.
    pub severity: Option<String>,
    /// Its other labels, like `region`.
    pub labels: BTreeMap<String, String>,
    /// How it stood when the fault came.
    pub before: BeforeFault,
    /// All that was seen of it, in order of time; it begins as inactive.
    pub changes: Vec<AlertChange>,
}

/// How an alert stood when the fault came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BeforeFault {
    /// It was not active: what it does later came after the fault.
    Inactive,
    /// It was pending already.
    Pending,
    /// It was firing already.
    Firing,
    /// It came while looks were not answered, before the fault or after it.
    Unknown,
}

/// An alert that stands otherwise than before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AlertChange {
    /// How it stands from now on.
    pub state: AlertState,
    /// When a look first showed it: after the fault, negative before it.
    pub after: Ms,
    /// It happened at most so long before. None: the first answer of the run shows it.
    pub within: Option<Ms>,
}

impl AlertSeen {
    /// It fired after the fault, and was not active when the fault came.
    pub fn fired(&self) -> bool {
        self.before == BeforeFault::Inactive && self.firing().is_some_and(|after| after > 0.0)
    }

    /// It had been active in this run, and was no more when the fault came.
    pub fn was_active_earlier(&self) -> bool {
        let earlier = |change: &AlertChange| change.after <= 0.0 && change.state != AlertState::Inactive;
        self.before == BeforeFault::Inactive && self.changes.iter().any(earlier)
    }

    /// When it was first seen pending.
    pub fn pending(&self) -> Option<Ms> {
        self.first(AlertState::Pending)
    }

    /// When it was first seen firing.
    pub fn firing(&self) -> Option<Ms> {
        self.first(AlertState::Firing)
    }

    /// When it was first seen inactive after it fired for the last time. None: it never fired, or is active
    /// to the end.
    pub fn resolved(&self) -> Option<Ms> {
        let last = self.changes.last().filter(|last| last.state == AlertState::Inactive)?;
        let told = self.told();
        let fired = told.iter().rposition(|change| change.state == AlertState::Firing)?;
        let after = told.iter().skip(fired).find(|change| change.state == AlertState::Inactive);
        Some(after.unwrap_or(last).after)
    }

    fn first(&self, state: AlertState) -> Option<Ms> {
        self.told().iter().find(|change| change.state == state).map(|change| change.after)
    }

    /// What is told of it: where it was inactive when the fault came and was active again later, from the
    /// fault on; else all.
    fn told(&self) -> &[AlertChange] {
        let later = self.changes.iter().position(|change| change.after > 0.0);
        match later.and_then(|later| self.changes.get(later..)) {
            Some(later) if self.before == BeforeFault::Inactive => later,
            _ => &self.changes,
        }
    }
}
