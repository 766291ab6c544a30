//! Votes by leases in etcd: a voter's votes live as long as its lease does.
//!
//! etcd's JSON gateway is spoken, which every etcd since 3.4 has: a dozen fields over the HTTP client
//! that is here already, where gRPC would need a compiler for its files and a second HTTP. The votes
//! are read by a range each 500 ms rather than by a watch: a linearizable range is answered by a
//! majority of etcd's members or not at all, so that it tells that etcd is *there*, which etcd's own
//! vote rests on; a watch on a member that is cut off is merely silent.

mod client;

use super::Oracle;
use super::http::Endpoint;
use super::said::Said;
use super::setup::{ETCD, Voter, endpoint};
use super::tls::{self, SYSTEM_AUTHORITIES};
use crate::clock;
use crate::settings::{Secret, Secrets};
use client::{Client, Failed};
use evenkeel_config::dns::Etcd;
use evenkeel_policy::time::Millis;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

/// Between two readings of the votes.
const READ_EVERY: Duration = Duration::from_millis(500);

/// Before a lease that could not be had is asked for again.
const AGAIN: Duration = Duration::from_millis(250);

/// After a refusal: checking a password costs etcd a tenth of a second of work.
const REFUSED: Duration = Duration::from_secs(2);

/// How etcd is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// Its members.
    pub endpoints: Vec<Endpoint>,
    /// What the votes' keys begin with, the last `/` included.
    pub votes: String,
    /// How long a lease lives.
    pub lease: Millis,
    /// User and password.
    pub login: Option<(String, Secret)>,
}

impl Access {
    /// By these settings.
    ///
    /// # Errors
    /// One line that names the field, the value and the remedy.
    pub(super) fn read(etcd: &Etcd, service: &str, secrets: &mut Secrets<'_>) -> Result<Access, String> {
        let password = secrets.read("quorum.etcd.password_file", etcd.password_file.as_deref())?;
        let trusting = match &etcd.ca {
            // Nothing is read where nothing needs it.
            None if etcd.endpoints.iter().all(|url| url.starts_with("http://")) => tls::unverified()?,
            ca => {
                let path = ca.as_deref().unwrap_or(Path::new(SYSTEM_AUTHORITIES));
                let path = secrets.folder.join(path);
                let config = tls::verified(&path).map_err(|problem| format!("quorum.etcd.ca: {problem}"))?;
                secrets.files.push(path);
                config
            }
        };
        let mut endpoints = Vec::new();
        for (index, url) in etcd.endpoints.iter().enumerate() {
            let found = endpoint(url, &trusting)
                .map_err(|problem| format!("quorum.etcd.endpoints[{index}]: {url}: {problem}"))?;
            endpoints.push(found);
        }
        let login = match (&etcd.user, password) {
            (Some(user), Some(password)) => Some((user.clone(), password)),
            (None, None) => None,
            (Some(_), None) => {
                return Err("quorum.etcd.password_file: is missing: quorum.etcd.user needs it".to_owned());
            }
            (None, Some(_)) => {
                return Err("quorum.etcd.user: is missing: quorum.etcd.password_file needs it".to_owned());
            }
        };
        let votes = format!("{}/{service}/votes/", etcd.prefix.trim_end_matches('/'));
        Ok(Access { endpoints, votes, lease: etcd.lease, login })
    }

    /// No request takes longer: three of them fit into a lease, and two into a vote's age.
    fn patience(&self) -> Duration {
        (self.lease.to_duration() / 3).min(Duration::from_secs(1))
    }
}

/// Reads all votes, for ever.
pub(super) async fn read(oracle: Arc<Oracle>, access: Access, voters: Vec<Voter>) {
    let mut client = Client::new(&access);
    let mut told = Told::default();
    let mut every = interval(READ_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let asked = clock::now();
        match client.range(&access.votes).await {
            Ok(found) => {
                told.well("etcd tells the votes");
                let mut votes = Vec::with_capacity(found.len());
                for (key, value) in found {
                    let voter = key.strip_prefix(&access.votes).unwrap_or(&key);
                    if voters.iter().all(|known| known.name != voter) {
                        continue;
                    }
                    match Said::read(&value, voter) {
                        Ok(said) => votes.push(said),
                        // The lease lives all the same.
                        Err(problem) => {
                            oracle.strange(voter, &problem);
                            votes.push(Said { voter: voter.to_owned(), ..Said::default() });
                        }
                    }
                }
                oracle.rolled(votes, asked);
            }
            Err(failed) => {
                oracle.not_heard(ETCD, &failed.to_string());
                told.ill("etcd does not tell the votes: they are not in force", &failed);
                if matches!(failed, Failed::Refused(_)) {
                    sleep(REFUSED).await;
                }
            }
        }
    }
}

/// Keeps this voter's lease alive and its votes under it, for ever.
pub(super) async fn write(oracle: Arc<Oracle>, access: Access) {
    let mut client = Client::new(&access);
    let mut told = Told::default();
    let mut said = oracle.said();
    let mut lease: Option<Lease> = None;
    loop {
        let step = match lease.take() {
            None => grant(&mut client, &access).await,
            Some(held) if Instant::now() >= held.renew_at => renew(&mut client, &access, held).await,
            Some(held) => Ok(Some(held)),
        };
        let step = match step {
            Ok(Some(mut held)) => {
                let votes = said.borrow_and_update().clone();
                if held.written == Some(votes.sequence) {
                    Ok(Some(held))
                } else {
                    let key = format!("{}{}", access.votes, votes.voter);
                    let value = serde_json::to_vec(&*votes).unwrap_or_default();
                    match client.put(&key, &value, &held.id).await {
                        Ok(()) => {
                            held.written = Some(votes.sequence);
                            Ok(Some(held))
                        }
                        Err(Failed::NoLease) => Ok(None),
                        Err(failed) => Err((failed, Some(held))),
                    }
                }
            }
            other => other,
        };
        match step {
            Ok(Some(held)) => {
                told.well("the votes are in etcd");
                let until = held.renew_at;
                lease = Some(held);
                tokio::select! {
                    () = sleep_until(until) => {}
                    _ = said.changed() => {}
                }
            }
            Ok(None) => tracing::warn!("the lease in etcd has lapsed: another is asked for"),
            Err((failed, held)) => {
                told.ill("the votes cannot be written to etcd", &failed);
                lease = held;
                sleep(if matches!(failed, Failed::Refused(_)) { REFUSED } else { AGAIN }).await;
            }
        }
    }
}

/// A lease that is held.
struct Lease {
    id: String,
    renew_at: Instant,
    /// The votes that are under it, by their sequence.
    written: Option<u64>,
}

type Step = Result<Option<Lease>, (Failed, Option<Lease>)>;

async fn grant(client: &mut Client, access: &Access) -> Step {
    let renew_at = Instant::now() + access.lease.to_duration() / 3;
    // etcd counts whole seconds.
    match client.grant(access.lease.get().div_ceil(1000)).await {
        Ok(id) => Ok(Some(Lease { id, renew_at, written: None })),
        Err(failed) => Err((failed, None)),
    }
}

async fn renew(client: &mut Client, access: &Access, held: Lease) -> Step {
    let renew_at = Instant::now() + access.lease.to_duration() / 3;
    match client.keep_alive(&held.id).await {
        Ok(()) => Ok(Some(Lease { renew_at, ..held })),
        Err(Failed::NoLease) => Ok(None),
        Err(failed) => Err((failed, Some(held))),
    }
}

/// Tells of a change once.
#[derive(Default)]
struct Told(Option<bool>);

impl Told {
    fn well(&mut self, what: &str) {
        if self.0.replace(true) != Some(true) {
            tracing::info!("{what}");
        }
    }

    fn ill(&mut self, what: &str, failed: &Failed) {
        if self.0.replace(false) != Some(false) {
            tracing::warn!(reason = %failed, "{what}");
        }
    }
}
