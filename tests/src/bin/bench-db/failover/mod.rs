//! Failovers of a real cluster under load: each front's own share of the outage, kept sessions, and
//! the ledger.
//!
//! The bench is the engine: it strikes the primary, waits as an engine would until it is sure, and
//! promotes the synchronous standby. A front's share begins when a client that stands directly at the
//! new primary gets its first write accepted.

mod clients;
mod ledger;
mod report;
mod roles;

pub use report::{BOUND_MS, Failovers};

use crate::front::{Behind, Front, Kind};
use crate::session;
use anyhow::{Context, bail};
use clients::{Idle, Kept};
use evenkeel_tests::postgres::{Cluster, ClusterOptions};
use ledger::{Key, Ledger};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What is done to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL to all its processes.
    Kill,
    /// SIGSTOP to all its processes: connections hang.
    Freeze,
    /// An orderly stop.
    Switchover,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 3] = [Fault::Kill, Fault::Freeze, Fault::Switchover];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill => "kill",
            Fault::Freeze => "freeze",
            Fault::Switchover => "switchover",
        }
    }
}

/// How the section is run.
pub struct Plan {
    /// Failovers of each kind.
    pub each: usize,
    /// Idle sessions of each front that has any.
    pub idle: usize,
}

/// One failover.
pub struct Round {
    fault: Fault,
    /// From the order to promote to the first write directly on the new primary.
    engine: Duration,
    /// From there to the first write through each front.
    shares: Vec<(Kind, Duration)>,
    kept: Vec<Kept>,
    /// Writes that came through each front after the new primary was ready, and are on the old one.
    on_older_timeline: HashMap<Kind, u64>,
}

/// The fronts whose idle sessions are watched. HAProxy's fate does not depend on its checks' pace.
const IDLE: [Kind; 2] = [Kind::HaProxy, Kind::Evenkeel];
/// A front that has accepted no write after this long is not waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the section.
///
/// # Errors
/// If a front does not start, or accepts no write within a minute after a failover.
pub async fn run(kinds: &[Kind], plan: &Plan, folder: &Path) -> anyhow::Result<Failovers> {
    let settings = [("max_connections".to_owned(), "500".to_owned())];
    let options = ClusterOptions { scram: true, settings: settings.to_vec(), ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await;
    let setup = session::open(cluster.node(0).direct()).await?;
    setup.batch_execute(clients::TABLE).await?;
    setup.batch_execute("CREATE TABLE readiness (number int)").await?;
    drop(setup);

    let mut behind = Vec::new();
    for node in cluster.nodes() {
        let role = roles::serve(node.direct()).await?;
        let name = node.name().to_owned();
        behind.push(Behind { name, address: node.direct(), region: "near", role: Some(role) });
    }
    let ledger = Arc::new(Ledger::default());
    let mut writing = JoinSet::new();
    let mut stage =
        Stage { cluster, ledger: ledger.clone(), fronts: vec![], idle: vec![], primary: 0, standby: 1 };
    for kind in kinds {
        let front = Front::start(*kind, "writer", &behind, folder).await?;
        clients::start(*kind, front.address, &ledger, &mut writing);
        if IDLE.contains(kind) {
            stage.idle.push(Idle::new(*kind, front.address, plan.idle));
        }
        stage.fronts.push(front);
    }
    let mut rounds = Vec::new();
    for number in 0..plan.each * Fault::ALL.len() {
        let fault = Fault::ALL[number % Fault::ALL.len()];
        eprint!("\rfailover {} of {}: {:<10} ", number + 1, plan.each * Fault::ALL.len(), fault.name());
        // An engine is sure after a time that has nothing to do with anyone's probes.
        let sure = Duration::from_millis(300 + (number as u64 * 617) % 1200);
        rounds.push(stage.failover(fault, sure).await.with_context(|| format!("failover {}", number + 1))?);
    }
    eprintln!();
    writing.shutdown().await;
    let there = written(stage.cluster.node(stage.primary).direct()).await?;
    Ok(Failovers { rounds, accounts: ledger.account(&there), kinds: kinds.to_vec() })
}

struct Stage {
    cluster: Cluster,
    ledger: Arc<Ledger>,
    fronts: Vec<Front>,
    idle: Vec<Idle>,
    primary: usize,
    standby: usize,
}

impl Stage {
    async fn failover(&mut self, fault: Fault, sure: Duration) -> anyhow::Result<Round> {
        for idle in &mut self.idle {
            idle.fill().await?;
        }
        self.ledger.begin();
        let before = Instant::now();
        for front in &self.fronts {
            self.first_write(front.kind, before).await.context("before the fault")?;
        }
        // Longer than a session keeps its node connection while it is idle (`pool.release_after`).
        tokio::time::sleep(Duration::from_millis(1500)).await;

        let (old, new) = (self.primary, self.standby);
        match fault {
            Fault::Kill => self.cluster.node(old).kill(),
            Fault::Freeze => self.cluster.node(old).freeze(),
            Fault::Switchover => self.cluster.node(old).stop().await,
        }
        tokio::time::sleep(sure).await;
        let asked = Instant::now();
        let ready = tokio::spawn(first_write_on(self.cluster.node(new).direct()));
        self.cluster.promote(new).await;
        let ready = ready.await??;
        let mut shares = Vec::new();
        for front in &self.fronts {
            // Nobody could write between the fault and the order, so the first one after it counts,
            // even if it came before the direct client's.
            let accepted = self.first_write(front.kind, asked).await?;
            shares.push((front.kind, accepted.saturating_duration_since(ready)));
        }
        let mut kept = Vec::new();
        for idle in &mut self.idle {
            kept.push(idle.ask().await);
        }
        let mut on_older_timeline = HashMap::new();
        if fault == Fault::Freeze {
            on_older_timeline = self.tempt(old, ready).await?;
        }
        self.restore(old, new).await;
        Ok(Round { fault, engine: ready - asked, shares, kept, on_older_timeline })
    }

    /// The first write through a front after a moment.
    async fn first_write(&self, front: Kind, moment: Instant) -> anyhow::Result<Instant> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(at) = self.ledger.first_after(front, moment) {
                return Ok(at);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{} accepted no write within {PATIENCE:?}", front.title())
    }

    /// Wakes the old primary, which knows nothing of the new one and would take writes, and counts
    /// those that come.
    async fn tempt(&self, old: usize, ready: Instant) -> anyhow::Result<HashMap<Kind, u64>> {
        let node = self.cluster.node(old);
        node.thaw();
        // Else it would wait for its lost standby before it acknowledges anything.
        node.set("synchronous_standby_names", "").await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut came = HashMap::new();
        for key in written(node.direct()).await?.into_keys() {
            if self.ledger.get(&key).is_some_and(|entry| entry.sent > ready) {
                *came.entry(key.front).or_default() += 1;
            }
        }
        Ok(came)
    }

    /// The old primary comes back as a standby, and the new one waits for a standby at each commit.
    async fn restore(&mut self, old: usize, new: usize) {
        let standbys = self.cluster.nodes().len() - 1;
        self.cluster.node(old).rejoin(self.cluster.node(new)).await;
        self.cluster.streaming(new, standbys).await;
        let next = (0..=standbys).find(|number| *number != new).unwrap_or_default();
        let primary = self.cluster.node(new);
        let name = self.cluster.node(next).name();
        primary.set("synchronous_standby_names", &format!("FIRST 1 ({name})")).await;
        let is_sync = format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND sync_state = 'sync'"
        );
        evenkeel_tests::until("the next standby is synchronous", PATIENCE, async || {
            (primary.value(&is_sync).await == "1").then_some(())
        })
        .await;
        self.cluster.replayed(new).await;
        (self.primary, self.standby) = (new, next);
    }
}

/// The moment at which a client that stands directly at the standby gets its first write accepted.
async fn first_write_on(standby: SocketAddr) -> anyhow::Result<Instant> {
    let session = session::open(standby).await?;
    let begun = Instant::now();
    while session.batch_execute("INSERT INTO readiness VALUES (1)").await.is_err() {
        if begun.elapsed() > PATIENCE {
            bail!("the standby was not promoted within {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(Instant::now())
}

/// How often each key stands in a node's ledger.
async fn written(node: SocketAddr) -> anyhow::Result<HashMap<Key, u64>> {
    let session = session::open(node).await?;
    let query = "SELECT front, client, number, count(*) FROM ledger GROUP BY 1, 2, 3";
    let mut there = HashMap::new();
    for row in session.query(query, &[]).await? {
        let name: &str = row.get(0);
        let front = [Kind::HaProxy, Kind::HaProxyFast, Kind::Evenkeel].into_iter().find(|k| k.id() == name);
        let front = front.with_context(|| format!("nobody writes as '{name}'"))?;
        there.insert(Key { front, client: row.get(1), number: row.get(2) }, row.get::<_, i64>(3) as u64);
    }
    Ok(there)
}
