//! The database: nodes, writers, sessions.

use super::parts::{Tone, bytes, cell, span, state, table};
use super::plot;
use crate::clock;
use crate::status::{Database, Node, Status};
use evenkeel_policy::database::Role;
use maud::{Markup, html};

/// Writers shown.
const WRITERS: usize = 8;

/// The section.
pub fn section(status: &Status) -> Markup {
    let Some(database) = &status.database else { return html! {} };
    html! {
        section aria-labelledby="database" {
            h2 #database { "Database" }
            (nodes(database))
            (sessions(database))
            (writers(database))
        }
    }
}

fn nodes(database: &Database) -> Markup {
    let rows = html! {
        @for (index, node) in database.nodes.iter().enumerate() {
            tr role="row" {
                th role="rowheader" scope="row" {
                    (node.name) " " span.muted { (node.region) @if node.local { ", local" } }
                }
                (cell("Role", role(node)))
                (cell("Timeline", html! { @match node.timeline { Some(timeline) => (timeline), None => span.muted { "unknown" } } }))
                (cell("Lag", lag(node)))
                (cell("Lag over 10 min", if node.writer { html! { span.muted { "writes, so it has none" } } } else { plot::lag(&node.lag_history) }))
                (cell("Connections", connections(database, index, node)))
            }
        }
    };
    let caption = html! {
        "Nodes. Writer: " strong { (database.writer) } ", highest timeline seen " (database.highest_timeline)
    };
    table(caption, &["Node", "Role", "Timeline", "Lag", "Lag over 10 min", "Connections"], rows)
}

fn role(node: &Node) -> Markup {
    let (tone, word) = match node.role {
        _ if !node.reachable => (Tone::Bad, "unreachable"),
        Some(Role::Writer) if node.writer => (Tone::Good, "writer"),
        Some(Role::Writer) => (Tone::Bad, "claims to write"),
        Some(Role::Replica) => (Tone::Good, "replica"),
        None => (Tone::Plain, "not heard yet"),
    };
    html! {
        (state(tone, word)) " " span.muted { "for " (span(node.age_ms)) }
        @if node.drained {
            br; (state(Tone::Odd, "drained"))
            @if let Some(rest) = node.drain_ms { " " span.muted { "for " (span(rest)) " more" } }
        }
        @if let Some(error) = node.error.as_ref().filter(|_| !node.reachable) { br; span.muted { (error) } }
    }
}

fn lag(node: &Node) -> Markup {
    html! {
        @match (node.writer, node.lag_ms.filter(|_| node.reachable)) {
            (true, _) => span.muted { "none" },
            (false, Some(lag)) => {
                (span(lag))
                @if let Some(behind) = node.lag_bytes { " " span.muted { (bytes(behind)) } }
            },
            (false, None) => span.muted { "unknown" },
        }
    }
}

fn connections(database: &Database, index: usize, node: &Node) -> Markup {
    let figures = database.figures.nodes.get(index);
    let of_all = figures.and_then(|figures| Some((figures.connections?, figures.max_connections?)));
    html! {
        @match of_all {
            Some((now, most)) => {
                @if now * 10 >= most * 8 { (state(Tone::Odd, &format!("{now} of {most}"))) } @else { (now) " of " (most) }
            },
            None => span.muted { "unknown" },
        }
        @if node.in_use > 0 { " " span.muted { (node.in_use) " ours" } }
    }
}

fn sessions(database: &Database) -> Markup {
    let figures = &database.figures;
    html! {
        @if figures.paused { p { (state(Tone::Odd, "paused by order")) ": new statements wait until " code { "evenkeel db resume" } } }
        @if figures.held_statements > 0 {
            p { (state(Tone::Odd, &format!("{} statements wait for a writer", figures.held_statements))) " " span.muted { (bytes(figures.held_bytes)) } }
        }
        @if !figures.listeners.is_empty() {
            (table(html! { "Clients' sessions" }, &["Listener", "Sessions"], html! {
                @for listener in &figures.listeners {
                    tr role="row" {
                        th role="rowheader" scope="row" { (listener.name) }
                        (cell("Sessions", html! {
                            @if listener.sessions.iter().all(|(_, count)| *count == 0) { span.muted { "none" } }
                            @for (index, (state, count)) in listener.sessions.iter().filter(|(_, count)| *count > 0).enumerate() {
                                @if index > 0 { ", " }
                                (count) " " (state)
                            }
                        }))
                    }
                }
            }))
        }
    }
}

fn writers(database: &Database) -> Markup {
    html! {
        @if !database.writers.is_empty() {
            (table(html! { "Writer history, the newest first" }, &["When", "Writer"], html! {
                @for change in database.writers.iter().take(WRITERS) {
                    tr role="row" {
                        (cell("When", html! { time { (clock::written(change.at)) } }))
                        (cell("Writer", state(if change.known { Tone::Good } else { Tone::Bad }, &change.writer)))
                    }
                }
            }))
        }
    }
}
