//! Components, transitions, companions, configuration.

use super::parts::{Tone, cell, span, state, table};
use crate::clock;
use crate::readiness;
use crate::status::Status;
use maud::{Markup, html};

/// Transitions shown.
const TRANSITIONS: usize = 20;

/// What the region depends on.
pub fn components(status: &Status) -> Markup {
    let rows = html! {
        @for (name, component) in &status.readiness.components {
            tr role="row" {
                th role="rowheader" scope="row" { (name) }
                (cell("State", html! {
                    @let tone = match component.status {
                        readiness::Status::Up => Tone::Good,
                        readiness::Status::Unknown => Tone::Plain,
                        _ if component.required => Tone::Bad,
                        _ => Tone::Odd,
                    };
                    (state(tone, component.status.as_str()))
                    @if !component.required { " " span.muted { "optional" } }
                }))
                (cell("Took", html! { @match component.latency_ms { Some(ms) => { (ms) " ms" }, None => span.muted { "unknown" } } }))
                (cell("Why", html! {
                    @match (&component.error, &component.database) {
                        (Some(error), _) => (error),
                        (None, Some(local)) => {
                            @if let Some(node) = &local.node { (node) " answers" }
                            @if local.writer != readiness::Status::Up { ", but no writer is known" }
                        },
                        (None, None) => span.muted { "as it should be" },
                    }
                }))
            }
        }
    };
    html! {
        section aria-labelledby="components" {
            h2 #components { "Components of " (status.region) }
            @if status.readiness.components.is_empty() {
                p.muted { "None is configured: this region is ready as long as its companion answers." }
            } @else {
                (table(html! { "What readiness depends on" }, &["Component", "State", "Took", "Why"], rows))
            }
        }
    }
}

/// What edges told.
pub fn transitions(status: &Status) -> Markup {
    let rows = html! {
        @for told in status.transitions.iter().take(TRANSITIONS) {
            @let change = &told.transition;
            tr role="row" {
                (cell("When", html! { time { (clock::written(told.at)) } }))
                (cell("Region", html! { (change.region.as_deref().unwrap_or("all")) }))
                (cell("Change", html! { (change.kind.as_str()) ": " (change.from.as_str()) " → " strong { (change.to.as_str()) } }))
                (cell("Cause", html! { @match change.cause { Some(cause) => (cause.as_str()), None => span.muted { "none" } } }))
                (cell("Edge", html! { (told.edge) }))
            }
        }
    };
    html! {
        section aria-labelledby="transitions" {
            h2 #transitions { "Last transitions" }
            @if status.transitions.is_empty() {
                p.muted { "None since this companion began." }
            } @else {
                (table(html! { "The newest first" }, &["When", "Region", "Change", "Cause", "Edge"], rows))
            }
        }
    }
}

/// The other companions.
pub fn companions(status: &Status) -> Markup {
    html! {
        @if !status.peers.is_empty() {
            section aria-labelledby="companions" {
                h2 #companions { "Other companions" }
                (table(html! { "Asked every 5 s" }, &["Region", "State", "Address"], html! {
                    @for peer in &status.peers {
                        tr role="row" {
                            th role="rowheader" scope="row" { (peer.region) }
                            (cell("State", html! {
                                @if peer.silent() {
                                    (state(Tone::Bad, "silent"))
                                } @else if peer.failures > 0 {
                                    (state(Tone::Odd, "did not answer"))
                                } @else if peer.heard_at.is_some() {
                                    (state(Tone::Good, "answers"))
                                } @else {
                                    (state(Tone::Plain, "not asked yet"))
                                }
                                @if let Some(at) = peer.heard_at.filter(|_| peer.failures > 0) {
                                    " " span.muted { "last " (span(status.now.saturating_sub(at))) " ago" }
                                }
                                @if let Some(error) = &peer.error { br; span.muted { (error) } }
                            }))
                            (cell("Address", html! { (peer.address) }))
                        }
                    }
                }))
            }
        }
    }
}

/// The topology file and the webhooks.
pub fn configuration(status: &Status) -> Markup {
    let config = &status.config;
    html! {
        section aria-labelledby="configuration" {
            h2 #configuration { "Configuration" }
            dl.facts {
                div { dt { "File" } dd { code { (config.file) } } }
                div {
                    dt { "In force" }
                    dd {
                        code { (config.hash) } " " span.muted { "since " time { (clock::written(config.loaded_at)) } }
                    }
                }
                @for webhook in &status.webhooks {
                    div {
                        dt { "Webhook " (webhook.name) }
                        dd {
                            (webhook.sent) " sent"
                            @if webhook.failed > 0 { ", " (state(Tone::Odd, &format!("{} failed", webhook.failed))) }
                            @if webhook.dropped > 0 { ", " (state(Tone::Odd, &format!("{} dropped", webhook.dropped))) }
                        }
                    }
                }
            }
            @if let Some(error) = &config.error {
                p { (state(Tone::Bad, "The file was changed and is not in force")) ": " (error) }
            }
            @if !config.waiting.is_empty() {
                p { (state(Tone::Odd, "Waits for a restart")) ": " (config.waiting.join(", ")) }
            }
        }
    }
}
