//! The router as a whole: its listeners, what they share, and the operator's word.

use super::accept::Acceptor;
use super::cancel::Cancels;
use super::credentials::{Credentials, CredentialsError};
use super::hub::{Admission, Counters, Doing, Held, Hub, Limits, News, Port, Welcome};
use super::lanes::Lanes;
use super::nodes::{Known, NodeAddress, Nodes};
use super::pool::{Bounds, PoolStats, Pools};
use super::session;
use super::startup::Entrance;
use super::tls::{ClientSide, NodeSide, TlsError};
use crate::watch::{self, Watch};
use arc_swap::ArcSwap;
use evenkeel_config::database::{Database, Listener};
use evenkeel_policy::database::Writer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch as channel;

/// What the router is made from. Paths in `database` are absolute, or relative to the process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database's section of the topology file.
    pub database: Database,
    /// The listeners of this region.
    pub listeners: Vec<Listener>,
    /// This region's name; replicas of it are the near ones.
    pub region: String,
}

/// Why the router cannot start, or cannot take a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// The file of client users is wrong.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A certificate or key is wrong.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There are listeners and no file of client users.
    #[error("database.credentials: is missing: name the file of client users, since there are listeners")]
    NoCredentials,
    /// A listener's address is not an IP address.
    #[error("database.listeners[].listen: {0}: listen on an IP address, like \"0.0.0.0:5432\"")]
    Address(String),
    /// The system gives no threads.
    #[error("no thread for sessions can be started: {0}")]
    Threads(std::io::Error),
    /// A listener's address cannot be bound.
    #[error("database.listeners[].listen: {address}: {error}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: std::io::Error,
    },
}

/// A router at work.
pub struct Router {
    hub: Arc<Hub>,
    entrance: Arc<Entrance>,
    doors: Vec<(Acceptor, Arc<Port>)>,
    /// Sessions end with them, and must not end with the listeners.
    _lanes: Arc<Lanes>,
}

/// One listener's figures.
#[derive(Clone, Debug)]
pub struct ListenerStats {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Clients that are in.
    pub clients: usize,
    /// Clients that were refused because too many were in.
    pub refused: u64,
    /// Sessions by what they do, with the word for it.
    pub sessions: Vec<(&'static str, u32)>,
}

impl Router {
    /// Binds the listeners and begins to serve.
    ///
    /// # Errors
    /// What of the configuration cannot be used, or which address cannot be bound.
    pub fn start(settings: &Settings, watch: Watch) -> Result<Router, RouterError> {
        let nodes = Nodes::new(known(settings)?);
        let cancels = Cancels::new(nodes.clone());
        let pools = Pools::new(nodes, cancels.clone(), Bounds::from(&settings.database.pool));
        let news = News { writer: watch.view().writer, stopping: false };
        let hub = Arc::new(Hub {
            watch,
            pools,
            cancels: cancels.clone(),
            limits: ArcSwap::from_pointee(limits(settings)),
            paused: channel::channel(false).0,
            news: channel::channel(news).0,
            welcome: Welcome::default(),
            held: Held::default(),
            pinned: AtomicU32::new(0),
            admission: Admission::default(),
            parses: AtomicU64::new(1),
            counters: Counters::default(),
        });
        let entrance = Arc::new(Entrance::new(credentials(settings)?, client_side(settings)?, cancels));
        tokio::spawn(follow_the_writer(Arc::downgrade(&hub), hub.watch.subscribe()));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let lanes = Lanes::start(cores).map_err(RouterError::Threads)?;
        let mut doors = Vec::new();
        for listener in &settings.listeners {
            let port = Arc::new(Port { config: listener.clone(), sessions: Default::default() });
            let ip = listener.listen.ip().ok_or_else(|| RouterError::Address(listener.listen.to_string()))?;
            let address = SocketAddr::new(ip, listener.listen.port());
            let serve = {
                let (hub, port) = (Arc::clone(&hub), Arc::clone(&port));
                move |client| session::run(Arc::clone(&hub), Arc::clone(&port), client)
            };
            let entrance = Arc::clone(&entrance);
            let acceptor = Acceptor::start(
                listener.name(),
                address,
                listener.max_clients,
                entrance,
                Arc::clone(&lanes),
                serve,
            )
            .map_err(|error| RouterError::Bind { address, error })?;
            doors.push((acceptor, port));
        }
        Ok(Router { hub, entrance, doors, _lanes: lanes })
    }

    /// Takes a new configuration, sessions kept. Gives the fields that need a restart to change.
    ///
    /// # Errors
    /// What of it cannot be used; the old one then stays in force.
    pub fn reconfigure(&self, settings: &Settings) -> Result<Vec<String>, RouterError> {
        let (known, credentials) = (known(settings)?, credentials(settings)?);
        self.entrance.replace(credentials, client_side(settings)?);
        self.hub.pools.reconfigure(Bounds::from(&settings.database.pool), known);
        self.hub.limits.store(Arc::new(limits(settings)));
        self.hub.welcome.clear();
        let mut fixed = Vec::new();
        let same = |a: &Listener, b: &Listener| {
            (a.name(), &a.listen, a.mode, a.consistency, a.pooling)
                == (b.name(), &b.listen, b.mode, b.consistency, b.pooling)
        };
        if settings.listeners.len() != self.doors.len() {
            fixed.push("database.listeners".to_owned());
        }
        for (index, (listener, (acceptor, port))) in settings.listeners.iter().zip(&self.doors).enumerate() {
            acceptor.set_max_clients(listener.max_clients);
            if !same(listener, &port.config) {
                fixed.push(format!("database.listeners[{index}]"));
            }
        }
        Ok(fixed)
    }

    /// Holds new statements outside transactions, or lets them go on.
    pub fn pause(&self, paused: bool) {
        self.hub.paused.send_replace(paused);
    }

    /// Whether an operator holds new statements.
    pub fn is_paused(&self) -> bool {
        *self.hub.paused.borrow()
    }

    /// Takes no new clients and ends sessions as they come to rest. Over when none is left, or after
    /// `within`. Gives how many were left.
    pub async fn stop(&self, within: Duration) -> usize {
        self.hub.news.send_modify(|news| news.stopping = true);
        for (acceptor, _) in &self.doors {
            acceptor.stop().await;
        }
        let left = || self.doors.iter().map(|(acceptor, _)| acceptor.clients()).sum::<usize>();
        let deadline = tokio::time::Instant::now() + within;
        while left() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        left()
    }

    /// Every listener's figures, in configuration order.
    pub fn listeners(&self) -> Vec<ListenerStats> {
        let stats = |(acceptor, port): &(Acceptor, Arc<Port>)| ListenerStats {
            name: port.config.name().to_owned(),
            address: acceptor.address(),
            clients: acceptor.clients(),
            refused: acceptor.refused(),
            sessions: Doing::ALL.iter().map(|(doing, word)| (*word, port.sessions.get(*doing))).collect(),
        };
        self.doors.iter().map(stats).collect()
    }

    /// Every pool's figures.
    pub fn pools(&self) -> Vec<PoolStats> {
        self.hub.pools.stats()
    }

    /// What was counted over all sessions.
    pub fn counters(&self) -> &Counters {
        &self.hub.counters
    }

    /// Statements that wait for a writer now, and their bytes.
    pub fn held(&self) -> (u32, u64) {
        (self.hub.held.statements(), self.hub.held.bytes())
    }

    /// Sessions that keep their node connections for state of theirs.
    pub fn pinned(&self) -> u32 {
        self.hub.pinned.load(Ordering::Relaxed)
    }
}

/// Tells sessions of another writer, and closes what belonged to the former one.
async fn follow_the_writer(
    hub: std::sync::Weak<Hub>,
    mut views: channel::Receiver<Arc<evenkeel_policy::database::View>>,
) {
    while views.changed().await.is_ok() {
        let writer = views.borrow_and_update().writer;
        let Some(hub) = hub.upgrade() else { return };
        let before = hub.news.borrow().writer;
        if before == writer {
            continue;
        }
        if let (Writer::Known { node: old, .. }, false) = (before, writer == Writer::None) {
            hub.pools.fence(old);
        }
        if let Writer::Known { .. } = writer {
            hub.admission.narrow();
        }
        hub.news.send_modify(|news| news.writer = writer);
    }
}

fn known(settings: &Settings) -> Result<Known, TlsError> {
    let address = |(index, node): (usize, &evenkeel_config::database::Node)| NodeAddress {
        index,
        name: node.name.clone(),
        address: node.address.clone(),
    };
    Ok(Known {
        addresses: settings.database.nodes.iter().enumerate().map(address).collect(),
        tls: settings.database.node_tls.as_ref().map(NodeSide::load).transpose()?,
    })
}

fn limits(settings: &Settings) -> Limits {
    let database = &settings.database;
    Limits {
        hold: database.hold.clone(),
        pool: database.pool.clone(),
        rules: watch::rules(database),
        local: database.nodes.iter().map(|node| node.region == settings.region).collect(),
        names: database.nodes.iter().map(|node| node.name.clone()).collect(),
    }
}

fn credentials(settings: &Settings) -> Result<Credentials, RouterError> {
    match &settings.database.credentials {
        Some(path) => Ok(Credentials::load(path)?),
        None if settings.listeners.is_empty() => Ok(Credentials::default()),
        None => Err(RouterError::NoCredentials),
    }
}

fn client_side(settings: &Settings) -> Result<Option<ClientSide>, TlsError> {
    settings.database.server_tls.as_ref().map(ClientSide::load).transpose()
}
