//! What `database` may say.

use super::quoted;
use crate::database::{Consistency, Database, Engine, Listener, Mode, Node, Pool, Probe};
use crate::{File, HostPort};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::region::RegionName;
use std::collections::{HashMap, HashSet};

/// The most nodes one database may have, as there may be 32 regions.
const MAX_NODES: usize = 32;

/// Notes all faults.
pub(super) fn check(file: &File, errors: &mut ConfigErrors) {
    let Some(database) = &file.database else {
        let own = file.regions.iter().position(|region| region.companion.listeners.is_some());
        if let Some(index) = own {
            let at = format!("regions[{index}].companion.listeners");
            errors.add(at, "", "give database too: there is nothing that these could lead to");
        }
        return;
    };
    check_nodes(file, database, errors);
    let login = &database.login;
    for (field, text) in [("database.login.user", &login.user), ("database.login.database", &login.database)]
    {
        if text.is_empty() {
            errors.add(field, "\"\"", "give a name");
        }
    }
    check_probe(&database.probe, errors);
    check_pool(&database.pool, errors);
    check_listeners(&database.listeners, "database.listeners", errors);
    for (index, region) in file.regions.iter().enumerate() {
        let own = region.companion.listeners.as_deref().unwrap_or_default();
        check_listeners(own, &format!("regions[{index}].companion.listeners"), errors);
    }
    check_rest(file, database, errors);
}

fn check_nodes(file: &File, database: &Database, errors: &mut ConfigErrors) {
    let nodes = &database.nodes;
    if !(1..=MAX_NODES).contains(&nodes.len()) {
        errors.add("database.nodes", format!("{} nodes", nodes.len()), "give 1 to 32");
    }
    let (mut names, mut addresses) = (HashMap::new(), HashMap::new());
    for (index, node) in nodes.iter().enumerate() {
        let at = format!("database.nodes[{index}]");
        let Node { name, region, address, patroni } = node;
        if let Err(remedy) = RegionName::try_new(name) {
            errors.add(format!("{at}.name"), quoted(name), remedy);
        }
        if let Some(first) = names.insert(name, index) {
            let remedy = format!("database.nodes[{first}] has this name already: choose another");
            errors.add(format!("{at}.name"), quoted(name), remedy);
        }
        if let Some(first) = addresses.insert(address.to_string(), index) {
            // One server under two names would be two writers on one timeline.
            let remedy = format!("database.nodes[{first}] is this server already: list it once");
            errors.add(format!("{at}.address"), address, remedy);
        }
        if !file.regions.iter().any(|known| known.name == *region) {
            let known: Vec<&str> = file.regions.iter().map(|region| region.name.as_str()).collect();
            errors.add(format!("{at}.region"), quoted(region), format!("use one of: {}", known.join(", ")));
        }
        if let (Some(patroni), true) = (patroni, database.engine != Engine::Patroni) {
            errors.add(format!("{at}.patroni"), patroni, "give database.engine: patroni too, or drop it");
        }
    }
}

fn check_probe(probe: &Probe, errors: &mut ConfigErrors) {
    let spans = [("interval", probe.interval), ("interval_without_writer", probe.interval_without_writer)];
    for (field, span) in spans {
        // A node that is probed more often does little else.
        if span.get() < 10 {
            errors.add(format!("database.probe.{field}"), span, "at least 10ms");
        }
    }
    if probe.interval_without_writer > probe.interval {
        let remedy = format!("at most database.probe.interval ({})", probe.interval);
        errors.add("database.probe.interval_without_writer", probe.interval_without_writer, remedy);
    }
    if probe.timeout.get() == 0 {
        errors.add("database.probe.timeout", probe.timeout, "give a time above 0");
    }
    for (field, count) in
        [("unhealthy_threshold", probe.unhealthy_threshold), ("healthy_threshold", probe.healthy_threshold)]
    {
        if !(1..=100).contains(&count) {
            errors.add(format!("database.probe.{field}"), count, "1 to 100");
        }
    }
}

fn check_pool(pool: &Pool, errors: &mut ConfigErrors) {
    if pool.max == 0 {
        errors.add("database.pool.max", pool.max, "at least 1: 0 lets nothing through");
    }
    for (field, span) in [
        ("connect_timeout", pool.connect_timeout),
        ("idle_timeout", pool.idle_timeout),
        ("lifetime", pool.lifetime),
    ] {
        if span.get() == 0 {
            errors.add(format!("database.pool.{field}"), span, "give a time above 0");
        }
    }
}

fn check_listeners(listeners: &[Listener], at: &str, errors: &mut ConfigErrors) {
    let mut names = HashSet::new();
    for (index, listener) in listeners.iter().enumerate() {
        let at = format!("{at}[{index}]");
        if let Err(remedy) = RegionName::try_new(listener.name()) {
            errors.add(format!("{at}.name"), quoted(listener.name()), remedy);
        }
        if !names.insert(listener.name()) {
            let remedy = "another listener has this name already: give each a name of its own";
            errors.add(format!("{at}.name"), quoted(listener.name()), remedy);
        }
        if listener.listen.ip().is_none() {
            let remedy = "listen on an IP address, like \"127.0.0.1:6432\"";
            errors.add(format!("{at}.listen"), &listener.listen, remedy);
        }
        if listener.mode != Mode::Auto && listener.consistency != Consistency::Session {
            let remedy = "it matters with mode: auto alone: drop it";
            errors.add(format!("{at}.consistency"), word(listener.consistency), remedy);
        }
        if listener.max_clients == 0 {
            errors.add(format!("{at}.max_clients"), 0, "at least 1: 0 lets nobody in");
        }
    }
}

fn check_rest(file: &File, database: &Database, errors: &mut ConfigErrors) {
    let own = |region: &crate::Region| region.companion.listeners.as_ref().is_some_and(|own| !own.is_empty());
    let listens = !database.listeners.is_empty() || file.regions.iter().any(own);
    match &database.credentials {
        None if listens => {
            errors.add("database.credentials", "", "name the file of client users: nobody could log in");
        }
        Some(path) if path.as_os_str().is_empty() => {
            errors.add("database.credentials", "\"\"", "give a path");
        }
        _ => {}
    }
    if database.max_replica_lag.get() == 0 {
        errors.add("database.max_replica_lag", database.max_replica_lag, "give a time above 0");
    }
    if database.max_replica_lag_bytes == Some(0) {
        errors.add("database.max_replica_lag_bytes", 0, "at least 1, or drop it");
    }
    let tls = database.server_tls.as_ref();
    let paths = [
        ("database.login.password_file", database.login.password_file.as_ref()),
        ("database.server_tls.certificate", tls.map(|tls| &tls.certificate)),
        ("database.server_tls.key", tls.map(|tls| &tls.key)),
        ("database.node_tls.ca", database.node_tls.as_ref().and_then(|tls| tls.ca.as_ref())),
    ];
    for (field, path) in paths {
        if path.is_some_and(|path| path.as_os_str().is_empty()) {
            errors.add(field, "\"\"", "give a path");
        }
    }
    // Without a name to verify, any certificate of a trusted authority would do.
    if let Some(tls) = &database.node_tls {
        if tls.server_name.as_deref() == Some("") {
            errors.add("database.node_tls.server_name", "\"\"", "name the server, like \"db.example.com\"");
        }
        let bare = database.nodes.iter().position(|node| node.address.ip().is_some());
        if let (Some(index), None) = (bare, &tls.server_name) {
            let remedy =
                format!("name the server: database.nodes[{index}].address is an IP, which has no name");
            errors.add("database.node_tls.server_name", "", remedy);
        }
    }
}

/// What is allowed but probably not meant.
pub(super) fn warnings(file: &File, warnings: &mut Vec<String>) {
    let Some(database) = &file.database else { return };
    let Pool { max, pinned_max, .. } = database.pool;
    if pinned_max >= max {
        warnings.push(format!(
            "database.pool.pinned_max: {pinned_max} sessions with state may keep all of the {max} connections \
             (database.pool.max), and others then wait: use less"
        ));
    }
    for (index, region) in file.regions.iter().enumerate() {
        if !database.nodes.iter().any(|node| node.region == region.name) {
            warnings.push(format!(
                "regions[{index}]: region {} has no database node of its own, so its readiness does not depend on one",
                region.name
            ));
        }
    }
}

/// The listeners of one region with the names of their fields.
pub(super) fn listeners_of(file: &File, region: usize) -> Vec<(String, &HostPort)> {
    let Some(database) = &file.database else { return Vec::new() };
    let own = file.regions.get(region).and_then(|region| region.companion.listeners.as_ref());
    let (listeners, at) = match own {
        Some(own) => (own, format!("regions[{region}].companion.listeners")),
        None => (&database.listeners, "database.listeners".to_owned()),
    };
    listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| (format!("{at}[{index}].listen"), &listener.listen))
        .collect()
}

fn word(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Session => "session",
        Consistency::Eventual => "eventual",
        Consistency::Global => "global",
        Consistency::Off => "off",
    }
}
