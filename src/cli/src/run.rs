//! `evenkeel run`: the companion of one region, or the witness.

use evenkeel_companion::{Ended, log};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the companion of one region: readiness, database sessions, alerts, status page.
///
/// Reloads the topology file when it changes or at SIGHUP; a bad one changes nothing. SIGTERM and
/// SIGINT end it once sessions have come to rest, a second one at once. The variable EVENKEEL_LOG
/// chooses what is logged, like info or warn,evenkeel_database=debug.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The topology file.
    #[arg(default_value = "evenkeel.yaml")]
    file: PathBuf,
    /// The region it stands in; overrules the file's local_region.
    #[arg(long)]
    region: Option<String>,
    /// Runs the witness in place of a companion: a third voter on what DNS answers, in no region.
    #[arg(long, conflicts_with = "region")]
    witness: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Ends with 0 if everything came to rest, 1 if a second signal cut it short, 2 if it cannot begin.
pub fn run(options: Options) -> anyhow::Result<ExitCode> {
    let format = match options.log_format {
        LogFormat::Text => log::Format::Text,
        LogFormat::Json => log::Format::Json,
    };
    let Options { file, region, witness, .. } = options;
    let options = evenkeel_companion::Options { file, region, witness, format };
    Ok(match evenkeel_companion::run(&options)? {
        Ended::Calmly => ExitCode::SUCCESS,
        Ended::Forced => ExitCode::FAILURE,
    })
}
