//! Prometheus and Alertmanager: what is scraped, what is computed of it, who is told.
//!
//! Every threshold that the topology file has stands there alone; the others are those that the
//! platform's alarms always had. A section that the file lacks gets no rules, so that no alert watches
//! for metrics that nobody writes.

mod alertmanager;
mod budget;
mod companion;
mod database;
mod edge;
mod scrape;
mod votes;

use super::yaml;
use crate::{Plan, Problems};
use evenkeel_policy::time::Millis;
use serde_json::{Value, json};

/// Where alerts point to, unless told otherwise: a path in the project.
pub const RUNBOOKS: &str = "docs/runbooks.md";

const EDGES: &str = "evenkeel-edge";
const COMPANIONS: &str = "evenkeel-companion";
const WITNESS: &str = "evenkeel-witness";
const NODES: &str = "node";

/// Recording and alerting rules, as YAML. Each alert's `runbook_url` is its section of `runbooks`.
pub fn rules(plan: &Plan, runbooks: &str) -> String {
    let mut groups = vec![
        budget::recorded(),
        group("evenkeel-availability", budget::alerts(&plan.file.slo), runbooks),
        group("evenkeel-edge", edge::alerts(), runbooks),
    ];
    if plan.file.companion.is_some() {
        groups.push(group("evenkeel-companion", companion::alerts(), runbooks));
    }
    if let Some(dns) = &plan.file.dns {
        groups.push(group("evenkeel-votes", votes::alerts(&plan.file, dns), runbooks));
    }
    if plan.file.database.is_some() {
        groups.push(group("evenkeel-database", database::alerts(&plan.file.alerts), runbooks));
    }
    let comment = format!(
        "Prometheus' rules of {}. They expect the labels job and region as `evenkeel render prometheus\n\
         --part config` sets them, with honor_labels.\n\
         Written by `evenkeel render prometheus --part rules`; change the topology file instead.",
        plan.file.service
    );
    yaml::document(&comment, &json!({"groups": groups}))
}

/// Where Alertmanager is, unless told otherwise: beside Prometheus.
pub const ALERTMANAGER: &str = "127.0.0.1:9093";

/// What is scraped, as `prometheus.yml`; the rules are looked for beside it, as `rules.yaml`, and alerts go
/// to the Alertmanager at this address.
pub fn config(plan: &Plan, alertmanager: &str) -> String {
    scrape::write(plan, alertmanager)
}

/// Who is told, as `alertmanager.yml`.
///
/// # Errors
/// Webhooks whose address stands in the topology file itself: it is a secret.
pub fn alertmanager(plan: &Plan) -> Result<String, Problems> {
    alertmanager::write(plan)
}

#[derive(Clone, Copy, Debug)]
enum Severity {
    Critical,
    Warning,
}

/// One alert.
#[derive(Debug)]
struct Alert {
    name: &'static str,
    severity: Severity,
    expression: String,
    /// It fires after holding for so long.
    after: Millis,
    summary: &'static str,
    description: String,
}

fn group(name: &str, alerts: Vec<Alert>, runbooks: &str) -> Value {
    let rules: Vec<Value> = alerts.iter().map(|alert| written(alert, runbooks)).collect();
    json!({"name": name, "rules": rules})
}

fn written(alert: &Alert, runbooks: &str) -> Value {
    let severity = match alert.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
    };
    let mut rule = json!({
        "alert": alert.name,
        "expr": alert.expression,
        "labels": {"severity": severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": format!("{runbooks}#{}", alert.name.to_lowercase()),
        },
    });
    if alert.after.get() > 0 {
        rule["for"] = span(alert.after).into();
    }
    rule
}

/// A span as Prometheus reads it.
fn span(span: Millis) -> String {
    match span.get() {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}
