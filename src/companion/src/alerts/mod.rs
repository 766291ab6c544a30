//! Alerts: what is wrong now, told once, again after a while, and when it is over.

mod body;
pub mod book;
mod queue;
mod webhook;

use crate::settings::Settings;
use book::{Book, Notice};
use evenkeel_policy::time::Time;
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};

pub use book::{Active, Condition};
pub use webhook::{Counts, Webhook};

/// What an alert is about; its word stands in bodies and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An edge gives a region no traffic.
    Failover,
    /// An edge finds no region eligible.
    AllRegionsUnhealthy,
    /// Another node accepts writes.
    WriterChanged,
    /// No node is known to accept writes.
    NoWriter,
    /// Two nodes claim to, on one timeline.
    TwoWriters,
    /// A node claims to, on a timeline that was left.
    StaleWriter,
    /// A replica is far behind.
    ReplicationLag,
    /// A component of this region is down.
    ComponentDown,
    /// An edge has lost its prober.
    ProberLost,
    /// An edge has fallen silent.
    EdgeSilent,
    /// Another region's companion has fallen silent.
    CompanionSilent,
    /// DNS answers no client with a region.
    DnsFailover,
    /// Too few voters are heard to settle anything.
    QuorumLost,
    /// The topology file was changed and is not in force.
    ConfigReloadFailed,
}

impl Kind {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Failover => "failover",
            Kind::AllRegionsUnhealthy => "all_regions_unhealthy",
            Kind::WriterChanged => "writer_changed",
            Kind::NoWriter => "no_writer",
            Kind::TwoWriters => "two_writers",
            Kind::StaleWriter => "stale_writer",
            Kind::ReplicationLag => "replication_lag",
            Kind::ComponentDown => "component_down",
            Kind::ProberLost => "prober_lost",
            Kind::EdgeSilent => "edge_silent",
            Kind::CompanionSilent => "companion_silent",
            Kind::DnsFailover => "dns_failover",
            Kind::QuorumLost => "quorum_lost",
            Kind::ConfigReloadFailed => "config_reload_failed",
        }
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it by day.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// The book of what is wrong, and the webhooks that are told.
#[derive(Debug)]
pub struct Alerts {
    book: Mutex<Book>,
    webhooks: Mutex<Vec<Webhook>>,
}

impl Alerts {
    /// Nothing is wrong yet.
    pub fn new(settings: &Settings) -> Self {
        let alerts = Alerts {
            book: Mutex::new(Book::new(settings.plan.file.alerts.repeat_after)),
            webhooks: Mutex::default(),
        };
        alerts.reload(settings);
        alerts
    }

    /// Takes up other webhooks. One that stays as it is keeps its queue.
    pub fn reload(&self, settings: &Settings) {
        let alerts = &settings.plan.file.alerts;
        self.book.lock().unwrap_or_else(PoisonError::into_inner).set_repeat_after(alerts.repeat_after);
        let mut webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut *webhooks);
        for target in &settings.webhooks {
            let same = known.iter().position(|webhook| webhook.is(target, alerts.max_per_minute));
            webhooks.push(match same {
                Some(index) => known.swap_remove(index),
                None => Webhook::start(target.clone(), alerts.max_per_minute, &settings.region),
            });
        }
    }

    /// Tells what is wrong now; what was wrong before and is not among it is over.
    pub fn now_wrong(&self, conditions: Vec<Condition>, now: Time) {
        let notices = self.book.lock().unwrap_or_else(PoisonError::into_inner).reconcile(conditions, now);
        notices.into_iter().for_each(|notice| self.tell(notice));
    }

    /// Tells of something that happened.
    pub fn happened(&self, kind: Kind, severity: Severity, summary: String) {
        self.tell(Notice::event(kind, severity, summary));
    }

    /// What is wrong, the gravest first.
    pub fn active(&self) -> Vec<Active> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).active()
    }

    /// What became of each webhook's alerts.
    pub fn counts(&self) -> Vec<(String, Counts)> {
        let webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        webhooks.iter().map(|webhook| (webhook.name().to_owned(), webhook.counts())).collect()
    }

    /// Waits a little for what is queued, before the process ends.
    pub async fn flush(&self, within: std::time::Duration) {
        let waiting = || {
            let webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
            webhooks.iter().any(Webhook::busy)
        };
        let until = tokio::time::Instant::now() + within;
        while waiting() && tokio::time::Instant::now() < until {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn tell(&self, notice: Notice) {
        let (kind, severity, state) = (notice.kind.as_str(), notice.severity.as_str(), notice.state.as_str());
        if notice.severity == Severity::Info || notice.state == book::State::Resolved {
            tracing::info!(alert = kind, severity, state, "{}", notice.summary);
        } else {
            tracing::warn!(alert = kind, severity, state, "{}", notice.summary);
        }
        for webhook in self.webhooks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            webhook.push(notice.clone());
        }
    }
}
