//! Templates for AWS Fault Injection Service: the same experiments where the platform stands on AWS.
//!
//! It owns which action of FIS stands for which fault. Nothing here was ever run on AWS: no FIS is within
//! reach of this project's tests, and each template says so.

use crate::experiment::{ActionProvider, Experiment, Fault, Selection, Step};
use crate::selection::WRITER;
use evenkeel_policy::time::Millis;
use serde_json::{Map, Value, json};

/// What every template says first.
pub const NOT_RUN: &str = "NOT RUN ON AWS by Evenkeel's tests: review it, and replace each REPLACE-… first.";

/// FIS' actions last a minute at least.
const SHORTEST: Millis = Millis::from_secs(60);

/// The input of `aws fis create-experiment-template`.
///
/// # Errors
/// The step that FIS has no action for.
pub fn template(name: &str, experiment: &Experiment) -> Result<Value, String> {
    let mut made = Made::default();
    for (index, step) in experiment.method.iter().enumerate() {
        // What comes later ends with the last: the faults overlap as they do here.
        let rest = experiment.method.get(index..).unwrap_or_default();
        let lasts: u64 = rest.iter().map(|step| step.pauses.after.get()).sum();
        made.step(index, step, Millis::new(lasts).max(SHORTEST))?;
    }
    Ok(json!({
        "description": short(&format!("{NOT_RUN} {}", experiment.title)),
        "roleArn": "arn:aws:iam::REPLACE-ACCOUNT:role/REPLACE-FIS-ROLE",
        "targets": made.targets,
        "actions": made.actions,
        "stopConditions": [{
            "source": "aws:cloudwatch:alarm",
            "value": "arn:aws:cloudwatch:REPLACE-REGION:REPLACE-ACCOUNT:alarm:REPLACE-ERROR-RATE",
        }],
        "experimentOptions": {"accountTargeting": "single-account", "emptyTargetResolutionMode": "fail"},
        "tags": {"Name": format!("evenkeel-{name}"), "evenkeel:experiment": name, "evenkeel:run-on-aws": "never"},
    }))
}

/// FIS takes descriptions of at most 512 characters.
fn short(text: &str) -> String {
    text.chars().take(512).collect()
}

#[derive(Default)]
struct Made {
    targets: Map<String, Value>,
    actions: Map<String, Value>,
    /// The wait that the next step comes after.
    after: Option<String>,
}

impl Made {
    fn step(&mut self, index: usize, step: &Step, lasts: Millis) -> Result<(), String> {
        let ActionProvider::Evenkeel { fault, on } = &step.provider else {
            return Err(format!("{}: FIS has no action for a request or a program of one's own", step.name));
        };
        match fault {
            Fault::Kill | Fault::Pause => self.parts(step, on, lasts)?,
            Fault::Cut => self.add(
                &format!("cut-{index}"),
                &step.name,
                "aws:network:route-table-disrupt-cross-region-connectivity",
                json!({"duration": iso(lasts), "region": "REPLACE-OTHER-REGION"}),
                ("Subnets", subnets()),
            ),
            Fault::Impair { round_trip, loss_percent } => {
                let pods = |mut parameters: Value| {
                    parameters["duration"] = iso(lasts).into();
                    parameters["sources"] = "REPLACE-OTHER-REGION-CIDR".into();
                    parameters["kubernetesServiceAccount"] = "REPLACE-FIS-SERVICE-ACCOUNT".into();
                    parameters
                };
                if let Some(time) = round_trip {
                    let slow = pods(json!({"delayMilliseconds": time.get().to_string()}));
                    self.add(
                        &format!("slow-{index}"),
                        &step.name,
                        "aws:eks:pod-network-latency",
                        slow,
                        ("Pods", all_pods()),
                    );
                }
                if let Some(loss) = loss_percent {
                    let lossy = pods(json!({"lossPercent": loss.ceil().to_string()}));
                    self.add(
                        &format!("lossy-{index}"),
                        &step.name,
                        "aws:eks:pod-network-packet-loss",
                        lossy,
                        ("Pods", all_pods()),
                    );
                }
            }
            Fault::Drain { .. } => {
                return Err(format!("{}: a drain is Evenkeel's own: use evenkeel chaos drill", step.name));
            }
        }
        let wait = format!("wait-{index}");
        let mut action = json!({
            "actionId": "aws:fis:wait", "description": "As long as the step is left alone",
            "parameters": {"duration": iso(step.pauses.after.max(SHORTEST))},
        });
        self.start_after(&mut action);
        self.actions.insert(wait.clone(), action);
        self.after = Some(wait);
        Ok(())
    }

    fn parts(&mut self, step: &Step, on: &Selection, lasts: Millis) -> Result<(), String> {
        let has = |role: &str| on.roles.iter().any(|named| named == role);
        // A whole region: its subnets speak to nobody, and the cluster's writer is elsewhere.
        let region = on.roles.is_empty() && on.parts.is_empty() && on.region.is_some();
        let before = self.actions.len();
        if region {
            let isolate = json!({"duration": iso(lasts), "scope": "all"});
            self.add(
                "isolate-region",
                &step.name,
                "aws:network:disrupt-connectivity",
                isolate,
                ("Subnets", subnets()),
            );
        }
        if region || has(WRITER) || has("database") {
            self.add(
                "fail-over-writer",
                &step.name,
                "aws:rds:failover-db-cluster",
                json!({}),
                ("Clusters", tagged("aws:rds:cluster")),
            );
        }
        if has("cache") {
            let mut groups = tagged("aws:elasticache:replicationgroup");
            groups["parameters"] = json!({"availabilityZoneIdentifier": "REPLACE-ZONE"});
            self.add(
                "lose-cache",
                &step.name,
                "aws:elasticache:replicationgroup-interrupt-az-power",
                json!({"duration": iso(lasts)}),
                ("ReplicationGroups", groups),
            );
        }
        if has("application") {
            let delete = json!({"kubernetesServiceAccount": "REPLACE-FIS-SERVICE-ACCOUNT"});
            self.add(
                "delete-pods",
                &step.name,
                "aws:eks:pod-delete",
                delete,
                ("Pods", pods("app=REPLACE-APP")),
            );
        }
        if self.actions.len() == before {
            return Err(format!("{}: FIS has no action for these parts", step.name));
        }
        Ok(())
    }

    fn add(&mut self, name: &str, words: &str, id: &str, parameters: Value, (kind, target): (&str, Value)) {
        let mut action = json!({
            "actionId": id, "description": short(words), "parameters": parameters, "targets": {kind: name},
        });
        self.start_after(&mut action);
        self.targets.insert(name.to_owned(), target);
        self.actions.insert(name.to_owned(), action);
    }

    fn start_after(&self, action: &mut Value) {
        if let Some(after) = &self.after {
            action["startAfter"] = json!([after]);
        }
    }
}

fn tagged(kind: &str) -> Value {
    json!({"resourceType": kind, "resourceTags": {"evenkeel:chaos": "allowed"}, "selectionMode": "ALL"})
}

fn subnets() -> Value {
    tagged("aws:ec2:subnet")
}

fn all_pods() -> Value {
    pods("evenkeel-chaos=allowed")
}

/// Pods are found by labels, not by tags.
fn pods(labels: &str) -> Value {
    json!({
        "resourceType": "aws:eks:pod", "selectionMode": "ALL",
        "parameters": {
            "clusterIdentifier": "REPLACE-CLUSTER", "namespace": "REPLACE-NAMESPACE",
            "selectorType": "labelSelector", "selectorValue": labels,
        },
    })
}

/// `PT2M`, as ISO 8601 has it; FIS counts in minutes.
fn iso(span: Millis) -> String {
    format!("PT{}M", span.get().div_ceil(60_000).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    /// What FIS' reference of actions lists.
    const KNOWN: [&str; 8] = [
        "aws:fis:wait",
        "aws:rds:failover-db-cluster",
        "aws:network:disrupt-connectivity",
        "aws:network:route-table-disrupt-cross-region-connectivity",
        "aws:elasticache:replicationgroup-interrupt-az-power",
        "aws:eks:pod-delete",
        "aws:eks:pod-network-latency",
        "aws:eks:pod-network-packet-loss",
    ];

    #[test]
    fn every_experiment_has_a_template_that_holds_together() {
        for entry in catalog::ALL {
            let experiment = entry.experiment().expect("sound");
            let template = template(entry.name, &experiment).expect(entry.name);
            assert!(template["description"].as_str().expect("a text").starts_with("NOT RUN ON AWS"));
            let actions = template["actions"].as_object().expect("actions");
            assert!(actions.len() > experiment.method.len(), "{}", entry.name);
            for (name, action) in actions {
                assert!(KNOWN.contains(&action["actionId"].as_str().expect("an id")), "{name}: {action}");
                for target in action["targets"].as_object().into_iter().flatten().map(|(_, target)| target) {
                    assert!(template["targets"][target.as_str().expect("a name")].is_object(), "{name}");
                }
                for after in action["startAfter"].as_array().into_iter().flatten() {
                    assert!(actions.contains_key(after.as_str().expect("a name")), "{name}");
                }
            }
        }
    }

    #[test]
    fn minutes_are_rounded_up() {
        assert_eq!((iso(Millis::from_secs(65)), iso(Millis::ZERO)), ("PT2M".to_owned(), "PT1M".to_owned()));
    }
}
