//! What companions say of themselves, of their region, and of whom they should hear.

use super::{Alert, COMPANIONS, Severity};
use evenkeel_policy::time::Millis;

pub(super) fn alerts() -> Vec<Alert> {
    let minute = Millis::from_secs(60);
    vec![
        Alert {
            name: "EvenkeelComponentDown",
            severity: Severity::Warning,
            expression: format!(
                "min by (region, component) (evenkeel_component_up{{job=\"{COMPANIONS}\"}}) == 0"
            ),
            after: minute,
            summary: "A component of a region is down.",
            description:
                "{{ $labels.component }} in {{ $labels.region }} fails its checks; if it is required, \
                          the region is not ready."
                    .to_owned(),
        },
        Alert {
            name: "EvenkeelConfigurationStale",
            severity: Severity::Warning,
            expression: format!("evenkeel_config_in_force{{job=\"{COMPANIONS}\"}} == 0"),
            after: minute,
            summary: "A topology file was changed and is not in force.",
            description:
                "The companion at {{ $labels.instance }} refused its topology file and goes on with \
                          the one before."
                    .to_owned(),
        },
        Alert {
            name: "EvenkeelEdgeSilent",
            severity: Severity::Warning,
            expression: format!("evenkeel_edge_heard{{job=\"{COMPANIONS}\"}} == 0"),
            after: minute,
            summary: "An edge no longer posts its state to its companion.",
            description: "{{ $labels.edge }} was not heard of at {{ $labels.instance }}.".to_owned(),
        },
        Alert {
            name: "EvenkeelCompanionSilent",
            severity: Severity::Critical,
            expression: format!("min by (region) (evenkeel_companion_heard{{job=\"{COMPANIONS}\"}}) == 0"),
            after: minute,
            summary: "A region's companion does not answer another's.",
            description: "The companion of {{ $labels.region }} is not heard by another region's.".to_owned(),
        },
    ]
}
