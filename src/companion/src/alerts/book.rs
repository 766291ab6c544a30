//! What is wrong, by key: deduplicated, repeated after a while, and told when it is over.

use super::{Kind, Severity};
use crate::clock;
use evenkeel_policy::time::{Millis, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something that is wrong as long as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Tells this one from others of its kind.
    pub key: String,
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence for people.
    pub summary: String,
}

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence for people.
    pub summary: String,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
}

/// What a webhook is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The condition's kind and key; an event's own.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// Whether it began, goes on, is over, or just happened.
    pub state: State,
    /// One sentence for people.
    pub summary: String,
    /// When it was found, in milliseconds since 1970.
    pub at: u64,
    /// How long it has lasted.
    pub lasted: Millis,
}

/// Where a notice stands in the life of what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is wrong.
    Firing,
    /// It is over.
    Resolved,
    /// It happened, and there is nothing to be over.
    Event,
}

impl State {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Firing => "firing",
            State::Resolved => "resolved",
            State::Event => "event",
        }
    }
}

impl Notice {
    /// Something that happened.
    pub fn event(kind: Kind, severity: Severity, summary: String) -> Self {
        let at = clock::unix_ms();
        let id = format!("{}/{at}", kind.as_str());
        Notice { id, kind, severity, state: State::Event, summary, at, lasted: Millis::ZERO }
    }
}

/// The book.
#[derive(Debug)]
pub struct Book {
    repeat_after: Millis,
    entries: BTreeMap<(Kind, String), Entry>,
}

#[derive(Debug)]
struct Entry {
    condition: Condition,
    /// On the monotonic clock, which an adjusted wall clock does not lead astray.
    since: Time,
    since_unix: u64,
    told_at: Time,
}

impl Book {
    /// Nothing is wrong.
    pub fn new(repeat_after: Millis) -> Self {
        Book { repeat_after, entries: BTreeMap::new() }
    }

    /// From now on what lasts is told again after this.
    pub fn set_repeat_after(&mut self, repeat_after: Millis) {
        self.repeat_after = repeat_after;
    }

    /// Compares what is wrong now with what was, and gives back what is to be told.
    pub fn reconcile(&mut self, conditions: Vec<Condition>, now: Time) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut found: BTreeMap<(Kind, String), Condition> = conditions
            .into_iter()
            .map(|condition| ((condition.kind, condition.key.clone()), condition))
            .collect();
        self.entries.retain(|key, entry| match found.remove(key) {
            None => {
                notices.push(entry.notice(State::Resolved, now));
                false
            }
            Some(condition) => {
                let graver = condition.severity > entry.condition.severity;
                entry.condition = condition;
                if graver || now.since(entry.told_at) >= self.repeat_after {
                    entry.told_at = now;
                    notices.push(entry.notice(State::Firing, now));
                }
                true
            }
        });
        for (key, condition) in found {
            let entry = Entry { condition, since: now, since_unix: clock::unix_ms(), told_at: now };
            notices.push(entry.notice(State::Firing, now));
            self.entries.insert(key, entry);
        }
        notices
    }

    /// What is wrong, the gravest first, then the oldest.
    pub fn active(&self) -> Vec<Active> {
        let mut active: Vec<Active> = self
            .entries
            .values()
            .map(|Entry { condition, since_unix, .. }| Active {
                kind: condition.kind,
                severity: condition.severity,
                summary: condition.summary.clone(),
                since: *since_unix,
            })
            .collect();
        active.sort_by_key(|active| (std::cmp::Reverse(active.severity), active.since));
        active
    }
}

impl Entry {
    fn notice(&self, state: State, now: Time) -> Notice {
        let Condition { key, kind, severity, summary } = &self.condition;
        let lasted = now.since(self.since);
        let summary = match state {
            State::Resolved => format!("Resolved after {}: {summary}", clock::span(lasted)),
            _ if lasted > Millis::ZERO => format!("For {} now: {summary}", clock::span(lasted)),
            _ => summary.clone(),
        };
        Notice {
            id: format!("{}/{key}", kind.as_str()),
            kind: *kind,
            severity: *severity,
            state,
            summary,
            at: clock::unix_ms(),
            lasted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(key: &str, severity: Severity) -> Condition {
        Condition {
            key: key.to_owned(),
            kind: Kind::ComponentDown,
            severity,
            summary: format!("{key} is down"),
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn a_condition_is_told_once_again_after_a_while_and_when_it_is_over() {
        let mut book = Book::new(Millis::from_secs(600));
        let told = |notices: Vec<Notice>| -> Vec<(State, String)> {
            notices.into_iter().map(|notice| (notice.state, notice.summary)).collect()
        };
        let redis = || vec![wrong("redis", Severity::Critical)];
        assert_eq!(told(book.reconcile(redis(), at(1))), [(State::Firing, "redis is down".to_owned())]);
        assert_eq!(told(book.reconcile(redis(), at(600))), []);
        assert_eq!(
            told(book.reconcile(redis(), at(601))),
            [(State::Firing, "For 10m now: redis is down".to_owned())]
        );
        assert_eq!(
            told(book.reconcile(Vec::new(), at(661))),
            [(State::Resolved, "Resolved after 11m: redis is down".to_owned())]
        );
        assert_eq!(told(book.reconcile(Vec::new(), at(662))), []);
    }

    #[test]
    fn what_gets_graver_is_told_at_once_and_stands_first() {
        let mut book = Book::new(Millis::from_secs(600));
        book.reconcile(vec![wrong("redis", Severity::Warning), wrong("kafka", Severity::Warning)], at(1));
        let notices = book
            .reconcile(vec![wrong("redis", Severity::Critical), wrong("kafka", Severity::Warning)], at(2));
        assert_eq!(notices.len(), 1);
        assert_eq!(notices[0].severity, Severity::Critical);
        assert_eq!(book.active()[0].summary, "redis is down");
    }
}
