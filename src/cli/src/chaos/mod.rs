//! `evenkeel chaos …`: experiments, run and shown.

mod console;
mod run;
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
}

/// Ends with 0: passed; 1: a criterion was missed; 2: an error; 130: interrupted.
pub fn run(options: &Options) -> Result<ExitCode> {
    match &options.command {
        Command::List(options) => show::list(options),
        Command::Show(options) => show::show(options),
        Command::Check(options) => show::check(options),
        Command::Run(options) => run::run(options),
        Command::Abort(options) => run::abort(options),
    }
}
