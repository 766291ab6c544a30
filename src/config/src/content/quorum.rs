//! What `quorum` may say, and whether the votes can settle anything.

use super::companion::check_url;
use super::quoted;
use crate::File;
use crate::dns::{Etcd, Quorum};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::time::Millis;

/// Notes all faults.
pub(super) fn check(quorum: &Quorum, errors: &mut ConfigErrors) {
    let Quorum { witness, etcd, anchors: _ } = quorum;
    if let Some(listen) = witness.as_ref().and_then(|witness| witness.listen.as_ref())
        && listen.ip().is_none()
    {
        errors.add("quorum.witness.listen", listen, "listen on an IP address, like \"0.0.0.0:9902\"");
    }
    if let Some(etcd) = etcd {
        check_etcd(etcd, errors);
    }
}

fn check_etcd(etcd: &Etcd, errors: &mut ConfigErrors) {
    let Etcd { endpoints, prefix, lease, user, password_file, ca } = etcd;
    if endpoints.is_empty() {
        errors.add("quorum.etcd.endpoints", "[]", "give at least one, like [\"http://10.3.0.5:2379\"]");
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let at = format!("quorum.etcd.endpoints[{index}]");
        let host = endpoint.split_once("://").map_or("", |(_, rest)| rest);
        if host.trim_end_matches('/').contains(['/', '?', '#']) && !host.contains('@') {
            errors.add(at, "", "ends with the port, like http://10.3.0.5:2379: the path is always the same");
            continue;
        }
        check_url(endpoint, &["http", "https"], "http://10.3.0.5:2379", &at, errors);
    }
    if !prefix.starts_with('/') || prefix.ends_with('/') || prefix.chars().any(char::is_control) {
        let remedy = "begin with / and end without one, like \"/evenkeel\"";
        errors.add("quorum.etcd.prefix", quoted(prefix), remedy);
    }
    if !(Millis::from_secs(2)..=Millis::from_secs(60)).contains(lease) {
        errors.add("quorum.etcd.lease", lease, "2s to 60s");
    } else if !lease.get().is_multiple_of(1000) {
        errors.add("quorum.etcd.lease", lease, "use whole seconds: etcd counts them");
    }
    match (user.as_deref(), password_file) {
        (Some(""), _) => errors.add("quorum.etcd.user", "\"\"", "give a name, or drop it"),
        (Some(user), None) => {
            errors.add("quorum.etcd.user", quoted(user), "give password_file too, or drop it");
        }
        (None, Some(path)) => {
            errors.add("quorum.etcd.password_file", path.display(), "give user too, or drop it");
        }
        _ => {}
    }
    for (field, path) in [("password_file", password_file), ("ca", ca)] {
        if path.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            errors.add(format!("quorum.etcd.{field}"), "\"\"", "give a path");
        }
    }
}

/// What is allowed but probably not meant.
pub(super) fn warnings(file: &File, warnings: &mut Vec<String>) {
    let Quorum { witness, etcd, anchors } = &file.quorum;
    let any = witness.is_some() || etcd.is_some() || !anchors.is_empty();
    if file.dns.is_none() {
        if any {
            warnings.push("quorum: not used: votes decide what DNS answers, and there is no dns".to_owned());
        }
        return;
    }
    let votes = file.regions.len() + usize::from(witness.is_some() || etcd.is_some());
    let alone = votes == 2 && file.regions.len() == 2;
    if alone && anchors.is_empty() {
        warnings.push(
            "quorum: two votes only, and neither outvotes the other: a dead region stays in the answers. Give \
             quorum.witness or quorum.etcd in a third place, or quorum.anchors at least"
                .to_owned(),
        );
    } else if alone {
        warnings.push(
            "quorum: two votes only: who hears no peer and reaches an anchor decides alone, so two that are cut \
             off from each other alone answer differently. Give quorum.witness or quorum.etcd in a third place"
                .to_owned(),
        );
    } else if votes != 2 && !anchors.is_empty() {
        warnings.push(format!(
            "quorum.anchors: never asked: of {votes} votes the majority decides, anchors count with two alone"
        ));
    }
    let silent: Vec<&str> = file
        .regions
        .iter()
        .filter(|region| region.companion.address.is_none())
        .map(|region| region.name.as_str())
        .collect();
    if votes > 1 && etcd.is_none() && !silent.is_empty() {
        warnings.push(format!(
            "regions[].companion.address: not set for {}: nobody can ask for that vote, and it counts as missing",
            silent.join(", ")
        ));
    }
}
