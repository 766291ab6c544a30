//! Which layer noticed or acted, and when: the first look at which something was worse than before the fault.
//!
//! Times are those of the look's answer, so nothing is told earlier than it was certain.

use crate::figures::LayerActed;
use crate::journal::{CompanionView, EdgeView, Journal, Ms, Observer, Seen};
use std::collections::{BTreeMap, BTreeSet};

/// In order of time; each change once, as the first observer showed it.
pub fn layers(journal: &Journal, injected: Ms) -> Vec<LayerActed> {
    let mut before: BTreeMap<(Observer, &str), &Seen> = BTreeMap::new();
    let mut told = BTreeSet::new();
    let mut layers = Vec::new();
    let mut samples: Vec<_> = journal.samples.iter().collect();
    samples.sort_by(|a, b| a.at.total_cmp(&b.at));
    for sample in samples {
        let Some(seen) = &sample.seen else { continue };
        let observer = (sample.observer, sample.region.as_str());
        if sample.at <= injected {
            before.insert(observer, seen);
            continue;
        }
        let Some(known) = before.get(&observer) else { continue };
        for (layer, what) in worse(known, seen, &sample.region) {
            if told.insert((layer, what.clone())) {
                layers.push(LayerActed { layer, what, after: sample.at - injected });
            }
        }
    }
    layers
}

/// What is worse than it was, by layer.
fn worse(before: &Seen, now: &Seen, region: &str) -> Vec<(&'static str, String)> {
    match (before, now) {
        (Seen::Edge(before), Seen::Edge(now)) => {
            let both = now.iter().filter_map(|(region, now)| Some((region, before.get(region)?, now)));
            both.flat_map(|(region, before, now)| edge(region, before, now)).collect()
        }
        (Seen::Companion(before), Seen::Companion(now)) => companion(region, before, now),
        _ => Vec::new(),
    }
}

fn edge(region: &str, before: &EdgeView, now: &EdgeView) -> Vec<(&'static str, String)> {
    let mut worse = Vec::new();
    if before.breaker == 0 && now.breaker != 0 {
        worse.push(("edge", format!("the breaker of {region} opens")));
    }
    if before.healthy && !now.healthy {
        worse.push(("edge", format!("{region} is unhealthy to its probes")));
    }
    if now.share < before.share {
        worse.push(("edge", format!("{region} gets less than its share")));
    }
    worse
}

fn companion(region: &str, before: &CompanionView, now: &CompanionView) -> Vec<(&'static str, String)> {
    let mut worse = Vec::new();
    for component in now.down.iter().filter(|component| !before.down.contains(component)) {
        worse.push(("readiness", format!("{component} is down in {region}")));
    }
    if before.ready && !now.ready {
        worse.push(("readiness", format!("{region} is not ready")));
    }
    for node in now.unreachable.iter().filter(|node| !before.unreachable.contains(node)) {
        worse.push(("database", format!("{node} is unreachable")));
    }
    match (&before.writer, &now.writer) {
        (Some(before), Some(now)) if before != now => {
            worse.push(("database", format!("the writer moves from {before} to {now}")));
        }
        (Some(before), None) => worse.push(("database", format!("{before} is the writer no more"))),
        _ => {}
    }
    for (region, share) in &now.dns {
        if before.dns.get(region).is_some_and(|before| share < before) {
            worse.push(("dns", format!("{region} gets less than its share of the answers")));
        }
    }
    worse
}
