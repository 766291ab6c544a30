//! Reads of one's own writes through the listener `auto`, on replicas that replay late.
//!
//! Sessions write a row and read it at once. Others only read, so that nothing makes them wait; they
//! ought to be served near. The node that answers says its own name.

use crate::front::{Behind, Front, Kind};
use crate::session::{self, Session};
use anyhow::Context;
use evenkeel_tests::figures::quantile;
use evenkeel_tests::postgres::{Cluster, ClusterOptions};
use evenkeel_tests::verdict::Verdict;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How the section is run.
pub struct Plan {
    /// Write-then-read pairs.
    pub pairs: u64,
    /// `recovery_min_apply_delay` of the replicas.
    pub delay: Duration,
}

/// What was found.
pub struct OwnReads {
    pairs: u64,
    delay: Duration,
    stale: u64,
    /// How long a read after a write took, in ms.
    waited_ms: Vec<f64>,
    /// Which node answered reads after a write.
    after_write: BTreeMap<String, u64>,
    /// Which node answered the sessions that never wrote.
    without_write: BTreeMap<String, u64>,
    /// The same pairs straight on a replica, for comparison: how many, how many stale.
    replica: (u64, u64),
}

/// Sessions that write and read.
const WRITERS: i32 = 8;
/// Sessions that only read.
const READERS: usize = 2;
/// Sessions that keep the cluster busy, straight on its writer.
const BUSY: i32 = 2;
/// Pairs on the replica itself.
const COMPARED: u64 = 300;

/// Runs the section.
///
/// # Errors
/// If Evenkeel does not start or a statement fails.
pub async fn run(plan: &Plan, folder: &Path) -> anyhow::Result<OwnReads> {
    let delay = ("recovery_min_apply_delay".to_owned(), format!("{}ms", plan.delay.as_millis()));
    let cluster = Cluster::start(ClusterOptions {
        standbys: 2,
        synchronous: false,
        scram: true,
        settings: vec![delay],
        ..ClusterOptions::default()
    })
    .await;
    let writer = cluster.node(0).direct();
    let setup = session::open(writer).await?;
    setup
        .batch_execute(
            "CREATE TABLE own (id int PRIMARY KEY, value bigint NOT NULL);\
             INSERT INTO own SELECT n, 0 FROM generate_series(0, 99) n",
        )
        .await?;
    cluster.replayed(0).await;
    // The writer is in the other region: nothing but a replica is near.
    let regions = ["far", "near", "far"];
    let behind: Vec<Behind> = cluster
        .nodes()
        .iter()
        .zip(regions)
        .map(|(node, region)| Behind {
            name: node.name().to_owned(),
            address: node.direct(),
            region,
            role: None,
        })
        .collect();
    let front = Front::start(Kind::Evenkeel, "auto", &behind, folder).await?;

    let busy = Arc::new(AtomicBool::new(true));
    let mut load = JoinSet::new();
    for number in 0..BUSY {
        load.spawn(keep_busy(writer, 90 + number, busy.clone()));
    }
    let replica = straight(writer, cluster.node(1).direct()).await?;

    let done = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        readers.spawn(only_read(front.address, busy.clone()));
    }
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write_and_read(front.address, number, plan.pairs, done.clone()));
    }
    let mut found = OwnReads {
        pairs: 0,
        delay: plan.delay,
        stale: 0,
        waited_ms: Vec::new(),
        after_write: BTreeMap::new(),
        without_write: BTreeMap::new(),
        replica,
    };
    while let Some(pairs) = writers.join_next().await {
        let pairs = pairs??;
        found.pairs += pairs.waited_ms.len() as u64;
        found.stale += pairs.stale;
        found.waited_ms.extend(pairs.waited_ms);
        add(&mut found.after_write, pairs.nodes);
    }
    eprintln!();
    busy.store(false, Ordering::Relaxed);
    while let Some(nodes) = readers.join_next().await {
        add(&mut found.without_write, nodes??);
    }
    while let Some(ended) = load.join_next().await {
        ended??;
    }
    Ok(found)
}

#[derive(Default)]
struct Pairs {
    stale: u64,
    waited_ms: Vec<f64>,
    nodes: BTreeMap<String, u64>,
}

const WRITE: &str = "UPDATE own SET value = $2 WHERE id = $1";
const READ: &str = "SELECT value, current_setting('cluster_name') FROM own WHERE id = $1";

async fn write_and_read(
    address: SocketAddr,
    id: i32,
    all: u64,
    done: Arc<AtomicU64>,
) -> anyhow::Result<Pairs> {
    let session = session::open(address).await?;
    let (write, read) = (session.prepare(WRITE).await?, session.prepare(READ).await?);
    let mut pairs = Pairs::default();
    for value in 1_i64.. {
        let number = done.fetch_add(1, Ordering::Relaxed);
        if number >= all {
            break;
        }
        if number.is_multiple_of(200) {
            eprint!("\rown-write reads: {number} of {all} ");
        }
        session.execute(&write, &[&id, &value]).await.context("a write")?;
        let begun = Instant::now();
        let row = session.query_one(&read, &[&id]).await.context("a read")?;
        pairs.waited_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        pairs.stale += u64::from(row.get::<_, i64>(0) < value);
        *pairs.nodes.entry(row.get(1)).or_default() += 1;
    }
    Ok(pairs)
}

async fn only_read(address: SocketAddr, go_on: Arc<AtomicBool>) -> anyhow::Result<BTreeMap<String, u64>> {
    let session = session::open(address).await?;
    let read = session.prepare(READ).await?;
    let mut nodes = BTreeMap::new();
    while go_on.load(Ordering::Relaxed) {
        let row = session.query_one(&read, &[&0]).await.context("a read of a session that never wrote")?;
        *nodes.entry(row.get(1)).or_default() += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(nodes)
}

async fn keep_busy(writer: SocketAddr, id: i32, go_on: Arc<AtomicBool>) -> anyhow::Result<()> {
    let session = session::open(writer).await?;
    let write = session.prepare(WRITE).await?;
    for value in 1_i64.. {
        if !go_on.load(Ordering::Relaxed) {
            break;
        }
        session.execute(&write, &[&id, &value]).await.context("the load's write")?;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// What happens without a router that knows: written on the writer, read on the replica.
async fn straight(writer: SocketAddr, replica: SocketAddr) -> anyhow::Result<(u64, u64)> {
    let (writer, replica): (Session, Session) = (session::open(writer).await?, session::open(replica).await?);
    let mut stale = 0;
    for value in 0..COMPARED as i64 {
        writer.execute(WRITE, &[&80, &value]).await?;
        let row = replica.query_one(READ, &[&80]).await?;
        stale += u64::from(row.get::<_, i64>(0) < value);
    }
    Ok((COMPARED, stale))
}

fn add(sum: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (node, count) in more {
        *sum.entry(node).or_default() += count;
    }
}

/// The part of the reads that the near replica (`node1`) answered.
fn near(nodes: &BTreeMap<String, u64>) -> f64 {
    let all: u64 = nodes.values().sum();
    nodes.get("node1").copied().unwrap_or_default() as f64 / all as f64
}

impl OwnReads {
    /// The promises.
    pub fn verdicts(&self) -> Vec<Verdict> {
        vec![
            Verdict::of(
                format!("0 stale of {} own-write reads", self.pairs),
                format!("{} stale", self.stale),
                self.stale == 0,
            ),
            Verdict::of(
                "reads that need no wait stay near",
                format!("{:.1} % of {:?}", near(&self.without_write) * 100.0, self.without_write),
                near(&self.without_write) >= 0.99,
            ),
        ]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "pairs": self.pairs,
            "apply_delay_ms": self.delay.as_millis() as u64,
            "stale": self.stale,
            "read_ms": {
                "p50": quantile(&self.waited_ms, 0.5),
                "p99": quantile(&self.waited_ms, 0.99),
            },
            "reads_after_a_write_by_node": self.after_write,
            "reads_without_a_write_by_node": self.without_write,
            "straight_on_a_replica": {"pairs": self.replica.0, "stale": self.replica.1},
        })
    }
}

impl Display for OwnReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} writes, each read at once through `auto` (session), replicas {} ms late, under load: {} stale; \
             a read took {:.1} ms (p50), {:.1} ms (p99); answered by {:?}",
            self.pairs,
            self.delay.as_millis(),
            self.stale,
            quantile(&self.waited_ms, 0.5),
            quantile(&self.waited_ms, 0.99),
            self.after_write
        )?;
        writeln!(f, "reads of sessions that never wrote: answered by {:?}", self.without_write)?;
        writeln!(f, "for comparison, straight on a replica: {} stale of {}", self.replica.1, self.replica.0)
    }
}
