//! The seam to `evenkeel-dns`: the responder, started by the topology file and kept told of health.

use crate::oracle::Oracle;
use crate::settings::Settings;
use evenkeel_dns::{Counts, Explanation, Server, Standing};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The responder.
pub struct Dns(Server);

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dns").field(&self.0.addresses()).finish()
    }
}

/// Starts it, everything healthy until the oracle says otherwise; nothing where there is no `dns`.
///
/// # Errors
/// A line that names the field, the value and the remedy.
pub async fn start(settings: &Settings) -> Result<Option<Dns>, String> {
    let Some(dns) = settings.dns.clone() else { return Ok(None) };
    Ok(Some(Dns(Server::start(dns, Standing::default()).await?)))
}

/// Has the answers follow the oracle, for ever.
pub async fn follow(world: Arc<crate::world::World>, oracle: Arc<Oracle>) {
    let mut changes = oracle.changes();
    loop {
        let standing = changes.borrow_and_update().clone();
        if let Some(dns) = &world.dns {
            dns.0.set(standing);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl Dns {
    /// Takes up another zone, whole or not at all; tells which fields wait for a restart.
    ///
    /// # Errors
    /// A line that names the field; the zone before stays in force.
    pub fn reload(&self, settings: &Settings) -> Result<Vec<String>, String> {
        match settings.dns.clone() {
            Some(dns) => self.0.reload(dns),
            None => Ok(vec!["dns (one to none)".to_owned()]),
        }
    }

    /// What was asked and answered since the start.
    pub fn counts(&self) -> Counts {
        self.0.counts()
    }

    /// What would be answered now, and why.
    ///
    /// # Errors
    /// What is wrong with the question.
    pub fn explain(&self, name: &str, record_type: &str, from: IpAddr) -> Result<Explanation, String> {
        self.0.explain(name, record_type, from)
    }

    /// Answers what was asked, then nothing more.
    pub async fn stop(&self) {
        self.0.stop().await;
    }
}
