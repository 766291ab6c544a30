//! The rounds that the daemon makes by itself: checks, samples, conditions, orders that end.

use crate::conditions::{self, Facts, Memory};
use crate::history::LAG_STEP;
use crate::oracle::Oracle;
use crate::readiness::Readiness;
use crate::world::World;
use crate::{clock, peers};
use evenkeel_policy::database::{View, Writer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often conditions are looked at when nothing calls for it: what ends by itself (an edge's 15 s,
/// an order) is noticed this much later at most.
const ROUND: Duration = Duration::from_secs(1);

/// Asks the other companions, for ever.
pub async fn ask_peers(world: Arc<World>) {
    let mut every = interval(peers::EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        world.peers.ask().await;
        world.news.notify_one();
    }
}

/// How often the oracle is told what this companion knows besides votes: an edge's 15 s that are over, a
/// drain that was ordered or has ended.
const TELL: Duration = Duration::from_millis(100);

/// Keeps the oracle told of edges and orders, and the alerts of what it finds; for ever.
pub async fn vote(world: Arc<World>, oracle: Arc<Oracle>) {
    oracle.start();
    let mut changes = oracle.changes();
    let mut every = interval(TELL);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every.tick() => {
                oracle.drain(world.orders.drain_remaining());
                oracle.edges(&world.edges.all(clock::now()));
            }
            Ok(()) = changes.changed() => world.news.notify_one(),
        }
    }
}

/// Checks components as often as an edge would, so that the page and the alerts know of them when
/// nobody asks; for ever.
pub async fn check(world: Arc<World>, rounds: watch::Sender<Option<Readiness>>) {
    loop {
        let began = Instant::now();
        rounds.send_replace(Some(world.readiness().await));
        let pause = world.settings().plan.settings.health_check.interval.to_duration();
        tokio::time::sleep_until(began + pause.max(ROUND)).await;
    }
}

/// Looks at what is known and tells what is wrong, for ever.
pub async fn watch(world: Arc<World>, mut rounds: watch::Receiver<Option<Readiness>>) {
    let mut views = world.database.as_ref().map(|database| database.changes());
    let mut memory = Memory::default();
    let mut writer = WriterSeen::default();
    let mut tick = interval(ROUND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lag = interval(Duration::from_secs(LAG_STEP));
    lag.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = lag.tick() => sample_lag(&world, &mut memory),
            _ = world.news.notified() => {}
            Ok(()) = rounds.changed() => {
                if let Some(readiness) = rounds.borrow_and_update().as_ref() {
                    memory.checked(readiness);
                }
            }
            () = changed(&mut views) => {}
        }
        if let Some(seen) = world.seen() {
            writer.look(&world, &seen.view);
        }
        keep_orders(&world);
        look(&world, &memory, rounds.borrow().as_ref());
    }
}

async fn changed(views: &mut Option<watch::Receiver<Arc<View>>>) {
    let alive = match views {
        Some(views) => views.changed().await.is_ok(),
        None => false,
    };
    if !alive {
        std::future::pending::<()>().await;
    }
}

fn sample_lag(world: &World, memory: &mut Memory) {
    let Some(seen) = world.seen() else { return };
    world.history.sample_lag(&seen.view);
    let settings = world.settings();
    memory.lag_sampled(&seen.view, &settings.plan.file.alerts.replication_lag, clock::now());
}

/// Orders that ended give their nodes back; orders from before a restart are in force again.
fn keep_orders(world: &World) {
    let (Some(database), Some(seen)) = (&world.database, world.seen()) else { return };
    let settings = world.settings();
    let nodes = settings.nodes();
    for (index, (configured, node)) in nodes.iter().zip(&seen.view.nodes).enumerate() {
        let ordered = world.orders.node_drained(&configured.name).is_some();
        if ordered != node.drained {
            database.drain(index, ordered);
        }
    }
}

fn look(world: &World, memory: &Memory, readiness: Option<&Readiness>) {
    let settings = world.settings();
    let now = clock::now();
    let nodes: Vec<String> = settings
        .plan
        .file
        .database
        .iter()
        .flat_map(|database| database.nodes.iter().map(|node| node.name.clone()))
        .collect();
    let (edges, peers, seen, config) =
        (world.edges.all(now), world.peers.all(), world.seen(), world.config_status());
    let (votes, checks) = match &world.oracle {
        Some(oracle) => (Some(oracle.votes()), oracle.checks()),
        None => (None, Vec::new()),
    };
    let facts = Facts {
        region: &settings.region,
        edges: &edges,
        peers: &peers,
        votes: votes.as_ref(),
        checks: &checks,
        readiness,
        unhealthy_threshold: settings.plan.settings.health_check.unhealthy_threshold,
        seen: seen.as_ref(),
        nodes: &nodes,
        lag: &settings.plan.file.alerts.replication_lag,
        config: &config,
        now,
    };
    world.alerts.now_wrong(conditions::conditions(&facts, memory), now);
}

/// Which writer was seen last.
#[derive(Debug, Default)]
struct WriterSeen {
    last: Option<Writer>,
    /// The last one that was known, by its place.
    known: Option<usize>,
}

impl WriterSeen {
    fn look(&mut self, world: &World, view: &View) {
        let first = self.last.is_none();
        // Until a node was heard nothing is known, which is no news.
        let heard = view.nodes.iter().any(|node| node.sampled_at.is_some() || node.error.is_some());
        if self.last == Some(view.writer) || (first && !heard) {
            return;
        }
        self.last = Some(view.writer);
        let settings = world.settings();
        let nodes = settings.nodes();
        let name = |index: usize| nodes.get(index).map_or_else(|| "?".to_owned(), |node| node.name.clone());
        world.history.writer(&view.writer, name);
        let Writer::Known { node, timeline } = view.writer else { return };
        let before = self.known.replace(node);
        if let Some(before) = before.filter(|before| *before != node) {
            world.counters.writer_changes.inc();
            world.writer_changed(format!(
                "failover: the database's writer is {} now, on timeline {timeline}; it was {}",
                name(node),
                name(before)
            ));
        }
    }
}
