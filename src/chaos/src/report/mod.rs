//! Reports that people want to read: a page for each run, and one over many runs.
//!
//! Each is one HTML file that needs nothing else: no script, no font, no network. What stands in them comes
//! from journals and figures alone.

mod alerts;
mod archive;
mod events;
mod gameday;
mod panel;
mod parts;
mod plots;
mod rest;
mod seen;
mod slices;
mod spark;
pub mod svg;
mod trends;
mod verdict;
mod words;

pub use archive::{Index, Unreadable, VERSION, index, read};
pub use trends::{Promise, trends};

use crate::figures::{Figures, Outcome};
use crate::journal::Journal;
use maud::{DOCTYPE, Markup, html};

/// The reports' own style.
const STYLE: &str = include_str!("style.css");

/// Whatever a journal says, nothing is fetched and nothing is run.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page of a run.
pub fn page(journal: &Journal) -> String {
    let (figures, outcome) = results(journal);
    page_of(journal, &figures, &outcome)
}

/// The page of a run whose figures and verdict are at hand.
pub fn page_of(journal: &Journal, figures: &Figures, outcome: &Outcome) -> String {
    let wall = words::Wall::new(&journal.began);
    let seen = seen::timeline(journal);
    let events = events::events(journal, figures, &seen);
    let title = format!("{}: {}", verdict::word(journal, outcome), journal.experiment.title);
    let promotion = seen::promotion(journal, &seen, figures.orders.rto);
    let main = html! {
        (verdict::section(journal, figures, outcome))
        (verdict::criteria(outcome))
        @if let Some(promotion) = &promotion { (verdict::engine(promotion, figures)) }
        (parts::section("timeline", "Timeline", rest::timeline(journal, wall, &events)))
        (parts::section("pictures", "Pictures", plots::section(journal, figures, &seen)))
        (parts::section("phases", "Before, during, after", rest::phases(journal, figures)))
        (parts::section("game-day", "Game day", gameday::section(journal, figures, outcome, wall)))
        (parts::section("findings", "Findings", gameday::findings(journal, figures, outcome, wall)))
        (parts::section("unmeasured", "What could not be measured", rest::unmeasured(journal, figures)))
        (parts::section("environment", "Environment, and how to do it again", rest::environment(journal)))
    };
    let subject = html! {
        h1 { (journal.experiment.title) }
        p.when {
            (words::kind(journal.experiment.kind)) " on " (journal.environment.target)
            @if let Some(profile) = &journal.environment.profile { ", profile " (profile) }
            ", " time { (wall.minute().unwrap_or_else(|| journal.began.clone())) " UTC" }
        }
    };
    let foot = html! {
        p {
            "Run " code { (journal.run) } ", Evenkeel " (journal.environment.evenkeel)
            ". All times are UTC. Everything here is computed from " code { "journal.json" } " beside this file."
        }
    };
    whole(&title, subject, main, foot)
}

/// What a journal comes to.
fn results(journal: &Journal) -> (Figures, Outcome) {
    let figures = crate::measure::figures(journal);
    let outcome = crate::verdict::judge(journal, &figures);
    (figures, outcome)
}

/// A whole file.
fn whole(title: &str, subject: Markup, main: Markup, foot: Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="content-security-policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                // A browser that finds none asks the server for one.
                link rel="icon" href="data:,";
                style { (maud::PreEscaped(evenkeel_look::STYLE)) (maud::PreEscaped(STYLE)) }
            }
            body {
                header { p.brand { "Evenkeel" } (subject) }
                main { (main) }
                footer { (foot) }
            }
        }
    }
    .into_string()
}
