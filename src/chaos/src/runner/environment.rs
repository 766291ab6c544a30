//! Where a run runs, in its journal's words.

use super::Options;
use crate::faults;
use crate::journal::Environment;
use crate::target::Target;
use crate::{ask, docker};
use anyhow::{Result, bail};
use evenkeel_config::Plan;
use evenkeel_policy::time::Millis;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an Envoy may take to say its version.
const PATIENCE: Duration = Duration::from_secs(3);

/// All of it.
///
/// # Errors
/// If the platform has another profile than was said, or does not say which.
pub async fn environment(target: &Target, plan: &Plan, options: &Options) -> Result<Environment> {
    Ok(Environment {
        target: target.name.clone(),
        profile: profile(target, options).await?,
        command: options.command.clone(),
        evenkeel: env!("CARGO_PKG_VERSION").to_owned(),
        config: plan.hash.clone(),
        versions: versions(target).await,
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        memory: memory().unwrap_or(0),
        round_trip: round_trip(target).await,
    })
}

async fn profile(target: &Target, options: &Options) -> Result<Option<String>> {
    let Some(from) = &target.profile_from else {
        return Ok(options.profile.clone().or(target.profile.clone()));
    };
    let project = target.compose_project.as_deref().unwrap_or_default();
    let id = docker::existing(project, &from.container).await?;
    let has = docker::variable(&id, &from.variable).await?;
    match (&options.profile, &has) {
        (Some(said), Some(has)) if said != has => bail!(
            "--profile {said}: the platform that runs has {has}: bring it up with EVENKEEL_PROFILE={said} (make compose-down compose-up)"
        ),
        (_, None) => bail!("profile-from: {} has no variable {}", from.container, from.variable),
        _ => Ok(has),
    }
}

async fn versions(target: &Target) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    versions.extend(kernel.map(|kernel| ("kernel".to_owned(), kernel.trim().to_owned())));
    if let Some(project) = &target.compose_project {
        let engine = docker::docker(&["version", "--format", "{{.Server.Version}}"]).await.ok();
        versions.extend(engine.map(|version| ("docker".to_owned(), version)));
        let nodes = target.parts.iter().filter(|part| part.node.is_some()).find_map(|part| part.service());
        if let Some(service) = nodes
            && let Ok(Some(id)) = docker::container(project, service).await
        {
            let said = docker::docker(&["exec", &id, "psql", "--version"]).await.ok();
            let version = said.as_deref().and_then(|said| said.split_whitespace().nth(2)).map(str::to_owned);
            versions.extend(version.map(|version| ("postgresql".to_owned(), version)));
        }
    }
    for place in &target.edges {
        if let Ok((200, page)) = ask::get(&place.address, "/server_info", PATIENCE).await {
            let info: Value = serde_json::from_str(&page).unwrap_or_default();
            // `commit/1.40.0/Clean/RELEASE/BoringSSL`.
            let version = info["version"].as_str().and_then(|version| version.split('/').nth(1));
            versions.extend(version.map(|version| ("envoy".to_owned(), version.to_owned())));
        }
    }
    versions
}

/// Bytes of this machine.
fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The longest of all links, in milliseconds.
async fn round_trip(target: &Target) -> Option<f64> {
    let mut longest: Option<f64> = None;
    for link in &target.links {
        let state = faults::link_state(&link.name, &link.address).await.ok()?;
        let span = Millis::parse(state["round_trip"].as_str()?).ok()?.get() as f64;
        longest = Some(longest.map_or(span, |longest| longest.max(span)));
    }
    longest
}
