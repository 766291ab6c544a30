//! What comes first: passed or not, the sentence that says why, the three numbers, the criteria.

use super::parts::{Tone, cell, fact, held, muted, name, section as part, state, table};
use super::seen::Promotion;
use super::words::{counted, percent, seconds};
use crate::figures::{Figures, Outcome, Service, Verdict};
use crate::journal::{Journal, Ms, Status};
use maud::{Markup, html};

/// The verdict in a word.
pub fn word(journal: &Journal, outcome: &Outcome) -> &'static str {
    match journal.status {
        _ if outcome.passed => "Passed",
        Status::Completed => "Missed",
        Status::Failed => "Not run",
        Status::Aborted => "Aborted",
        Status::Interrupted => "Interrupted",
    }
}

/// The section.
pub fn section(journal: &Journal, figures: &Figures, outcome: &Outcome) -> Markup {
    let tone = if outcome.passed { Tone::Good } else { Tone::Bad };
    html! {
        section.verdict .(tone.class()) aria-labelledby="verdict" {
            h2 #verdict { (state(tone, word(journal, outcome))) }
            p.sentence { (sentence(journal, figures, outcome)) }
            dl.numbers {
                (fact("Recovery time (RTO)", rto(journal, figures)))
                (fact("Data loss (RPO)", rpo(figures)))
                (fact("Error rate", errors(journal, figures)))
            }
        }
    }
}

/// How many missed criteria the sentence names: the table has them all.
const NAMED: usize = 2;

/// The sentence for whoever reads only one.
pub fn sentence(journal: &Journal, figures: &Figures, outcome: &Outcome) -> String {
    let all = outcome.criteria.len();
    let missed: Vec<_> = outcome.criteria.iter().filter(|one| one.verdict == Verdict::Missed).collect();
    let mut text = outcome.reason.as_deref().map(full_stop).unwrap_or_default();
    match missed.as_slice() {
        [] if all == 0 || outcome.reason.is_some() => (),
        [] if all == 1 => text.push_str("The criterion holds."),
        [] => text.push_str(&format!("All {all} criteria hold.")),
        missed => {
            let said = missed
                .iter()
                .take(NAMED)
                .map(|one| format!("{}: {} (promised {})", one.title, one.measured, one.promised));
            let said = said.collect::<Vec<_>>().join("; ");
            let more = missed.len().saturating_sub(NAMED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let space = if text.is_empty() { "" } else { " " };
            text.push_str(&format!("{space}{} of {all} criteria missed. {said}{more}.", missed.len()));
        }
    }
    if journal.injected.is_none() {
        text.push_str(" Nothing was done to the platform.");
        return text;
    }
    let clients = [("reads", figures.reads), ("orders", figures.orders)];
    let clients =
        clients.iter().filter(|(_, service)| service.requests > 0).map(|(what, service)| match service {
            Service { rto: None, .. } => format!("{what} did not recover"),
            Service { outage, .. } if *outage == 0.0 => format!("{what} went on without a gap"),
            Service { rto: Some(rto), .. } => format!("{what} were back after {}", seconds(*rto)),
        });
    let clients = clients.collect::<Vec<_>>().join(", ");
    if !clients.is_empty() {
        text.push_str(&format!(" After the fault {clients}."));
    }
    if let Some(loss) = figures.loss {
        text.push_str(&match loss.lost {
            0 => format!(" Of {} none was lost.", counted(loss.acknowledged, "acknowledged order")),
            lost => format!(" {} of {} lost.", lost, counted(loss.acknowledged, "acknowledged order")),
        });
    }
    text
}

/// As a sentence: reasons are written to stand after a colon.
fn full_stop(text: &str) -> String {
    let mut letters = text.trim_end().chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    let text: String = first.chain(letters).collect();
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

/// The longer of reads and orders; None: one of them did not recover.
pub fn worst_rto(figures: &Figures) -> Option<Option<Ms>> {
    [figures.reads, figures.orders]
        .into_iter()
        .filter(|service| service.requests > 0)
        .map(|service| service.rto)
        .reduce(|a, b| Some(a?.max(b?)))
}

fn rto(journal: &Journal, figures: &Figures) -> Markup {
    let one = |service: Service| match service.rto {
        _ if service.requests == 0 => "none sent".to_owned(),
        None => "not recovered".to_owned(),
        Some(_) if service.outage == 0.0 => "without a gap".to_owned(),
        Some(rto) => seconds(rto),
    };
    let worst = worst_rto(figures).filter(|_| journal.injected.is_some());
    html! {
        strong.number { @match worst { None => "none", Some(None) => "not recovered", Some(Some(rto)) => (seconds(rto)) } }
        @if worst.is_some() {
            span { "reads " (one(figures.reads)) ", orders " (one(figures.orders)) }
            span {
                "clients saw an outage of " (seconds(figures.reads.outage)) " for reads, "
                (seconds(figures.orders.outage)) " for orders"
            }
            (muted(&format!("to within {}, the time between requests", seconds_or_ms(figures.request_resolution))))
        } @else { (muted("no fault was done, or no request was sent after it")) }
    }
}

fn seconds_or_ms(ms: Ms) -> String {
    super::words::latency(ms)
}

fn rpo(figures: &Figures) -> Markup {
    html! {
        @match figures.loss {
            None => { strong.number { "unknown" } (muted("the databases were not looked at afterwards")) }
            Some(loss) => {
                strong.number { (seconds(loss.rpo)) }
                span { (loss.lost) " of " (counted(loss.acknowledged, "acknowledged order")) " lost" }
                span { (loss.corrupt) " doubled, changed or different between nodes" }
                (muted("every order compared with every node's rows"))
            }
        }
    }
}

fn errors(journal: &Journal, figures: &Figures) -> Markup {
    let window = figures.window;
    html! {
        @match window.percent().filter(|_| journal.injected.is_some()) {
            None => { strong.number { "none" } (muted("no request was sent after a fault")) }
            Some(rate) => {
                strong.number { (percent(rate)) }
                span { (window.failed) " of " (counted(window.requests, "request")) " failed" }
                @let late = figures.reads.late + figures.orders.late;
                @if late > 0 {
                    span { (late) " more came later than " (journal.experiment.load.slow) }
                }
                (muted(&format!("from the fault until {:.0} s later, at {:.0} requests per second", figures.window_length / 1000.0, figures.rate)))
            }
        }
    }
}

/// What was promised, what was measured.
pub fn criteria(outcome: &Outcome) -> Markup {
    let columns = ["Criterion", "Promised", "Measured", "Verdict"];
    part(
        "criteria",
        "Criteria",
        html! {
            @if outcome.criteria.is_empty() {
                p.muted { "The experiment gives none, so nothing can be passed." }
            } @else {
                (table(html! { "What the experiment is judged by" }, &columns, html! {
                    @for one in &outcome.criteria {
                        tr role="row" {
                            (name(html! { (one.title) }))
                            (cell("Promised", html! { (one.promised) }))
                            (cell("Measured", html! { strong { (one.measured) } }))
                            (cell("Verdict", held(one.verdict)))
                        }
                    }
                }))
            }
        },
    )
}

/// Where the time went while there was no writer.
pub fn engine(promotion: &Promotion, figures: &Figures) -> Markup {
    let share = promotion.share();
    part(
        "engine",
        "Where the time went",
        html! {
            p {
                "Orders were back after " strong { (seconds(promotion.orders)) } ". "
                strong { (seconds(promotion.took)) " of that, " (format!("{share:.0} %")) }
                ", passed before the database engine had a new writer (" (promotion.from) " → " (promotion.to) "). "
                @if share >= 50.0 { "The engine's own promotion dominates: " } @else { "The engine's own promotion does not dominate: " }
                "Evenkeel and the application had orders back " strong { (seconds(promotion.rest())) } " after it."
            }
            svg.split viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                rect.engine width=(format!("{share:.2}")) height="6" {}
                rect.ours x=(format!("{share:.2}")) width=(format!("{:.2}", 100.0 - share)) height="6" {}
            }
            p.keys {
                span.item { span.key.engine {} " the engine's promotion" } " "
                span.item { span.key.ours {} " until orders were back" } " "
                (muted(&format!("as a companion first said it, asked every {} at most", seconds_or_ms(figures.look_resolution))))
            }
        },
    )
}
