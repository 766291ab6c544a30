//! Structured logs on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The variable that chooses what is logged, in `tracing`'s form: `info`, `debug`,
/// `warn,evenkeel_database=debug`.
pub const VARIABLE: &str = "EVENKEEL_LOG";

/// Begins to log. Default: `info` of Evenkeel's own crates, warnings of all others.
///
/// # Errors
/// If the variable cannot be understood, or logging has begun already.
pub fn begin(format: Format) -> anyhow::Result<()> {
    let filter = match std::env::var(VARIABLE) {
        Ok(text) if !text.trim().is_empty() => text.parse::<EnvFilter>().map_err(|error| {
            anyhow::anyhow!("{VARIABLE}={text:?} is not understood ({error}): use for example info or warn,evenkeel_database=debug")
        })?,
        // rskafka tells of every retry; what it means for readiness is told by readiness.
        _ => EnvFilter::new("warn,evenkeel=info,evenkeel_companion=info,evenkeel_database=info,rskafka=off"),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let begun = match format {
        Format::Text => builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    begun.map_err(|error| anyhow::anyhow!("logging cannot begin: {error}"))
}
