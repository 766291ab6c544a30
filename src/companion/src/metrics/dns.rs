//! What DNS was asked and answered.

use super::Page;
use evenkeel_dns::Counts;

/// Writes it.
pub(super) fn write(counts: Counts, page: &mut Page) {
    page.counters(
        "evenkeel_dns_answers",
        "Answers with records, by record and the region they lead to",
        counts
            .answers
            .into_iter()
            .map(|answer| (vec![("record", answer.record), ("region", answer.region)], answer.count)),
    );
    page.counters(
        "evenkeel_dns_decisions",
        "Answers by the reason of their choice",
        counts.reasons.into_iter().map(|(reason, count)| (vec![("reason", reason.to_owned())], count)),
    );
    page.counters(
        "evenkeel_dns_queries",
        "Queries by transport",
        counts
            .queries
            .into_iter()
            .map(|(transport, count)| (vec![("transport", transport.to_owned())], count)),
    );
    page.counters(
        "evenkeel_dns_responses",
        "Responses by code",
        counts.responses.into_iter().map(|(code, count)| (vec![("rcode", code)], count)),
    );
    for (name, help, count) in [
        (
            "evenkeel_dns_truncated",
            "Responses that did not fit, and were asked again by TCP",
            counts.truncated,
        ),
        ("evenkeel_dns_rate_limited", "Queries left without a response by the rate limit", counts.dropped),
        ("evenkeel_dns_slipped", "Queries over the rate limit that were sent to TCP", counts.slipped),
        ("evenkeel_dns_malformed", "Requests that are none", counts.malformed),
    ] {
        page.counter(name, help, count);
    }
}
