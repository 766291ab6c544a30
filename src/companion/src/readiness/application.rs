//! The application: one GET on a kept connection.

use bytes::Bytes;
use evenkeel_config::companion as config;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What is read of an answer's body; only its end matters.
const MAX_BODY: usize = 1024 * 1024;

/// How the application is asked.
#[derive(Debug)]
pub struct Application {
    uri: Result<Uri, String>,
    required: bool,
    connect_timeout: Duration,
    read_timeout: Duration,
    kept: Mutex<Option<SendRequest<Empty<Bytes>>>>,
}

impl Application {
    /// By these settings.
    pub fn new(settings: &config::Application) -> Self {
        Application {
            uri: settings.url.parse::<Uri>().map_err(|error| format!("its url is wrong: {error}")),
            required: settings.required,
            connect_timeout: settings.connect_timeout.to_duration(),
            read_timeout: settings.read_timeout.to_duration(),
            kept: Mutex::default(),
        }
    }

    /// Whether it decides.
    pub fn required(&self) -> bool {
        self.required
    }

    /// Connecting and reading, each at its longest.
    pub fn limit(&self) -> Duration {
        self.connect_timeout + self.read_timeout
    }

    /// Forgets the connection.
    pub fn reset(&self) {
        self.lock().take();
    }

    /// Asks.
    ///
    /// # Errors
    /// Why it is down.
    pub async fn run(&self) -> Result<(), String> {
        let uri = self.uri.as_ref().map_err(Clone::clone)?;
        let kept = self.lock().take();
        if let Some(mut connection) = kept
            && connection.ready().await.is_ok()
        {
            match self.ask(&mut connection, uri).await {
                // Closed by the other side meanwhile, which says nothing: a GET may be asked again.
                Err(Failed::Broken(_)) => {}
                ended => return self.keep(connection, ended),
            }
        }
        let mut connection = timeout(self.connect_timeout, connect(uri)).await.map_err(|_| {
            format!("no connection within {}", humantime::format_duration(self.connect_timeout))
        })??;
        let ended = self.ask(&mut connection, uri).await;
        self.keep(connection, ended)
    }

    async fn ask(&self, connection: &mut SendRequest<Empty<Bytes>>, uri: &Uri) -> Result<(), Failed> {
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::USER_AGENT, concat!("evenkeel/", env!("CARGO_PKG_VERSION")))
            .body(Empty::new())
            .map_err(|error| Failed::Answer(error.to_string()))?;
        let exchange = async {
            let answer = connection.send_request(request).await.map_err(|error| broken(&error))?;
            let status = answer.status();
            Limited::new(answer.into_body(), MAX_BODY)
                .collect()
                .await
                .map_err(|error| Failed::Answer(format!("the answer broke off: {error}")))?;
            Ok(status)
        };
        let status: StatusCode = timeout(self.read_timeout, exchange).await.map_err(|_| {
            Failed::Answer(format!("no answer within {}", humantime::format_duration(self.read_timeout)))
        })??;
        if status.is_success() { Ok(()) } else { Err(Failed::Status(status)) }
    }

    /// A connection with a whole answer behind it serves again.
    fn keep(&self, connection: SendRequest<Empty<Bytes>>, ended: Result<(), Failed>) -> Result<(), String> {
        if matches!(ended, Ok(()) | Err(Failed::Status(_))) {
            *self.lock() = Some(connection);
        }
        ended.map_err(|failed| match failed {
            Failed::Broken(reason) | Failed::Answer(reason) => reason,
            Failed::Status(status) => format!("answered {status}"),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SendRequest<Empty<Bytes>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Failed {
    /// The connection broke before an answer began.
    Broken(String),
    /// The answer is no good.
    Answer(String),
    /// The answer is whole, and says no.
    Status(StatusCode),
}

fn broken(error: &hyper::Error) -> Failed {
    let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Failed::Broken(format!("the connection broke: {reason}"))
}

async fn connect(uri: &Uri) -> Result<SendRequest<Empty<Bytes>>, String> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(80);
    let stream =
        TcpStream::connect((host, port)).await.map_err(|error| format!("cannot connect: {error}"))?;
    let _ = stream.set_nodelay(true);
    let (connection, driver) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("cannot connect: {error}"))?;
    // Its errors reach the request they belong to.
    tokio::spawn(async move {
        let _ = driver.await;
    });
    Ok(connection)
}
