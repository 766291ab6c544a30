//! Connections to the nodes, kept between uses and counted.
//!
//! A place is a permit of the pool's semaphore: whoever holds one may have one connection, and takes
//! an idle one before making a new one. So connections in use, being made and idle are together never
//! more than `max`.

use super::cancel::{Cancels, Target};
use super::login::{Identity, Link, LoginError, connect};
use super::nodes::{Known, Nodes};
use super::wire::frontend::TERMINATE;
use arc_swap::ArcSwap;
use bytes::BytesMut;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Between two looks at what is idle.
const SWEEP: Duration = Duration::from_millis(250);

/// A connection beyond `max_idle` is closed once it has been idle this long, not at once: with more
/// sessions at work than `max_idle`, each would otherwise log in anew for every transaction.
const SURPLUS_IDLE: Duration = Duration::from_secs(1);

/// A read buffer that has grown larger is not kept while idle.
const KEPT_BUFFER: usize = 16 << 10;

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

struct Inner {
    nodes: Nodes,
    cancels: Cancels,
    bounds: ArcSwap<Bounds>,
    pools: Mutex<HashMap<(usize, Arc<Identity>), Arc<Pool>>>,
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
        let mut link = connect(address, identity, known.tls.as_ref(), left).await?;
        link.generation = generation;
        Ok(Lease { link, place })
    }

    /// Closes a node's idle connections at once, and those in use when they come back.
    pub fn fence(&self, node: usize) {
        lock(&self.0.pools).values().filter(|pool| pool.node == node).for_each(|pool| pool.fence());
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
            Arc::new(Pool {
                node,
                identity: identity.clone(),
                cancels: self.cancels.clone(),
                places: Arc::new(Semaphore::new(max)),
                waiting: AtomicUsize::new(0),
                state: Mutex::new(State {
                    idle: Vec::new(),
                    in_use: 0,
                    max,
                    owed: 0,
                    generation: 0,
                    epoch: 0,
                }),
            })
        };
        pools.entry((node, identity.clone())).or_insert_with(new).clone()
    }
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
            Arc::strong_count(pool) > 1 || !lock(&pool.state).idle.is_empty()
        });
    }
}

/// The connections to one node as one identity.
struct Pool {
    node: usize,
    identity: Arc<Identity>,
    cancels: Cancels,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// The one used last is the last, and is used next.
    idle: Vec<Idle>,
    in_use: usize,
    max: usize,
    /// Places that are to vanish when they become free: `max` has shrunk.
    owed: usize,
    /// The newest generation that was asked for.
    generation: u64,
    /// Grows with each fence.
    epoch: u64,
}

struct Idle {
    link: Link,
    since: Instant,
}

impl Idle {
    fn close(mut self) {
        // So that the node's log does not speak of a lost client.
        self.link.stream.send_at_once(&TERMINATE);
    }
}

impl Pool {
    /// Waits for a place, in the order of asking.
    async fn place(self: Arc<Self>, until: Instant) -> Option<Place> {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiting::among(&self.waiting);
                timeout_at(until, self.places.clone().acquire_owned()).await.ok()?.ok()?
            }
        };
        let epoch = {
            let mut state = lock(&self.state);
            state.in_use += 1;
            state.epoch
        };
        Some(Place { pool: self, permit: Some(permit), epoch })
    }

    fn fence(&self) {
        let fenced = {
            let mut state = lock(&self.state);
            state.epoch += 1;
            std::mem::take(&mut state.idle)
        };
        fenced.into_iter().for_each(Idle::close);
    }

    fn resize(&self, max: usize) {
        let mut state = lock(&self.state);
        let grown = max.saturating_sub(state.max);
        let forgiven = grown.min(state.owed);
        state.owed -= forgiven;
        self.places.add_permits(grown - forgiven);
        let shrunk = state.max.saturating_sub(max);
        state.owed += shrunk - self.places.forget_permits(shrunk);
        state.max = max;
        while !state.idle.is_empty() && state.in_use + state.idle.len() > max {
            state.idle.remove(0).close();
        }
    }

    /// Closes what is idle for too long, too old, beyond `max_idle`, or was ended by the node.
    fn sweep(&self, bounds: &Bounds) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let mut surplus = state.idle.len().saturating_sub(bounds.max_idle);
        for mut idle in std::mem::take(&mut state.idle) {
            let rest = now.saturating_duration_since(idle.since);
            let age = now.saturating_duration_since(idle.link.born);
            let spare = surplus > 0 && rest >= SURPLUS_IDLE;
            if spare || rest >= bounds.idle_timeout || age >= bounds.lifetime || !idle.link.stream.is_silent()
            {
                surplus = surplus.saturating_sub(1);
                idle.close();
            } else {
                state.idle.push(idle);
            }
        }
    }

    fn stats(&self) -> PoolStats {
        let state = lock(&self.state);
        PoolStats {
            node: self.node,
            user: self.identity.user.clone(),
            database: self.identity.database.clone(),
            in_use: state.in_use,
            idle: state.idle.len(),
            waiting: self.waiting.load(Ordering::Relaxed),
            max: state.max,
        }
    }
}

/// Counts while it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(all: &'a AtomicUsize) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Waiting(all)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to one connection.
struct Place {
    pool: Arc<Pool>,
    /// Taken when the place is dropped.
    permit: Option<OwnedSemaphorePermit>,
    epoch: u64,
}

impl Place {
    /// An idle connection that may be used; closes those that may not and are found on the way.
    fn idle(&mut self, generation: u64, lifetime: Duration) -> Option<Link> {
        let mut state = lock(&self.pool.state);
        state.generation = state.generation.max(generation);
        while let Some(mut idle) = state.idle.pop() {
            let right = idle.link.generation == generation;
            if right && idle.link.born.elapsed() < lifetime && idle.link.stream.is_silent() {
                return Some(idle.link);
            }
            idle.close();
        }
        None
    }

    /// Takes the connection in, and frees the place.
    fn rest(mut self, mut link: Link) {
        let target = Target { node: link.node, key: link.key };
        let pool = self.pool.clone();
        let hit = pool.cancels.is_under_way(target);
        if link.read.capacity() > KEPT_BUFFER {
            link.read = BytesMut::new();
        }
        let idle = Idle { link, since: Instant::now() };
        let refused = {
            let mut state = lock(&pool.state);
            let stale = self.epoch != state.epoch || idle.link.generation < state.generation;
            let full = state.in_use + state.idle.len() > state.max;
            if hit || stale || full {
                Some(idle)
            } else {
                state.idle.push(idle);
                // Before the next one may look for an idle connection, and together with it.
                self.free(&mut state);
                None
            }
        };
        if let Some(idle) = refused {
            idle.close();
        }
    }

    fn free(&mut self, state: &mut State) {
        let Some(permit) = self.permit.take() else { return };
        state.in_use -= 1;
        if state.owed > 0 {
            state.owed -= 1;
            permit.forget();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let pool = self.pool.clone();
        self.free(&mut lock(&pool.state));
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
