//! The configuration that a command works on: a plugin configuration or a topology file.

use evenkeel_config::Plan;
use evenkeel_policy::topology::Topology;
use std::path::Path;

/// Reads a plugin configuration if the name ends in `.json`, else a topology file, with what
/// deserves a second look. `region` overrules a topology file's `local_region`.
///
/// None if it has faults: each is told on a line of standard error that begins with the file's name.
pub fn read(path: &Path, region: Option<&str>) -> Option<(Topology, Vec<String>)> {
    faults_of(path, region).map_err(|faults| eprintln!("{}", under(path, &faults))).ok()
}

fn faults_of(path: &Path, region: Option<&str>) -> Result<(Topology, Vec<String>), String> {
    if path.extension().is_some_and(|extension| extension == "json") {
        let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let topology = Topology::from_json(&bytes).map_err(|errors| errors.to_string())?;
        let warnings = topology.warnings();
        return Ok((topology, warnings));
    }
    let plan = Plan::load(path, region).map_err(|problems| problems.to_string())?;
    let topology = Topology::from_settings(plan.settings).map_err(|errors| errors.to_string())?;
    Ok((topology, plan.warnings))
}

/// Each line of `text` after the file's name.
pub fn under(path: &Path, text: &str) -> String {
    text.lines().map(|line| format!("{}: {line}", path.display())).collect::<Vec<_>>().join("\n")
}
