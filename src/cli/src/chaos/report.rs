//! `report`: pages from journals, again or for the first time.

use anyhow::{Context, Result};
use evenkeel_chaos::report::{Promise, index, page_of, read};
use evenkeel_chaos::{measure, runner, verdict};
use evenkeel_config::{Plan, Slo};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes report.html of each run named (of all, if none is), and index.html over all runs.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Runs, by the names of their folders
    runs: Vec<String>,
    /// Where the runs are kept
    #[arg(long, value_name = "DIR", default_value = "chaos-out")]
    out: PathBuf,
    /// The topology file: its slo is what availability is held against, its business what an outage costs
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
}

/// `evenkeel chaos report`. 1: a journal could not be read.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut failed = false;
    for run in chosen(options)? {
        let folder = runner::folder(&options.out, &run);
        match read(&folder.join("journal.json")) {
            Ok(journal) => {
                let figures = measure::figures(&journal);
                let outcome = verdict::judge(&journal, &figures);
                let page = folder.join("report.html");
                std::fs::write(&page, page_of(&journal, &figures, &outcome))
                    .with_context(|| format!("{}: cannot be written", page.display()))?;
                println!("{}", page.display());
            }
            Err(unreadable) => {
                failed = true;
                eprintln!("{}: {}", unreadable.path.display(), unreadable.error);
            }
        }
    }
    println!("{}", write_index(&options.out, options.topology.as_deref())?.display());
    Ok(ExitCode::from(u8::from(failed)))
}

/// Writes the page over all runs, and says where it is.
pub fn write_index(out: &Path, topology: Option<&Path>) -> Result<PathBuf> {
    let mut promise = Promise { availability: Slo::default().availability, business: None };
    if let Some(path) = topology {
        let plan = Plan::load_anywhere(path);
        let plan = plan.map_err(|problems| anyhow::anyhow!("--topology {}: {problems}", path.display()))?;
        promise = Promise { availability: plan.file.slo.availability, business: plan.file.business };
    }
    let index = index(out, &promise).with_context(|| format!("--out {}: cannot be read", out.display()))?;
    let path = out.join("index.html");
    std::fs::write(&path, index.html).with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(path)
}

fn chosen(options: &Options) -> Result<Vec<String>> {
    if !options.runs.is_empty() {
        return Ok(options.runs.clone());
    }
    let out = options.out.display();
    let entries = std::fs::read_dir(&options.out)
        .with_context(|| format!("--out {out}: there are no runs: begin with evenkeel chaos run"))?;
    let mut runs: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("journal.json").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    runs.sort();
    Ok(runs)
}
