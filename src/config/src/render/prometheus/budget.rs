//! The availability goal: how fast its budget of failed requests is used up.
//!
//! A request failed if its client got a 5xx, by Envoy's own count of answers. The filter's counters say
//! something else: `evenkeel_requests_total` counts attempts, so one whose retry succeeded is a failure
//! there and none for the client; and where two regions in turn answered a request with a 5xx, it counts
//! neither against them, while the client did get a 5xx. Envoy's count also has the answers that the filter
//! refuses, and those given while the filter is absent. A client that went away got no answer and counts
//! as nothing; a gRPC status within a 200 is not seen.

use super::{Alert, EDGES, Severity};
use crate::Slo;
use crate::render::envoy::STAT_PREFIX;
use evenkeel_policy::time::Millis;
use serde_json::{Value, json};

const RATIO: &str = "job:edge_request_failures_per_request:ratio_rate";

/// Every window that an alert looks at.
const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

/// The ratio of failed requests over each window.
pub(super) fn recorded() -> Value {
    let requests = |class: &str, window: &str| {
        format!(
            "sum by (job) (rate(envoy_http_downstream_rq_xx{{job=\"{EDGES}\",\
             envoy_http_conn_manager_prefix=\"{STAT_PREFIX}\"{class}}}[{window}]))"
        )
    };
    let rules: Vec<Value> = WINDOWS
        .iter()
        .map(|window| {
            let failed = requests(",envoy_response_code_class=\"5\"", window);
            json!({"record": format!("{RATIO}{window}"), "expr": format!("{failed} / {}", requests("", window))})
        })
        .collect();
    json!({"name": "evenkeel-availability-ratios", "rules": rules})
}

/// Two windows each: the long one says that it matters, the short one that it still goes on.
pub(super) fn alerts(slo: &Slo) -> Vec<Alert> {
    let goal = slo.availability;
    let burns = |factor: &str, long: &str, short: &str| {
        let above = |window: &str| format!("{RATIO}{window} > ({factor} * (100 - {goal}) / 100)");
        format!("({} and {})", above(long), above(short))
    };
    vec![
        Alert {
            name: "EvenkeelAvailabilityBurnsFast",
            severity: Severity::Critical,
            expression: format!("{} or {}", burns("14.4", "1h", "5m"), burns("6", "6h", "30m")),
            after: Millis::new(0),
            summary: "Requests fail so often that the month's budget is gone within days.",
            description: format!(
                "{{{{ $value | humanizePercentage }}}} of requests fail; the goal of {goal} % is missed 14.4 \
                 times over within an hour, or 6 times over within six hours."
            ),
        },
        Alert {
            name: "EvenkeelAvailabilityBurnsSlowly",
            severity: Severity::Warning,
            expression: format!("{} or {}", burns("3", "1d", "2h"), burns("1", "3d", "6h")),
            after: Millis::new(0),
            summary: "Requests fail so often that the month's budget will not last.",
            description: format!(
                "{{{{ $value | humanizePercentage }}}} of requests fail; the goal of {goal} % is missed 3 \
                 times over within a day, or at all within three days."
            ),
        },
    ]
}
