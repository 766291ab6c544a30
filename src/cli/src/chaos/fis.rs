//! `fis`: an experiment as a template of AWS Fault Injection Service.

use super::source;
use anyhow::{Result, anyhow};
use evenkeel_chaos::fis;
use std::process::ExitCode;

/// Writes the input of `aws fis create-experiment-template`. Not run on AWS by Evenkeel's tests.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A name of `evenkeel chaos list`, or a file
    experiment: String,
}

/// `evenkeel chaos fis NAME`.
pub fn run(options: &Options) -> Result<ExitCode> {
    let found = source::find(&options.experiment)?;
    let template = fis::template(&found.name, &found.experiment).map_err(|error| anyhow!(error))?;
    eprintln!("{}", fis::NOT_RUN);
    crate::print(&(serde_json::to_string_pretty(&template)? + "\n"))?;
    Ok(ExitCode::SUCCESS)
}
