//! Containers of a Compose project, by the `docker` command.

use anyhow::{Context, Result, anyhow, bail};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// A loaded engine takes seconds for a kill; one that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `docker` says.
///
/// # Errors
/// That it is not there, or what it complains of.
pub async fn docker(arguments: &[&str]) -> Result<String> {
    let said = format!("docker {}", arguments.join(" "));
    let mut command = Command::new("docker");
    // Ctrl-C in a terminal goes to the whole group: what undoes a fault must not end by it.
    command.args(arguments).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output
        .map_err(|_| anyhow!("{said}: nothing within {PATIENCE:?}: does the Docker engine answer?"))?
        .with_context(|| format!("{said}: cannot be run: is docker installed?"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!("{said}: {}", error.trim().lines().last().unwrap_or("failed"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The container of a Compose service, by the labels that Compose gives it: names differ between v1 and v2.
/// None: there is none, running or not.
///
/// # Errors
/// As [`docker`].
pub async fn container(project: &str, service: &str) -> Result<Option<String>> {
    let project = format!("label=com.docker.compose.project={project}");
    let service = format!("label=com.docker.compose.service={service}");
    let ids = docker(&["ps", "--all", "--quiet", "--filter", &project, "--filter", &service]).await?;
    Ok(ids.lines().next().map(str::to_owned))
}

/// The same where there must be one.
///
/// # Errors
/// As [`docker`], and if there is none.
pub async fn existing(project: &str, service: &str) -> Result<String> {
    container(project, service).await?.with_context(|| {
        format!("{service}: the Compose project {project} has no such container: bring it up first (make compose-up)")
    })
}

/// `running`, `paused`, `exited`, …
///
/// # Errors
/// As [`docker`].
pub async fn state(id: &str) -> Result<String> {
    docker(&["inspect", "--format", "{{.State.Status}}", id]).await
}

/// A variable of a container's environment.
///
/// # Errors
/// As [`docker`].
pub async fn variable(id: &str, name: &str) -> Result<Option<String>> {
    let all = docker(&["inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", id]).await?;
    Ok(all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned))
}
