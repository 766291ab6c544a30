//! Probe results to a region's health, and when to probe next.

use crate::settings::HealthCheck;
use crate::time::{Millis, Time};
use crate::words::Cause;
use serde::{Deserialize, Serialize};

/// What one probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What came of it.
    pub result: ProbeResult,
    /// From the request to the answer, or to giving up.
    pub latency: Millis,
    /// What remains of a drain that the region's readiness answer announced.
    pub drain: Option<Millis>,
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// An answer of 2xx.
    Ok,
    /// Another answer, none, or rubbish.
    Failed,
    /// Envoy knows no such cluster.
    NoCluster,
}

/// One region's health.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    healthy: bool,
    /// Why it is unhealthy; kept while healthy, where it means nothing.
    cause: Cause,
    /// Results in a row that contradict `healthy`.
    against: u32,
    /// When the region became known, or probing began anew: no probe is missed for `max_age` from then.
    watched_since: Time,
    last_completed: Option<Time>,
    /// Moving average of good probes, in milliseconds.
    latency_ms: Option<f32>,
}

/// How much a new latency weighs in the moving average: about the last five probes matter.
const LATENCY_GAIN: f32 = 0.3;

/// Time between probes of a region whose state is in question.
const QUICK: Millis = Millis::from_secs(1);

impl Health {
    /// A region that becomes known now.
    pub fn new(now: Time) -> Self {
        Health {
            healthy: true,
            cause: Cause::Unhealthy,
            against: 0,
            watched_since: now,
            last_completed: None,
            latency_ms: None,
        }
    }

    /// A region whose last probe, a moment ago, settled its health.
    pub fn supposed(unhealthy: Option<Cause>, now: Time) -> Self {
        Health {
            healthy: unhealthy.is_none(),
            cause: unhealthy.unwrap_or(Cause::Unhealthy),
            last_completed: Some(now),
            ..Health::new(now)
        }
    }

    /// Whether the region counts as healthy.
    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Why it is unhealthy, if it is.
    pub fn cause(&self) -> Option<Cause> {
        (!self.healthy).then_some(self.cause)
    }

    /// Moving average of good probes.
    pub fn latency_ms(&self) -> Option<f32> {
        // A damaged state may hold what no average ever leaves: a NaN or an infinity.
        self.latency_ms.filter(|ms| ms.is_finite())
    }

    /// When the last probe completed.
    pub fn last_completed(&self) -> Option<Time> {
        self.last_completed
    }

    /// Whether a probe counts as good: a 2xx that came in under `max_latency`.
    pub fn is_good(settings: &HealthCheck, probe: &Probe) -> bool {
        probe.result == ProbeResult::Ok && probe.latency < settings.max_latency
    }

    /// Takes in a completed probe. True if health flipped.
    pub fn on_probe(&mut self, settings: &HealthCheck, now: Time, probe: &Probe) -> bool {
        let good = Self::is_good(settings, probe);
        self.last_completed = Some(now);
        if good {
            let sample = probe.latency.get() as f32;
            self.latency_ms =
                Some(self.latency_ms().map_or(sample, |average| average + LATENCY_GAIN * (sample - average)));
        }
        let cause = match probe.result {
            ProbeResult::NoCluster => Cause::NoCluster,
            _ => Cause::Unhealthy,
        };
        if good == self.healthy {
            self.against = 0;
            if !good {
                self.cause = cause;
            }
            return false;
        }
        self.against = self.against.saturating_add(1);
        let threshold = if good { settings.healthy_threshold } else { settings.unhealthy_threshold };
        if self.against < threshold {
            return false;
        }
        self.against = 0;
        self.healthy = good;
        self.cause = cause;
        true
    }

    /// Whether the last completed probe is too old to be believed.
    pub fn is_stale(&self, settings: &HealthCheck, now: Time) -> bool {
        let heard = self.last_completed.map_or(self.watched_since, |last| last.max(self.watched_since));
        now.since(heard) > settings.max_age
    }

    /// Probing begins anew after it had stopped for every region: it has `max_age` to be heard of.
    pub fn watch_anew(&mut self, now: Time) {
        self.watched_since = now;
    }

    /// Counts the region as unhealthy because its probes are too old. True if health flipped.
    pub fn on_stale(&mut self) -> bool {
        let flipped = self.healthy;
        if flipped {
            self.healthy = false;
            self.cause = Cause::Stale;
            self.against = 0;
        }
        flipped
    }

    /// How long after a completed probe the next one starts: `interval`, or a second at most while
    /// the last result contradicts the present state.
    pub fn pause(&self, settings: &HealthCheck) -> Millis {
        if self.against > 0 { settings.interval.min(QUICK) } else { settings.interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn probe(result: ProbeResult, ms: u64) -> Probe {
        Probe { result, latency: Millis::new(ms), drain: None }
    }

    #[test]
    fn thresholds_count_results_in_a_row() {
        let settings = HealthCheck::default();
        // (result, latency) and whether the region is healthy afterwards
        let rows = [
            (ProbeResult::Ok, 40, true),
            (ProbeResult::Failed, 3, true),
            (ProbeResult::Ok, 40, true),
            (ProbeResult::Failed, 3, true),
            (ProbeResult::Failed, 3, false),
            (ProbeResult::Ok, 40, false),
            (ProbeResult::Failed, 3, false),
            (ProbeResult::Ok, 40, false),
            (ProbeResult::Ok, 999, true),
            (ProbeResult::Ok, 1000, true),
            (ProbeResult::Ok, 1000, false),
        ];
        let mut health = Health::new(at(0));
        for (row, (result, ms, healthy)) in rows.into_iter().enumerate() {
            health.on_probe(&settings, at(row as u64 * 1000), &probe(result, ms));
            assert_eq!(health.is_healthy(), healthy, "row {row}");
        }
    }

    #[test]
    fn a_contradiction_is_settled_by_quick_probes() {
        let settings = HealthCheck::default();
        let mut health = Health::new(at(0));
        assert_eq!(health.pause(&settings), Millis::from_secs(5));
        health.on_probe(&settings, at(0), &probe(ProbeResult::Failed, 1));
        assert_eq!(health.pause(&settings), Millis::from_secs(1));
        health.on_probe(&settings, at(1000), &probe(ProbeResult::Failed, 1));
        assert_eq!((health.is_healthy(), health.pause(&settings)), (false, Millis::from_secs(5)));
        let often = HealthCheck { interval: Millis::new(300), ..settings };
        health.on_probe(&often, at(2000), &probe(ProbeResult::Ok, 1));
        assert_eq!(health.pause(&often), Millis::new(300));
    }

    #[test]
    fn age_counts_from_the_last_completed_probe() {
        let settings = HealthCheck::default();
        let mut health = Health::new(at(500));
        assert!(!health.is_stale(&settings, at(10_500)));
        assert!(health.is_stale(&settings, at(10_501)));
        health.on_probe(&settings, at(11_000), &probe(ProbeResult::Ok, 1));
        assert!(!health.is_stale(&settings, at(21_000)));
        assert!(health.is_stale(&settings, at(21_001)));
    }

    #[test]
    fn a_damaged_average_begins_anew() {
        for damaged in [f32::NAN, f32::INFINITY] {
            let mut health = Health { latency_ms: Some(damaged), ..Health::new(at(0)) };
            assert_eq!(health.latency_ms(), None);
            health.on_probe(&HealthCheck::default(), at(0), &probe(ProbeResult::Ok, 40));
            assert_eq!(health.latency_ms(), Some(40.0));
        }
    }

    #[test]
    fn a_missing_cluster_is_named() {
        let settings = HealthCheck::default();
        let mut health = Health::new(at(0));
        for ms in [0, 1000] {
            health.on_probe(&settings, at(ms), &probe(ProbeResult::NoCluster, 0));
        }
        assert_eq!(health.cause(), Some(Cause::NoCluster));
    }
}
