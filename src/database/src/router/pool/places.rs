//! The connections to one node as one identity.
//!
//! A place is a permit of the pool's semaphore: whoever holds one may have one connection, and takes
//! an idle one before making a new one. So connections in use, being made and idle are together never
//! more than `max`.

use super::{Bounds, PoolStats, lock};
use crate::router::cancel::{Cancels, Target};
use crate::router::login::{Identity, Link};
use crate::router::wire::frontend::TERMINATE;
use bytes::BytesMut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// A connection beyond `max_idle` is closed once it has been idle this long, not at once: with more
/// sessions at work than `max_idle`, each would otherwise log in anew for every transaction.
const SURPLUS_IDLE: Duration = Duration::from_secs(1);

/// A read buffer that has grown larger is not kept while idle.
const KEPT_BUFFER: usize = 16 << 10;

/// The connections to one node as one identity.
pub(super) struct Pool {
    pub(super) node: usize,
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
    /// The generation that was last asked for: a node that was the writer may be a replica again.
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
    /// No connection yet, and at most `max`.
    pub(super) fn new(node: usize, identity: Arc<Identity>, cancels: Cancels, max: usize) -> Self {
        let state = State { idle: Vec::new(), in_use: 0, max, owed: 0, generation: 0, epoch: 0 };
        let (places, waiting, state) =
            (Arc::new(Semaphore::new(max)), AtomicUsize::new(0), Mutex::new(state));
        Pool { node, identity, cancels, places, waiting, state }
    }

    /// Whether there is nothing in it to keep.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.state).idle.is_empty()
    }

    /// Waits for a place, in the order of asking.
    pub(super) async fn place(self: Arc<Self>, until: Instant) -> Option<Place> {
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

    /// Whether its connections are to this database.
    pub(super) fn is_of(&self, database: &[u8]) -> bool {
        self.identity.database.as_bytes() == database
    }

    /// Closes what is idle now, and what is in use when it comes back.
    pub(super) fn fence(&self) {
        let fenced = {
            let mut state = lock(&self.state);
            state.epoch += 1;
            std::mem::take(&mut state.idle)
        };
        fenced.into_iter().for_each(Idle::close);
    }

    /// Takes a new bound. Connections in use beyond it stay until they come back.
    pub(super) fn resize(&self, max: usize) {
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
    pub(super) fn sweep(&self, bounds: &Bounds) {
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

    /// Its figures.
    pub(super) fn stats(&self) -> PoolStats {
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
pub(super) struct Place {
    pool: Arc<Pool>,
    /// Taken when the place is dropped.
    permit: Option<OwnedSemaphorePermit>,
    epoch: u64,
}

impl Place {
    /// An idle connection that may be used; closes those that may not and are found on the way.
    pub(super) fn idle(&mut self, generation: u64, lifetime: Duration) -> Option<Link> {
        let mut state = lock(&self.pool.state);
        state.generation = generation;
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
    pub(super) fn rest(mut self, mut link: Link) {
        let target = Target { node: link.node, key: link.key };
        let pool = self.pool.clone();
        let hit = pool.cancels.is_under_way(target);
        if link.read.capacity() > KEPT_BUFFER {
            link.read = BytesMut::new();
        }
        let idle = Idle { link, since: Instant::now() };
        let refused = {
            let mut state = lock(&pool.state);
            let stale = self.epoch != state.epoch || idle.link.generation != state.generation;
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
