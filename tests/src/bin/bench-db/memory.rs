//! What idle client sessions cost in memory.

use crate::front::{Behind, Front, Kind};
use crate::session::{self, Session};
use evenkeel_tests::figures::resident_kib;
use evenkeel_tests::postgres::{Cluster, ClusterOptions};
use evenkeel_tests::verdict::Verdict;
use serde_json::{Value, json};
use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// What was measured.
pub struct Memory {
    sessions: usize,
    before_kib: u64,
    after_kib: u64,
    back_kib: u64,
    node_sessions: String,
}

/// So many may be logging in at once.
const AT_ONCE: usize = 16;

/// How much 1,000 sessions may cost, in KiB.
const BOUND_KIB: u64 = 50 * 1024;

/// Runs the section.
///
/// # Errors
/// If Evenkeel does not start or a session cannot be opened.
pub async fn run(sessions: usize, folder: &Path) -> anyhow::Result<Memory> {
    let cluster = Cluster::start(ClusterOptions {
        standbys: 0,
        synchronous: false,
        scram: true,
        ..ClusterOptions::default()
    })
    .await;
    let node = cluster.node(0);
    let behind =
        [Behind { name: node.name().to_owned(), address: node.direct(), region: "near", role: None }];
    let front = Front::start(Kind::Evenkeel, "writer", &behind, folder).await?;
    let pid = front.pid().unwrap_or_default();
    // What the first sessions bring to life is not theirs alone.
    drop(open(&front, AT_ONCE).await?);
    settle().await;
    let before_kib = resident_kib(pid)?;
    let mut kept: Vec<Session> = Vec::with_capacity(sessions);
    while kept.len() < sessions {
        kept.extend(open(&front, AT_ONCE.min(sessions - kept.len())).await?);
        eprint!("\rmemory: {} idle sessions ", kept.len());
    }
    eprintln!();
    settle().await;
    let after_kib = resident_kib(pid)?;
    let node_sessions = node.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'").await;
    drop(kept);
    settle().await;
    Ok(Memory { sessions, before_kib, after_kib, back_kib: resident_kib(pid)?, node_sessions })
}

/// Opens sessions, each of which has asked something.
async fn open(front: &Front, count: usize) -> anyhow::Result<Vec<Session>> {
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let address = front.address;
        opening.spawn(async move {
            let session = session::open(address).await?;
            session.query_one("SELECT $1::int", &[&1]).await?;
            anyhow::Ok(session)
        });
    }
    let mut sessions = Vec::new();
    while let Some(opened) = opening.join_next().await {
        sessions.push(opened??);
    }
    Ok(sessions)
}

/// Longer than a session keeps its node connection while it is idle (`pool.release_after`, 1 s).
async fn settle() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

impl Memory {
    /// The promise.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let grown = self.after_kib.saturating_sub(self.before_kib);
        let bound = BOUND_KIB * self.sessions as u64 / 1000;
        let promise = format!("{} idle sessions cost under {} MB", self.sessions, bound / 1024);
        vec![Verdict::of(promise, format!("{:.1} MB", grown as f64 / 1024.0), grown < bound)]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "sessions": self.sessions,
            "resident_kib": {"before": self.before_kib, "with": self.after_kib, "after": self.back_kib},
            "sessions_on_the_node": self.node_sessions,
        })
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |kib: u64| kib as f64 / 1024.0;
        writeln!(
            f,
            "{} idle sessions: resident memory {:.1} MiB before, {:.1} with them, {:.1} when they have gone; \
             {} of their sessions on the node",
            self.sessions,
            mib(self.before_kib),
            mib(self.after_kib),
            mib(self.back_kib),
            self.node_sessions
        )
    }
}
