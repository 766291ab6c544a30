//! The real database: `evenkeel-database`'s watcher and router.

use super::{Counts, Database, Figures, ListenerFigures, NodeFigures, PoolFigures};
use crate::settings::Settings;
use evenkeel_database::router::{self, Router};
use evenkeel_database::watch::{self, Statements, Watch};
use evenkeel_policy::database::View;
use evenkeel_policy::time::Time;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Starts watching the nodes and listening for sessions. None where no database is configured.
///
/// # Errors
/// Why it cannot begin.
pub async fn start(settings: &Settings) -> Result<Option<Arc<dyn Database>>, String> {
    let Some(wanted) = watched(settings)? else { return Ok(None) };
    // The memory of timelines lies beside the orders.
    std::fs::create_dir_all(&settings.data_dir).map_err(|error| {
        format!("companion.data_dir: {}: cannot be made: {error}", settings.data_dir.display())
    })?;
    let watch = Watch::start(wanted).map_err(|error| error.to_string())?;
    let routed = routed(settings).ok_or("database: is missing")?;
    let router = Router::start(&routed, watch.clone()).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(Live { watch, router })))
}

struct Live {
    watch: Watch,
    router: Router,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

impl Database for Live {
    fn now(&self) -> Time {
        self.watch.now()
    }

    fn view(&self) -> Arc<View> {
        self.watch.view()
    }

    fn changes(&self) -> tokio::sync::watch::Receiver<Arc<View>> {
        self.watch.subscribe()
    }

    fn figures(&self) -> Figures {
        let nodes = self.watch.nodes();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = self.router.counters();
        let (held_statements, held_bytes) = self.router.held();
        let listener = |stats: router::ListenerStats| ListenerFigures {
            name: stats.name,
            sessions: stats
                .sessions
                .iter()
                .map(|(state, count)| ((*state).to_owned(), u64::from(*count)))
                .collect(),
            refused: stats.refused,
        };
        let mut pools: Vec<PoolFigures> = Vec::new();
        for pool in self.router.pools() {
            let Some(node) = nodes.get(pool.node) else { continue };
            let known = pools.iter().position(|known| known.node == node.name);
            let place = known.unwrap_or(pools.len());
            if known.is_none() {
                pools.push(PoolFigures { node: node.name.clone(), ..PoolFigures::default() });
            }
            if let Some(sum) = pools.get_mut(place) {
                sum.in_use += pool.in_use as u64;
                sum.idle += pool.idle as u64;
                sum.waiting += pool.waiting as u64;
            }
        }
        Figures {
            nodes: (0..nodes.len()).map(|node| self.node_figures(node)).collect(),
            listeners: self.router.listeners().into_iter().map(listener).collect(),
            pools,
            held_statements: u64::from(held_statements),
            held_bytes,
            held_total: count(&counters.held).saturating_sub(count(&counters.held_in_vain)),
            held_timeouts_total: count(&counters.held_in_vain),
            paused: self.router.is_paused(),
            pinned: u64::from(self.router.pinned()),
            counts: Counts {
                exchanges: [
                    ("writer", &counters.to_writer),
                    ("local_replica", &counters.to_local_replica),
                    ("other_replica", &counters.to_other_replica),
                ]
                .map(|(to, counter)| (to.to_owned(), count(counter)))
                .to_vec(),
                replay_waits: count(&counters.replay_waits),
                replay_timeouts: count(&counters.replay_timeouts),
                refused_near: count(&counters.refused_near),
                lost_transactions: count(&counters.lost_transactions),
                commits_resolved: count(&counters.commits_resolved),
                commits_unknown: count(&counters.commits_unknown),
            },
        }
    }

    fn drain(&self, node: usize, drained: bool) {
        self.watch.set_drained(node, drained);
    }

    fn pause(&self, paused: bool) {
        self.router.pause(paused);
    }

    fn reload(&self, settings: &Settings) -> Result<Vec<String>, String> {
        let (Some(wanted), Some(routed)) = (watched(settings)?, routed(settings)) else {
            return Ok(vec!["database (one to none)".to_owned()]);
        };
        // The router can refuse; the watcher cannot, so it comes second and both agree.
        let waiting = self.router.reconfigure(&routed).map_err(|error| error.to_string())?;
        self.watch.reconfigure(wanted);
        Ok(waiting)
    }

    fn stop(&self, within: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let left = self.router.stop(within).await;
            if left > 0 {
                tracing::warn!(sessions = left, "sessions did not come to rest in time and were ended");
            }
            self.watch.shutdown().await;
        })
    }
}

impl Live {
    fn node_figures(&self, node: usize) -> NodeFigures {
        let Some(vitals) = self.watch.vitals(node) else { return NodeFigures::default() };
        let (slow_statements, slowest_mean_ms) = match &vitals.statements {
            Statements::Counted { slow, slowest } => (Some(*slow), Some(slowest.as_secs_f64() * 1000.0)),
            Statements::NotInstalled | Statements::Unreadable(_) => (None, None),
        };
        NodeFigures {
            connections: Some(vitals.connections),
            max_connections: Some(vitals.max_connections),
            active_sessions: Some(vitals.active),
            wait_events: vitals.wait_events.clone(),
            slow_statements,
            slowest_mean_ms,
        }
    }
}

fn watched(settings: &Settings) -> Result<Option<watch::Settings>, String> {
    let Some(database) = &settings.database else { return Ok(None) };
    watch::Settings::new(database, Some(settings.data_dir.clone()))
        .map(Some)
        .map_err(|error| error.to_string())
}

fn routed(settings: &Settings) -> Option<router::Settings> {
    Some(router::Settings {
        database: settings.database.clone()?,
        listeners: settings.listeners.clone(),
        region: settings.region.clone(),
    })
}
