//! One question to one endpoint, on a connection of its own so that its times mean something.

use super::http::{self as client, Connection, Endpoint, USER_AGENT};
use bytes::Bytes;
use evenkeel_policy::time::Millis;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The part of a body that is searched (R25).
const SEARCHED: usize = 5120;

/// From the status to that part of the body (R25).
const BODY_WITHIN: Duration = Duration::from_secs(2);

/// The header by which a region's readiness answer drains it.
const DRAIN: &str = "x-evenkeel-drain";

/// The longest drain that a readiness answer may ask for, as at the edges.
const LONGEST_DRAIN: Millis = Millis::from_secs(24 * 3600);

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Where.
    pub to: Endpoint,
    /// What; none: a connection is all.
    pub get: Option<Get>,
    /// How long it may take.
    pub limits: Limits,
}

/// A GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// The `Host`.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// More headers: what an edge wants to see.
    pub headers: HeaderMap,
    /// Whether 3xx is good too.
    pub redirects: bool,
    /// What the body must hold.
    pub search: Option<String>,
}

/// How long a question may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// All of it.
    Whole(Duration),
    /// The connection, TLS included; and from then to the answer's status.
    Stages(Duration, Duration),
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Why it is no good.
    pub error: Option<String>,
    /// To connect.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From the request to the answer's head.
    pub first_byte: Option<Duration>,
    /// What the answer says of a drain; none if there was no answer.
    pub drain: Option<Option<Millis>>,
}

impl Measured {
    /// What counts as its latency: an edge asks on a connection that stands already.
    pub fn latency(&self) -> Duration {
        self.first_byte.or(self.connect).unwrap_or_default()
    }
}

impl Question {
    /// Asks.
    pub async fn ask(&self) -> Measured {
        let mut measured = Measured::default();
        measured.error = match self.limits {
            Limits::Whole(limit) => {
                let ended = timeout(limit, self.stages(limit, limit, &mut measured)).await;
                ended.unwrap_or_else(|_| Err(late("no answer", limit))).err()
            }
            Limits::Stages(connect, response) => self.stages(connect, response, &mut measured).await.err(),
        };
        measured
    }

    async fn stages(
        &self,
        connect: Duration,
        response: Duration,
        measured: &mut Measured,
    ) -> Result<(), String> {
        let Some(get) = &self.get else {
            let opened = timeout(connect, client::tcp(&self.to.address)).await;
            let (_, took) = opened.map_err(|_| late("no connection", connect))??;
            measured.connect = Some(took);
            return Ok(());
        };
        let opened = timeout(connect, Connection::open(&self.to)).await;
        let (mut connection, opening) = opened.map_err(|_| late("no connection", connect))??;
        (measured.connect, measured.tls) = (Some(opening.connect), opening.tls);
        let began = Instant::now();
        let answer = timeout(response, connection.send(get.request()?)).await;
        let answer = answer.map_err(|_| late("no answer", response))??;
        measured.first_byte = Some(began.elapsed());
        measured.drain = Some(drain(answer.headers()));
        get.judge(answer).await
    }
}

impl Get {
    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::get(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::USER_AGENT, USER_AGENT)
            .body(Full::default())
            .map_err(|error| format!("cannot be asked: {error}"))?;
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }

    async fn judge(&self, answer: Response<Incoming>) -> Result<(), String> {
        let status = answer.status();
        if !(status.is_success() || self.redirects && status.is_redirection()) {
            return Err(answered(status));
        }
        let Some(search) = &self.search else { return Ok(()) };
        let until = Instant::now() + BODY_WITHIN;
        let found = |read: &[u8]| read.windows(search.len()).any(|part| part == search.as_bytes());
        let enough = |read: &[u8]| read.len() >= SEARCHED || found(read);
        let body = timeout_at(until, client::beginning(answer.into_body(), SEARCHED, enough)).await;
        let (body, _) = body.map_err(|_| late("no whole body", BODY_WITHIN))??;
        if found(&body) {
            return Ok(());
        }
        Err(format!("\"{search}\" is not in the answer's first {SEARCHED} bytes"))
    }
}

fn answered(status: StatusCode) -> String {
    format!("answered {status}")
}

fn late(what: &str, limit: Duration) -> String {
    format!("{what} within {}", humantime::format_duration(limit))
}

/// As the edges read it: what is no time is no drain.
fn drain(headers: &HeaderMap) -> Option<Millis> {
    let value = headers.get(DRAIN)?;
    let text = value.to_str().unwrap_or_default();
    match Millis::parse(text) {
        Ok(left) => Some(left.min(LONGEST_DRAIN)),
        Err(problem) => {
            tracing::warn!(header = DRAIN, problem, "a region's readiness announces a drain that is none");
            None
        }
    }
}

#[cfg(test)]
mod tests;
