//! What edges see of regions, and of themselves.

use super::{Alert, EDGES, Severity};
use evenkeel_policy::time::Millis;

pub(super) fn alerts() -> Vec<Alert> {
    vec![
        Alert {
            name: "EvenkeelRegionOut",
            severity: Severity::Critical,
            // Every edge has to think so: one alone may have lost its own way to the region.
            expression: format!("max by (region) (evenkeel_region_healthy{{job=\"{EDGES}\"}}) == 0"),
            after: Millis::from_secs(30),
            summary: "A region is down for every edge.",
            description: "Every edge's probes of {{ $labels.region }} fail: its traffic goes elsewhere."
                .to_owned(),
        },
        Alert {
            name: "EvenkeelRegionDisputed",
            severity: Severity::Warning,
            expression: format!(
                "min by (region) (evenkeel_region_healthy{{job=\"{EDGES}\"}}) == 0 \
                 and max by (region) (evenkeel_region_healthy{{job=\"{EDGES}\"}}) == 1"
            ),
            after: Millis::from_secs(120),
            summary: "Edges do not agree on whether a region is down.",
            description:
                "Some edge's probes of {{ $labels.region }} fail and another's do not: a way between \
                          them is broken."
                    .to_owned(),
        },
        Alert {
            name: "EvenkeelNoRegionEligible",
            severity: Severity::Critical,
            expression: format!(
                "sum by (instance) (rate(evenkeel_decisions_total{{job=\"{EDGES}\",\
                 reason=~\"degraded|rejected\"}}[1m])) > 0"
            ),
            after: Millis::from_secs(30),
            summary: "An edge finds no region eligible.",
            description:
                "{{ $labels.instance }} decides {{ $value | humanize }} requests per second without \
                          an eligible region: they go where all_unhealthy says."
                    .to_owned(),
        },
        Alert {
            name: "EvenkeelBreakerOpen",
            severity: Severity::Warning,
            // Between two trials a breaker is half-open for a moment; one that keeps opening is one alert.
            expression: format!(
                "max by (instance, region) (max_over_time(evenkeel_breaker_state{{job=\"{EDGES}\"}}[1m])) == 2"
            ),
            after: Millis::from_secs(60),
            summary: "Live calls to a region fail, and its breaker is open.",
            description:
                "The breaker of {{ $labels.region }} at {{ $labels.instance }} stays or keeps opening."
                    .to_owned(),
        },
        Alert {
            name: "EvenkeelProberLost",
            severity: Severity::Critical,
            expression: format!("max by (instance) (evenkeel_prober_lost{{job=\"{EDGES}\"}}) == 1"),
            after: Millis::from_secs(30),
            summary: "An edge no longer probes any region.",
            description: "{{ $labels.instance }} goes on with what it last knew of the regions.".to_owned(),
        },
        Alert {
            name: "EvenkeelTargetDown",
            severity: Severity::Critical,
            expression: "up{job=~\"evenkeel-.+\"} == 0".to_owned(),
            after: Millis::from_secs(60),
            summary: "An edge, a companion or the witness does not answer Prometheus.",
            description: "{{ $labels.job }} at {{ $labels.instance }} was not scraped for a minute."
                .to_owned(),
        },
    ]
}
