//! Faults: what is done to whom, and what undoes it.
//!
//! It owns how a container, a process, a link and a region are struck and restored. It must never know
//! why, nor when.

pub mod action;
pub mod process;
pub mod undo;

use crate::ask;
use crate::companions;
use crate::docker;
use crate::experiment::Fault;
use crate::selection::Met;
use crate::target::{Body, Link, Part, Target};
use anyhow::{Context, Result, bail, ensure};
use evenkeel_config::HostPort;
use hyper::Request;
use process::Identity;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;
use undo::Undo;

/// A link or a part that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that is ready to be done to one that is met.
#[derive(Clone, Debug)]
pub struct Blow {
    /// Whom it meets.
    pub whom: String,
    /// What undoes it. It must be on disk before [`strike`].
    pub undo: Undo,
    hit: Hit,
}

#[derive(Clone, Debug)]
enum Hit {
    Container { verb: &'static str, id: String, then: &'static str },
    Process { identity: Identity, signal: Signal },
    Link { address: HostPort, change: Value },
    Drain { client: evenkeel_companion::client::Client, region: String, span: String },
}

/// Prepares a fault: looks at everybody it is to meet, and does nothing yet.
///
/// # Errors
/// If one of them is not running, or cannot be asked.
pub async fn prepare(target: &Target, fault: Fault, met: &Met<'_>) -> Result<Vec<Blow>> {
    let mut blows = Vec::new();
    for part in &met.parts {
        blows.push(against_part(target, fault, part).await?);
    }
    for link in &met.links {
        blows.push(against_link(fault, link).await?);
    }
    if let (Some(place), Fault::Drain { ttl }) = (met.companion, fault) {
        let client = companions::client(target, &place.address)?;
        let region = place.region.clone();
        let undo = Undo::Drain {
            region: region.clone(),
            address: place.address.clone(),
            token_file: target.token_file.clone(),
        };
        blows.push(Blow {
            whom: region.clone(),
            undo,
            hit: Hit::Drain { client, region, span: ttl.to_string() },
        });
    }
    Ok(blows)
}

async fn against_part(target: &Target, fault: Fault, part: &Part) -> Result<Blow> {
    let name = part.name.clone();
    let kills = matches!(fault, Fault::Kill);
    match &part.body {
        Body::Container(service) => {
            let project =
                target.compose_project.clone().context("compose-project: is missing in the target")?;
            let id = docker::existing(&project, service).await?;
            let state = docker::state(&id).await?;
            ensure!(
                state == "running",
                "{name}: is {state}, not running: heal it first (evenkeel chaos abort)"
            );
            let (verb, then) = if kills { ("kill", "exited") } else { ("pause", "paused") };
            let undo = Undo::Container { part: name.clone(), project, service: service.clone() };
            Ok(Blow { whom: name, undo, hit: Hit::Container { verb, id, then } })
        }
        Body::Process(process) => {
            let known = process::find(&name, process)?;
            let known = known.with_context(|| {
                format!("{name}: its process has ended: heal it first (evenkeel chaos abort)")
            })?;
            let identity = known.identity;
            let undo = Undo::Process { part: name.clone(), process: process.clone(), identity };
            let signal = if kills { Signal::KILL } else { Signal::STOP };
            Ok(Blow { whom: name, undo, hit: Hit::Process { identity, signal } })
        }
    }
}

async fn against_link(fault: Fault, link: &Link) -> Result<Blow> {
    let change = match fault {
        Fault::Cut => json!({"cut": true}),
        Fault::Impair { round_trip, loss_percent } => {
            let mut change = serde_json::Map::new();
            change.extend(round_trip.map(|time| ("round_trip".to_owned(), json!(time))));
            change.extend(loss_percent.map(|loss| ("loss_percent".to_owned(), json!(loss))));
            Value::Object(change)
        }
        _ => bail!("{}: a link can be cut or impaired", link.name),
    };
    let condition = link_state(&link.name, &link.address).await?;
    let (whom, address) = (link.name.clone(), link.address.clone());
    let undo = Undo::Link { link: whom.clone(), address: address.clone(), condition };
    Ok(Blow { whom, undo, hit: Hit::Link { address, change } })
}

/// How a link is.
///
/// # Errors
/// If it does not answer.
pub async fn link_state(name: &str, address: &HostPort) -> Result<Value> {
    let (status, text) = ask::get(address, "/", PATIENCE).await.with_context(|| name.to_owned())?;
    ensure!(status == 200, "{name}: http://{address}/: status {status}: is a link's admin there?");
    serde_json::from_str(&text).with_context(|| format!("{name}: did not answer in JSON"))
}

/// Changes a link, and looks that it is so.
async fn change_link(name: &str, address: &HostPort, change: &Value) -> Result<()> {
    let request = Request::post("/").header("content-type", "application/json");
    let (status, text) =
        ask::ask(address, request, change.to_string(), PATIENCE).await.with_context(|| name.to_owned())?;
    ensure!(status == 200, "{name}: {text}");
    let now = link_state(name, address).await?;
    let is_so =
        change.as_object().is_some_and(|fields| fields.iter().all(|(field, value)| now[field] == *value));
    ensure!(is_so, "{name}: is {now} after the change {change}");
    Ok(())
}

/// Does all of it at once.
///
/// # Errors
/// Each that could not be done; the others are done all the same.
pub async fn strike(blows: Vec<Blow>) -> Result<()> {
    let mut all = JoinSet::new();
    for blow in blows {
        all.spawn(async move { blow.strike().await });
    }
    let errors: Vec<String> =
        all.join_all().await.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(errors.is_empty(), "{}", errors.join("; "));
    Ok(())
}

impl Blow {
    async fn strike(self) -> Result<()> {
        let whom = &self.whom;
        match self.hit {
            Hit::Container { verb, id, then } => {
                docker::docker(&[verb, &id]).await.with_context(|| whom.clone())?;
                let state = docker::state(&id).await?;
                ensure!(state == then, "{whom}: is {state} after docker {verb}");
                Ok(())
            }
            Hit::Process { identity, signal } => process::signal(whom, identity, signal),
            Hit::Link { address, change } => change_link(whom, &address, &change).await,
            Hit::Drain { client, region, span } => {
                client.order("/v1/drain", &json!({"region": region, "for": span})).await?;
                Ok(())
            }
        }
    }
}
