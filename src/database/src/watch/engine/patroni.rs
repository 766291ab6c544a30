//! PostgreSQL under Patroni: the node's own answer decides, Patroni's word is shown beside it.

use super::{Engine, postgresql};
use bytes::Bytes;
use evenkeel_config::HostPort;
use evenkeel_policy::database::Role;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// PostgreSQL under Patroni.
#[derive(Debug)]
pub(super) struct Patroni;

impl Engine for Patroni {
    fn probe(&self, form: bool) -> &'static str {
        postgresql::PostgreSql.probe(form)
    }

    fn position(&self) -> &'static str {
        postgresql::POSITION
    }

    fn replayed(&self) -> &'static str {
        postgresql::REPLAYED
    }

    fn has_patroni(&self) -> bool {
        true
    }
}

/// Its answer is a few hundred bytes, more with many replicas.
const MOST: usize = 64 * 1024;

/// What a node's Patroni says of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Word {
    /// `running`, `starting`, `stopped`, …
    pub state: String,
    /// `primary` (`master` before version 4), `replica`, `sync_standby`, `standby_leader`, …
    #[serde(default)]
    pub role: String,
    /// The node's timeline, where PostgreSQL runs.
    #[serde(default)]
    pub timeline: Option<u32>,
    /// Patroni was told to keep its hands off: it promotes nobody.
    #[serde(default)]
    pub pause: bool,
}

impl Word {
    /// The role in our words; none where Patroni does not say one.
    pub fn role(&self) -> Option<Role> {
        match self.role.as_str() {
            "primary" | "master" => Some(Role::Writer),
            "" | "uninitialized" => None,
            _ => Some(Role::Replica),
        }
    }
}

/// Asks a node's Patroni.
///
/// # Errors
/// Why there is no answer, in words.
pub(in crate::watch) async fn ask(address: &HostPort, within: Duration) -> Result<Word, String> {
    timeout(within, get(address)).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn get(address: &HostPort) -> Result<Word, String> {
    let words = |error: hyper::Error| error.to_string();
    let tcp =
        TcpStream::connect((address.host(), address.port())).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.map_err(words)?;
    // The status is 503 where PostgreSQL does not run, and the answer is as good.
    let request = hyper::Request::get("/patroni")
        .header(hyper::header::HOST, address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = async move {
        let response = sender.send_request(request).await.map_err(words)?;
        let body = Limited::new(response.into_body(), MOST).collect().await;
        body.map(|body| body.to_bytes()).map_err(|error| error.to_string())
    };
    // The connection ends when the sender is dropped with the answer, or before it is read, as in HTTP/1.0.
    let (body, _) = tokio::join!(answer, connection);
    let body = body?;
    serde_json::from_slice(&body).map_err(|error| format!("its answer is not Patroni's: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patronis_words_are_understood_in_all_versions() {
        for (role, expected) in [
            ("master", Some(Role::Writer)),
            ("primary", Some(Role::Writer)),
            ("replica", Some(Role::Replica)),
            ("sync_standby", Some(Role::Replica)),
            ("standby_leader", Some(Role::Replica)),
            ("uninitialized", None),
        ] {
            let text = format!(
                r#"{{"state": "running", "role": "{role}", "timeline": 3, "pause": true, "xlog": {{}}}}"#
            );
            let word: Word = serde_json::from_str(&text).unwrap();
            assert_eq!((word.role(), word.timeline, word.pause), (expected, Some(3), true), "{role}");
        }
        let stopped: Word = serde_json::from_str(r#"{"state": "stopped"}"#).unwrap();
        assert_eq!((stopped.role(), stopped.pause), (None, false));
    }
}
