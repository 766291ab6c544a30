//! One webhook: a queue, a task that empties it, and back-off where it does not answer.

use super::body;
use super::book::Notice;
use super::queue::{Next, Queue};
use crate::clock;
use crate::settings::Target;
use bytes::Bytes;
use evenkeel_policy::time::Millis;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often an alert is tried: with the pauses between, for about a minute.
const ATTEMPTS: u32 = 7;

/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause that a webhook may ask for by `retry-after`.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What became of its alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken by the webhook.
    pub sent: u64,
    /// Given up after all attempts, or refused.
    pub failed: u64,
    /// Pushed out of a full queue.
    pub dropped: u64,
}

/// A webhook at work. Ends with its owner.
#[derive(Debug)]
pub struct Webhook {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    target: Target,
    per_minute: u32,
    region: String,
    queue: Mutex<Queue>,
    news: Notify,
    sending: AtomicBool,
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Webhook {
    /// Begins.
    pub fn start(target: Target, per_minute: u32, region: &str) -> Self {
        let shared = Arc::new(Shared {
            target,
            per_minute,
            region: region.to_owned(),
            queue: Mutex::new(Queue::new(per_minute)),
            news: Notify::new(),
            sending: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let task = tokio::spawn(run(shared.clone())).abort_handle();
        Webhook { shared, task }
    }

    /// Whether it works by these settings.
    pub fn is(&self, target: &Target, per_minute: u32) -> bool {
        self.shared.target == *target && self.shared.per_minute == per_minute
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.target.name
    }

    /// Whether something waits or is being sent.
    pub fn busy(&self) -> bool {
        self.shared.sending.load(Ordering::Acquire) || !self.shared.queue().is_empty()
    }

    /// What became of its alerts.
    pub fn counts(&self) -> Counts {
        Counts {
            sent: self.shared.sent.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
        }
    }

    /// Adds an alert. Never waits.
    pub fn push(&self, notice: Notice) {
        if self.shared.queue().push(notice) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.news.notify_one();
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(shared: Arc<Shared>) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(webhook = shared.target.name, %error, "webhook cannot be used");
            return;
        }
    };
    loop {
        let next = {
            let mut queue = shared.queue();
            let next = queue.take(clock::now());
            shared.sending.store(matches!(next, Next::One(_) | Next::Many(_)), Ordering::Release);
            next
        };
        let (count, body) = match next {
            Next::One(notice) => (1, body::one(&notice, shared.target.format, &shared.region)),
            Next::Many(notices) => {
                (notices.len() as u64, body::many(&notices, shared.target.format, &shared.region))
            }
            Next::At(time) => {
                tokio::time::sleep(time.since(clock::now()).to_duration()).await;
                continue;
            }
            Next::Nothing => {
                shared.news.notified().await;
                continue;
            }
        };
        let counter = if deliver(&shared, &client, body.to_string().into()).await {
            &shared.sent
        } else {
            &shared.failed
        };
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

fn client() -> std::io::Result<HttpClient> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(TIMEOUT));
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_native_roots()?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).build(https))
}

/// Tries until it is taken, refused for good, or tried often enough. The URL is said nowhere.
async fn deliver(shared: &Shared, client: &HttpClient, body: Bytes) -> bool {
    let webhook = shared.target.name.as_str();
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=ATTEMPTS {
        let (problem, asked) = match tokio::time::timeout(TIMEOUT, post(shared, client, body.clone())).await {
            Ok(Ok((status, _))) if status.is_success() => return true,
            Ok(Ok((status, asked))) => {
                let passing = status.is_server_error()
                    || status == StatusCode::TOO_MANY_REQUESTS
                    || status == StatusCode::REQUEST_TIMEOUT;
                if !passing {
                    tracing::error!(webhook, %status, "alert refused by the webhook");
                    return false;
                }
                (format!("answered {status}"), asked)
            }
            Ok(Err(problem)) => (problem, None),
            Err(_) => {
                (format!("no answer within {}", clock::span(Millis::from_secs(TIMEOUT.as_secs()))), None)
            }
        };
        if attempt == ATTEMPTS {
            tracing::error!(webhook, problem, attempts = ATTEMPTS, "alert given up");
            return false;
        }
        tracing::debug!(webhook, problem, attempt, "alert not taken yet");
        tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await;
        pause *= 2;
    }
    false
}

async fn post(
    shared: &Shared,
    client: &HttpClient,
    body: Bytes,
) -> Result<(StatusCode, Option<Duration>), String> {
    let request = Request::post(shared.target.url.reveal())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(body))
        .map_err(|_| "its address cannot be used".to_owned())?;
    // The client's own words may hold the address; those of its cause (a refused connection, a bad
    // certificate) do not.
    let cause = |error: hyper_util::client::legacy::Error| {
        let mut cause = std::error::Error::source(&error);
        while let Some(deeper) = cause.and_then(std::error::Error::source) {
            cause = Some(deeper);
        }
        cause.map_or_else(|| "cannot be reached".to_owned(), ToString::to_string)
    };
    let answer = client.request(request).await.map_err(cause)?;
    let status = answer.status();
    let asked = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    // Read to the end, so that the connection serves again.
    let _ = Limited::new(answer.into_body(), 64 * 1024).collect().await;
    Ok((status, asked.map(Duration::from_secs)))
}
