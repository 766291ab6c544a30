//! `evenkeel check`: is this file right, and does Envoy have what it names?

use crate::configuration;
use anyhow::Context;
use evenkeel_config::{Clusters, missing_clusters};
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks a topology file (or a plugin configuration in JSON) and says all that is wrong with it.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The topology file, or the plugin configuration if its name ends in .json.
    #[arg(default_value = "evenkeel.yaml")]
    file: PathBuf,
    /// The region whose edge is meant; overrules the file's local_region.
    #[arg(long)]
    region: Option<String>,
    /// An Envoy bootstrap (YAML or JSON): finds clusters that are named but not defined in it.
    #[arg(long, value_name = "ENVOY_YAML")]
    envoy: Option<PathBuf>,
}

/// Prints one summary line with what deserves a second look, or every fault.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Some((topology, warnings)) = configuration::read(&options.file, options.region.as_deref()) else {
        return Ok(ExitCode::FAILURE);
    };
    if let Some(path) = &options.envoy {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let clusters = match Clusters::read(&bytes) {
            Ok(clusters) => clusters,
            Err(faults) => {
                eprintln!("{}", configuration::under(path, &faults.to_string()));
                return Ok(ExitCode::FAILURE);
            }
        };
        let missing = missing_clusters(&topology, &clusters);
        for (field, name) in &missing {
            eprintln!(
                "{}: {field}: \"{name}\": {} does not define this cluster",
                options.file.display(),
                path.display()
            );
        }
        if !missing.is_empty() {
            if clusters.may_grow() {
                eprintln!(
                    "{}: its control plane may add clusters that this file does not show",
                    path.display()
                );
            }
            return Ok(ExitCode::FAILURE);
        }
    }
    let regions: Vec<&str> = topology.regions.iter().map(|r| r.name.as_str()).collect();
    let many = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    println!(
        "{}: valid: {} ({}), {}",
        options.file.display(),
        many(regions.len(), "region"),
        regions.join(", "),
        many(warnings.len(), "warning")
    );
    for warning in warnings {
        println!("  warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
