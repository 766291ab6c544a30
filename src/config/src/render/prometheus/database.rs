//! The database's alarms.

use super::{Alert, COMPANIONS, NODES, Severity};
use crate::companion::Alerts;
use evenkeel_policy::time::Millis;

pub(super) fn alerts(alerts: &Alerts) -> Vec<Alert> {
    let lag = &alerts.replication_lag;
    let above = lag.above.get() as f64 / 1000.0;
    let watched = |metric: &str| format!("max by (region, node) ({metric}{{job=\"{COMPANIONS}\"}})");
    vec![
        Alert {
            name: "EvenkeelReplicationLag",
            severity: Severity::Critical,
            expression: format!("{} > {above}", watched("evenkeel_db_replication_lag_seconds")),
            after: Millis::new(lag.period.get().saturating_mul(u64::from(lag.periods))),
            summary: "A replica is far behind its writer.",
            description: format!(
                "{{{{ $labels.node }}}} in {{{{ $labels.region }}}} is {{{{ $value | humanizeDuration }}}} \
                 behind, which is above {above} s."
            ),
        },
        Alert {
            name: "EvenkeelDatabaseCpu",
            severity: Severity::Critical,
            expression: format!(
                "100 * (1 - avg by (region, node) (rate(node_cpu_seconds_total{{job=\"{NODES}\",\
                 mode=\"idle\"}}[2m]))) > 80"
            ),
            after: Millis::from_secs(5 * 60),
            summary: "A database node's processors are nearly used up.",
            description: "{{ $labels.node }} in {{ $labels.region }} uses {{ $value | humanize }} % of its \
                          processors."
                .to_owned(),
        },
        Alert {
            name: "EvenkeelDatabaseConnections",
            severity: Severity::Critical,
            expression: format!(
                "100 * {} / {} > 90",
                watched("evenkeel_db_connections"),
                watched("evenkeel_db_max_connections")
            ),
            after: Millis::from_secs(2 * 60),
            summary: "A database node has nearly no connection left.",
            description: "{{ $labels.node }} in {{ $labels.region }} has {{ $value | humanize }} % of its \
                          max_connections in use."
                .to_owned(),
        },
        Alert {
            name: "EvenkeelSlowStatements",
            severity: Severity::Warning,
            expression: format!("{} > 10", watched("evenkeel_db_slow_statements")),
            after: Millis::from_secs(5 * 60),
            summary: "Many statements take more than a second.",
            description: "{{ $labels.node }} in {{ $labels.region }} has {{ $value }} statements whose mean \
                          time is above a second."
                .to_owned(),
        },
        Alert {
            name: "EvenkeelNoWriter",
            severity: Severity::Critical,
            expression: format!("min by (instance) (evenkeel_db_writers{{job=\"{COMPANIONS}\"}}) == 0"),
            after: Millis::from_secs(30),
            summary: "No database node is known to accept writes.",
            description:
                "The companion at {{ $labels.instance }} knows no writer: it holds writes until their \
                          time is over, then they fail."
                    .to_owned(),
        },
        Alert {
            name: "EvenkeelTwoWriters",
            severity: Severity::Critical,
            expression: format!("{} == 1", watched("evenkeel_db_writer_disputed")),
            after: Millis::new(0),
            summary: "A database node accepts writes that should not.",
            description:
                "{{ $labels.node }} in {{ $labels.region }} claims to be the writer and the rules do \
                          not believe it: whoever reaches it directly writes what will be lost."
                    .to_owned(),
        },
    ]
}
