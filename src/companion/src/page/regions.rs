//! Where traffic goes, as each edge says.

use super::parts::{Tone, bar, cell, span, state, table};
use crate::edges::Breaker;
use crate::status::{Edge, Status};
use maud::{Markup, html};

/// The section.
pub fn section(status: &Status) -> Markup {
    html! {
        section aria-labelledby="regions" {
            h2 #regions { "Regions" }
            @if status.edges.is_empty() {
                p.muted {
                    "No edge has posted its state yet. An edge posts every 5 s where its topology file has a companion."
                }
            }
            @for edge in &status.edges { (one(status, edge)) }
        }
    }
}

fn one(status: &Status, edge: &Edge) -> Markup {
    let heard = html! {
        "Edge " strong { (edge.state.edge) } ", "
        @if edge.in_force {
            "heard " (span(edge.age_ms)) " ago"
        } @else {
            (state(Tone::Bad, &format!("silent for {}", span(edge.age_ms)))) ": what follows is old"
        }
        @if edge.state.prober_lost { ", " (state(Tone::Bad, "prober lost")) }
        @if edge.same_config == Some(false) { ", " (state(Tone::Odd, "runs another configuration")) }
    };
    // In configuration order; what only the edge knows comes last.
    let known = status.regions.iter().filter_map(|name| Some((name, edge.state.regions.get(name)?)));
    let others = edge.state.regions.iter().filter(|(name, _)| !status.regions.contains(name));
    let rows = html! {
        @for (name, region) in known.chain(others) {
            tr role="row" {
                th role="rowheader" scope="row" {
                    (name)
                    @if edge.state.local_region.as_ref() == Some(name) { " " span.muted { "local" } }
                }
                (cell("Share", bar(region.share)))
                (cell("Health", if region.healthy { state(Tone::Good, "healthy") } else { state(Tone::Bad, "unhealthy") }))
                (cell("Breaker", state(breaker(region.breaker), region.breaker.as_str())))
                (cell("Cause", html! {
                    @match edge.causes.get(name).filter(|_| region.share < 100) {
                        Some(cause) => (cause.as_str()),
                        None => span.muted { "none" },
                    }
                }))
            }
        }
    };
    table(heard, &["Region", "Share", "Health", "Breaker", "Cause"], rows)
}

fn breaker(breaker: Breaker) -> Tone {
    match breaker {
        Breaker::Closed => Tone::Good,
        Breaker::HalfOpen => Tone::Odd,
        Breaker::Open => Tone::Bad,
    }
}
