//! What a topology file may say beyond the plugin configuration, whose checks are `evenkeel-policy`'s.

mod companion;
mod database;
mod dns;
mod quorum;

use crate::{Edge, File, HostPort, Region, Tls, Zone};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::region::RegionName;
use std::collections::HashMap;

/// Notes all faults of content.
pub(crate) fn check(file: &File, errors: &mut ConfigErrors) {
    if let Err(remedy) = RegionName::try_new(&file.service) {
        errors.add("service", quoted(&file.service), remedy);
    }
    for (index, region) in file.regions.iter().enumerate() {
        check_region(file, region, &format!("regions[{index}]"), errors);
    }
    check_clusters(file, errors);
    check_edge(&file.edge, errors);
    companion::check(file, errors);
    database::check(file, errors);
    dns::check(file, errors);
    crate::slo::check(&file.slo, errors);
    if let Some(business) = &file.business {
        crate::business::check(business, errors);
    }
    quorum::check(file, errors);
}

fn check_region(file: &File, region: &Region, at: &str, errors: &mut ConfigErrors) {
    if region.address.is_some() && !region.addresses.is_empty() {
        errors.add(format!("{at}.addresses"), "", "give either address or addresses");
    }
    if region.edge && file.is_local(region) {
        errors.add(
            format!("{at}.edge"),
            "true",
            format!(
                "region {} would call its own edge: give its application as address and its edge as edge_address",
                region.name
            ),
        );
    }
    let target = region.edge_address.as_ref().or(region.address.as_ref()).or(region.addresses.first());
    check_tls(region.tls.as_ref(), target, &format!("{at}.tls"), errors);
    if region.readiness.tls.is_some() && region.readiness.address.is_none() {
        errors.add(format!("{at}.readiness.tls"), "", "give readiness.address too, or drop it");
    }
    check_tls(
        region.readiness.tls.as_ref(),
        region.readiness.address.as_ref(),
        &format!("{at}.readiness.tls"),
        errors,
    );
}

/// Without a name to verify, any certificate of a trusted authority would do.
fn check_tls(tls: Option<&Tls>, target: Option<&HostPort>, at: &str, errors: &mut ConfigErrors) {
    let Some(tls) = tls else { return };
    match (&tls.sni, target.and_then(HostPort::ip)) {
        (Some(sni), _) if sni.is_empty() => {
            errors.add(format!("{at}.sni"), "\"\"", "name the server, like \"api.example.com\"");
        }
        (None, Some(ip)) => {
            errors.add(
                format!("{at}.sni"),
                "",
                format!("name the server: the address is {ip}, which has no name"),
            );
        }
        _ => {}
    }
}

/// Every cluster that is rendered needs a name of its own.
fn check_clusters(file: &File, errors: &mut ConfigErrors) {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut claim = |name: String, field: String| {
        if let Some(first) = names.get(&name) {
            errors.add(
                &field,
                quoted(&name),
                format!("{first} has this cluster already: choose another name"),
            );
        } else {
            names.insert(name, field);
        }
    };
    for (index, region) in file.regions.iter().enumerate() {
        claim(region.cluster().to_owned(), format!("regions[{index}].cluster"));
        if region.readiness.address.is_some() {
            claim(region.readiness_cluster(), format!("regions[{index}].readiness.address"));
        }
    }
    if let Some(companion) = &file.companion {
        claim(companion.cluster.clone(), "companion.cluster".to_owned());
    }
}

fn check_edge(edge: &Edge, errors: &mut ConfigErrors) {
    for (field, address) in [("edge.listen", &edge.listen), ("edge.admin", &edge.admin)] {
        if address.ip().is_none() {
            errors.add(field, address, "listen on an IP address, like \"0.0.0.0:8080\"");
        }
    }
    if edge.listen == edge.admin {
        errors.add("edge.admin", &edge.admin, "choose another port than edge.listen");
    }
    let spans = [
        ("edge.connect_timeout", edge.connect_timeout),
        ("edge.per_try_timeout", edge.per_try_timeout),
        ("edge.request_timeout", edge.request_timeout),
        ("edge.idle_timeout", edge.idle_timeout),
    ];
    for (field, span) in spans {
        if span.get() == 0 {
            errors.add(field, span, "give a time above 0: without it a hanging region is never left");
        }
    }
    if edge.connect_timeout > edge.per_try_timeout {
        let remedy = format!("at most edge.per_try_timeout ({})", edge.per_try_timeout);
        errors.add("edge.connect_timeout", edge.connect_timeout, remedy);
    }
    if edge.per_try_timeout > edge.request_timeout {
        let remedy = format!("at most edge.request_timeout ({})", edge.request_timeout);
        errors.add("edge.per_try_timeout", edge.per_try_timeout, remedy);
    }
    let limits = [
        ("edge.max_connections", edge.max_connections),
        ("edge.max_pending_requests", edge.max_pending_requests),
        ("edge.max_requests", edge.max_requests),
        ("edge.max_retries", edge.max_retries),
    ];
    for (field, limit) in limits {
        if limit == 0 {
            errors.add(field, limit, "at least 1: 0 lets nothing through");
        }
    }
    // Envoy itself takes no more than 255.
    if edge.trusted_hops > 255 {
        errors.add("edge.trusted_hops", edge.trusted_hops, "0 to 255");
    }
    let paths = [
        ("edge.module", Some(&edge.module)),
        ("edge.geoip.database", edge.geoip.as_ref().map(|g| &g.database)),
        ("edge.ecds.path", edge.ecds.as_ref().map(|e| &e.path)),
    ];
    for (field, path) in paths {
        if path.is_some_and(|path| path.as_os_str().is_empty()) {
            errors.add(field, "\"\"", "give a path on the edge's machine");
        }
    }
}

/// What is allowed but probably not meant, beyond the plugin configuration.
pub(crate) fn warnings(file: &File, zone: Option<&Zone>) -> Vec<String> {
    let mut warnings = Vec::new();
    let edge = &file.edge;
    let loopback = edge.admin.ip().is_some_and(|ip| ip.is_loopback());
    if !loopback {
        warnings.push(format!(
            "edge.admin: {} can be reached from outside, and whoever reaches it can stop this edge: use 127.0.0.1",
            edge.admin
        ));
    }
    if edge.per_try_timeout.get().saturating_mul(2) > edge.request_timeout.get() {
        warnings.push(format!(
            "edge.request_timeout: {} leaves a retry less than edge.per_try_timeout ({})",
            edge.request_timeout, edge.per_try_timeout
        ));
    }
    for (index, region) in file.regions.iter().enumerate() {
        if region.address.is_none() && region.addresses.is_empty() {
            warnings.push(format!("regions[{index}].address: not set, and render envoy needs it"));
        }
        if file.leads_to_an_edge(region) && region.readiness.address.is_none() {
            warnings.push(format!(
                "regions[{index}].readiness.address: not set, so region {} is probed through its own edge, which \
                 may answer from another region: name its companion or its application",
                region.name
            ));
        }
    }
    companion::warnings(file, &mut warnings);
    database::warnings(file, &mut warnings);
    dns::warnings(file, zone, &mut warnings);
    quorum::warnings(file, &mut warnings);
    warnings
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
