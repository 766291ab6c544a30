//! What DNS' answers depend on: the checks, and who votes on them.

use super::parts::{Tone, bar, cell, span, state, table};
use crate::status::{CheckKind, CheckStatus, Status, Voter, Votes};
use maud::{Markup, html};

/// The section; nothing where there is no DNS.
pub fn section(status: &Status) -> Markup {
    html! {
        @if let Some(votes) = &status.votes {
            section aria-labelledby="dns-health" {
                h2 #dns-health { "DNS health" }
                (checks(&status.checks))
                (voters(votes))
            }
        }
    }
}

fn checks(checks: &[CheckStatus]) -> Markup {
    let rows = html! {
        @for check in checks {
            tr role="row" {
                th role="rowheader" scope="row" {
                    (check.name)
                    @match check.kind {
                        CheckKind::Region => {},
                        CheckKind::Asked => { " " span.muted { "check" } },
                        CheckKind::Calculated => { " " span.muted { "calculated" } },
                        CheckKind::Disabled => { " " span.muted { "disabled" } },
                    }
                }
                (cell("Verdict", html! {
                    (state(if check.up { Tone::Good } else { Tone::Bad }, if check.up { "up" } else { "down" }))
                    " " span.muted { "for " (span(check.since_ms)) }
                }))
                (cell("Share", html! {
                    (bar(check.share))
                    @if let Some(cause) = check.cause { " " span.muted { (cause.as_str()) } }
                }))
                (cell("Votes", html! {
                    @for (voter, up) in &check.votes {
                        (state(if *up { Tone::Good } else { Tone::Bad }, voter)) " "
                    }
                    @if check.votes.is_empty() { span.muted { "none" } }
                }))
                (cell("Last probe", probe(check)))
            }
        }
    };
    table(html! { "What DNS answers by" }, &["Check", "Verdict", "Share", "Votes", "Last probe"], rows)
}

fn probe(check: &CheckStatus) -> Markup {
    let times = [("connect", check.connect_ms), ("TLS", check.tls_ms), ("first byte", check.first_byte_ms)];
    let times: Vec<String> =
        times.iter().filter_map(|(what, ms)| Some(format!("{what} {:.1} ms", (*ms)?))).collect();
    html! {
        @if let Some(error) = &check.error { (state(Tone::Bad, error)) br; }
        @if check.out_by_edges { (state(Tone::Bad, "every edge here calls it unhealthy")) br; }
        span.muted {
            @match check.kind {
                CheckKind::Calculated => "made from others",
                CheckKind::Disabled => "not asked",
                _ if times.is_empty() && check.error.is_none() => "none yet",
                _ => (times.join(", ")),
            }
        }
    }
}

fn voters(votes: &Votes) -> Markup {
    let quorum = html! {
        (votes.in_force) " of " (votes.configured) " votes are heard, " (votes.majority()) " settle something"
        @if let Some(lost) = votes.lost_ms {
            ": " (state(Tone::Bad, &format!("too few for {}", span(lost))))
            @if votes.alone { ", and this one decides alone, since an anchor answers" }
            @else { ", and what was known holds" }
        }
    };
    let rows = html! {
        @for voter in &votes.voters {
            tr role="row" {
                th role="rowheader" scope="row" {
                    (voter.name)
                    @if voter.own { " " span.muted { "this one" } }
                }
                (cell("State", said(voter)))
                (cell("Why", html! {
                    @match &voter.error { Some(error) => (error), None => span.muted { "as it should be" } }
                }))
            }
        }
    };
    table(quorum, &["Voter", "State", "Why"], rows)
}

fn said(voter: &Voter) -> Markup {
    html! {
        @if voter.heard {
            (state(Tone::Good, "heard"))
        } @else if voter.age_ms.is_none() {
            (state(Tone::Bad, "never heard"))
        } @else {
            (state(Tone::Bad, "silent"))
        }
        @if let Some(age) = voter.age_ms.filter(|_| !voter.heard) { " " span.muted { "for " (span(age)) } }
        @if voter.same_config == Some(false) { ", " (state(Tone::Odd, "runs another configuration")) }
    }
}
