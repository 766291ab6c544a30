//! The status page: what an operator needs to see at three in the morning, the verdict first.
//!
//! Written by the server alone. With JavaScript the main part renews itself each second, without it
//! the page is loaded again each five.

mod database;
mod health;
mod parts;
mod plot;
mod regions;
mod rest;
mod verdict;

use crate::clock;
use crate::status::Status;
use maud::{DOCTYPE, Markup, html};

/// Its own style.
const STYLE: &str = include_str!("style.css");

/// What renews it.
pub const SCRIPT: &str = include_str!("live.js");

/// Its sign in a browser's tab.
pub const ICON: &str = include_str!("icon.svg");

/// Its looks.
pub fn style() -> String {
    [evenkeel_look::STYLE, STYLE].concat()
}

/// The page.
pub fn whole(status: &Status) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (verdict::title(status)) }
                link rel="icon" href="icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="style.css";
                script src="live.js" defer {}
                noscript { meta http-equiv="refresh" content="5"; }
            }
            body {
                header {
                    p.brand { "Evenkeel" }
                    h1 { (status.service) " " span.muted { "in " (status.region) } }
                    p #live { "as of " (clock::written(status.now)) " UTC" }
                }
                main { (main_part(status)) }
                footer {
                    p {
                        "Companion " (status.version) ", up "
                        (parts::span(status.now.saturating_sub(status.started)))
                        ". All times are UTC. "
                        a href="metrics" { "Metrics" } " · " a href="v1/status" { "This page as JSON" }
                    }
                }
            }
        }
    }
}

/// The part that renews itself.
pub fn main_part(status: &Status) -> Markup {
    html! {
        (verdict::section(status))
        (regions::section(status))
        (health::section(status))
        (database::section(status))
        (rest::components(status))
        (rest::transitions(status))
        (rest::companions(status))
        (rest::configuration(status))
    }
}
