//! `evenkeel db` and `evenkeel drain`: orders to a running companion, and what it knows.

pub mod admin;
mod table;

use admin::Admin;
use anyhow::{Context, Result, bail};
use evenkeel_companion::status::Status;
use serde_json::json;
use std::process::ExitCode;

/// Database nodes as the companion sees them, and orders about them.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show every node: region, role, timeline, lag, connections
    Status {
        #[command(flatten)]
        admin: admin::Options,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Hold new statements and transactions on all listeners
    Pause {
        #[command(flatten)]
        admin: admin::Options,
    },
    /// Let them go on
    Resume {
        #[command(flatten)]
        admin: admin::Options,
    },
    /// Take a node out of use; its sessions move when they come to rest
    Drain {
        /// The node's name.
        node: String,
        /// It comes back by itself after this, like 10m. Default: it stays out until `undrain`.
        #[arg(long = "for", value_name = "SPAN")]
        span: Option<String>,
        #[command(flatten)]
        admin: admin::Options,
    },
    /// Give a node back
    Undrain {
        /// The node's name.
        node: String,
        #[command(flatten)]
        admin: admin::Options,
    },
}

/// Drains this companion's region: every edge sends its traffic elsewhere within one probe interval.
#[derive(Debug, clap::Args)]
pub struct DrainOptions {
    /// The region; the companion that is spoken to must be its own.
    region: String,
    /// How long, like 10m; it ends by itself. At most a day.
    #[arg(long = "for", value_name = "SPAN")]
    span: String,
    #[command(flatten)]
    admin: admin::Options,
}

/// Ends a region's drain.
#[derive(Debug, clap::Args)]
pub struct UndrainOptions {
    /// The region; the companion that is spoken to must be its own.
    region: String,
    #[command(flatten)]
    admin: admin::Options,
}

/// `evenkeel db …`. `status` ends with 1 if no writer is known or two claim to be it.
pub fn run(options: &Options) -> Result<ExitCode> {
    match &options.command {
        Command::Status { admin, json } => return status(&Admin::new(admin)?, *json),
        Command::Pause { admin } => {
            Admin::new(admin)?.order("/v1/db/pause", &json!({}))?;
            println!("paused: new statements wait until evenkeel db resume");
        }
        Command::Resume { admin } => {
            Admin::new(admin)?.order("/v1/db/resume", &json!({}))?;
            println!("resumed");
        }
        Command::Drain { node, span, admin } => {
            Admin::new(admin)?.order("/v1/db/drain", &json!({"node": node, "for": span}))?;
            match span {
                Some(span) => println!("{node}: drained for {span}"),
                None => println!("{node}: drained until evenkeel db undrain {node}"),
            }
        }
        Command::Undrain { node, admin } => {
            Admin::new(admin)?.order("/v1/db/undrain", &json!({"node": node}))?;
            println!("{node}: in use again");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `evenkeel drain REGION --for SPAN`.
pub fn drain(options: &DrainOptions) -> Result<ExitCode> {
    let order = json!({"region": options.region, "for": options.span});
    Admin::new(&options.admin)?.order("/v1/drain", &order)?;
    println!("{}: drained for {}; edges follow within one probe interval", options.region, options.span);
    Ok(ExitCode::SUCCESS)
}

/// `evenkeel undrain REGION`.
pub fn undrain(options: &UndrainOptions) -> Result<ExitCode> {
    let answer = Admin::new(&options.admin)?.order("/v1/undrain", &json!({"region": options.region}))?;
    let was = answer["was_drained"] == true;
    println!("{}: {}", options.region, if was { "no longer drained" } else { "was not drained" });
    Ok(ExitCode::SUCCESS)
}

fn status(admin: &Admin, as_json: bool) -> Result<ExitCode> {
    let body = admin.read("/v1/status")?;
    let status: Status = serde_json::from_str(&body)
        .with_context(|| format!("{admin} answered, but not as a companion of this version does"))?;
    let Some(database) = &status.database else {
        bail!(
            "the companion of {} at {admin} watches no database: its topology file has no database section",
            status.region
        );
    };
    if as_json {
        crate::print(&(serde_json::to_string_pretty(database)? + "\n"))?;
    } else {
        crate::print(&table::written(database))?;
    }
    Ok(if database.writer_known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
