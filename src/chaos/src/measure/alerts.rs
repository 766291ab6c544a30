//! When alerts became pending, fired and were resolved, and which of them were there before the fault.
//!
//! Times are those of the look's answer, so nothing is told earlier than it was certain. What a look shows whose
//! question left before the fault counts as before it.

use crate::figures::{AlertChange, AlertSeen, Alerts, BeforeFault};
use crate::journal::{ActiveAlerts, Alert, AlertLook, AlertState, AlertWatch, Ms};

/// All of it.
pub fn alerts(watch: &AlertWatch, injected: Ms) -> Alerts {
    let count = |answered: bool| -> u64 {
        let looks = watch.looks.iter().filter(|look| look.seen.is_some() == answered);
        looks.map(|look| u64::from(look.times)).sum()
    };
    let seen =
        (0_u32..).zip(&watch.known).filter_map(|(number, known)| alert(watch, number, known, injected));
    Alerts {
        interval: watch.interval,
        answered: count(true),
        unanswered: count(false),
        longest_gap: longest_gap(watch, injected),
        seen: seen.collect(),
    }
}

/// None: no look shows it active.
fn alert(watch: &AlertWatch, number: u32, known: &Alert, injected: Ms) -> Option<AlertSeen> {
    let changes = changes(watch, number, injected);
    if changes.is_empty() {
        return None;
    }
    let mut labels = known.labels.clone();
    let severity = labels.remove("severity");
    let before = before(watch, number, injected);
    Some(AlertSeen { name: known.name.clone(), severity, labels, before, changes })
}

/// Each look at which it stands otherwise than by the last one that was answered.
fn changes(watch: &AlertWatch, number: u32, injected: Ms) -> Vec<AlertChange> {
    let mut changes = Vec::new();
    let mut last: Option<(Ms, AlertState)> = None;
    for (look, active) in answered(watch) {
        let state = active.state(number);
        if last.map_or(AlertState::Inactive, |(_, known)| known) != state {
            let within = last.map(|(until, _)| look.at - until);
            changes.push(AlertChange { state, after: look.at - injected, within });
        }
        last = Some((look.until, state));
    }
    changes
}

/// How it stood when the fault came.
fn before(watch: &AlertWatch, number: u32, injected: Ms) -> BeforeFault {
    let earlier = |look: &&AlertLook| look.asked <= injected;
    let state = |(_, active): (&AlertLook, &ActiveAlerts)| active.state(number);
    let last = answered(watch).filter(|(look, _)| look.asked <= injected).last().map(state);
    match last {
        Some(AlertState::Firing) => return BeforeFault::Firing,
        Some(AlertState::Pending) => return BeforeFault::Pending,
        Some(AlertState::Inactive) | None => {}
    }
    let blind = watch.looks.iter().rfind(earlier).is_none_or(|look| look.seen.is_none());
    let first = answered(watch).find(|(look, _)| look.asked > injected).map(state);
    // It came while nobody saw when: before the fault or after it.
    let came_unseen = first.is_some_and(|state| state != AlertState::Inactive);
    if blind && came_unseen { BeforeFault::Unknown } else { BeforeFault::Inactive }
}

fn answered(watch: &AlertWatch) -> impl Iterator<Item = (&AlertLook, &ActiveAlerts)> {
    watch.looks.iter().filter_map(|look| Some((look, look.seen.as_ref()?)))
}

/// From the last answer before a gap, or the fault, to the first after it, or the last failure.
fn longest_gap(watch: &AlertWatch, injected: Ms) -> Ms {
    let mut longest: Ms = 0.0;
    let mut blind_since = injected;
    for look in &watch.looks {
        if look.seen.is_some() {
            blind_since = look.until.max(injected);
            continue;
        }
        let next = watch.looks.iter().find(|later| later.asked > look.asked && later.seen.is_some());
        longest = longest.max(next.map_or(look.until, |next| next.at) - blind_since);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const FAULT: Ms = 20_500.0;

    fn named(name: &str) -> Alert {
        let labels = [("region", "taiwan"), ("severity", "critical")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Alert { name: name.to_owned(), labels: BTreeMap::from(labels) }
    }

    /// A look each second for 60 s, each answered after 10 ms; letters say how A and B stand: `-` inactive, `p`
    /// pending, `f` firing, `?` no answer.
    fn watched(at: impl Fn(u32) -> &'static str) -> AlertWatch {
        let mut watch = AlertWatch::new(1_000.0);
        for second in 0..60 {
            let asked = Ms::from(second) * 1_000.0;
            let letters = at(second);
            let active = ["A", "B"].into_iter().zip(letters.chars()).filter_map(|(name, letter)| {
                let state = match letter {
                    'p' => AlertState::Pending,
                    'f' => AlertState::Firing,
                    _ => return None,
                };
                Some((named(name), state))
            });
            watch.note(asked, asked + 10.0, (letters != "?").then(|| active.collect()));
        }
        watch
    }

    fn only(watch: &AlertWatch) -> AlertSeen {
        let mut seen = alerts(watch, FAULT).seen;
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    #[test]
    fn an_alert_of_the_fault_is_pending_then_fires_then_is_resolved() {
        let seen = only(&watched(|second| match second {
            25..30 => "p",
            30..50 => "f",
            _ => "-",
        }));
        assert_eq!((seen.name.as_str(), seen.severity.as_deref()), ("A", Some("critical")));
        assert_eq!(seen.labels, BTreeMap::from([("region".to_owned(), "taiwan".to_owned())]));
        assert_eq!(seen.before, BeforeFault::Inactive);
        let times = [seen.pending(), seen.firing(), seen.resolved()];
        assert_eq!(times, [Some(4_510.0), Some(9_510.0), Some(29_510.0)]);
        assert!(seen.fired() && seen.changes.iter().all(|change| change.within == Some(1_000.0)));
    }

    #[test]
    fn what_is_there_before_the_fault_is_told_so_whatever_it_does_later() {
        // A is pending from the start and fires after the fault; B fires before, is resolved, and comes back.
        let watch = watched(|second| match second {
            0..15 => "p-",
            15..25 => "pf",
            25..40 => "f-",
            _ => "ff",
        });
        let all = alerts(&watch, FAULT);
        let before: Vec<_> = all.seen.iter().map(|seen| (seen.name.as_str(), seen.before)).collect();
        assert_eq!(before, [("A", BeforeFault::Pending), ("B", BeforeFault::Firing)]);
        assert!(all.seen.iter().all(|seen| !seen.fired()), "none of them is the fault's");
        assert_eq!((all.seen[0].pending(), all.seen[0].firing()), (Some(-20_490.0), Some(4_510.0)));
        assert_eq!(all.seen[0].changes[0].within, None, "the first look shows it");
        assert_eq!(all.seen[1].resolved(), None, "it fires again, and still does");
    }

    #[test]
    fn a_look_that_asked_before_the_fault_tells_of_before() {
        // The look of second 20 left half a second before the fault; it is the first that shows it.
        assert_eq!(only(&watched(|n| if n < 20 { "-" } else { "f" })).before, BeforeFault::Firing);
        assert_eq!(only(&watched(|n| if n < 21 { "-" } else { "f" })).before, BeforeFault::Inactive);
    }

    #[test]
    fn what_came_and_went_before_the_fault_can_fire_of_it() {
        let seen = only(&watched(|second| match second {
            0..10 | 30.. => "f",
            _ => "-",
        }));
        assert!(seen.fired() && seen.was_active_earlier());
        assert_eq!((seen.firing(), seen.resolved()), (Some(9_510.0), None));
        let gone = only(&watched(|second| if second < 10 { "f" } else { "-" }));
        assert_eq!((gone.fired(), gone.firing(), gone.resolved()), (false, Some(-20_490.0), Some(-10_490.0)));
    }

    #[test]
    fn a_gap_is_not_no_alert() {
        // Firing before and after a gap: it fired once, and was not resolved in between.
        let seen = only(&watched(|second| match second {
            25..30 | 35..50 => "f",
            30..35 => "?",
            _ => "-",
        }));
        assert_eq!(seen.changes.len(), 2);
        // Gone after a gap: known to within the gap.
        let watch = watched(|second| match second {
            25..30 => "f",
            30..35 => "?",
            _ => "-",
        });
        let last = *only(&watch).changes.last().unwrap();
        assert_eq!((last.state, last.after, last.within), (AlertState::Inactive, 14_510.0, Some(6_000.0)));
        let all = alerts(&watch, FAULT);
        assert_eq!((all.answered, all.unanswered, all.longest_gap), (55, 5, 6_000.0));
    }

    #[test]
    fn what_came_while_nobody_saw_the_fault_come_is_neither_before_nor_after() {
        let over = |from: u32, to: u32| {
            only(&watched(move |second| match second {
                n if (from..to).contains(&n) => "?",
                n if n < to => "-",
                _ => "f",
            }))
        };
        assert_eq!(over(18, 26).before, BeforeFault::Unknown);
        assert!(!over(18, 26).fired());
        assert_eq!(over(0, 26).before, BeforeFault::Unknown, "it never answered before");
        // The gap begins after the fault: a look since the fault, or just before it, shows that it was not there.
        assert_eq!(over(21, 26).before, BeforeFault::Inactive);
        // The gap is over, and it is not there yet.
        let later = only(&watched(|second| match second {
            18..26 => "?",
            40.. => "f",
            _ => "-",
        }));
        assert!(later.fired());
    }

    #[test]
    fn nothing_seen_comes_to_nothing() {
        assert_eq!(
            alerts(&AlertWatch::new(1_000.0), FAULT),
            Alerts { interval: 1_000.0, ..Alerts::default() }
        );
        let silent = alerts(&watched(|_| "?"), FAULT);
        assert_eq!((silent.answered, silent.unanswered, silent.seen.len()), (0, 60, 0));
        assert_eq!(silent.longest_gap, 59_010.0 - FAULT);
        let quiet = alerts(&watched(|_| "-"), FAULT);
        assert_eq!((quiet.answered, quiet.unanswered, quiet.longest_gap), (60, 0, 0.0));
        // A number that stands for nothing.
        let mut odd = watched(|_| "f");
        odd.known.clear();
        assert_eq!(alerts(&odd, FAULT).seen, []);
    }
}
