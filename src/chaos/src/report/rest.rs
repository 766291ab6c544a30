//! The timeline, the phases, what could not be measured, the environment.

use super::alerts;
use super::events::{Event, Steady, Weight};
use super::parts::{Tone, cell, fact, list, muted, name, state, table};
use super::slices::phases as gathered;
use super::words::{self, Wall, counted, latency, offset, percent};
use crate::experiment::Experiment;
use crate::figures::Figures;
use crate::journal::{Fate, Journal, Observer, Status};
use maud::{Markup, html};

/// The incident as a table.
pub fn timeline(journal: &Journal, wall: Wall, events: &[Event]) -> Markup {
    let zero = journal.injected.unwrap_or(0.0);
    let columns = ["UTC", "From the fault", "Who", "What", "Steady state"];
    let day = wall.day().unwrap_or_else(|| journal.began.clone());
    let caption = html! { "What happened on " (day) ", as it was measured" };
    table(
        caption,
        &columns,
        html! {
            @for event in events {
                tr.turn[event.weight == Weight::Turn] role="row" {
                    (cell("UTC", html! { time { (wall.time(event.at).unwrap_or_else(|| "unknown".to_owned())) } }))
                    (cell("From the fault", html! { span.nowrap { (offset(event.at - zero)) } }))
                    (cell("Who", html! { span.nowrap { (event.who) } }))
                    (cell("What", html! { (event.what) }))
                    (cell("Steady state", match event.steady {
                        Steady::Yes => state(Tone::Good, "OK"),
                        Steady::Clients => html! { span.nowrap { (state(Tone::Odd, "clients served")) } },
                        Steady::No => state(Tone::Bad, "not OK"),
                    }))
                }
            }
        },
    )
}

/// The run's phases with their figures.
pub fn phases(journal: &Journal, figures: &Figures) -> Markup {
    let regions = journal.regions.iter().map(|region| format!("By {region}"));
    let columns: Vec<String> = ["Phase", "Lasts", "Requests", "Failed", "Late", "Median", "95th", "99th"]
        .map(str::to_owned)
        .into_iter()
        .chain(regions)
        .collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let change = figures.latency;
    html! {
        (table(html! { "Requests by when they were due; latency of those that were answered" }, &columns, html! {
            @for phase in gathered(journal, figures) {
                tr role="row" {
                    (name(html! { (phase.name) }))
                    (cell("Lasts", html! { span.nowrap { (words::seconds(phase.span.1 - phase.span.0)) } }))
                    (cell("Requests", html! { (words::thousands(phase.errors.requests.into())) }))
                    (cell("Failed", html! { (phase.errors.failed) @if let Some(rate) = phase.errors.percent() { " (" (percent(rate)) ")" } }))
                    (cell("Late", html! { (phase.late) }))
                    @for (column, of) in [("Median", phase.latency.map(|l| l.p50)), ("95th", phase.latency.map(|l| l.p95)), ("99th", phase.latency.map(|l| l.p99))] {
                        (cell(column, html! { @match of { Some(ms) => span.nowrap { (latency(ms)) }, None => (muted("none")) } }))
                    }
                    @for (region, share) in columns.iter().skip(8).zip(&phase.shares) {
                        (cell(region, html! { (format!("{share:.0} %")) }))
                    }
                }
            }
        }))
        @if let (Some(before), Some(after)) = (change.baseline, change.recovered) {
            p {
                "Judged: after recovery the 95th percentile is " strong { (latency(after.p95)) } ". The surviving regions' baseline is "
                (latency(before.p95)) ", "
                @if journal.environment.round_trip.is_some() {
                    "and one round trip between regions costs " (latency(change.round_trip)) " more: "
                } @else { "and no round trip is known: " }
                @match change.increase_percent {
                    Some(by) if by > 0.0 => { strong { (percent(by)) " above" } " that sum." }
                    Some(_) => "not above that sum.",
                    None => "they cannot be compared.",
                }
            }
        }
    }
}

/// What the figures do not say, in plain words.
pub fn unmeasured(journal: &Journal, figures: &Figures) -> Markup {
    let said = gaps(journal, figures);
    html! {
        @if said.is_empty() {
            p { "Nothing that the criteria ask for." }
        } @else {
            (list(&said))
        }
        p.muted {
            "Resolution: RTO and outage to within " (latency(figures.request_resolution)) " (between two requests), detection and layers to within "
            (latency(figures.look_resolution)) " (between two looks at one observer), "
            @if let Some(alerts) = &figures.alerts { "alerts to within " (latency(alerts.interval)) " (between two looks at the Prometheus), " }
            "the error rate to within "
            @match figures.window.requests { 0 => "nothing", all => (percent(100.0 / all as f64)) }
            " (one request). A request left at most " (latency(figures.lateness)) " after it was due. Late answers count as an outage, not as errors."
        }
    }
}

/// The gaps, one sentence each.
pub fn gaps(journal: &Journal, figures: &Figures) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |when: bool, what: &str| {
        if when {
            said.push(what.to_owned());
        }
    };
    let sampled =
        |observer| journal.samples.iter().any(|sample| sample.observer == observer && sample.seen.is_some());
    let faulted = journal.injected.is_some();
    say(!faulted, "No fault was done, so there is nothing to recover from: no RTO, RPO or detection.");
    say(journal.requests.is_empty(), "No request was recorded: what clients saw is unknown.");
    say(
        !sampled(Observer::Edge),
        "No edge answered when it was asked: shares, breakers and the edge's detection are unknown.",
    );
    say(
        !sampled(Observer::Companion),
        "No companion answered when it was asked: the writer, replication lag, readiness and DNS are unknown.",
    );
    say(
        faulted && figures.detection.is_none(),
        "No observer showed a transition after the fault: detection time is unknown.",
    );
    say(
        figures.loss.is_none(),
        "The databases were not compared with the ledger afterwards: lost, doubled and changed orders, and RPO, are unknown.",
    );
    say(
        faulted && journal.rollback.is_some() && journal.healed.is_none(),
        "The steady state was not seen again: how long healing takes is unknown.",
    );
    say(
        journal.status != Status::Completed && faulted,
        "The run did not go its whole way: what would have come later is unknown.",
    );
    say(
        journal.environment.round_trip.is_none(),
        "No link told the round trip between regions: latency is compared without it.",
    );
    say(
        figures.window.requests > 0 && figures.rate < 195.0,
        &format!(
            "The load was {:.0} requests per second; an error rate is only worth comparing from 200 on.",
            figures.rate
        ),
    );
    let reads = figures.loss.map_or(0, |loss| loss.reads_of_lost);
    say(
        reads > 0,
        &format!(
            "{} did not find a lost order. They count as the loss that they tell of, not as failures.",
            counted(reads, "read")
        ),
    );
    let unknown = journal.ledger.iter().filter(|order| order.fate == Fate::Unknown).count() as u64;
    let found = journal.audit.as_ref().map_or(0, |audit| audit.unknown_present);
    say(
        unknown > 0,
        &format!(
            "{} got neither a yes nor a no; {found} of them were in the database. They count as failed, never as lost.",
            counted(unknown, "order")
        ),
    );
    said.extend(alerts::gaps(journal, figures));
    said
}

/// The experiment as its file has it, less what is not given.
fn written(experiment: &Experiment) -> String {
    fn given(value: &mut serde_json::Value) -> bool {
        match value {
            serde_json::Value::Null => false,
            serde_json::Value::Object(fields) => {
                fields.retain(|_, field| given(field));
                !fields.is_empty()
            }
            serde_json::Value::Array(all) => !all.is_empty(),
            _ => true,
        }
    }
    let mut value = serde_json::to_value(experiment).unwrap_or_default();
    // Steps stand in lists, which keep their places and lose what is empty within.
    for list in ["method", "rollbacks"] {
        let steps = value.get_mut(list).and_then(serde_json::Value::as_array_mut);
        for step in steps.into_iter().flatten() {
            given(step);
        }
    }
    given(&mut value);
    serde_saphyr::to_string(&value).unwrap_or_else(|error| format!("cannot be written: {error}"))
}

/// Where it ran, and how it is done again.
pub fn environment(journal: &Journal) -> Markup {
    let environment = &journal.environment;
    html! {
        dl.facts {
            (fact("Target", html! { (environment.target) @if let Some(profile) = &environment.profile { ", profile " (profile) } }))
            (fact("Machine", html! { (environment.cpus) " CPUs, " (words::gigabytes(environment.memory)) " of memory" }))
            (fact("Round trip between regions", html! { @match environment.round_trip { Some(ms) => (latency(ms)), None => "unknown" } }))
            (fact("Evenkeel", html! { (environment.evenkeel) ", configuration " code { (environment.config) } }))
            @for (what, version) in &environment.versions { (fact(what, html! { (version) })) }
            (fact("Regions", html! { (journal.regions.join(", ")) }))
            (fact("Clients in", html! { (journal.clients.join(", ")) }))
        }
        h3 { "Do it again" }
        pre { code { (environment.command) } }
        p { "Report it again, from the journal beside this file: " code { "evenkeel chaos report " (journal.run) } }
        details {
            summary { "The experiment " code { (journal.name) } }
            pre { code { (written(&journal.experiment)) } }
        }
    }
}
