//! `list`, `show` and `check`: what experiments there are.

use super::source::{self, Source};
use anyhow::{Context, Result};
use evenkeel_chaos::experiment::{Every, Experiment};
use evenkeel_chaos::target::Target;
use evenkeel_chaos::{catalog, selection};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct ListOptions {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub struct ShowOptions {
    /// A name of `evenkeel chaos list`
    name: String,
}

#[derive(Debug, clap::Args)]
pub struct CheckOptions {
    /// The experiment: a file, or a name of `evenkeel chaos list`
    file: String,
    /// What it is to run against; then each step must meet somebody there
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
}

/// `evenkeel chaos list`.
pub fn list(options: &ListOptions) -> Result<ExitCode> {
    let all: Vec<(&str, Experiment)> = catalog::ALL
        .iter()
        .map(|entry| Ok((entry.name, entry.experiment().with_context(|| entry.name)?)))
        .collect::<Result<_>>()?;
    if options.json {
        let all: Vec<Value> = all
            .iter()
            .map(|(name, experiment)| {
                json!({
                    "name": name, "title": experiment.title, "description": experiment.description,
                    "kind": experiment.kind, "tags": experiment.tags, "criteria": experiment.criteria,
                    "schedule": experiment.schedule,
                })
            })
            .collect();
        crate::print(&(serde_json::to_string_pretty(&all)? + "\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("{:<25}{:<28}{:>9}  {}\n", "EXPERIMENT", "DUE (UTC)", "TAKES", "WHAT IS DONE");
    for (name, experiment) in &all {
        let takes = evenkeel_chaos::plan::length(experiment).as_secs().div_ceil(60);
        let _ = writeln!(text, "{name:<25}{:<28}{:>5} min  {}", due(experiment), takes, experiment.title);
    }
    text.push_str("\nRun one: evenkeel chaos run NAME --target compose/target.yaml\n");
    crate::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `1st Monday of a month, 02:00`.
fn due(experiment: &Experiment) -> String {
    let Some(schedule) = &experiment.schedule else { return "by hand".to_owned() };
    let which = match schedule.monday {
        1 => "1st",
        2 => "2nd",
        3 => "3rd",
        _ => "4th",
    };
    let every = match schedule.every {
        Every::Month => "month",
        Every::Quarter => "quarter",
    };
    format!("{which} Monday, {every}ly, {}", schedule.at)
}

/// `evenkeel chaos show NAME`.
pub fn show(options: &ShowOptions) -> Result<ExitCode> {
    crate::print(&source::find(&options.name)?.text)?;
    Ok(ExitCode::SUCCESS)
}

/// `evenkeel chaos check FILE`.
pub fn check(options: &CheckOptions) -> Result<ExitCode> {
    let fault = |error: anyhow::Error| {
        eprintln!("{error:#}");
        Ok(ExitCode::FAILURE)
    };
    let Source { name, experiment, .. } = match source::find(&options.file) {
        Ok(source) => source,
        Err(error) => return fault(error),
    };
    let Some(path) = &options.target else {
        println!("{name}: sound; whether it fits a target: --target FILE");
        return Ok(ExitCode::SUCCESS);
    };
    let target = match Target::load(path) {
        Ok(target) => target,
        Err(error) => return fault(error),
    };
    match selection::check(&target, &experiment) {
        Ok(()) => {
            println!("{name}: sound, and fits {}", target.name);
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            fault(anyhow::Error::new(errors).context(format!("{name} does not fit {}", target.name)))
        }
    }
}
