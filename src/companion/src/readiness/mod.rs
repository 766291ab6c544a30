//! A region's readiness: what it depends on, asked and told.

pub(crate) mod application;
mod check;
pub mod database;
mod kafka;
mod redis;
mod slot;

use crate::settings::Settings;
use check::Check;
use evenkeel_policy::database::View;
use evenkeel_policy::time::{Millis, Time};
use serde::{Deserialize, Serialize};
use slot::Slot;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use slot::Outcome;

/// Whether something works, in Spring Boot's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It works.
    Up,
    /// It does not.
    Down,
    /// It is being shut down.
    OutOfService,
    /// It was not asked yet.
    Unknown,
}

impl Status {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Up => "UP",
            Status::Down => "DOWN",
            Status::OutOfService => "OUT_OF_SERVICE",
            Status::Unknown => "UNKNOWN",
        }
    }
}

/// The readiness answer's body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Readiness {
    /// `UP` if every required component is.
    pub status: Status,
    /// The region it speaks of.
    pub region: String,
    /// What the region depends on.
    pub components: BTreeMap<String, Component>,
}

/// One component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Whether it works.
    pub status: Status,
    /// Whether it decides.
    pub required: bool,
    /// How long the check took; for the database, how old the last sign of life is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub latency_ms: Option<u64>,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// What the database adds.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub database: Option<database::Local>,
}

/// What is checked, by the settings in force.
#[derive(Debug)]
pub struct Board {
    region: String,
    slots: Vec<Arc<Slot>>,
    database: Option<DatabaseCheck>,
}

#[derive(Debug)]
struct DatabaseCheck {
    required: bool,
    timeout: Millis,
    local: Vec<usize>,
    names: Vec<String>,
}

/// The database at one moment, on its own clock.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What is known.
    pub view: Arc<View>,
    /// When this is.
    pub now: Time,
}

impl Board {
    /// Everything that the settings name. Connections are made when first asked.
    pub fn new(settings: &Settings) -> Self {
        let components = &settings.components;
        let mut checks = Vec::new();
        if let Some(application) = &components.application {
            checks.push(Check::Application(application::Application::new(application)));
        }
        if let Some(redis) = &components.redis {
            let password = settings.redis_password.as_ref();
            checks.push(Check::Redis(redis::Redis::new(redis, password, &settings.region)));
        }
        if let Some(kafka) = &components.kafka {
            checks.push(Check::Kafka(kafka::Kafka::new(kafka)));
        }
        let cache_for = components.cache_for.to_duration();
        let local = settings.local_nodes();
        // A region without nodes of its own has none that could decide.
        let nodes = settings.plan.file.database.as_ref().filter(|_| !local.is_empty());
        let database = nodes.map(|database| DatabaseCheck {
            required: components.database.required,
            timeout: components.database.timeout,
            local,
            names: database.nodes.iter().map(|node| node.name.clone()).collect(),
        });
        Board {
            region: settings.region.clone(),
            slots: checks.into_iter().map(|check| Slot::new(check, cache_for)).collect(),
            database,
        }
    }

    /// Asks every component that was not asked within the cache's time, all at once.
    pub async fn ask(&self, seen: Option<&Seen>) -> Readiness {
        // All begin before the first is waited for.
        let asked: Vec<_> = self.slots.iter().map(Slot::ask).collect();
        let mut outcomes = Vec::with_capacity(asked.len());
        for asked in asked {
            outcomes.push(asked.answer().await);
        }
        self.told(outcomes, seen)
    }

    /// What is known, without asking anything.
    pub fn known(&self, seen: Option<&Seen>) -> Readiness {
        self.told(self.slots.iter().map(|slot| slot.last()).collect(), seen)
    }

    /// How often each component was asked.
    pub fn checks(&self) -> Vec<(&'static str, u64)> {
        self.slots.iter().map(|slot| (slot.name(), slot.checks())).collect()
    }

    fn told(&self, outcomes: Vec<Option<Outcome>>, seen: Option<&Seen>) -> Readiness {
        let mut components = BTreeMap::new();
        for (slot, outcome) in self.slots.iter().zip(outcomes) {
            let status = match &outcome {
                None => Status::Unknown,
                Some(outcome) if outcome.error.is_none() => Status::Up,
                Some(_) => Status::Down,
            };
            let component = Component {
                status,
                required: slot.required(),
                latency_ms: outcome.as_ref().map(|outcome| outcome.latency_ms),
                error: outcome.and_then(|outcome| outcome.error),
                database: None,
            };
            components.insert(slot.name().to_owned(), component);
        }
        if let (Some(check), Some(seen)) = (&self.database, seen) {
            let (found, local) =
                database::check(&seen.view, &check.local, &check.names, check.timeout, seen.now);
            let component = Component {
                status: if found.is_ok() { Status::Up } else { Status::Down },
                required: check.required,
                latency_ms: found.as_ref().ok().map(|age| age.get()),
                error: found.err(),
                database: Some(local),
            };
            components.insert("database".to_owned(), component);
        }
        let worst =
            |status| components.values().any(|component| component.required && component.status == status);
        let status = match () {
            () if worst(Status::Down) => Status::Down,
            () if worst(Status::Unknown) => Status::Unknown,
            () => Status::Up,
        };
        Readiness { status, region: self.region.clone(), components }
    }
}
