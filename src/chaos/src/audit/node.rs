//! One database node, asked by psql.

use super::PAUSE;
use crate::docker;
use crate::target::AuditNode;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

/// How long one question may take.
const WITHIN: Duration = Duration::from_secs(20);

/// This run's orders on a node.
pub type Rows = Vec<Row>;

/// An order as it stands in a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Row {
    /// Its number.
    pub id: String,
    /// Its idempotency key.
    pub key: String,
    /// Who ordered: the key too.
    pub customer: String,
    /// What it says that it costs.
    pub total_cents: i64,
    /// What its lines cost.
    pub sum: Option<i64>,
    /// A digest of everything in the row.
    pub digest: String,
}

/// A node that answers.
#[derive(Debug)]
pub struct Node {
    name: String,
    psql: Vec<String>,
}

impl Node {
    /// Waits until it answers.
    pub async fn reach(place: &AuditNode, project: Option<&str>, by: Instant) -> Result<Node> {
        let name = &place.node;
        ensure!(!place.psql.is_empty(), "audit.{name}.psql: give the program that asks it");
        let mut psql = place.psql.clone();
        if let Some(service) = &place.container {
            let project = project.with_context(|| {
                format!("audit.{name}.container: give compose-project too, which it is looked for in")
            })?;
            let id = docker::existing(project, service)
                .await
                .with_context(|| format!("audit.{name}.container"))?;
            psql.splice(0..0, ["docker", "exec", "-i", &id].map(str::to_owned));
        }
        let node = Node { name: name.clone(), psql };
        loop {
            match node.ask("SELECT 1;").await {
                Ok(_) => return Ok(node),
                Err(error) if Instant::now() >= by => return Err(error),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// As the topology calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a replica.
    pub async fn is_in_recovery(&self) -> Result<bool> {
        Ok(self.ask("SELECT pg_is_in_recovery();").await?.trim() == "t")
    }

    /// What the writer has written so far.
    pub async fn position(&self) -> Result<String> {
        let position = self.ask("SELECT pg_current_wal_lsn();").await?.trim().to_owned();
        let plain = position.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '/');
        ensure!(plain && !position.is_empty(), "{}: \"{position}\" is no position in a log", self.name);
        Ok(position)
    }

    /// Whether a replica has all that was written until there.
    pub async fn has_replayed(&self, position: &str) -> Result<bool> {
        let sql = format!("SELECT coalesce(pg_last_wal_replay_lsn() >= '{position}', false);");
        Ok(self.ask(&sql).await?.trim() == "t")
    }

    /// This run's orders: by key or by customer, so that a double under another key is found.
    pub async fn orders(&self, run: &str) -> Result<Rows> {
        ensure!(
            !run.contains(['\'', '\\', '\n']),
            "the run's name: {run:?}: use letters, digits and hyphens"
        );
        let sql = format!(
            "SELECT json_build_object('id', id, 'key', idempotency_key, 'customer', customer,
               'total_cents', total_cents, 'digest', md5(o::text),
               'sum', (SELECT sum((line->>'quantity')::bigint * (line->>'price_cents')::bigint)
                       FROM jsonb_array_elements(items) line))
             FROM orders o WHERE starts_with(idempotency_key, '{run}-') OR starts_with(customer, '{run}-');"
        );
        let text = self.ask(&sql).await?;
        let read = |line| serde_json::from_str(line).with_context(|| format!("{}: a row: {line}", self.name));
        text.lines().filter(|line| !line.is_empty()).map(read).collect()
    }

    async fn ask(&self, sql: &str) -> Result<String> {
        let told = timeout(WITHIN, said(&self.psql, sql)).await;
        let told = told.unwrap_or_else(|_| bail!("no answer in {WITHIN:?}"));
        told.with_context(|| format!("audit.{}: {} does not answer", self.name, self.psql.join(" ")))
    }
}

/// What a program says that is told this.
async fn said(words: &[String], input: &str) -> Result<String> {
    let [program, arguments @ ..] = words else { bail!("no program is given") };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read says why, which is the better message.
        stdin.write_all(input.as_bytes()).await.ok();
    }
    let output = child.wait_with_output().await?;
    let error = String::from_utf8_lossy(&output.stderr);
    // psql goes on after an error in what it reads, and ends well.
    ensure!(output.status.success() && !error.contains("ERROR:"), "{}", error.trim());
    Ok(String::from_utf8(output.stdout)?)
}
