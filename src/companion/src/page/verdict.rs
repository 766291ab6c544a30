//! The verdict, and what is wrong.

use super::parts::{Tone, span, state};
use crate::alerts::Severity;
use crate::clock;
use crate::readiness;
use crate::status::Status;
use maud::{Markup, html};

/// The browser tab's words.
pub fn title(status: &Status) -> String {
    format!("{} · {} in {}", judged(status).1, status.service, status.region)
}

fn judged(status: &Status) -> (Tone, String) {
    let ready = status.readiness.status;
    match status.gravest() {
        _ if status.stopping => (Tone::Odd, "Shutting down".to_owned()),
        Some(Severity::Critical) => (Tone::Bad, counted(status, Severity::Critical)),
        _ if ready == readiness::Status::Down => (Tone::Bad, "This region is not ready".to_owned()),
        Some(Severity::Warning) => (Tone::Odd, counted(status, Severity::Warning)),
        _ if status.drain_ms.is_some() => (Tone::Odd, "This region is drained by order".to_owned()),
        _ => (Tone::Good, "All is well".to_owned()),
    }
}

fn counted(status: &Status, severity: Severity) -> String {
    let count = status.alerts.iter().filter(|alert| alert.severity == severity).count();
    match (severity, count) {
        (Severity::Critical, 1) => "1 critical problem".to_owned(),
        (Severity::Critical, count) => format!("{count} critical problems"),
        (_, 1) => "1 warning".to_owned(),
        (_, count) => format!("{count} warnings"),
    }
}

/// The section.
pub fn section(status: &Status) -> Markup {
    let (tone, words) = judged(status);
    let writer = status.database.as_ref();
    let heard = status.edges.iter().filter(|edge| edge.in_force).count();
    html! {
        section.verdict .(tone.class()) aria-labelledby="verdict" data-title=(title(status)) {
            h2 #verdict { (state(tone, &words)) }
            dl.facts {
                div { dt { "This region" } dd { (ready(status)) } }
                @if let Some(database) = writer {
                    div {
                        dt { "Database writer" }
                        dd {
                            (state(if database.writer_known { Tone::Good } else { Tone::Bad }, &database.writer))
                            " " span.muted { "for " (span(database.writer_age_ms)) }
                        }
                    }
                }
                div {
                    dt { "Edges heard" }
                    dd {
                        @let all = status.edges.len();
                        (state(if all > 0 && heard == all { Tone::Good } else if all == 0 { Tone::Plain } else { Tone::Bad },
                            &format!("{heard} of {all}")))
                    }
                }
            }
            @if let Some(rest) = status.drain_ms {
                p { "An operator drained " strong { (status.region) } "; that ends by itself in " (span(rest)) "." }
            }
            @if !status.alerts.is_empty() {
                ul.alerts {
                    @for alert in &status.alerts {
                        @let (tone, word) = match alert.severity {
                            Severity::Critical => (Tone::Bad, "Critical"),
                            Severity::Warning => (Tone::Odd, "Warning"),
                            Severity::Info => (Tone::Plain, "Info"),
                        };
                        li {
                            (state(tone, word)) " " (alert.summary) " "
                            span.muted { "since " time { (clock::written(alert.since)) } ", " (span(status.now.saturating_sub(alert.since))) }
                        }
                    }
                }
            }
        }
    }
}

fn ready(status: &Status) -> Markup {
    match status.readiness.status {
        _ if status.stopping => state(Tone::Odd, "shutting down"),
        readiness::Status::Up if status.drain_ms.is_some() => state(Tone::Odd, "ready, drained"),
        readiness::Status::Up => state(Tone::Good, "ready"),
        readiness::Status::Unknown => state(Tone::Plain, "not checked yet"),
        readiness::Status::Down | readiness::Status::OutOfService => state(Tone::Bad, "not ready"),
    }
}
