//! The other regions' companions: asked for a sign of life.

use crate::clock;
use crate::readiness::application::Application;
use crate::settings::Settings;
use evenkeel_config::companion as config;
use evenkeel_policy::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Time between two questions.
pub const EVERY: Duration = Duration::from_secs(5);

/// Unanswered questions in a row that make a companion silent: 15 s, as long as an edge may be.
pub const SILENT_AFTER: u32 = 3;

/// An answer takes no longer, so that three questions fit into 15 s.
const TIMEOUT: Millis = Millis::from_secs(1);

/// What is known of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its region.
    pub region: String,
    /// Where it was asked.
    pub address: String,
    /// Questions in a row that were not answered.
    pub failures: u32,
    /// Why the last one was not.
    pub error: Option<String>,
    /// When it last answered, in milliseconds since 1970.
    pub heard_at: Option<u64>,
}

impl Peer {
    /// Whether it has fallen silent.
    pub fn silent(&self) -> bool {
        self.failures >= SILENT_AFTER
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Peers(Mutex<BTreeMap<String, (Peer, std::sync::Arc<Application>)>>);

impl Peers {
    /// As many as the settings name.
    pub fn new(settings: &Settings) -> Self {
        let peers = Peers::default();
        peers.reload(settings);
        peers
    }

    /// Takes up others; what is known of the same ones stays.
    pub fn reload(&self, settings: &Settings) {
        let mut peers = self.lock();
        let mut known = std::mem::take(&mut *peers);
        for (region, address) in &settings.peers {
            let address = address.to_string();
            let entry = known.remove(region).filter(|(peer, _)| peer.address == address);
            let entry = entry.unwrap_or_else(|| {
                let question = config::Application {
                    url: format!("http://{address}/actuator/health/liveness"),
                    required: true,
                    connect_timeout: TIMEOUT,
                    read_timeout: TIMEOUT,
                };
                let peer = Peer { region: region.clone(), address, failures: 0, error: None, heard_at: None };
                (peer, std::sync::Arc::new(Application::new(&question)))
            });
            peers.insert(region.clone(), entry);
        }
    }

    /// Asks all of them at once.
    pub async fn ask(&self) {
        let questions: Vec<_> =
            self.lock().iter().map(|(region, (_, question))| (region.clone(), question.clone())).collect();
        let mut asked = tokio::task::JoinSet::new();
        for (region, question) in questions {
            asked.spawn(async move {
                let limit = question.limit();
                let answer = tokio::time::timeout(limit, question.run()).await;
                (region, answer.unwrap_or_else(|_| Err("no answer in time".to_owned())))
            });
        }
        while let Some(ended) = asked.join_next().await {
            let Ok((region, answer)) = ended else { continue };
            if let Some((peer, _)) = self.lock().get_mut(&region) {
                match answer {
                    Ok(()) => {
                        (peer.failures, peer.error, peer.heard_at) = (0, None, Some(clock::unix_ms()));
                    }
                    Err(reason) => {
                        peer.failures = peer.failures.saturating_add(1);
                        peer.error = Some(reason);
                    }
                }
            }
        }
    }

    /// What is known, by region.
    pub fn all(&self) -> Vec<Peer> {
        self.lock().values().map(|(peer, _)| peer.clone()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (Peer, std::sync::Arc<Application>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
