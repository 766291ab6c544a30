//! The votes and checks behind DNS' answers, with the alarms of Route 53's health checks.

use super::{Alert, COMPANIONS, Severity, WITNESS};
use crate::{Dns, File};
use evenkeel_policy::time::Millis;

/// Alarms look at periods of a minute.
const PERIOD: Millis = Millis::from_secs(60);

pub(super) fn alerts(file: &File, dns: &Dns) -> Vec<Alert> {
    let voters = format!("job=~\"{COMPANIONS}|{WITNESS}\"");
    let patience = Patience::of(file, dns);
    let slow = |name, metric: &str, above: f64, summary, what: &str, look: &str| Alert {
        name,
        severity: Severity::Warning,
        expression: format!("max by (check, instance) ({metric}{{{voters}}}) > {above}"),
        after: PERIOD,
        summary,
        description: format!(
            "{what} of {{{{ $labels.check }}}} from {{{{ $labels.instance }}}} took {{{{ $value | \
             humanizeDuration }}}}, which is above {above} s: look at {look}."
        ),
    };
    vec![
        Alert {
            name: "EvenkeelHealthCheckDown",
            severity: Severity::Critical,
            expression: format!("max by (check) (evenkeel_health_check_up{{{voters}}}) < 1"),
            // Two periods in a row.
            after: Millis::from_secs(2 * 60),
            summary: "A health check is down by the votes of all.",
            description: "DNS answers go on without what depends on {{ $labels.check }}.".to_owned(),
        },
        Alert {
            name: "EvenkeelHealthyVotersFew",
            severity: Severity::Warning,
            expression: format!("min by (check) (evenkeel_health_check_healthy_percent{{{voters}}}) < 50"),
            after: PERIOD,
            summary: "Less than half of the voters call a check healthy.",
            description: "Only {{ $value }} % of the votes call {{ $labels.check }} healthy.".to_owned(),
        },
        slow(
            "EvenkeelConnectSlow",
            "evenkeel_health_check_connect_seconds",
            below(5.0, patience.connect),
            "Connections to a checked endpoint come about slowly.",
            "Connecting to the endpoint",
            "the network between them",
        ),
        slow(
            "EvenkeelTlsSlow",
            "evenkeel_health_check_tls_seconds",
            below(3.0, patience.connect),
            "TLS handshakes with a checked endpoint are slow.",
            "The TLS handshake with the endpoint",
            "its certificate chain and its load",
        ),
        slow(
            "EvenkeelFirstByteSlow",
            "evenkeel_health_check_first_byte_seconds",
            below(10.0, patience.response),
            "A checked endpoint answers slowly.",
            "The answer's first byte",
            "the application",
        ),
        Alert {
            name: "EvenkeelVoterSilent",
            severity: Severity::Warning,
            expression: format!("min by (voter) (evenkeel_voter_heard{{{voters}}}) == 0"),
            after: PERIOD,
            summary: "A voter is not heard.",
            description: "{{ $labels.voter }} is not heard by another voter.".to_owned(),
        },
        Alert {
            name: "EvenkeelQuorumLost",
            severity: Severity::Critical,
            expression: format!(
                "2 * sum by (instance) (evenkeel_voter_heard{{{voters}}}) \
                 <= count by (instance) (evenkeel_voter_heard{{{voters}}})"
            ),
            after: Millis::from_secs(30),
            summary: "Too few voters are heard to settle anything.",
            description: "{{ $labels.instance }} hears no majority of the voters: DNS goes on with what it \
                          knew, or by an anchor alone."
                .to_owned(),
        },
    ]
}

/// The longest that any check waits.
struct Patience {
    connect: Millis,
    response: Millis,
}

impl Patience {
    fn of(file: &File, dns: &Dns) -> Self {
        let edges = file.health_check.timeout;
        let (connect, response) = dns
            .health_check
            .as_ref()
            .map_or((edges, edges), |check| (check.connect_timeout, check.response_timeout));
        let mut patience = Patience { connect, response };
        for check in &dns.health_checks {
            let usual = if check.tcp.is_some() { Millis::from_secs(10) } else { Millis::from_secs(4) };
            patience.connect = patience.connect.max(check.connect_timeout.unwrap_or(usual));
            patience.response = patience.response.max(check.response_timeout);
        }
        patience
    }
}

/// The alarm's threshold in seconds, lowered where checks give up before it: a time that ends in a
/// failed check is never measured, and such an alert could not fire.
fn below(alarm: f64, patience: Millis) -> f64 {
    let most = patience.get() as f64 * 0.8 / 1000.0;
    alarm.min(most)
}
