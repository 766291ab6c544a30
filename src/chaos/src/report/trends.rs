//! Many runs on one page: what became of each, RTO and RPO by kind, availability by month, and the price.

use super::archive::Unreadable;
use super::parts::{Tone, cell, muted, name, section, state, table};
use super::verdict::{word, worst_rto};
use super::words::{self, Wall, availability, percent, seconds, thousands};
use super::{results, spark, whole};
use crate::cost::{Cents, budget, cost};
use crate::experiment::Kind;
use crate::figures::Errors;
use crate::journal::{Journal, Ms, Status};
use evenkeel_config::{Business, Slo};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// What the service promises and earns, from its topology file.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    /// `slo.availability`: per cent of requests that are answered without a failure.
    pub availability: f64,
    /// `business`. None: no price is put on anything.
    pub business: Option<Business>,
}

/// What trends need of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its name, which is its folder's too.
    pub run: String,
    /// When it began, RFC 3339.
    pub began: String,
    /// The experiment's title.
    pub title: String,
    /// The kind of incident.
    pub kind: Kind,
    /// The target, and its profile.
    pub place: String,
    /// The verdict.
    pub passed: bool,
    /// The verdict in a word.
    pub word: &'static str,
    /// A fault was done and the run went its whole way: it counts in figures by kind.
    pub counts: bool,
    /// From the fault to recovery of reads and orders. Some(None): they did not recover.
    pub rto: Option<Option<Ms>>,
    /// What the experiment promises for it.
    pub promised: Option<Ms>,
    /// How far back the loss reaches. None: nobody looked.
    pub rpo: Option<Ms>,
    /// What clients saw: the longer outage of reads and orders.
    pub outage: Ms,
    /// How long the fault lasted.
    pub fault: Option<Ms>,
    /// Failures in the window that the verdict counts.
    pub window: Errors,
    /// Failures in all of the run.
    pub whole: Errors,
}

impl Run {
    /// From a run's journal.
    pub fn new(journal: &Journal) -> Self {
        let (figures, outcome) = results(journal);
        let figures = &figures;
        let criteria = &journal.experiment.criteria;
        let faulted = journal.injected.is_some();
        let profile = journal.environment.profile.as_ref().map(|profile| format!(", {profile}"));
        Run {
            run: journal.run.clone(),
            began: journal.began.clone(),
            title: journal.experiment.title.clone(),
            kind: journal.experiment.kind,
            place: format!("{}{}", journal.environment.target, profile.unwrap_or_default()),
            passed: outcome.passed,
            word: word(journal, &outcome),
            counts: faulted && journal.status == Status::Completed,
            rto: worst_rto(figures).filter(|_| faulted),
            promised: criteria.rto_reads.max(criteria.rto_orders).map(|span| span.get() as Ms),
            rpo: figures.loss.map(|loss| loss.rpo),
            outage: figures.reads.outage.max(figures.orders.outage),
            fault: journal.injected.zip(journal.rollback).map(|(from, to)| to - from),
            window: figures.window,
            whole: figures.whole,
        }
    }
}

/// The page over journals that are at hand. [`super::index`] reads a folder's, one at a time. The goal of
/// availability is [`Slo`]'s default.
pub fn trends(journals: &[Journal], business: Option<&Business>) -> String {
    let runs: Vec<Run> = journals.iter().map(Run::new).collect();
    let promise = Promise { availability: Slo::default().availability, business: business.cloned() };
    written(&runs, &[], &promise)
}

/// The page.
pub fn written(runs: &[Run], unreadable: &[Unreadable], promise: &Promise) -> String {
    let mut runs: Vec<&Run> = runs.iter().collect();
    // RFC 3339 in UTC sorts as it reads; the newest first.
    runs.sort_by(|a, b| b.began.cmp(&a.began).then_with(|| b.run.cmp(&a.run)));
    let missed = runs.iter().filter(|run| !run.passed).count();
    let tone = if missed == 0 && !runs.is_empty() && unreadable.is_empty() { Tone::Good } else { Tone::Odd };
    let words = match (runs.len(), missed) {
        (0, _) => "No run yet".to_owned(),
        (1, 0) => "The run passed".to_owned(),
        (all, 0) => format!("All {all} runs passed"),
        (all, missed) => format!("{} of {all} runs passed", all - missed),
    };
    let main = html! {
        section.verdict .(tone.class()) aria-labelledby="verdict" {
            h2 #verdict { (state(tone, &words)) }
            @if let (Some(newest), Some(oldest)) = (runs.first(), runs.last()) {
                p.sentence { "From " (date(oldest)) " to " (date(newest)) " UTC. The newest: "
                    (newest.title) ", " (newest.word.to_lowercase()) "." }
            } @else { p.sentence { "Begin with " code { "evenkeel chaos list" } " and " code { "evenkeel chaos run NAME" } "." } }
            @for one in unreadable {
                p { (state(Tone::Bad, "Not read")) " " code { (one.path.display()) } ": " (one.error) }
            }
        }
        (section("kinds", "RTO and RPO by kind", kinds(&runs)))
        (section("months", "Availability by month", months(&runs, promise.availability)))
        (section("price", "What downtime would have cost", price(&runs, promise.business.as_ref())))
        (section("runs", "Runs", list(&runs)))
    };
    let subject = html! { h1 { "Chaos experiments" } p.when { (words::counted(runs.len() as u64, "run")) } };
    whole(
        &words,
        subject,
        main,
        html! { p { "All times are UTC. Computed from the journals beside this file." } },
    )
}

fn date(run: &Run) -> String {
    Wall::new(&run.began).minute().unwrap_or_else(|| run.began.clone())
}

fn verdict(run: &Run) -> Markup {
    state(if run.passed { Tone::Good } else { Tone::Bad }, run.word)
}

fn shown_rto(rto: Option<Option<Ms>>) -> String {
    match rto {
        None => "none".to_owned(),
        Some(None) => "not recovered".to_owned(),
        Some(Some(rto)) => seconds(rto),
    }
}

fn list(runs: &[&Run]) -> Markup {
    table(
        html! { "The newest first" },
        &["Begun", "Experiment", "Where", "RTO", "RPO", "Failed", "Verdict"],
        html! {
            @for run in runs {
                tr role="row" {
                    (cell("Begun", html! { time { (date(run)) } }))
                    (cell("Experiment", html! { a href=(link(&run.run)) { (run.title) } }))
                    (cell("Where", html! { (run.place) }))
                    (cell("RTO", html! { (shown_rto(run.rto)) }))
                    (cell("RPO", html! { @match run.rpo { Some(rpo) => (seconds(rpo)), None => (muted("unknown")) } }))
                    (cell("Failed", html! { @match run.window.percent() { Some(rate) => (percent(rate)), None => (muted("none sent")) } }))
                    (cell("Verdict", verdict(run)))
                }
            }
        },
    )
}

/// A folder's name in an address, whatever stands in it.
fn link(run: &str) -> String {
    let mut address = String::from("./");
    for byte in run.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => address.push(byte.into()),
            _ => address.push_str(&format!("%{byte:02X}")),
        }
    }
    address + "/report.html"
}

/// Runs that may be compared: of one kind, on one target with one profile. The oldest first.
fn groups<'a>(runs: &[&'a Run]) -> BTreeMap<(Kind, &'a str), Vec<&'a Run>> {
    let mut groups: BTreeMap<(Kind, &str), Vec<&Run>> = BTreeMap::new();
    for run in runs.iter().rev() {
        groups.entry((run.kind, &run.place)).or_default().push(run);
    }
    groups
}

/// The middle and the largest. A run that did not recover is worse than each that did.
pub fn middle_and_worst(mut values: Vec<Ms>) -> Option<(Ms, Ms)> {
    values.sort_unstable_by(Ms::total_cmp);
    let middle = (values.len().checked_sub(1)?) / 2;
    let upper = values.len() / 2;
    Some((values[middle].midpoint(values[upper]), *values.last()?))
}

fn two(values: Vec<Ms>, infinite: &str) -> [String; 2] {
    let shown = |value: Ms| if value.is_finite() { seconds(value) } else { infinite.to_owned() };
    middle_and_worst(values)
        .map_or(["none".to_owned(), "none".to_owned()], |(middle, worst)| [shown(middle), shown(worst)])
}

fn kinds(runs: &[&Run]) -> Markup {
    let groups = groups(runs);
    let columns = ["Incident", "Runs", "Passed", "RTO median", "RTO worst", "RPO median", "RPO worst"];
    html! {
        @if groups.is_empty() { p.muted { "No run yet." } } @else {
            (table(html! { "Recovery of reads and orders, whichever took longer; runs that were stopped count as not passed and have no figures" }, &columns, html! {
                @for ((kind, place), runs) in &groups {
                    @let passed = runs.iter().filter(|run| run.passed).count();
                    @let counting = || runs.iter().filter(|run| run.counts);
                    @let rto = two(counting().filter_map(|run| Some(run.rto?.unwrap_or(Ms::INFINITY))).collect(), "not recovered");
                    @let rpo = two(counting().filter_map(|run| run.rpo).collect(), "");
                    tr role="row" {
                        (name(html! { (words::kind(*kind)) " " (muted(place)) }))
                        (cell("Runs", html! { (runs.len()) }))
                        (cell("Passed", html! {
                            (state(if passed == runs.len() { Tone::Good } else { Tone::Bad }, &percent(100.0 * passed as f64 / runs.len() as f64)))
                        }))
                        (cell("RTO median", html! { (rto[0]) })) (cell("RTO worst", html! { (rto[1]) }))
                        (cell("RPO median", html! { (rpo[0]) })) (cell("RPO worst", html! { (rpo[1]) }))
                    }
                }
            }))
            h3 { "RTO over time" }
            p.legend {
                span.item { (spark::sign(true)) " passed" } " "
                span.item { (spark::sign(false)) " missed; at the top: not recovered" } " "
                span.item { span.key.dash {} " promised" }
            }
            div.sparks { @for ((kind, place), runs) in &groups { (spark::figure(&format!("{}, {place}", words::kind(*kind)), runs)) } }
        }
    }
}

fn months(runs: &[&Run], goal: f64) -> Markup {
    let mut months: BTreeMap<String, (u64, Errors)> = BTreeMap::new();
    for run in runs {
        let month = Wall::new(&run.began).month().unwrap_or_else(|| "unknown".to_owned());
        let (count, errors) = months.entry(month).or_default();
        *count += 1;
        errors.requests += run.whole.requests;
        errors.failed += run.whole.failed;
    }
    let columns = ["Month", "Runs", "Requests", "Failed", "Availability", "Error budget used"];
    html! {
        p {
            "This is availability " strong { "during experiments" } ": the share of their own requests that were answered without a "
            "failure, most of them while something was broken on purpose. It is not production's availability, which is higher by as "
            "much as incidents are rarer. The goal is " (goal) " %: "
            (availability_budget(goal)) " of full outage in 30 days."
        }
        @if !months.is_empty() {
            (table(html! { "The load of all runs" }, &columns, html! {
                @for (month, (count, errors)) in months.iter().rev() {
                    tr role="row" {
                        (name(html! { (month) }))
                        (cell("Runs", html! { (count) }))
                        (cell("Requests", html! { (thousands(errors.requests.into())) }))
                        (cell("Failed", html! { (thousands(errors.failed.into())) }))
                        @match errors.percent() {
                            None => { (cell("Availability", muted("no request"))) (cell("Error budget used", muted("none"))) }
                            Some(failed) => {
                                @let used = 100.0 * failed / budget(goal, 100.0);
                                (cell("Availability", html! { strong { (availability(100.0 - failed)) } }))
                                (cell("Error budget used", state(if used <= 100.0 { Tone::Good } else { Tone::Bad }, &budget_used(used))))
                            }
                        }
                    }
                }
            }))
        }
    }
}

/// Per cent, and where that would be a number that nobody reads, times.
fn budget_used(used: f64) -> String {
    if used < 1000.0 { percent(used) } else { format!("{} times", thousands((used / 100.0).round() as u128)) }
}

fn availability_budget(goal: f64) -> String {
    format!("{:.1} minutes", budget(goal, crate::cost::MONTH))
}

fn price(runs: &[&Run], business: Option<&Business>) -> Markup {
    let Some(business) = business else {
        return html! {
            p.muted {
                "The topology file has no section " code { "business" } ", so no price is put on anything. It takes "
                code { "orders_per_minute" } ", " code { "order_value" } " and " code { "currency" } "."
            }
        };
    };
    let rows: Vec<_> = groups(runs)
        .into_iter()
        .filter_map(|((kind, place), runs)| {
            let of = |of: fn(&Run) -> Option<Ms>| {
                middle_and_worst(runs.iter().filter(|run| run.counts).filter_map(|run| of(run)).collect())
            };
            Some((kind, place, of(|run| run.fault)?.0, of(|run| Some(run.outage))?.0))
        })
        .collect();
    let money = |cents: Cents| format!("{} {cents}", business.currency);
    let columns =
        ["Incident", "Fault lasts", "Costs if nothing answers", "Clients saw", "Costs", "Protected"];
    html! {
        p {
            (business.orders_per_minute) " orders a minute × " (business.currency) " " (business.order_value) " × minutes = "
            strong { (money(cost(business, 60_000.0))) " a minute" } ", " (money(cost(business, 3_600_000.0))) " an hour. "
            "Both columns assume that no order at all is taken meanwhile and that none is placed again later: the first is what the "
            "fault would cost if it stopped the whole service, the second an upper bound of what clients saw. Medians of the runs by kind."
        }
        @if rows.is_empty() { p.muted { "No run with a fault yet." } } @else {
            (table(html! { "One incident of each kind, at the service's peak" }, &columns, html! {
                @for (kind, place, fault, outage) in rows {
                    @let (whole, seen) = (cost(business, fault), cost(business, outage));
                    tr role="row" {
                        (name(html! { (words::kind(kind)) " " (muted(place)) }))
                        (cell("Fault lasts", html! { (seconds(fault)) }))
                        (cell("Costs if nothing answers", html! { (money(whole)) }))
                        (cell("Clients saw", html! { (seconds(outage)) }))
                        (cell("Costs", html! { (money(seen)) }))
                        (cell("Protected", html! { strong { (money(Cents(whole.0.saturating_sub(seen.0)))) } }))
                    }
                }
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_few_is_told_and_what_did_not_recover_is_the_worst() {
        assert_eq!(middle_and_worst(vec![]), None);
        assert_eq!(middle_and_worst(vec![3.0]), Some((3.0, 3.0)));
        assert_eq!(middle_and_worst(vec![4.0, 1.0]), Some((2.5, 4.0)));
        assert_eq!(middle_and_worst(vec![9.0, 1.0, 2.0]), Some((2.0, 9.0)));
        assert_eq!(two(vec![400.0, Ms::INFINITY, 600.0], "not recovered"), ["0.60 s", "not recovered"]);
    }

    #[test]
    fn a_budget_that_is_far_overdrawn_is_told_in_times() {
        assert_eq!([0.0, 104.2, 999.4, 100_000.0].map(budget_used), ["0 %", "104 %", "999 %", "1,000 times"]);
    }

    #[test]
    fn a_link_stays_in_its_folder_whatever_a_run_is_called() {
        assert_eq!(link("region-failure-20261124T020000Z"), "./region-failure-20261124T020000Z/report.html");
        assert_eq!(link("javascript:x\"/.."), "./javascript%3Ax%22%2F../report.html");
    }
}
