//! Whether an alert fired, in words: which, when, and what was there before the fault.

use super::parts::{Tone, fill, list, state};
use super::words::{counted, seconds};
use crate::figures::{AlertChange, AlertSeen, Alerts, BeforeFault, Figures};
use crate::journal::{AlertState, Journal, Ms};
use maud::{Markup, html};

/// The answer to "Did an alert fire?", with a place to fill in for what nobody measured.
pub fn answer(journal: &Journal, figures: &Figures) -> Markup {
    let blank = || fill("which, when, and to whom");
    if journal.injected.is_none() {
        return html! { "no fault was done" };
    }
    let Some(alerts) = &figures.alerts else { return blank() };
    if alerts.answered == 0 {
        let silent = state(Tone::Odd, "the target's Prometheus never answered");
        return html! { (silent) " " (blank()) };
    }
    let fired = told(alerts, AlertSeen::fired);
    let pending =
        told(alerts, |seen| since(seen).is_some() && seen.before == BeforeFault::Inactive && !seen.fired());
    let before = told(alerts, |seen| matches!(seen.before, BeforeFault::Pending | BeforeFault::Firing));
    let unknown = told(alerts, |seen| seen.before == BeforeFault::Unknown);
    let news = match fired.is_empty() {
        false => html! { strong { "yes" } },
        true if before.is_empty() && unknown.is_empty() => html! { "none fired within the run" },
        true => html! { "none fired within the run that was not there before the fault" },
    };
    html! {
        (news) " (" (looked(alerts)) ")"
        @if !fired.is_empty() { ": " (list(&fired)) (fill("to whom")) }
        @for (what, told) in [
            ("Pending, and not firing by the end of the run:", &pending),
            ("Before the fault already:", &before),
            ("Come while nobody answered, before the fault or after it:", &unknown),
        ] {
            @if !told.is_empty() { p { (what) } (list(told)) }
        }
    }
}

/// The rows of the timeline.
pub fn rows(alerts: &Alerts, injected: Ms, say: &mut impl FnMut(Ms, String)) {
    for seen in &alerts.seen {
        let mut firing = false;
        for change in &seen.changes {
            let what = match (firing, change.state) {
                (false, AlertState::Firing) => Some(fires(seen, change)),
                (true, AlertState::Inactive) => Some("is resolved"),
                (true, AlertState::Pending) => Some("is resolved, and pending again"),
                _ => None,
            };
            firing = change.state == AlertState::Firing;
            if let Some(what) = what {
                say(injected + change.after, format!("Alert {} {what}{}", name(seen), gap(alerts, change)));
            }
        }
    }
}

fn fires(seen: &AlertSeen, change: &AlertChange) -> &'static str {
    match seen.before {
        _ if change.after <= 0.0 && change.within.is_none() => "is firing from the start",
        BeforeFault::Pending if change.after > 0.0 => "fires; it was pending before the fault",
        BeforeFault::Firing if change.after > 0.0 => "fires; it was firing when the fault came",
        BeforeFault::Unknown => "is firing; whether since before the fault is not known",
        _ => "fires",
    }
}

/// What was not measured of alerts, one sentence each.
pub fn gaps(journal: &Journal, figures: &Figures) -> Vec<String> {
    let by_hand = "whether one fired has to be filled in under Game day.";
    let Some(watch) = &journal.alerts else {
        let remedy = "give alerts: HOST:PORT in the target file";
        return vec![format!("No Prometheus was asked for alerts ({remedy}): {by_hand}")];
    };
    if watch.looks.iter().all(|look| look.seen.is_none()) {
        return vec![format!(
            "The target's Prometheus never answered when it was asked for alerts: {by_hand}"
        )];
    }
    let Some(alerts) = &figures.alerts else { return Vec::new() };
    let mut said = Vec::new();
    if alerts.longest_gap > 0.0 {
        said.push(format!(
            "The target's Prometheus did not answer for up to {} after the fault: an alert that fired and was resolved within that was not seen.",
            seconds(alerts.longest_gap)
        ));
    }
    if alerts.seen.iter().any(AlertSeen::fired) {
        said.push(
            "Whom alerts reached is not in the journal, and has to be filled in under Game day.".to_owned(),
        );
    }
    said
}

/// `EvenkeelRegionOut (taiwan)`: its name with what tells it apart, its region first.
fn name(seen: &AlertSeen) -> String {
    let region = seen.labels.get("region");
    let others = seen.labels.iter().filter(|(label, _)| *label != "region").map(|(_, value)| value);
    let apart: Vec<&str> = region.into_iter().chain(others).map(String::as_str).collect();
    if apart.is_empty() { seen.name.clone() } else { format!("{} ({})", seen.name, apart.join(", ")) }
}

/// Those that are so, each with its times.
fn told(alerts: &Alerts, so: impl Fn(&AlertSeen) -> bool) -> Vec<String> {
    alerts.seen.iter().filter(|seen| so(seen)).map(|seen| story(alerts, seen)).collect()
}

/// `EvenkeelRegionOut (taiwan), critical: pending after 4.51 s, firing after 9.51 s, resolved after 29.5 s`.
fn story(alerts: &Alerts, seen: &AlertSeen) -> String {
    let when = |after: Ms| match after {
        after if after > 0.0 => format!("after {}", seconds(after)),
        _ => "before the fault".to_owned(),
    };
    let mut said = Vec::new();
    for (word, after) in
        [("pending", seen.pending()), ("firing", seen.firing()), ("resolved", seen.resolved())]
    {
        said.extend(after.map(|after| format!("{word} {}", when(after))));
    }
    match seen.changes.last().map(|last| last.state) {
        Some(AlertState::Firing) => said.push("not resolved by the end of the run".to_owned()),
        Some(AlertState::Inactive) if seen.resolved().is_none() => {
            said.push("not pending any more".to_owned())
        }
        _ => {}
    }
    if seen.was_active_earlier() {
        said.push("active earlier in this run too".to_owned());
    }
    let late = seen.changes.iter().map(|change| gap(alerts, change)).find(|gap| !gap.is_empty());
    let severity = seen.severity.as_ref().map(|severity| format!(", {severity}")).unwrap_or_default();
    format!("{}{severity}: {}{}", name(seen), said.join(", "), late.unwrap_or_default())
}

/// When it became active after the fault.
fn since(seen: &AlertSeen) -> Option<Ms> {
    let active = |change: &&AlertChange| change.after > 0.0 && change.state != AlertState::Inactive;
    seen.changes.iter().find(active).map(|change| change.after)
}

/// That something is known less exactly than looks are apart.
fn gap(alerts: &Alerts, change: &AlertChange) -> String {
    match change.within {
        // A look may be late by as much as an answer may take.
        Some(within) if within > 3.0 * alerts.interval => format!(" (known to within {})", seconds(within)),
        _ => String::new(),
    }
}

fn looked(alerts: &Alerts) -> String {
    let every = match alerts.interval {
        1_000.0 => "second".to_owned(),
        interval => seconds(interval),
    };
    match alerts.unanswered {
        0 => format!("looked every {every}"),
        unanswered => format!("looked every {every}; {} not answered", counted(unanswered, "look")),
    }
}
