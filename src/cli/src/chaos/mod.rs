//! `evenkeel chaos …`: experiments, run and shown.

mod console;
mod fis;
mod report;
mod run;
mod schedule;
mod show;
mod source;
mod target;

use anyhow::Result;
use std::process::ExitCode;

/// Faults on purpose, measured: what an experiment is, running it, undoing it, its report.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the experiments that come with Evenkeel, with their criteria and when they are due
    List(show::ListOptions),
    /// Print an experiment's file, to read or to begin one's own with
    Show(show::ShowOptions),
    /// Check an experiment file, and whether it fits a target
    Check(show::CheckOptions),
    /// Run an experiment: strike, measure, undo, judge
    Run(run::Options),
    /// Heal what an interrupted run left behind
    Abort(run::AbortOptions),
    /// Write the pages of runs, and the page over all of them
    Report(report::Options),
    /// Move a live region's traffic away for a while, by an operator's order, and judge how it went
    Drill(run::DrillOptions),
    /// Write an experiment as a template of AWS Fault Injection Service (not run on AWS)
    Fis(fis::Options),
    /// Write when experiments are due for cron, systemd or Kubernetes
    Schedule(schedule::Options),
}

/// Ends with 0: passed; 1: a criterion was missed; 2: an error; 130: interrupted.
pub fn run(options: &Options) -> Result<ExitCode> {
    match &options.command {
        Command::List(options) => show::list(options),
        Command::Show(options) => show::show(options),
        Command::Check(options) => show::check(options),
        Command::Run(options) => run::run(options),
        Command::Abort(options) => run::abort(options),
        Command::Report(options) => report::run(options),
        Command::Drill(options) => run::drill(options),
        Command::Fis(options) => fis::run(options),
        Command::Schedule(options) => schedule::run(options),
    }
}
