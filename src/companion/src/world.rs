//! What all parts of the daemon share.

use crate::alerts::{Alerts, Kind, Severity};
use crate::clock;
use crate::database::Database;
use crate::dns::Dns;
use crate::edges::Edges;
use crate::history::History;
use crate::metrics::Counters;
use crate::oracle::Oracle;
use crate::orders::Orders;
use crate::peers::Peers;
use crate::readiness::{Board, Readiness, Seen};
use crate::settings::Settings;
use crate::status;
use arc_swap::ArcSwap;
use evenkeel_policy::database::{Role, Writer};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// One companion.
#[derive(Debug)]
pub struct World {
    file: PathBuf,
    settings: ArcSwap<Settings>,
    board: ArcSwap<Board>,
    /// The database under watch.
    pub database: Option<Arc<dyn Database>>,
    /// What DNS answers by; none where there is no `dns`.
    pub oracle: Option<Arc<Oracle>>,
    /// What answers DNS; none where there is no `dns`.
    pub dns: Option<Dns>,
    /// Operators' orders.
    pub orders: Orders,
    /// What edges said.
    pub edges: Edges,
    /// The other companions.
    pub peers: Peers,
    /// What was.
    pub history: History,
    /// What is wrong.
    pub alerts: Alerts,
    /// What is counted.
    pub counters: Counters,
    /// Something is to be looked at before the next round.
    pub news: Notify,
    config: Mutex<status::Config>,
    stopping: AtomicBool,
    started: u64,
}

impl World {
    /// Begins by these settings. Must be called within a runtime.
    ///
    /// # Errors
    /// If the data directory cannot be used.
    pub fn new(
        file: &Path,
        settings: Settings,
        database: Option<Arc<dyn Database>>,
        dns: Option<Dns>,
    ) -> Result<World, String> {
        let orders = Orders::open(&settings.data_dir)?;
        let config = status::Config {
            file: file.display().to_string(),
            hash: settings.plan.hash.clone(),
            loaded_at: clock::unix_ms(),
            ..status::Config::default()
        };
        Ok(World {
            file: file.to_owned(),
            board: ArcSwap::from_pointee(Board::new(&settings)),
            database,
            dns,
            oracle: settings.oracle.clone().map(Oracle::new),
            orders,
            edges: Edges::default(),
            peers: Peers::new(&settings),
            history: History::default(),
            alerts: Alerts::new(&settings),
            counters: Counters::default(),
            news: Notify::new(),
            config: Mutex::new(config),
            stopping: AtomicBool::new(false),
            started: clock::unix_ms(),
            settings: ArcSwap::from_pointee(settings),
        })
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// What readiness depends on now.
    pub fn board(&self) -> Arc<Board> {
        self.board.load_full()
    }

    /// The database at this moment.
    pub fn seen(&self) -> Option<Seen> {
        let database = self.database.as_ref()?;
        Some(Seen { view: database.view(), now: database.now() })
    }

    /// Asks what the region depends on.
    pub async fn readiness(&self) -> Readiness {
        self.board().ask(self.seen().as_ref()).await
    }

    /// Whether it is being shut down.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// From now on the region is out of service.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Reads the topology file again; a bad one changes nothing but what is said of it.
    pub fn reload(&self) -> bool {
        let running = self.settings();
        let taken = Settings::load(&self.file, Some(&running.region)).and_then(|next| {
            let mut waiting = next.needs_restart(&running);
            match &self.database {
                Some(database) => waiting.extend(database.reload(&next)?),
                None if next.database.is_some() => waiting.push("database (none to one)".to_owned()),
                None => {}
            }
            if let Some(dns) = &self.dns {
                waiting.extend(dns.reload(&next)?);
            }
            Ok((next, waiting))
        });
        let (next, waiting) = match taken {
            Ok(taken) => taken,
            Err(faults) => {
                self.refused(&faults);
                return false;
            }
        };
        for field in &waiting {
            tracing::warn!(field, "changed in the file, and in force only after a restart");
        }
        self.board.store(Arc::new(Board::new(&next)));
        self.peers.reload(&next);
        self.alerts.reload(&next);
        if let (Some(oracle), Some(setup)) = (&self.oracle, &next.oracle) {
            oracle.reload(setup.clone());
        }
        let mut config = self.config();
        config.hash.clone_from(&next.plan.hash);
        config.loaded_at = clock::unix_ms();
        config.error = None;
        config.waiting = waiting;
        drop(config);
        tracing::info!(file = %self.file.display(), hash = next.plan.hash, "configuration reloaded");
        for warning in &next.plan.warnings {
            tracing::warn!(warning, "configuration");
        }
        self.settings.store(Arc::new(next));
        self.news.notify_one();
        true
    }

    fn refused(&self, faults: &str) {
        let first = faults.lines().next().unwrap_or_default();
        let more = faults.lines().count().saturating_sub(1);
        self.counters.reload_failures.inc();
        let mut config = self.config();
        config.failures += 1;
        config.error = Some(if more > 0 { format!("{first} (and {more} more)") } else { first.to_owned() });
        drop(config);
        for fault in faults.lines() {
            let file = self.file.display();
            tracing::error!(%file, fault, "configuration not taken: the one before stays in force");
        }
        self.news.notify_one();
    }

    /// What the status page says of the topology file.
    pub fn config_status(&self) -> status::Config {
        self.config().clone()
    }

    fn config(&self) -> std::sync::MutexGuard<'_, status::Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything, without asking anything anew.
    pub fn status(&self) -> status::Status {
        let settings = self.settings();
        let seen = self.seen();
        let now = clock::now();
        let config = self.config_status();
        let edge = |known: crate::edges::Known| {
            let own = known.state.local_region.as_deref() == Some(&settings.region);
            status::Edge {
                age_ms: now.since(known.at).get(),
                in_force: known.in_force(now),
                same_config: own.then(|| known.state.config_hash == config.hash),
                causes: known.causes.clone(),
                state: known.state,
            }
        };
        let webhook = |(name, counts): (String, crate::alerts::Counts)| status::Webhook {
            name,
            sent: counts.sent,
            failed: counts.failed,
            dropped: counts.dropped,
        };
        status::Status {
            service: settings.plan.file.service.clone(),
            region: settings.region.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: clock::unix_ms(),
            started: self.started,
            stopping: self.stopping(),
            drain_ms: self.orders.drain_remaining().map(|rest| rest.get()),
            regions: settings.plan.file.regions.iter().map(|region| region.name.clone()).collect(),
            readiness: self.board().known(seen.as_ref()),
            edges: self.edges.all(now).into_iter().map(edge).collect(),
            peers: self.peers.all(),
            votes: self.oracle.as_ref().map(|oracle| oracle.votes()),
            checks: self.oracle.as_ref().map(|oracle| oracle.checks()).unwrap_or_default(),
            database: seen.as_ref().and_then(|seen| self.database_status(&settings, seen)),
            alerts: self.alerts.active(),
            webhooks: self.alerts.counts().into_iter().map(webhook).collect(),
            transitions: self.history.told(),
            config,
        }
    }

    fn database_status(&self, settings: &Settings, seen: &Seen) -> Option<status::Database> {
        let figures = self.database.as_ref()?.figures();
        let configured = &settings.plan.file.database.as_ref()?.nodes;
        let Seen { view, now } = seen;
        let name = |index: usize| configured.get(index).map_or("?", |node| node.name.as_str());
        let writer = match view.writer {
            Writer::Known { node, timeline } => format!("{}, timeline {timeline}", name(node)),
            Writer::None => "none".to_owned(),
            Writer::Conflict { nodes: (one, other), timeline } => {
                format!("conflict: {} and {} on timeline {timeline}", name(one), name(other))
            }
        };
        let node = |(index, (node, configured)): (
            usize,
            (&evenkeel_policy::database::NodeView, &evenkeel_config::database::Node),
        )| {
            let is_writer = view.writer() == Some(index);
            let pools = figures.pools.iter().filter(|pool| pool.node == configured.name);
            status::Node {
                name: configured.name.clone(),
                region: configured.region.clone(),
                address: configured.address.to_string(),
                local: configured.region == settings.region,
                writer: is_writer,
                disputed: node.reachable && node.role == Some(Role::Writer) && !is_writer,
                role: node.role,
                reachable: node.reachable,
                timeline: node.timeline,
                lag_ms: node.lag.map(|lag| lag.get()),
                lag_bytes: node.lag_bytes,
                age_ms: now.since(node.since).get(),
                error: node.error.clone(),
                drained: node.drained,
                drain_ms: self.orders.node_drained(&configured.name).flatten().map(|rest| rest.get()),
                in_use: pools.map(|pool| pool.in_use).sum(),
                lag_history: self.history.lag(index),
            }
        };
        Some(status::Database {
            writer,
            writer_known: view.writer().is_some(),
            conflict: matches!(view.writer, Writer::Conflict { .. }),
            writer_age_ms: now.since(view.writer_since).get(),
            highest_timeline: view.highest_timeline,
            nodes: view.nodes.iter().zip(configured).enumerate().map(node).collect(),
            writers: self.history.writers(),
            figures,
        })
    }

    /// Tells of another writer.
    pub fn writer_changed(&self, summary: String) {
        self.alerts.happened(Kind::WriterChanged, Severity::Warning, summary);
    }
}
