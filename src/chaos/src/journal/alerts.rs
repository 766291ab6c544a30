//! What a Prometheus said of alerts during a run.
//!
//! An answer is kept from when it was first given until another came, and alerts are named once: hundreds of
//! them that stay as they are cost a journal next to nothing.

use super::Ms;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All looks at one Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AlertWatch {
    /// Between two looks, in milliseconds.
    pub interval: Ms,
    /// Every alert that was seen, which looks refer to by number.
    pub known: Vec<Alert>,
    /// In order of time.
    pub looks: Vec<AlertLook>,
}

/// One alert: a rule that holds for one set of labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alert {
    /// The rule's name.
    pub name: String,
    /// What tells it from others of its name, like `region`, and its `severity`.
    pub labels: BTreeMap<String, String>,
}

/// Looks that followed one another and showed the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertLook {
    /// When the first question left.
    pub asked: Ms,
    /// When its answer was complete: what it shows had happened by then.
    pub at: Ms,
    /// When the last answer was complete.
    pub until: Ms,
    /// How many they are.
    pub times: u32,
    /// What they showed. None: there was no answer.
    pub seen: Option<ActiveAlerts>,
}

/// The alerts that are active: places in [`AlertWatch::known`], in order. All others are inactive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveAlerts {
    /// The rule's condition holds, not yet for as long as the rule asks.
    pub pending: Vec<u32>,
    /// The rule holds.
    pub firing: Vec<u32>,
}

/// How an alert stands, in Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertState {
    /// The rule's condition does not hold.
    Inactive,
    /// It holds, not yet for as long as the rule asks.
    Pending,
    /// The rule holds.
    Firing,
}

impl ActiveAlerts {
    /// How the alert with this number stands.
    pub fn state(&self, number: u32) -> AlertState {
        match () {
            () if self.firing.contains(&number) => AlertState::Firing,
            () if self.pending.contains(&number) => AlertState::Pending,
            () => AlertState::Inactive,
        }
    }
}

impl AlertWatch {
    /// Nothing seen yet.
    pub fn new(interval: Ms) -> Self {
        AlertWatch { interval, ..AlertWatch::default() }
    }

    /// One more look: when it asked, when it had its answer, and the alerts that were active by it. None: there
    /// was no answer.
    pub fn note(&mut self, asked: Ms, at: Ms, active: Option<Vec<(Alert, AlertState)>>) {
        let seen = active.map(|active| self.numbered(active));
        match self.looks.last_mut().filter(|last| last.seen == seen) {
            Some(last) => (last.until, last.times) = (at, last.times + 1),
            None => self.looks.push(AlertLook { asked, at, until: at, times: 1, seen }),
        }
    }

    fn numbered(&mut self, active: Vec<(Alert, AlertState)>) -> ActiveAlerts {
        let mut seen = ActiveAlerts::default();
        for (alert, state) in active {
            let number = self.known.iter().position(|known| *known == alert).unwrap_or_else(|| {
                self.known.push(alert);
                self.known.len() - 1
            }) as u32;
            match state {
                AlertState::Firing => seen.firing.push(number),
                AlertState::Pending => seen.pending.push(number),
                AlertState::Inactive => {}
            }
        }
        // Prometheus does not promise an order, and another order is no news.
        seen.pending.sort_unstable();
        seen.firing.sort_unstable();
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(region: &str) -> Alert {
        let labels = BTreeMap::from([("region".to_owned(), region.to_owned())]);
        Alert { name: "RegionOut".to_owned(), labels }
    }

    #[test]
    fn only_what_changed_is_kept_and_gaps_are() {
        let mut watch = AlertWatch::new(1_000.0);
        let pending = |region| (alert(region), AlertState::Pending);
        let firing = |region| (alert(region), AlertState::Firing);
        watch.note(0.0, 3.0, Some(vec![]));
        watch.note(1_000.0, 1_003.0, Some(vec![pending("taiwan"), firing("japan")]));
        watch.note(2_000.0, 2_003.0, Some(vec![firing("japan"), pending("taiwan")]));
        watch.note(3_000.0, 5_000.0, None);
        watch.note(6_000.0, 6_003.0, Some(vec![pending("taiwan"), firing("japan")]));
        watch.note(7_000.0, 7_003.0, Some(vec![firing("taiwan")]));
        assert_eq!(watch.known, [alert("taiwan"), alert("japan")]);
        let active = |pending: &[u32], firing: &[u32]| {
            Some(ActiveAlerts { pending: pending.to_vec(), firing: firing.to_vec() })
        };
        let look = |asked, at, until, times, seen| AlertLook { asked, at, until, times, seen };
        let expected = [
            look(0.0, 3.0, 3.0, 1, active(&[], &[])),
            look(1_000.0, 1_003.0, 2_003.0, 2, active(&[0], &[1])),
            look(3_000.0, 5_000.0, 5_000.0, 1, None),
            look(6_000.0, 6_003.0, 6_003.0, 1, active(&[0], &[1])),
            look(7_000.0, 7_003.0, 7_003.0, 1, active(&[], &[0])),
        ];
        assert_eq!(watch.looks, expected);
        let again: AlertWatch = serde_json::from_str(&serde_json::to_string(&watch).unwrap()).unwrap();
        assert_eq!(again, watch);
    }

    #[test]
    fn hundreds_of_alerts_that_stay_as_they_are_cost_little() {
        let mut watch = AlertWatch::new(1_000.0);
        for second in 0..60_u32 {
            let at = f64::from(second) * 1_000.0;
            let all = (0..300).map(|n| (alert(&format!("region-{n}")), AlertState::Firing)).collect();
            watch.note(at, at + 3.0, Some(all));
        }
        assert_eq!((watch.looks.len(), watch.looks[0].times), (1, 60));
        assert!(serde_json::to_vec(&watch).unwrap().len() < 30_000);
    }
}
