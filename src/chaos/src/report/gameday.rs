//! What a game-day report must hold besides: the hypothesis, what was expected and what came, and what
//! people fill in.

use super::alerts;
use super::parts::{Tone, cell, fact, fill, muted, name, state, table};
use super::words::{Wall, counted, latency, percent, seconds};
use crate::experiment::{ActionProvider, Fault, Selection, Step, StopCondition};
use crate::figures::{Figures, Judged, LayerActed, Outcome, Verdict};
use crate::journal::{Activity, ActivityPart, Journal, Status, SteadyState};
use maud::{Markup, html};

/// The section.
pub fn section(journal: &Journal, figures: &Figures, outcome: &Outcome, wall: Wall) -> Markup {
    let experiment = &journal.experiment;
    html! {
        p { (experiment.description) }
        dl.facts.long {
            (fact("Hypothesis", html! { (experiment.steady_state_hypothesis.title) ": " (hypothesis(journal)) }))
            (fact("Expected", html! { (expected(outcome)) }))
            (fact("Observed", html! { (observed(outcome)) }))
            (fact("Surprises, and what did not recover", surprises(journal, figures)))
            (fact("Blast radius", blast(journal, figures)))
            (fact("Baseline", baseline(journal, figures)))
            (fact("Stop condition", stop(journal, experiment.stop_condition)))
            (fact("Rollback tested", rollback(journal, figures)))
            (fact("Layers that acted", layers(figures)))
            (fact("Did an alert fire?", alerts::answer(journal, figures)))
            (fact("Owner, who may abort, observers", fill("names")))
        }
        (probes("Before", &journal.before))
        @if let Some(after) = &journal.after { (probes("After everything was undone", after)) }
        @if let Some(due) = experiment.schedule.as_ref().and_then(|schedule| wall.next(schedule)) {
            p { "Due again: " strong { (due) " UTC" } "." }
        }
    }
}

fn hypothesis(journal: &Journal) -> Markup {
    let after = journal.after.as_ref().map(|after| after.met);
    match (journal.before.met, after) {
        (false, _) => state(Tone::Bad, "did not hold before, so nothing was done"),
        (true, Some(true)) => state(Tone::Good, "held before and again after"),
        (true, Some(false)) => state(Tone::Bad, "held before, not after"),
        (true, None) => state(Tone::Odd, "held before; not looked at after"),
    }
}

fn expected(outcome: &Outcome) -> String {
    listed(outcome, |one| &one.promised)
}

fn observed(outcome: &Outcome) -> String {
    listed(outcome, |one| &one.measured)
}

fn listed(outcome: &Outcome, of: fn(&Judged) -> &String) -> String {
    let all: Vec<String> = outcome.criteria.iter().map(|one| format!("{}: {}", one.title, of(one))).collect();
    if all.is_empty() { "nothing in numbers".to_owned() } else { all.join("; ") }
}

fn surprises(journal: &Journal, figures: &Figures) -> Markup {
    let mut said = Vec::new();
    for (what, service) in [("reads", figures.reads), ("orders", figures.orders)] {
        if service.requests > 0 && service.rto.is_none() && journal.injected.is_some() {
            said.push(format!("{what} did not recover before the fault was undone"));
        }
        if service.late > 0 {
            let slow = journal.experiment.load.slow;
            said.push(format!("{} of {what} came later than {slow}", counted(service.late, "answer")));
        }
    }
    for activity in journal.activities.iter().filter(|activity| activity.error.is_some()) {
        said.push(format!("\"{}\" could not be done", activity.name));
    }
    if journal.after.as_ref().is_some_and(|after| !after.met) {
        said.push("the steady state did not come back".to_owned());
    }
    html! {
        @if said.is_empty() { "none that was measured" } @else { (said.join("; ")) }
        " " (fill("what else"))
    }
}

fn blast(journal: &Journal, figures: &Figures) -> Markup {
    let met: Vec<&Activity> =
        journal.activities.iter().filter(|one| one.part == ActivityPart::Method).collect();
    let parts: std::collections::BTreeSet<&str> =
        met.iter().flat_map(|activity| activity.met.iter().map(String::as_str)).collect();
    let (reads, orders) = (figures.reads, figures.orders);
    let hurt = reads.failed + reads.late + orders.failed + orders.late;
    html! {
        @if parts.is_empty() { "no part" } @else { (parts.into_iter().collect::<Vec<_>>().join(", ")) }
        " (" (journal.experiment.method.iter().map(selected).collect::<Vec<_>>().join("; then ")) "). "
        @match reads.requests + orders.requests {
            0 => "No request while the fault lasted.",
            all => {
                "Clients: " (hurt) " of " (counted(all, "request")) " failed or came late while the fault lasted ("
                (percent(100.0 * hurt as f64 / all as f64)) ")."
            }
        }
    }
}

/// What a step does and to whom, in the experiment's own words.
fn selected(step: &Step) -> String {
    match &step.provider {
        ActionProvider::Evenkeel { fault, on } => format!("{} {}", fault_word(*fault), whom(on)),
        ActionProvider::Http { method, url, .. } => format!("{method} {url}"),
        ActionProvider::Process { path, .. } => path.clone(),
    }
}

fn fault_word(fault: Fault) -> String {
    match fault {
        Fault::Kill => "kill".to_owned(),
        Fault::Pause => "pause".to_owned(),
        Fault::Cut => "cut".to_owned(),
        Fault::Impair { round_trip, loss_percent } => {
            let trip = round_trip.map(|trip| format!(" to a round trip of {trip}"));
            let loss = loss_percent.map(|loss| format!(" to a loss of {loss} %"));
            format!("impair{}{}", trip.unwrap_or_default(), loss.unwrap_or_default())
        }
        Fault::Drain { ttl } => format!("drain for {ttl}"),
    }
}

fn whom(on: &Selection) -> String {
    let mut said = Vec::new();
    for (what, names) in [("", &on.roles), ("except ", &on.except), ("", &on.parts), ("link ", &on.links)] {
        if !names.is_empty() {
            said.push(format!("{what}{}", names.join(", ")));
        }
    }
    if let Some(region) = &on.region {
        said.push(format!("in region {region}"));
    }
    said.join(" ")
}

fn baseline(journal: &Journal, figures: &Figures) -> Markup {
    html! {
        "watched for " (journal.experiment.load.baseline)
        @if let Some(before) = figures.latency.baseline {
            ": median " (latency(before.p50)) ", 95th percentile " (latency(before.p95)) ", 99th " (latency(before.p99))
        }
    }
}

fn stop(journal: &Journal, stop: StopCondition) -> Markup {
    html! {
        "more than " (percent(stop.error_rate_percent)) " of requests fail for " (stop.over) ": "
        @match (journal.status, &journal.reason) {
            (Status::Aborted, Some(reason)) => (state(Tone::Bad, &format!("the run was aborted: {reason}"))),
            (Status::Aborted, None) => (state(Tone::Bad, "the run was aborted")),
            _ => (state(Tone::Good, "did not trip")),
        }
    }
}

fn rollback(journal: &Journal, figures: &Figures) -> Markup {
    let undone: Vec<&Activity> =
        journal.activities.iter().filter(|one| one.part == ActivityPart::Rollback).collect();
    let failed = undone.iter().filter(|one| one.error.is_some()).count() as u64;
    match (undone.len() as u64, failed, figures.healed) {
        (0, _, _) if journal.rollback.is_none() => state(Tone::Odd, "no: nothing had to be undone"),
        (all, 0, Some(healed)) => html! {
            (state(Tone::Good, "yes")) ": " (counted(all, "step")) " undone, the steady state held again after " (seconds(healed))
        },
        (all, 0, None) => html! {
            (state(Tone::Bad, "not healed")) ": " (counted(all, "step")) " undone, and the steady state was not seen again"
        },
        (all, failed, _) => {
            state(Tone::Bad, &format!("no: {failed} of {} could not be done", counted(all, "step")))
        }
    }
}

fn layers(figures: &Figures) -> Markup {
    // Each at its first act; the timeline has them all.
    let mut first: Vec<&LayerActed> = Vec::new();
    for layer in &figures.layers {
        if first.iter().all(|known| known.layer != layer.layer) {
            first.push(layer);
        }
    }
    html! {
        @if first.is_empty() { "none was seen to" }
        @for (n, layer) in first.into_iter().enumerate() {
            @if n > 0 { ", then " }
            strong { (layer.layer) } " after " (seconds(layer.after))
        }
        @if let Some(after) = figures.detection {
            ". First noticed after " strong { (seconds(after)) } ", to within " (latency(figures.look_resolution))
        }
    }
}

fn probes(when: &str, steady: &SteadyState) -> Markup {
    if steady.probes.is_empty() {
        return html! {};
    }
    table(
        html! { "Steady state: " (when) },
        &["Probe", "Seen", "Verdict"],
        html! {
            @for probe in &steady.probes {
                tr role="row" {
                    (name(html! { (probe.name) }))
                    (cell("Seen", html! { (probe.output) }))
                    (cell("Verdict", if probe.met { state(Tone::Good, "met") } else { state(Tone::Bad, "not met") }))
                }
            }
        },
    )
}

/// What follows from the run, with a place for each thing that people decide.
pub fn findings(journal: &Journal, figures: &Figures, outcome: &Outcome, wall: Wall) -> Markup {
    let mut found: Vec<String> = outcome
        .criteria
        .iter()
        .filter(|one| one.verdict == Verdict::Missed)
        .map(|one| format!("{}: {} (promised {})", one.title, one.measured, one.promised))
        .collect();
    found.extend(outcome.reason.clone());
    if let Some(loss) = figures.loss.filter(|loss| loss.lost + loss.corrupt > 0) {
        found.push(format!(
            "{} lost, {} doubled, changed or different",
            counted(loss.lost, "order"),
            loss.corrupt
        ));
    }
    let due = journal.experiment.schedule.as_ref().and_then(|schedule| wall.next(schedule));
    let columns = ["Finding", "Severity", "Owner", "Ticket", "Re-test"];
    let row = |what: Markup| {
        html! {
            tr role="row" {
                (name(what))
                (cell("Severity", fill(""))) (cell("Owner", fill(""))) (cell("Ticket", fill("")))
                (cell("Re-test", match &due { Some(due) => html! { span.nowrap { (due) } }, None => fill("") }))
            }
        }
    };
    html! {
        (table(html! { "What was missed stands here by itself; the rest is yours to fill in" }, &columns, html! {
            @for one in &found { (row(html! { (one) })) }
            (row(fill("")))
        }))
        @if due.is_some() { p { (muted("The re-test is the experiment's next date in its schedule.")) } }
    }
}
