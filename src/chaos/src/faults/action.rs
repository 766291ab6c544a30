//! What an experiment does by a request or a program of its own.

use crate::ask;
use crate::url::Url;
use anyhow::{Context, Result, anyhow};
use hyper::{Method, Request};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The status of a page that is asked so.
///
/// # Errors
/// If nobody answers.
pub async fn request(url: &str, method: &str, body: &str, patience: Duration) -> Result<u16> {
    let url: Url = url.parse().map_err(|remedy| anyhow!("{url}: {remedy}"))?;
    let method: Method = method.parse().with_context(|| format!("{method}: is no method"))?;
    let mut request = Request::builder().method(method).uri(&url.path);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    ask::ask(&url.address, request, body.to_owned(), patience).await.map(|(status, _)| status)
}

/// The exit code of a program.
///
/// # Errors
/// If it cannot be started, takes longer, or ends by a signal.
pub async fn program(path: &str, arguments: &[String], patience: Duration) -> Result<i32> {
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).kill_on_drop(true);
    let status = tokio::time::timeout(patience, command.status()).await;
    let status = status
        .map_err(|_| anyhow!("{path}: has not ended within {patience:?}"))?
        .with_context(|| format!("{path}: cannot be started"))?;
    status.code().with_context(|| format!("{path}: was ended by a signal"))
}
