//! `evenkeel schema`: the topology file's JSON Schema, for editors.

use std::process::ExitCode;

/// Prints it.
pub fn run() -> anyhow::Result<ExitCode> {
    crate::print(&(serde_json::to_string_pretty(&evenkeel_config::schema())? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}
