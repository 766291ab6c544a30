//! From a target file to a [`Target`]: variables filled in, paths made whole, and what is wrong with it.

use super::{Body, Target};
use crate::target::Role;
use anyhow::{Context, Result, bail};
use evenkeel_config::Document;
use evenkeel_policy::error::ConfigErrors;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

impl Target {
    /// Reads and checks a target file. `${NAME:-default}` stands for a variable of the environment, as in
    /// Compose files.
    ///
    /// # Errors
    /// Everything that is wrong with it: field, value and remedy.
    pub fn load(path: &Path) -> Result<Target> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        // What is kept for whoever heals later must not depend on where one stands then.
        let whole = std::path::absolute(path)?;
        let folder = whole.parent().unwrap_or(Path::new("/"));
        Target::read(&text, folder, |name| std::env::var(name).ok())
            .with_context(|| path.display().to_string())
    }

    /// The same from memory. Relative paths count from `folder`.
    ///
    /// # Errors
    /// As [`Target::load`].
    pub fn read(text: &str, folder: &Path, variable: impl Fn(&str) -> Option<String>) -> Result<Target> {
        let text = filled_in(text, variable)?;
        let remedy = "begin with \"name:\", \"topology:\" and \"clients:\"";
        let document = Document::<Target>::read(text.as_bytes(), "the target", remedy)?;
        let mut errors = ConfigErrors::default();
        check(&document.value, &mut errors);
        if !errors.0.is_empty() {
            return Err(document.problems(errors).into());
        }
        let mut target = document.value;
        let whole = |path: &mut PathBuf| *path = folder.join(&path);
        whole(&mut target.topology);
        target.token_file.iter_mut().for_each(whole);
        for part in &mut target.parts {
            if let Body::Process(process) = &mut part.body {
                whole(&mut process.pid_file);
                process.log.iter_mut().for_each(whole);
            }
        }
        Ok(target)
    }

    /// All regions that something of it stands in, in the order of the file.
    pub fn regions(&self) -> Vec<&str> {
        let clients = self.clients.iter().map(|client| client.region.as_str());
        let parts = self.parts.iter().filter_map(|part| part.region.as_deref());
        let mut regions: Vec<&str> = Vec::new();
        for region in clients.chain(parts) {
            if !regions.contains(&region) {
                regions.push(region);
            }
        }
        regions
    }
}

/// Puts variables in place of `${NAME}` and `${NAME:-default}`.
fn filled_in(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        whole.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            bail!("${{: is not closed: write ${{NAME}} or ${{NAME:-default}}");
        };
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (inside, None),
        };
        match variable(name).filter(|value| !value.is_empty()).or(default) {
            // A value with a line of its own could be another field.
            Some(value) if !value.contains(['\n', '\r']) => whole.push_str(&value),
            Some(_) => bail!("${{{name}}}: has more than one line: set the variable {name} to one line"),
            None => bail!("${{{name}}}: is not set: set the variable {name}, or write ${{{name}:-default}}"),
        }
        rest = after;
    }
    whole.push_str(rest);
    Ok(whole)
}

fn check(target: &Target, errors: &mut ConfigErrors) {
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !word(&target.name) {
        errors.add(
            "name",
            format!("{:?}", target.name),
            "use lower-case letters, digits and hyphens: it is part of file names",
        );
    }
    if target.clients.is_empty() {
        errors.add("clients", "", "give at least one: without clients nothing is measured");
    }
    if target.parts.is_empty() {
        errors.add("parts", "", "give at least one: without parts nothing can be struck");
    }
    unique(target.parts.iter().map(|part| part.name.as_str()), "parts", errors);
    unique(target.links.iter().map(|link| link.name.as_str()), "links", errors);
    unique(target.clients.iter().map(|client| client.region.as_str()), "clients", errors);
    let nobody = "${COMPOSE_PROJECT_NAME:-evenkeel}";
    let contained = target.parts.iter().any(|part| part.service().is_some())
        || target.audit.iter().any(|node| node.container.is_some())
        || target.profile_from.is_some();
    if contained && target.compose_project.is_none() {
        let remedy = format!("is missing: parts are containers of a Compose project, like {nobody}");
        errors.add("compose-project", "", remedy);
    }
    for (index, part) in target.parts.iter().enumerate() {
        if part.role == Role::Database && part.node.is_none() {
            errors.add(
                format!("parts[{index}].node"),
                "",
                "is missing: say which node of the topology this database is",
            );
        }
        match &part.body {
            Body::Process(process) if process.start.is_empty() => {
                errors.add(format!("parts[{index}].process.start"), "[]", "give program and arguments");
            }
            _ => {}
        }
    }
    if !target.audit.is_empty() && target.profile.is_none() && target.profile_from.is_none() {
        errors.add(
            "profile",
            "",
            "is missing: audit names database nodes, and which loss is allowed depends on it: give profile: \
             rpo0 or rpo1s, or profile-from: {container: SERVICE, variable: NAME}",
        );
    }
    for (index, node) in target.audit.iter().enumerate() {
        if node.psql.is_empty() {
            errors.add(format!("audit[{index}].psql"), "[]", "give program and arguments");
        }
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>, field: &str, errors: &mut ConfigErrors) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.enumerate() {
        if !seen.insert(name) {
            errors.add(
                format!("{field}[{index}]"),
                format!("{name:?}"),
                "is there already: use another name",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog, selection};

    const COMPOSE: &str = include_str!("../../../../compose/target.yaml");
    const PROFILE: &str = "profile-from: {container: taiwan-a, variable: PROFILE}\n";

    fn compose(variables: &[(&str, &str)]) -> Target {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Target::read(COMPOSE, Path::new("/compose"), variable).expect("it is sound")
    }

    #[test]
    fn every_experiment_of_the_catalogue_fits_the_compose_platform() {
        let target = compose(&[]);
        for entry in catalog::ALL {
            let experiment = entry.experiment().expect("it is sound");
            selection::check(&target, &experiment)
                .unwrap_or_else(|errors| panic!("{}: {errors}", entry.name));
        }
    }

    #[test]
    fn ports_are_composes_and_paths_count_from_the_file() {
        let target = compose(&[("TAIWAN_PORT", "28080")]);
        assert_eq!(target.clients[0].edge.to_string(), "127.0.0.1:28080");
        assert_eq!(target.clients[1].edge.to_string(), "127.0.0.1:18081");
        assert_eq!(target.topology, Path::new("/compose/evenkeel.yaml"));
        // The variable that the platform's own file publishes Prometheus by.
        let published = "\"127.0.0.1:${PROMETHEUS_PORT:-19090}:9090\"";
        assert!(include_str!("../../../../docker-compose.yml").contains(published));
        let alerts =
            |target: Target| target.alerts.map(|address| (address.host().to_owned(), address.port()));
        assert_eq!(alerts(target), Some(("127.0.0.1".to_owned(), 19_090)));
        let moved = compose(&[("PROMETHEUS_PORT", "29090")]);
        assert_eq!(alerts(moved), Some(("127.0.0.1".to_owned(), 29_090)));
    }

    #[test]
    fn every_part_is_a_service_and_every_service_of_a_region_is_a_part() {
        let file = include_str!("../../../../docker-compose.yml");
        let services =
            file.split_once("\nservices:\n").and_then(|(_, rest)| rest.split_once("\nnetworks:\n"));
        let name = |line: &'static str| {
            let (name, rest) = line.strip_prefix("  ")?.split_once(':')?;
            let is_key = !name.starts_with([' ', '#', '-']) && (rest.is_empty() || rest.starts_with(" &"));
            is_key.then_some(name)
        };
        let services: BTreeSet<&str> =
            services.expect("services and networks").0.lines().filter_map(name).collect();
        let target = compose(&[]);
        let parts: BTreeSet<&str> = target.parts.iter().filter_map(|part| part.service()).collect();
        assert_eq!(parts.difference(&services).collect::<Vec<_>>(), Vec::<&&str>::new());
        // What only watches a region is none of its parts.
        let watches = |name: &str| name.ends_with("-machine");
        let of_a_region =
            |name: &&&str| (name.starts_with("taiwan-") || name.starts_with("japan-")) && !watches(name);
        let missing: Vec<_> = services.difference(&parts).filter(of_a_region).collect();
        assert_eq!(missing, Vec::<&&str>::new());
    }

    #[test]
    fn a_target_without_an_audit_needs_no_profile() {
        let text = COMPOSE.replacen(PROFILE, "", 1);
        let (without, _) = text.split_once("audit:\n").expect("the platform's target has an audit");
        let target = Target::read(without, Path::new("."), |_| None).expect("nothing to lose");
        assert_eq!((target.profile, target.profile_from), (None, None));
        // Either of the two will do.
        let said = COMPOSE.replacen(PROFILE, "profile: rpo0\n", 1);
        Target::read(&said, Path::new("."), |_| None).expect("it says which");
    }

    #[test]
    fn faults_name_the_field_the_value_and_the_remedy() {
        for (good, bad, parts) in [
            ("name: compose", "name: Compose!", &["name", "\"Compose!\"", "lower-case"][..]),
            ("role: edge", "role: egde", &["parts[0].role", "egde", "companion"]),
            ("alerts: \"127.0.0.1:", "alerts: \"http://127.0.0.1:", &["alerts", "http://127.0.0.1:19090"]),
            ("role: edge", "role: edge, rolle: x", &["parts[0].rolle"]),
            ("compose-project:", "topology2:", &["topology2", "no such field"]),
            (
                "${TAIWAN_PORT:-18080}",
                "${TAIWAN_PORT}",
                &["${TAIWAN_PORT}: is not set", "TAIWAN_PORT:-default"],
            ),
            ("{name: japan-edge", "{name: taiwan-edge", &["parts", "\"taiwan-edge\"", "another name"]),
            (PROFILE, "", &["profile: is missing", "audit", "profile: rpo0 or rpo1s", "profile-from: "]),
        ] {
            assert!(COMPOSE.contains(good), "{good}");
            let error =
                Target::read(&COMPOSE.replacen(good, bad, 1), Path::new("."), |_| None).expect_err(bad);
            let error = format!("{error:#}");
            assert!(parts.iter().all(|part| error.contains(part)), "{bad}: {error}");
        }
    }
}
