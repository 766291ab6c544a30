//! `evenkeel replay`: events from a file through the rules, in virtual time.
//!
//! One JSON event a line in, one JSON line out, as soon as it is known.

use crate::configuration;
use anyhow::Context;
use evenkeel_policy::replay::{Replay, ReplayError};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Plays events through the rules and prints, for each, what the regions then are.
///
/// Exit code 1: the configuration or an event is wrong; what came before it has been printed.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The plugin configuration (.json) or the topology file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The events, one JSON object a line; - reads standard input.
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// What the wall clock shows at 0, as RFC 3339 in UTC: it decides which of the configuration's
    /// own overrides are in force. Default: now.
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    start: Option<u64>,
    /// The region whose edge is meant; overrules the topology file's local_region.
    #[arg(long)]
    region: Option<String>,
}

/// The longest event. The longest sensible one fills a hundredth of it.
const LONGEST_LINE: u64 = 64 * 1024;

/// Reads, plays and prints line by line.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Some((topology, _)) = configuration::read(&options.config, options.region.as_deref()) else {
        return Ok(ExitCode::FAILURE);
    };
    let mut events = open(&options.events)?;
    let mut replay = Replay::new(topology, options.start.unwrap_or_else(unix_now));
    let mut out = BufWriter::new(io::stdout().lock());
    let played = play(&mut replay, &mut events, &mut out);
    match played.and_then(|()| out.flush().map_err(Stop::Output)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // A reader that has seen enough (`| head`) is no error.
        Err(Stop::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(Stop::Output(error)) => Err(error).context("standard output cannot be written"),
        Err(Stop::Input(error)) => {
            Err(error).with_context(|| format!("{} cannot be read", options.events.display()))
        }
        Err(Stop::Wrong(error)) => {
            out.flush().context("standard output cannot be written")?;
            eprintln!("{}", configuration::under(&options.events, &error.to_string()));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Why a replay did not reach the end of its events.
pub enum Stop {
    /// An event is wrong.
    Wrong(ReplayError),
    /// The events cannot be read.
    Input(io::Error),
    /// The result cannot be written.
    Output(io::Error),
}

/// Opens the events; `-` is standard input.
pub fn open(path: &Path) -> anyhow::Result<BufReader<Box<dyn Read>>> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("{} cannot be read", path.display()))?)
    };
    Ok(BufReader::new(source))
}

/// Plays the events to their end, writing a line for each.
pub fn play(
    replay: &mut Replay,
    events: &mut BufReader<Box<dyn Read>>,
    out: &mut impl Write,
) -> Result<(), Stop> {
    let mut line = Vec::new();
    loop {
        // Whoever sits at the other end of a pipe sees each answer before the next question.
        if events.buffer().is_empty() {
            out.flush().map_err(Stop::Output)?;
        }
        line.clear();
        let length = events.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(Stop::Input)?;
        if length == 0 {
            return Ok(());
        }
        // A line cut off here is no JSON, and says so by its number.
        if let Some(answer) = replay.raw_line(&line).map_err(Stop::Wrong)? {
            writeln!(out, "{answer}").map_err(Stop::Output)?;
        }
    }
}

/// What the wall clock shows, in milliseconds since 1970 UTC.
pub fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}

/// A wall-clock time in milliseconds since 1970 UTC.
pub fn rfc3339(text: &str) -> Result<u64, String> {
    humantime::parse_rfc3339(text)
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .ok_or_else(|| "use RFC 3339 in UTC, like 2026-01-31T18:00:00Z".to_owned())
}
