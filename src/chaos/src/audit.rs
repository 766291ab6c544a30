//! The ledger against the databases: what every client was told, and what every node holds.
//!
//! It asks the nodes themselves, by psql, so that nothing of Evenkeel stands between. It changes nothing.

mod compare;
mod node;

use crate::journal::{Audit, Order};
use crate::target::Target;
use anyhow::{Result, bail, ensure};
use compare::compare;
use node::{Node, Rows};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long nodes may take to answer, and replicas to replay what the writer has.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a node.
const PAUSE: Duration = Duration::from_millis(250);

/// Looks up this run's orders on every node and compares them with the ledger, once replicas have replayed
/// all that the writer has written by now, or 30 s later.
///
/// # Errors
/// If there is no node to ask, one does not answer, or there is not exactly one writer.
pub async fn audit(target: &Target, run: &str, ledger: &[Order]) -> Result<Audit> {
    audit_within(target, run, ledger, PATIENCE).await
}

/// The same, with another time for replicas.
///
/// # Errors
/// As [`audit`].
pub async fn audit_within(target: &Target, run: &str, ledger: &[Order], patience: Duration) -> Result<Audit> {
    ensure!(!target.audit.is_empty(), "audit: the target names no database nodes to look orders up in");
    let by = Instant::now() + patience;
    let project = target.compose_project.as_deref();
    let mut nodes = Vec::new();
    for place in &target.audit {
        nodes.push(Node::reach(place, project, by).await?);
    }
    let writer = one_writer(&nodes, by).await?;
    let written = nodes[writer].position().await?;
    for (at, node) in nodes.iter().enumerate() {
        // One that does not get there shows what it has: that is what differs then.
        while at != writer && !node.has_replayed(&written).await? && Instant::now() < by {
            sleep(PAUSE).await;
        }
    }
    let mut rows: Vec<(String, Rows)> = Vec::new();
    for node in &nodes {
        rows.push((node.name().to_owned(), node.orders(run).await?));
    }
    Ok(compare(run, ledger, &rows, writer))
}

/// The place of the only node that is not in recovery.
async fn one_writer(nodes: &[Node], by: Instant) -> Result<usize> {
    loop {
        let mut writers = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            if !node.is_in_recovery().await? {
                writers.push(at);
            }
        }
        match writers[..] {
            [writer] => return Ok(writer),
            [] if Instant::now() < by => sleep(PAUSE).await,
            [] => {
                bail!("no database node accepts writes: every one is in recovery")
            }
            _ => {
                let names: Vec<&str> = writers.iter().map(|at| nodes[*at].name()).collect();
                bail!("two writers: {} accept writes at once: neither can be believed", names.join(" and "));
            }
        }
    }
}
