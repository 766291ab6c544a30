//! One component's last result: shared by all who ask, renewed by at most one check at a time.

use super::check::Check;
use crate::clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How long it took.
    pub latency_ms: u64,
    /// Why the component is down; none, and it is up.
    pub error: Option<String>,
    /// When it was found.
    pub at: Instant,
}

/// A component that is checked by asking it.
#[derive(Debug)]
pub struct Slot {
    check: Check,
    cache_for: Duration,
    latest: watch::Sender<Option<Outcome>>,
    under_way: Mutex<bool>,
    checks: AtomicU64,
}

impl Slot {
    /// Nothing is known yet.
    pub fn new(check: Check, cache_for: Duration) -> Arc<Self> {
        Arc::new(Slot {
            check,
            cache_for,
            latest: watch::Sender::new(None),
            under_way: Mutex::new(false),
            checks: AtomicU64::new(0),
        })
    }

    /// The component's name.
    pub fn name(&self) -> &'static str {
        self.check.name()
    }

    /// Whether it decides.
    pub fn required(&self) -> bool {
        self.check.required()
    }

    /// How often the component itself was asked.
    pub fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    /// The last result, however old.
    pub fn last(&self) -> Option<Outcome> {
        self.latest.borrow().clone()
    }

    /// Begins a check unless a result is fresh or a check is under way already. A check goes on when
    /// those who asked have gone.
    pub fn ask(self: &Arc<Self>) -> Asked {
        // Subscribed before the look, so that a result that comes in between is not missed.
        let news = self.latest.subscribe();
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = self.latest.borrow().clone().filter(|known| known.at.elapsed() < self.cache_for);
        if let Some(known) = fresh {
            return Asked::Known(known);
        }
        if !*under_way {
            *under_way = true;
            tokio::spawn(self.clone().run());
        }
        Asked::Waiting(news)
    }

    async fn run(self: Arc<Self>) {
        self.checks.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let limit = self.check.limit();
        let found = match tokio::time::timeout(limit, self.check.run()).await {
            Ok(found) => found,
            Err(_) => Err(self.check.too_late()),
        };
        if found.is_err() {
            // The next check begins with a connection of its own.
            self.check.reset();
        }
        let latency_ms = clock::millis(began.elapsed()).get();
        let outcome = Outcome { latency_ms, error: found.err(), at: Instant::now() };
        let before = self.latest.borrow().as_ref().map(|known| known.error.is_none());
        match (&outcome.error, before) {
            (Some(error), Some(true) | None) => {
                tracing::warn!(component = self.name(), error, latency_ms, "component is down");
            }
            (None, Some(false)) => {
                tracing::info!(component = self.name(), latency_ms, "component is up again")
            }
            _ => {}
        }
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        *under_way = false;
        self.latest.send_replace(Some(outcome));
    }
}

/// An answer that is there or will be.
#[derive(Debug)]
pub enum Asked {
    /// It is fresh.
    Known(Outcome),
    /// It comes with the check that is under way.
    Waiting(watch::Receiver<Option<Outcome>>),
}

impl Asked {
    /// The answer; none if the component is no longer checked.
    pub async fn answer(self) -> Option<Outcome> {
        match self {
            Asked::Known(known) => Some(known),
            Asked::Waiting(mut news) => {
                news.changed().await.ok()?;
                news.borrow().clone()
            }
        }
    }
}
