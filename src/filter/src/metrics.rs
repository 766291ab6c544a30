//! The filter's metrics, by the names of the contract.
//!
//! Envoy has no labels of its own: a label is written into the name (`….region.taiwan.outcome.ok`)
//! and cut out again by the tag rules of the rendered bootstrap, which gives
//! `evenkeel_requests_total{region="taiwan",outcome="ok"}`. Counters and gauges belong to the whole
//! process; only the VM that probes writes gauges.

use crate::host::{Host, Metric, MetricKind};
use evenkeel_policy::breaker;
use evenkeel_policy::engine::Engine;
use evenkeel_policy::region::RegionId;
use evenkeel_policy::topology::Topology;
use evenkeel_policy::words::{Cause, Outcome, Reason};
use std::cell::Cell;

/// The metrics of one configuration.
#[derive(Debug)]
pub struct Metrics {
    regions: Vec<RegionMetrics>,
    /// Decisions that led to no region, each with its reason.
    refused: [(Reason, Tally); 2],
    prober_lost: Metric,
    drains_refused: Metric,
    shown: Vec<Option<Shown>>,
}

/// A counter that is told to the host at the next tick: on the request path a hostcall counts.
#[derive(Debug)]
struct Tally {
    metric: Metric,
    untold: Cell<u32>,
}

impl Tally {
    fn new(metric: Metric) -> Self {
        Tally { metric, untold: Cell::new(0) }
    }

    fn add(&self) {
        self.untold.set(self.untold.get().saturating_add(1));
    }

    fn tell(&self, host: &impl Host) {
        match self.untold.take() {
            0 => {}
            untold => host.count(self.metric, i64::from(untold)),
        }
    }
}

#[derive(Debug)]
struct RegionMetrics {
    requests: Vec<Tally>,
    decisions: Vec<Tally>,
    checks_ok: Metric,
    checks_failed: Metric,
    check_duration: Metric,
    healthy: Metric,
    share: Metric,
    breaker: Metric,
}

/// What a region's gauges show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shown {
    healthy: bool,
    share: u8,
    breaker: breaker::State,
}

impl Metrics {
    /// Makes all of them known, and shows build and configuration.
    pub fn new(host: &impl Host, topology: &Topology) -> Self {
        let counter = |name: String| host.metric(MetricKind::Counter, &name);
        let tally = |name: String| Tally::new(counter(name));
        let gauge = |name: String| host.metric(MetricKind::Gauge, &name);
        let regions = topology
            .regions
            .iter()
            .map(|region| {
                let name = region.name.as_str();
                RegionMetrics {
                    requests: Outcome::ALL
                        .iter()
                        .map(|outcome| {
                            tally(format!("evenkeel_requests_total.region.{name}.outcome.{outcome}"))
                        })
                        .collect(),
                    decisions: Reason::ALL
                        .iter()
                        .map(|reason| {
                            tally(format!("evenkeel_decisions_total.region.{name}.reason.{reason}"))
                        })
                        .collect(),
                    checks_ok: counter(format!("evenkeel_health_checks_total.region.{name}.result.ok")),
                    checks_failed: counter(format!(
                        "evenkeel_health_checks_total.region.{name}.result.failed"
                    )),
                    check_duration: host.metric(
                        MetricKind::Histogram,
                        &format!("evenkeel_health_check_duration_ms.region.{name}"),
                    ),
                    healthy: gauge(format!("evenkeel_region_healthy.region.{name}")),
                    share: gauge(format!("evenkeel_region_share.region.{name}")),
                    breaker: gauge(format!("evenkeel_breaker_state.region.{name}")),
                }
            })
            .collect::<Vec<_>>();
        let build = gauge(format!("evenkeel_build_info.version.{}", env!("CARGO_PKG_VERSION")));
        host.record(build, 1);
        let config = gauge(format!("evenkeel_config_info.hash.{}", topology.hash));
        host.record(config, 1);
        Metrics {
            shown: vec![None; regions.len()],
            regions,
            refused: [Reason::Rejected, Reason::Hop].map(|reason| {
                (reason, tally(format!("evenkeel_decisions_total.region.none.reason.{reason}")))
            }),
            prober_lost: gauge("evenkeel_prober_lost".to_owned()),
            drains_refused: counter("evenkeel_drains_refused_total".to_owned()),
        }
    }

    /// Shows that another configuration is in force now.
    pub fn retire(host: &impl Host, topology: &Topology) {
        let config = host.metric(MetricKind::Gauge, &format!("evenkeel_config_info.hash.{}", topology.hash));
        host.record(config, 0);
    }

    /// One decision.
    pub fn decided(&self, region: Option<RegionId>, reason: Reason) {
        let tally = match region {
            Some(id) => {
                self.regions.get(id.index()).and_then(|metrics| metrics.decisions.get(reason.index()))
            }
            None => self.refused.iter().find(|(refused, _)| *refused == reason).map(|(_, tally)| tally),
        };
        if let Some(tally) = tally {
            tally.add();
        }
    }

    /// One attempt.
    pub fn attempted(&self, region: RegionId, outcome: Outcome) {
        let metrics = self.regions.get(region.index());
        if let Some(tally) = metrics.and_then(|metrics| metrics.requests.get(outcome.index())) {
            tally.add();
        }
    }

    /// Tells the host what was counted since the last tick.
    pub fn tell(&self, host: &impl Host) {
        for metrics in &self.regions {
            for tally in metrics.requests.iter().chain(&metrics.decisions) {
                tally.tell(host);
            }
        }
        for (_, tally) in &self.refused {
            tally.tell(host);
        }
    }

    /// One probe.
    pub fn probed(&self, host: &impl Host, region: RegionId, good: bool, latency_ms: u64) {
        if let Some(metrics) = self.regions.get(region.index()) {
            host.count(if good { metrics.checks_ok } else { metrics.checks_failed }, 1);
            host.record(metrics.check_duration, latency_ms);
        }
    }

    /// A region lost its traffic to another. Rare, so the metric is made known on the spot.
    pub fn failed_over(&self, host: &impl Host, from: &str, to: &str, cause: Cause) {
        let name = format!("evenkeel_failovers_total.from.{from}.to.{to}.cause.{cause}");
        host.count(host.metric(MetricKind::Counter, &name), 1);
    }

    /// A drain was ignored because it would have left nothing.
    pub fn refused_drain(&self, host: &impl Host) {
        host.count(self.drains_refused, 1);
    }

    /// Writes the gauges that changed since this VM last wrote them.
    pub fn show(&mut self, host: &impl Host, engine: &Engine) {
        host.record(self.prober_lost, u64::from(engine.state().prober_lost));
        let known = engine.state().regions.iter().zip(&engine.view().regions);
        for ((metrics, shown), (state, view)) in self.regions.iter().zip(&mut self.shown).zip(known) {
            let now = Shown {
                healthy: state.health.is_healthy(),
                share: view.share,
                breaker: state.breaker.state(),
            };
            if *shown != Some(now) {
                *shown = Some(now);
                host.record(metrics.healthy, u64::from(now.healthy));
                host.record(metrics.share, u64::from(now.share));
                host.record(metrics.breaker, now.breaker.gauge());
            }
        }
    }

    /// Forgets what was written: another VM may have written since.
    pub fn forget(&mut self) {
        self.shown.fill(None);
    }
}
