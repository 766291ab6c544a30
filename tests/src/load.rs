//! Open-loop load: requests start by the clock, whatever becomes of the earlier ones.

use crate::{Reply, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};

/// One request of a load.
#[derive(Clone, Debug)]
pub struct Shot {
    /// When it began.
    pub at: Instant,
    /// Its method.
    pub method: String,
    /// What came of it.
    pub reply: Result<Reply, String>,
    /// How long that took.
    pub took: Duration,
}

impl Shot {
    /// Whether it was answered with 200.
    pub fn is_good(&self) -> bool {
        self.reply.as_ref().is_ok_and(|reply| reply.status == 200)
    }

    /// The region that answered; empty if none did.
    pub fn region(&self) -> &str {
        self.reply.as_ref().map_or("", |reply| reply.region())
    }
}

/// A load under way.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    running: JoinHandle<Vec<Shot>>,
}

impl Load {
    /// So many requests in a second, each on a connection of its own so that both workers get their
    /// part. `make` is told the request's number.
    pub fn start(to: SocketAddr, per_second: u32, make: impl Fn(u64) -> Request + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let running = tokio::spawn(async move {
            let begun = tokio::time::Instant::now();
            let mut shots = JoinSet::new();
            let mut done = Vec::new();
            for number in 0u64.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let request = make(number);
                shots.spawn(async move {
                    let at = Instant::now();
                    let reply = request.send(to).await;
                    Shot { at, method: request.method, reply, took: at.elapsed() }
                });
                while let Some(shot) = shots.try_join_next() {
                    done.extend(shot);
                }
                let next = Duration::from_secs_f64((number + 1) as f64 / f64::from(per_second));
                tokio::time::sleep_until(begun + next).await;
            }
            while let Some(shot) = shots.join_next().await {
                done.extend(shot);
            }
            done.sort_by_key(|shot| shot.at);
            done
        });
        Load { stop, running }
    }

    /// Lets it run for a while.
    pub async fn run_for(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// Ends it and waits for the last answer.
    ///
    /// # Panics
    /// If a request's task panicked.
    pub async fn finish(self) -> Shots {
        self.stop.store(true, Ordering::Relaxed);
        Shots(self.running.await.expect("the load's task"))
    }
}

/// What came of a load, in order of beginning.
#[derive(Clone, Debug)]
pub struct Shots(pub Vec<Shot>);

impl Shots {
    /// Those that fit.
    pub fn that(&self, fits: impl Fn(&Shot) -> bool) -> Vec<&Shot> {
        self.0.iter().filter(|shot| fits(shot)).collect()
    }

    /// Those that were not answered with 200, of one method.
    pub fn failed(&self, method: &str) -> Vec<&Shot> {
        self.that(|shot| shot.method == method && !shot.is_good())
    }

    /// The longest of one method.
    pub fn longest(&self, method: &str) -> Duration {
        self.that(|shot| shot.method == method).iter().map(|shot| shot.took).max().unwrap_or_default()
    }

    /// How long after a moment the last request that this region answered began; none if it answered
    /// none since.
    pub fn last_to(&self, region: &str, since: Instant) -> Option<Duration> {
        self.0
            .iter()
            .rev()
            .find(|shot| shot.region() == region && shot.at >= since)
            .map(|shot| shot.at - since)
    }
}
