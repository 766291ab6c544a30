//! What an SRE sees: Prometheus, its rules, and the alerts that arrive.

use crate::platform::{SOON, port, whole};
use evenkeel_tests::{Request, until};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

#[tokio::test]
async fn prometheus_reaches_all_that_it_scrapes_and_evaluates_every_rule() {
    whole().await;
    until("every target is up", SOON, async || {
        let all = prometheus("/api/v1/targets?state=active").await?;
        let mut up: BTreeMap<String, usize> = BTreeMap::new();
        for target in all["activeTargets"].as_array()?.iter().filter(|target| target["health"] == "up") {
            *up.entry(target["labels"]["job"].as_str()?.to_owned()).or_default() += 1;
        }
        let expected =
            [("evenkeel-companion", 2), ("evenkeel-edge", 2), ("evenkeel-witness", 1), ("node", 4)];
        (up == expected.map(|(job, count)| (job.to_owned(), count)).into()).then_some(())
    })
    .await;

    let rendered = include_str!("../../compose/rules.yaml");
    let names = rendered.lines().filter_map(|line| line.strip_prefix("- name: "));
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 5, "{names:?}");
    until("every group of rules is evaluated without a fault", SOON, async || {
        let groups = prometheus("/api/v1/rules").await?["groups"].as_array()?.clone();
        let loaded: BTreeSet<String> =
            groups.iter().filter_map(|group| Some(group["name"].as_str()?.to_owned())).collect();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        (loaded == names && rules.into_iter().all(|rule| rule["health"] == "ok")).then_some(())
    })
    .await;
    until("Prometheus knows Alertmanager", SOON, async || {
        let known = prometheus("/api/v1/alertmanagers").await?;
        (known["activeAlertmanagers"].as_array()?.len() == 1).then_some(())
    })
    .await;
}

async fn prometheus(path: &str) -> Option<Value> {
    let answer = json(port("PROMETHEUS_PORT", 19090), path).await?;
    Some(answer["data"].clone())
}

async fn json(at: SocketAddr, path: &str) -> Option<Value> {
    serde_json::from_slice(&Request::get().path(path).send(at).await.ok()?.body).ok()
}

/// How many alerts with these words the receiver has got so far.
pub async fn arrived(words: &str) -> usize {
    let kept =
        until("the receiver tells", SOON, async || json(port("RECEIVER_PORT", 19095), "/").await).await;
    let bodies = kept.as_array().into_iter().flatten().map(|one| one["body"].to_string());
    bodies.filter(|body| body.contains(words)).count()
}
