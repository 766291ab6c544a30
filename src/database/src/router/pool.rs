//! Connections to the nodes, kept between uses and counted.

mod places;

use super::cancel::Cancels;
use super::login::{Identity, Link, LoginError, connect, late};
use super::nodes::{Known, NodeAddress, Nodes};
use arc_swap::ArcSwap;
use places::{Place, Pool};
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};

/// Between two looks at what is idle.
const SWEEP: Duration = Duration::from_millis(250);

/// The bounds of the pool for one node and identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections in use, being made or idle.
    pub max: usize,
    /// Of them idle for more than a moment.
    pub max_idle: usize,
    /// An idle connection is closed after this.
    pub idle_timeout: Duration,
    /// A connection is closed at its first idle moment after this.
    pub lifetime: Duration,
    /// To wait for a place, and to connect and log in.
    pub connect_timeout: Duration,
}

impl From<&evenkeel_config::database::Pool> for Bounds {
    fn from(pool: &evenkeel_config::database::Pool) -> Self {
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Bounds {
            max: count(pool.max),
            max_idle: count(pool.max_idle),
            idle_timeout: pool.idle_timeout.to_duration(),
            lifetime: pool.lifetime.to_duration(),
            connect_timeout: pool.connect_timeout.to_duration(),
        }
    }
}

/// Why there is no lease.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// All places stayed taken.
    #[error(
        "all {max} connections to node number {node} stayed in use for {waited:?}: see database.pool.max"
    )]
    Exhausted {
        /// The node's place in the configuration.
        node: usize,
        /// How many places there are.
        max: usize,
        /// How long this waited.
        waited: Duration,
    },
    /// The connection could not be made.
    #[error(transparent)]
    Login(#[from] LoginError),
}

/// One pool's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// The node's place in the configuration.
    pub node: usize,
    /// The user on the node.
    pub user: String,
    /// The database.
    pub database: String,
    /// Connections leased, or being made.
    pub in_use: usize,
    /// Connections at rest.
    pub idle: usize,
    /// Sessions that wait for a place.
    pub waiting: usize,
    /// How many places there are.
    pub max: usize,
}

/// All pools.
#[derive(Clone)]
pub struct Pools(Arc<Inner>);

/// By node and identity.
type ByKey = HashMap<(usize, Arc<Identity>), Arc<Pool>>;

struct Inner {
    nodes: Nodes,
    cancels: Cancels,
    bounds: ArcSwap<Bounds>,
    pools: Mutex<ByKey>,
}

impl Pools {
    /// No connection yet. Must be called within a tokio runtime, where idle connections are then
    /// looked after until the last copy of this is dropped.
    pub fn new(nodes: Nodes, cancels: Cancels, bounds: Bounds) -> Self {
        let pools = Mutex::default();
        let inner = Arc::new(Inner { nodes, cancels, bounds: ArcSwap::from_pointee(bounds), pools });
        tokio::spawn(look_after(Arc::downgrade(&inner)));
        Pools(inner)
    }

    /// Leases a connection to the node: an idle one of this very generation, else a new one.
    ///
    /// # Errors
    /// [`PoolError::Exhausted`] if no place became free before `deadline` or within
    /// `connect_timeout`; [`PoolError::Login`] if the connection could not be made in what was left.
    pub async fn acquire(
        &self,
        node: usize,
        identity: &Arc<Identity>,
        generation: u64,
        deadline: Instant,
    ) -> Result<Lease, PoolError> {
        let begun = Instant::now();
        let bounds = **self.0.bounds.load();
        let until = deadline.min(begun + bounds.connect_timeout);
        let mut place = self.0.pool(node, identity).place(until).await.ok_or(PoolError::Exhausted {
            node,
            max: bounds.max,
            waited: begun.elapsed(),
        })?;
        if let Some(link) = place.idle(generation, bounds.lifetime) {
            return Ok(Lease { link, place });
        }
        let known = Arc::clone(&self.0.nodes.load());
        let address = known
            .addresses
            .get(node)
            .ok_or_else(|| LoginError::Unreachable(format!("node number {node} is no longer configured")))?;
        let left = until.saturating_duration_since(Instant::now());
        let (identity, within) = (identity.clone(), bounds.connect_timeout);
        let begun = begin(address.clone(), identity, known.clone(), generation, place, within);
        timeout(left, begun).await.map_err(|_| late(address, left))?
    }

    /// Closes a node's idle connections at once, and those in use when they come back.
    pub fn fence(&self, node: usize) {
        lock(&self.0.pools).values().filter(|pool| pool.node == node).for_each(|pool| pool.fence());
    }

    /// Closes idle connections to a database at once, and those in use when they come back.
    pub fn fence_database(&self, database: &[u8]) {
        let pools = lock(&self.0.pools);
        pools.values().filter(|pool| pool.is_of(database)).for_each(|pool| pool.fence());
    }

    /// Closes all idle connections at once, and those in use when they come back.
    pub fn fence_all(&self) {
        lock(&self.0.pools).values().for_each(|pool| pool.fence());
    }

    /// Takes new bounds and nodes. Connections to nodes that moved, and all of them if TLS is or was
    /// configured (its files may have changed), are not used again.
    pub fn reconfigure(&self, bounds: Bounds, known: Known) {
        let new = known.clone();
        let old = self.0.nodes.replace(known);
        self.0.bounds.store(Arc::new(bounds));
        let tls = old.tls.is_some() || new.tls.is_some();
        for pool in lock(&self.0.pools).values() {
            if tls || old.addresses.get(pool.node) != new.addresses.get(pool.node) {
                pool.fence();
            }
            pool.resize(bounds.max);
        }
    }

    /// Every pool's figures, ordered by node, user and database.
    pub fn stats(&self) -> Vec<PoolStats> {
        let mut stats: Vec<PoolStats> = lock(&self.0.pools).values().map(|pool| pool.stats()).collect();
        stats.sort_by(|a, b| (a.node, &a.user, &a.database).cmp(&(b.node, &b.user, &b.database)));
        stats
    }
}

impl Inner {
    fn pool(self: &Arc<Self>, node: usize, identity: &Arc<Identity>) -> Arc<Pool> {
        let mut pools = lock(&self.pools);
        let new = || {
            let max = self.bounds.load().max;
            Arc::new(Pool::new(node, identity.clone(), self.cancels.clone(), max))
        };
        pools.entry((node, identity.clone())).or_insert_with(new).clone()
    }
}

/// Logs in, and goes on with it if nobody waits for it any more: the connection is idle then. Broken off,
/// it would be the node's for a moment after its place went to the next, who would be one too many there.
async fn begin(
    address: NodeAddress,
    identity: Arc<Identity>,
    known: Arc<Known>,
    generation: u64,
    place: Place,
    within: Duration,
) -> Result<Lease, PoolError> {
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let link = connect(&address, &identity, known.tls.as_ref(), within).await;
        let lease = link.map(|link| Lease { link: Link { generation, ..link }, place });
        if let Err(Ok(lease)) = tell.send(lease) {
            lease.give_back();
        }
    });
    let lost = |_| LoginError::Unreachable("the log-in was broken off: the runtime ends".to_owned());
    Ok(told.await.map_err(lost)??)
}

/// Closes what has been idle too long, and forgets pools that nobody uses.
async fn look_after(pools: Weak<Inner>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(inner) = pools.upgrade() else { return };
        let bounds = **inner.bounds.load();
        lock(&inner.pools).retain(|_, pool| {
            pool.sweep(&bounds);
            // Copies are made under the map's lock alone: a sole owner stays one.
            Arc::strong_count(pool) > 1 || !pool.is_empty()
        });
    }
}

/// A connection in use. Dropped, it is closed and its place is free again.
pub struct Lease {
    link: Link,
    place: Place,
}

impl Lease {
    /// Gives the connection back for the next session: only at rest, outside of a transaction, with
    /// everything read that the node sent.
    pub fn give_back(self) {
        let Lease { link, place } = self;
        if link.read.is_empty() {
            place.rest(link);
        }
    }
}

impl Deref for Lease {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
