//! The one command.

mod chaos;
mod check;
mod configuration;
mod db;
mod demo;
mod dns;
mod explain;
mod link;
mod render;
mod replay;
mod run;
mod schema;
mod text;

use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, about = "Keeps a multi-region service on an even keel")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a topology file, and whether Envoy has the clusters it names
    Check(check::Options),
    /// Print the topology file's JSON Schema
    Schema,
    /// Write what other systems load: Envoy's bootstrap, the plugin configuration, manifests
    Render(render::Options),
    /// Run the companion of one region: readiness, database sessions, alerts, status page
    Run(run::Options),
    /// Show the database nodes as a running companion sees them; pause, resume, drain one
    Db(db::Options),
    /// Say what DNS answers a client and why, and what it would answer with a region down
    Dns(dns::Options),
    /// Drain a region: its companion tells every edge to send its traffic elsewhere
    Drain(db::DrainOptions),
    /// End a region's drain
    Undrain(db::UndrainOptions),
    /// Carry connections between two places with a round trip of its own; slow it, cut it, heal it
    Link(link::Options),
    /// Run experiments: strike parts of a platform under load, undo it, measure RTO and RPO
    Chaos(chaos::Options),
    /// Kill and freeze a region under load, and see what clients notice
    Demo(demo::Options),
    /// One region of the demo
    #[command(hide = true)]
    DemoRegion(demo::region::Options),
    /// Play recorded or invented events through the rules, in virtual time
    Replay(replay::Options),
    /// Say where one request goes and why, what happens on failure, and when regions are back
    Explain(Box<explain::Options>),
}

/// Ends with 0 if all is well, 1 if a check or target is missed, 2 on an error.
fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Check(options) => check::run(&options),
        Command::Schema => schema::run(),
        Command::Render(options) => render::run(&options),
        Command::Run(options) => run::run(options),
        Command::Db(options) => db::run(&options),
        Command::Dns(options) => dns::run(&options),
        Command::Drain(options) => db::drain(&options),
        Command::Undrain(options) => db::undrain(&options),
        Command::Link(options) => link::run(&options),
        Command::Chaos(options) => chaos::run(&options),
        Command::Demo(options) => demo::run(options),
        Command::DemoRegion(options) => demo::region::run(options),
        Command::Replay(options) => replay::run(&options),
        Command::Explain(options) => explain::run(&options),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("evenkeel: {error:#}");
        ExitCode::from(2)
    })
}

/// Writes to standard output; a reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
