//! What undoes one blow: whatever became of it, afterwards all is as it was.

use super::{change_link, process};
use crate::companions;
use crate::docker;
use crate::target::Process;
use anyhow::{Context, Result, bail};
use evenkeel_config::HostPort;
use process::Identity;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// A container that takes longer does not start.
const START: Duration = Duration::from_secs(60);

/// Between two looks whether something is so.
const LOOK: Duration = Duration::from_millis(100);

/// How one that was met is restored. Done twice, or for one that was never struck, it harms nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "restore", rename_all = "kebab-case")]
pub enum Undo {
    /// A container: started, thawed.
    Container {
        /// What experiments call it.
        part: String,
        /// Its Compose project.
        project: String,
        /// Its Compose service.
        service: String,
    },
    /// A process: started, thawed.
    Process {
        /// What experiments call it.
        part: String,
        /// How it is found and started.
        process: Process,
        /// The one that was struck.
        identity: Identity,
    },
    /// A link: made what it was.
    Link {
        /// What experiments call it.
        link: String,
        /// Its admin.
        address: HostPort,
        /// What it was.
        condition: Value,
    },
    /// A region: no longer drained.
    Drain {
        /// Its name.
        region: String,
        /// Its companion's admin.
        address: HostPort,
        /// What the companion asks for.
        token_file: Option<PathBuf>,
    },
}

impl Undo {
    /// Whom it restores.
    pub fn whom(&self) -> &str {
        match self {
            Undo::Container { part, .. } | Undo::Process { part, .. } => part,
            Undo::Link { link, .. } => link,
            Undo::Drain { region, .. } => region,
        }
    }

    /// Restores it, and looks that it is so.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn restore(&self) -> Result<()> {
        match self {
            Undo::Container { part, project, service } => container(part, project, service).await,
            Undo::Process { part, process, identity } => running(part, process, *identity).await,
            Undo::Link { link, address, condition } => change_link(link, address, condition).await,
            Undo::Drain { region, address, token_file } => {
                let client = companions::with_token(address, token_file.as_deref())?;
                client.order("/v1/undrain", &json!({"region": region})).await?;
                Ok(())
            }
        }
    }
}

async fn container(part: &str, project: &str, service: &str) -> Result<()> {
    // Removed meanwhile: the platform is gone, and with it what was struck.
    let Some(id) = docker::container(project, service).await? else { return Ok(()) };
    let deadline = Instant::now() + START;
    loop {
        let state = docker::state(&id).await?;
        let verb = match state.as_str() {
            "running" => return Ok(()),
            "paused" => Some("unpause"),
            "exited" | "created" => Some("start"),
            _ => None,
        };
        if Instant::now() > deadline {
            bail!("{part}: is {state} after {START:?}: see docker logs {id}");
        }
        if let Some(verb) = verb {
            docker::docker(&[verb, &id]).await.with_context(|| part.to_owned())?;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn running(part: &str, process: &Process, struck: Identity) -> Result<()> {
    // The one that was struck, if it lives, whatever the file says by now; else the one of the file.
    let struck = process::known(struck.pid).filter(|known| known.identity == struck);
    // Another process of the number is none of ours: ours has ended.
    let known = struck.or_else(|| process::find(part, process).ok().flatten());
    match known {
        Some(known) if known.frozen => process::signal(part, known.identity, Signal::CONT)?,
        Some(_) => {}
        None => process::start(part, process)?,
    }
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if process::find(part, process).ok().flatten().is_some_and(|known| !known.frozen) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    bail!("{part}: does not run after {START:?}: start it by hand: {}", process.start.join(" "))
}
