//! The few calls of etcd's JSON gateway that votes need.

use super::Access;
use crate::oracle::http::{Kept, USER_AGENT};
use crate::settings::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// An answer's body at most: etcd's own limit of a value is 1.5 MB, and the voters' votes are far less.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// gRPC's code for "who are you?".
const UNAUTHENTICATED: u32 = 16;

/// Why a call failed.
#[derive(Debug)]
pub enum Failed {
    /// The lease is not there any more.
    NoLease,
    /// No member answered; the last one's reason.
    Unanswered(String),
    /// A member answered, and not what was asked for.
    Refused(String),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::NoLease => f.write_str("the lease is not there any more"),
            Failed::Unanswered(reason) | Failed::Refused(reason) => f.write_str(reason),
        }
    }
}

/// A client of one etcd cluster, with one connection at a time.
pub struct Client {
    members: Vec<Kept>,
    /// The member that answered last.
    at: usize,
    login: Option<(String, Secret)>,
    token: Option<String>,
    patience: Duration,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    error: String,
    #[serde(default)]
    code: u32,
}

#[derive(Deserialize)]
struct Granted {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
struct KeptAlive {
    result: TimeToLive,
}

#[derive(Deserialize)]
struct TimeToLive {
    /// Left out by the gateway where it is 0: the lease is gone.
    #[serde(default, rename = "TTL")]
    ttl: String,
}

#[derive(Deserialize)]
struct Ranged {
    #[serde(default)]
    kvs: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct Authenticated {
    token: String,
}

/// What a call gives that is of no interest.
#[derive(Deserialize)]
struct Done {}

impl Client {
    /// Connects when first asked.
    pub fn new(access: &Access) -> Self {
        Client {
            members: access.endpoints.iter().cloned().map(Kept::new).collect(),
            at: 0,
            login: access.login.clone(),
            token: None,
            patience: access.patience(),
        }
    }

    /// Gets a lease that lives so many seconds; its id.
    pub async fn grant(&mut self, seconds: u64) -> Result<String, Failed> {
        let granted: Granted = self.call("/v3/lease/grant", json!({"TTL": seconds.to_string()})).await?;
        Ok(granted.id)
    }

    /// Lets a lease live on.
    pub async fn keep_alive(&mut self, lease: &str) -> Result<(), Failed> {
        let kept: KeptAlive = self.call("/v3/lease/keepalive", json!({"ID": lease})).await?;
        match kept.result.ttl.parse::<u64>() {
            Ok(1..) => Ok(()),
            _ => Err(Failed::NoLease),
        }
    }

    /// Writes a value under a lease.
    pub async fn put(&mut self, key: &str, value: &[u8], lease: &str) -> Result<(), Failed> {
        let body = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value), "lease": lease});
        self.call("/v3/kv/put", body).await.map(|Done {}| ())
    }

    /// All keys with this prefix, and their values; linearizable, which is etcd's default.
    pub async fn range(&mut self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, Failed> {
        let body = json!({"key": STANDARD.encode(prefix), "range_end": STANDARD.encode(after(prefix))});
        let ranged: Ranged = self.call("/v3/kv/range", body).await?;
        let read = |pair: Pair| {
            let key = String::from_utf8(STANDARD.decode(pair.key).ok()?).ok()?;
            Some((key, STANDARD.decode(pair.value).ok()?))
        };
        let whole: Option<Vec<_>> = ranged.kvs.into_iter().map(read).collect();
        whole.ok_or_else(|| Failed::Refused("the answer holds what is no base64".to_owned()))
    }

    async fn call<T: DeserializeOwned>(&mut self, path: &str, body: Value) -> Result<T, Failed> {
        if self.login.is_some() && self.token.is_none() {
            self.authenticate().await?;
        }
        match self.on_any_member(path, &body).await? {
            Ok(answer) => read(&answer),
            // A token lapses, by itself or with the member that gave it.
            Err(fault) if is_about_the_token(&fault) && self.login.is_some() => {
                self.authenticate().await?;
                match self.on_any_member(path, &body).await? {
                    Ok(answer) => read(&answer),
                    Err(fault) => Err(told(fault)),
                }
            }
            Err(fault) => Err(told(fault)),
        }
    }

    async fn authenticate(&mut self) -> Result<(), Failed> {
        let Some((user, password)) = &self.login else { return Ok(()) };
        let body = json!({"name": user, "password": password.reveal()});
        self.token = None;
        match self.on_any_member("/v3/auth/authenticate", &body).await? {
            Ok(answer) => self.token = Some(read::<Authenticated>(&answer)?.token),
            // The answer is not repeated: whatever is in it, the remedy is the same.
            Err(_) => {
                return Err(Failed::Refused("etcd refuses quorum.etcd.user and its password".to_owned()));
            }
        }
        Ok(())
    }

    /// Asks the member that answered last, and after a failure the others in turn.
    async fn on_any_member(&mut self, path: &str, body: &Value) -> Result<Result<Bytes, Fault>, Failed> {
        let mut last = "quorum.etcd.endpoints: there is none".to_owned();
        for _ in 0..self.members.len() {
            let Some(member) = self.members.get_mut(self.at) else { break };
            let address = member.address().to_string();
            let mut request = Request::post(path)
                .header(header::HOST, &address)
                .header(header::USER_AGENT, USER_AGENT)
                .header(header::CONTENT_TYPE, "application/json");
            if let Some(token) = &self.token {
                request = request.header(header::AUTHORIZATION, token);
            }
            let request = request
                .body(Full::new(Bytes::from(body.to_string())))
                .map_err(|error| Failed::Refused(error.to_string()))?;
            match member.ask(&request, MAX_BODY, self.patience).await {
                Ok((StatusCode::OK, answer)) => return Ok(Ok(answer)),
                Ok((status, answer)) => match serde_json::from_slice::<Fault>(&answer) {
                    Ok(fault) if !is_about_the_member(status, &fault) => return Ok(Err(fault)),
                    Ok(fault) => last = format!("{address}: {}", fault.error),
                    Err(_) => last = format!("{address}: answered {status}"),
                },
                Err(reason) => last = format!("{address}: {reason}"),
            }
            self.at = (self.at + 1) % self.members.len();
        }
        Err(Failed::Unanswered(last))
    }
}

/// A member without a leader, or cut off from the others: another may know more.
fn is_about_the_member(status: StatusCode, fault: &Fault) -> bool {
    const UNAVAILABLE: u32 = 14;
    const DEADLINE_EXCEEDED: u32 = 4;
    matches!(fault.code, UNAVAILABLE | DEADLINE_EXCEEDED)
        || status == StatusCode::SERVICE_UNAVAILABLE
        || fault.error.contains("timed out")
}

fn is_about_the_token(fault: &Fault) -> bool {
    fault.code == UNAUTHENTICATED
        || fault.error.contains("auth token")
        || fault.error.contains("user name is empty")
}

fn told(fault: Fault) -> Failed {
    if fault.error.contains("requested lease not found") {
        return Failed::NoLease;
    }
    Failed::Refused(format!("etcd refused: {}", fault.error))
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, Failed> {
    serde_json::from_slice(answer)
        .map_err(|error| Failed::Refused(format!("etcd's answer is not understood: {error}")))
}

/// The first key that does not begin with `prefix`: etcd's way to say "all that do".
fn after(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // All keys.
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key() {
        for (prefix, end) in [("/a/", b"/a0".to_vec()), ("", vec![0])] {
            assert_eq!(after(prefix), end);
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let fault = |text: &str| serde_json::from_str::<Fault>(text).unwrap();
        let lease = fault(r#"{"error":"etcdserver: requested lease not found","code":5}"#);
        assert!(matches!(told(lease), Failed::NoLease));
        assert!(is_about_the_token(&fault(r#"{"error":"etcdserver: invalid auth token","code":16}"#)));
        assert!(is_about_the_token(&fault(r#"{"error":"etcdserver: user name is empty","code":3}"#)));
        let lonely = fault(r#"{"error":"etcdserver: no leader","code":14}"#);
        assert!(is_about_the_member(StatusCode::SERVICE_UNAVAILABLE, &lonely));
        let denied = fault(r#"{"error":"etcdserver: permission denied","code":7}"#);
        assert!(!is_about_the_member(StatusCode::FORBIDDEN, &denied) && !is_about_the_token(&denied));
    }
}
