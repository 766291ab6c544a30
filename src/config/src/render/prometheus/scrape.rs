//! What Prometheus scrapes.

use super::{COMPANIONS, EDGES, NODES, WITNESS, yaml};
use crate::{File, HostPort, Plan, Region};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where node_exporter listens unless told otherwise.
const NODE_EXPORTER: u16 = 9100;

pub(super) fn write(plan: &Plan, alertmanager: &str) -> String {
    let file = &plan.file;
    let mut jobs = vec![job(EDGES, "/stats/prometheus", targets(file, |_| &file.edge.admin, at_the_edge))];
    if let Some(companion) = &file.companion {
        let admin =
            |region: &Region| region.companion.admin.clone().unwrap_or_else(|| companion.admin.clone());
        let admins: Vec<HostPort> = file.regions.iter().map(admin).collect();
        let of = |region: &Region| {
            let place = file.regions.iter().position(|known| known.name == region.name);
            place.and_then(|place| admins.get(place)).unwrap_or(&companion.admin)
        };
        let mut companions = job(COMPANIONS, "/metrics", targets(file, of, at_the_companion));
        if let Some(token) = &companion.token_file
            && admins.iter().any(|admin| !is_loopback(admin))
        {
            companions["authorization"] = json!({"credentials_file": token});
        }
        jobs.push(companions);
    }
    if let Some(witness) = &file.quorum.witness {
        jobs.push(job(WITNESS, "/metrics", vec![json!({"targets": [witness.address.to_string()]})]));
    }
    if let Some(database) = &file.database {
        let exporters = database.nodes.iter().map(|node| {
            let exporter = HostPort::known(node.address.host(), NODE_EXPORTER);
            json!({
                "targets": [exporter.to_string()],
                "labels": {"region": node.region, "node": node.name},
            })
        });
        jobs.push(job(NODES, "/metrics", exporters.collect()));
    }
    let value = json!({
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": jobs,
    });
    let comment = format!(
        "Prometheus of {}: its edges, companions, witness and the machines of its database.\n\
         An admin interface on loopback is reached from its own machine alone: run a Prometheus there. Whoever\n\
         reaches Envoy's can stop it: open it to nobody but Prometheus.\n\
         Paths are relative to this file.\n\
         Written by `evenkeel render prometheus --part config`; change the topology file instead.",
        file.service
    );
    yaml::document(&comment, &value)
}

fn job(name: &str, path: &str, targets: Vec<Value>) -> Value {
    json!({
        "job_name": name,
        "metrics_path": path,
        // Our metrics have a region of their own: the one they speak of, wherever they were measured.
        "honor_labels": true,
        "static_configs": targets,
    })
}

/// One target for each region, where its admin interface is reached; regions that share one address (on
/// one machine) are one target, of the local region if it is among them.
fn targets<'a>(
    file: &'a File,
    admin: impl Fn(&'a Region) -> &'a HostPort,
    known: impl Fn(&'a Region) -> Option<&'a HostPort>,
) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut regions: Vec<&Region> = file.regions.iter().collect();
    regions.sort_by_key(|region| !file.is_local(region));
    let targets = regions.into_iter().filter_map(|region| {
        let target = reached(known(region), admin(region)).to_string();
        seen.insert(target.clone()).then(|| json!({"targets": [target], "labels": {"region": region.name}}))
    });
    targets.collect()
}

/// The admin interface as others reach it: one that listens on every address is reached by the host that
/// its region is known by.
fn reached(known: Option<&HostPort>, admin: &HostPort) -> HostPort {
    let everywhere = admin.ip().is_some_and(|ip| ip.is_unspecified());
    match known {
        Some(known) if everywhere => HostPort::known(known.host(), admin.port()),
        _ => admin.clone(),
    }
}

/// Where a region's edge is; where the file does not say, its companion is taken to be on the same machine.
fn at_the_edge(region: &Region) -> Option<&HostPort> {
    region.edge_address.as_ref().or(region.companion.address.as_ref()).or(region.address.as_ref())
}

fn at_the_companion(region: &Region) -> Option<&HostPort> {
    region.companion.address.as_ref().or(region.edge_address.as_ref()).or(region.address.as_ref())
}

fn is_loopback(admin: &HostPort) -> bool {
    admin.ip().is_some_and(|ip| ip.is_loopback())
}
