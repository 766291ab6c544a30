//! Whom Alertmanager tells: the webhooks of the topology file.

use super::{span, yaml};
use crate::companion::{Webhook, WebhookFormat};
use crate::{Plan, Problem, Problems};
use evenkeel_policy::error::FieldError;
use serde_json::{Value, json};

pub(super) fn write(plan: &Plan) -> Result<String, Problems> {
    let alerts = &plan.file.alerts;
    let mut receiver = json!({"name": "webhooks"});
    let mut faults = Vec::new();
    for (index, webhook) in alerts.webhooks.iter().enumerate() {
        match written(webhook) {
            Some((kind, entry)) => {
                let known = receiver[kind].take();
                let mut list = known.as_array().cloned().unwrap_or_default();
                list.push(entry);
                receiver[kind] = list.into();
            }
            None => {
                let error = FieldError {
                    field: format!("alerts.webhooks[{index}].url"),
                    value: String::new(),
                    remedy: "give url_file in its place: the address is a secret, and no rendering shows it"
                        .to_owned(),
                };
                faults.push(Problem { error, place: None });
            }
        }
    }
    if !faults.is_empty() {
        return Err(Problems(faults));
    }
    let value = json!({
        "route": {
            "receiver": "webhooks",
            "group_by": ["alertname", "region"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": span(alerts.repeat_after),
        },
        "receivers": [receiver],
        "inhibit_rules": [
            {
                "source_matchers": ["alertname=\"EvenkeelAvailabilityBurnsFast\""],
                "target_matchers": ["alertname=\"EvenkeelAvailabilityBurnsSlowly\""],
                "equal": ["job"],
            },
            {
                // Its breaker is open and its check is down because it is out.
                "source_matchers": ["alertname=\"EvenkeelRegionOut\""],
                "target_matchers": ["alertname=\"EvenkeelBreakerOpen\""],
                "equal": ["region"],
            },
        ],
    });
    let comment = format!(
        "Alertmanager of {}. The companions post their own alerts to the same webhooks: whoever runs both\n\
         gives them different ones, or leaves one out.\n\
         Webhooks of the format json get Alertmanager's own body, and need Alertmanager 0.26 or later.\n\
         Written by `evenkeel render prometheus --part alertmanager`; change the topology file instead.",
        plan.file.service
    );
    Ok(yaml::document(&comment, &value))
}

/// The kind of receiver, and the webhook as it reads it; none if its address is not in a file.
fn written(webhook: &Webhook) -> Option<(&'static str, Value)> {
    let file = webhook.url_file.as_ref()?;
    Some(match webhook.format {
        WebhookFormat::Json => ("webhook_configs", json!({"url_file": file, "send_resolved": true})),
        WebhookFormat::Slack => (
            "slack_configs",
            json!({
                "api_url_file": file,
                "send_resolved": true,
                "title": "{{ .Status | toUpper }} {{ .CommonLabels.alertname }}",
                "text": "{{ range .Alerts }}{{ .Annotations.summary }} {{ .Annotations.description }} {{ .Annotations.runbook_url }}\n{{ end }}",
            }),
        ),
    })
}
