//! `evenkeel dns explain`: one DNS answer, in words for whoever is on call.
//!
//! It asks a running companion, or the responder's own code with a topology file; nothing is decided
//! here.

mod offline;
mod words;

use crate::db::admin::{self, Admin};
use anyhow::{Context, Result};
use evenkeel_dns::Explanation;
use offline::Supposed;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// What DNS answers.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Say what a client would be answered, why, and how often each answer comes
    Explain(ExplainOptions),
}

/// Asks the companion at --admin for what it would answer right now; with --config it works the answer
/// out from the topology file, where everything is well but for what --down and its like suppose.
#[derive(Debug, clap::Args)]
struct ExplainOptions {
    /// The name, within the zone (api) or whole (api.example.com); @ is the zone itself.
    name: String,
    /// The client's address, or its resolver's.
    #[arg(long, value_name = "IP")]
    from: IpAddr,
    /// The type of records.
    #[arg(long = "type", value_name = "TYPE", default_value = "A")]
    kind: String,
    #[command(flatten)]
    admin: admin::Options,
    /// The topology file to work it out from, in place of asking a companion.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["admin", "token_file"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    supposed: Supposed,
    /// Prints JSON instead of words.
    #[arg(long)]
    json: bool,
}

/// `evenkeel dns …`.
pub fn run(options: &Options) -> Result<ExitCode> {
    let Command::Explain(options) = &options.command;
    let (explanation, state) = match &options.config {
        Some(file) => {
            match offline::explain(file, &options.supposed, &options.name, &options.kind, options.from)? {
                Some(found) => found,
                None => return Ok(ExitCode::FAILURE),
            }
        }
        None => ask(&Admin::new(&options.admin)?, options)?,
    };
    let text = if options.json {
        serde_json::to_string_pretty(&explanation)? + "\n"
    } else {
        words::text(&explanation, &state)
    };
    crate::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn ask(admin: &Admin, options: &ExplainOptions) -> Result<(Explanation, String)> {
    let ExplainOptions { name, kind, from, .. } = options;
    let path = format!(
        "/v1/dns/explain?name={}&type={}&from={}",
        encoded(name),
        encoded(kind),
        encoded(&from.to_string())
    );
    let body = admin.read(&path)?;
    let explanation = serde_json::from_str(&body)
        .with_context(|| format!("{admin} answered, but not as a companion of this version does"))?;
    Ok((explanation, format!("the companion at {admin}, now")))
}

/// As a part of a URL's query.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b':' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
