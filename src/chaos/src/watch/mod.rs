//! Looks at every edge and every companion of the target, several times a second, and at its Prometheus once
//! a second, for as long as a run lasts. A look that shows nothing is kept too, so that no gap is hidden.

mod alerts;
mod companion;
pub mod gauges;

use crate::aside::Aside;
use crate::clock::Clock;
use crate::http::{self, Pool};
use crate::journal::{AlertWatch, EdgeView, Observer, Sample, Seen};
use crate::load::socket_address;
use crate::target::{Place, Target};
use anyhow::{Context, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

/// Between two looks at one edge or companion: the resolution of everything that is read from them.
const INTERVAL: Duration = Duration::from_millis(200);

/// Observers that are looked at, on a thread of its own.
#[derive(Debug)]
pub struct Running {
    samples: Arc<Mutex<Vec<Sample>>>,
    alerts: Option<alerts::Seen>,
    stop: watch::Sender<bool>,
    thread: Aside<()>,
}

/// Begins at once. A target without observers shows nothing.
///
/// # Errors
/// If an observer has no address, or the token cannot be read; the message names the field.
pub fn start(target: &Target, clock: &Clock) -> Result<Running> {
    let token = match &target.token_file {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("token-file {}: cannot be read", path.display()))?;
            Some(text.trim().to_owned())
        }
    };
    let eye = |place: &Place, observer, token: Option<String>| -> Result<Eye> {
        let pool = Pool::new(socket_address(&place.address)?);
        Ok(Eye { observer, region: place.region.clone(), pool, token, clock: clock.clone() })
    };
    let edges = target.edges.iter().map(|place| eye(place, Observer::Edge, None));
    let companions = target.companions.iter().map(|place| eye(place, Observer::Companion, token.clone()));
    let eyes: Vec<Eye> = edges.chain(companions).collect::<Result<_>>()?;
    let prometheus = target.alerts.as_ref();
    let prometheus =
        prometheus.map(|address| alerts::Eye::new(address, alerts::INTERVAL, clock)).transpose()?;
    let alerts = prometheus.as_ref().map(alerts::Eye::seen);
    let samples = Arc::new(Mutex::new(Vec::new()));
    let (stop, stopped) = watch::channel(false);
    let kept = samples.clone();
    let thread = Aside::start("watch", move || async move {
        let mut looking: JoinSet<()> =
            eyes.into_iter().map(|eye| eye.look_on(kept.clone(), stopped.clone())).collect();
        if let Some(eye) = prometheus {
            looking.spawn(eye.look_on(stopped));
        }
        while looking.join_next().await.is_some() {}
    })?;
    Ok(Running { samples, alerts, stop, thread })
}

impl Running {
    /// The newest look at each observer.
    pub fn latest(&self) -> Vec<Sample> {
        let samples = lock(&self.samples);
        let mut latest: Vec<Sample> = Vec::new();
        // Older than that, it is no news: an observer that hangs is asked for seconds.
        for sample in samples.iter().rev().take(1_000) {
            if !latest.iter().any(|known| known.observer == sample.observer && known.region == sample.region)
            {
                latest.push(sample.clone());
            }
        }
        latest.sort_by(|a, b| (a.observer, &a.region).cmp(&(b.observer, &b.region)));
        latest
    }

    /// All looks, in order; and those at the Prometheus, if there is one.
    pub async fn stop(self) -> (Vec<Sample>, Option<AlertWatch>) {
        self.stop.send(true).ok();
        // What was seen before it panicked was seen.
        self.thread.end().await.ok();
        let mut samples = std::mem::take(&mut *lock(&self.samples));
        samples.sort_by(|a, b| a.at.total_cmp(&b.at));
        let alerts = self.alerts.map(|seen| std::mem::take(&mut *lock(&seen)));
        (samples, alerts)
    }
}

/// Who looks at one observer.
struct Eye {
    observer: Observer,
    region: String,
    pool: Pool,
    token: Option<String>,
    clock: Clock,
}

impl Eye {
    async fn look_on(self, samples: Arc<Mutex<Vec<Sample>>>, stop: Stopped) {
        let mut looks = Looks::every(INTERVAL, stop);
        while looks.next().await {
            let asked = self.clock.now();
            let seen = self.look().await;
            let (at, observer, region) = (self.clock.now(), self.observer, self.region.clone());
            lock(&samples).push(Sample { asked, at, observer, region, seen });
        }
    }

    async fn look(&self) -> Option<Seen> {
        match self.observer {
            Observer::Edge => edge(&http::get(&self.pool, gauges::PAGE).await.ok()?),
            Observer::Companion => {
                let page = http::get_with(&self.pool, companion::PAGE, self.token.as_deref()).await.ok()?;
                companion::read(&page).map(Seen::Companion)
            }
        }
    }
}

/// Turns true when nobody wants to see more.
type Stopped = watch::Receiver<bool>;

/// When to look: at once, and then every so often. A look that takes longer puts off the next.
struct Looks {
    ticks: Interval,
    stop: Stopped,
}

impl Looks {
    fn every(interval: Duration, stop: Stopped) -> Looks {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Looks { ticks, stop }
    }

    /// Waits until it is time; false when it is stopped.
    async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            // An error means that whoever could stop it is gone.
            _ = self.stop.wait_for(|stop| *stop) => false,
            _ = self.ticks.tick() => true,
        }
    }
}

/// A page without the filter's gauges says nothing.
fn edge(page: &str) -> Option<Seen> {
    let regions = gauges::read(page).regions.into_iter().filter_map(|(name, shown)| {
        let (healthy, breaker, share) = (shown.healthy?, shown.breaker?, shown.share?);
        Some((name, EdgeView { healthy, breaker: breaker.gauge() as u8, share: f64::from(share) }))
    });
    let views: std::collections::BTreeMap<_, _> = regions.collect();
    (!views.is_empty()).then_some(Seen::Edge(views))
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_without_gauges_is_a_gap() {
        assert_eq!(edge(""), None);
        assert_eq!(edge("evenkeel_region_healthy{region=\"taiwan\"} 1\n"), None);
        let seen = edge(
            "evenkeel_region_healthy{region=\"taiwan\"} 1\nevenkeel_region_share{region=\"taiwan\"} 40\n\
             evenkeel_breaker_state{region=\"taiwan\"} 2\n",
        );
        let taiwan = EdgeView { healthy: true, breaker: 2, share: 40.0 };
        assert_eq!(seen, Some(Seen::Edge([("taiwan".to_owned(), taiwan)].into())));
    }
}
