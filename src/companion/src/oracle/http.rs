//! HTTP/1.1 as a client: one connection, its times, and what is read of an answer.

use super::tls::Tls;
use bytes::{Bytes, BytesMut};
use evenkeel_config::HostPort;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

/// An answer's head is no longer than this.
const MAX_HEAD: usize = 64 * 1024;

/// Who identifies as what.
pub const USER_AGENT: &str = concat!("evenkeel/", env!("CARGO_PKG_VERSION"));

/// Where something is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The address.
    pub address: HostPort,
    /// TLS towards it; none: plain TCP.
    pub tls: Option<Tls>,
}

/// A stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open connection; it ends when this is dropped.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

/// How long a connection took to come about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// TCP, looking the name up apart.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Option<Duration>,
}

/// Opens a TCP connection.
///
/// # Errors
/// Why there is none, in words.
pub async fn tcp(address: &HostPort) -> Result<(TcpStream, Duration), String> {
    let found = tokio::net::lookup_host((address.host(), address.port()))
        .await
        .map_err(|error| format!("{} cannot be looked up: {error}", address.host()))?;
    let found: Vec<std::net::SocketAddr> = found.collect();
    let began = Instant::now();
    let stream =
        TcpStream::connect(found.as_slice()).await.map_err(|error| format!("cannot connect: {error}"))?;
    let took = began.elapsed();
    let _ = stream.set_nodelay(true);
    Ok((stream, took))
}

impl Connection {
    /// Opens one.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn open(to: &Endpoint) -> Result<(Connection, Opening), String> {
        let (stream, connect) = tcp(&to.address).await?;
        let mut opening = Opening { connect, tls: None };
        let stream: Box<dyn Stream> = match &to.tls {
            None => Box::new(stream),
            Some(tls) => {
                let began = Instant::now();
                let connector = TlsConnector::from(tls.config.clone());
                let stream = connector
                    .connect(tls.name.clone(), stream)
                    .await
                    .map_err(|error| format!("no TLS: {error}"))?;
                opening.tls = Some(began.elapsed());
                Box::new(stream)
            }
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| format!("cannot connect: {error}"))?;
        let mut tasks = JoinSet::new();
        // Its errors reach the request they belong to.
        tasks.spawn(async move {
            let _ = driver.await;
        });
        Ok((Connection { sender, _driver: tasks }, opening))
    }

    /// Sends a request, and waits for the answer's head.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        self.sender.send_request(request).await.map_err(|error| {
            let reason =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            format!("the connection broke: {reason}")
        })
    }
}

/// A body's first bytes: until `enough` says so, its end, or `most` of them. True if it was whole.
///
/// # Errors
/// If it breaks off.
pub async fn beginning(
    mut body: Incoming,
    most: usize,
    mut enough: impl FnMut(&[u8]) -> bool,
) -> Result<(Bytes, bool), String> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        let Ok(data) = frame.into_data() else { continue };
        let room = most - read.len();
        read.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room || enough(&read) {
            return Ok((read.freeze(), false));
        }
    }
    Ok((read.freeze(), true))
}

/// A connection that is kept between questions, and made anew when it breaks.
pub struct Kept {
    to: Endpoint,
    kept: Option<Connection>,
}

impl Kept {
    /// Nothing is connected yet.
    pub fn new(to: Endpoint) -> Self {
        Kept { to, kept: None }
    }

    /// Where it leads.
    pub fn address(&self) -> &HostPort {
        &self.to.address
    }

    /// Asks; a body above `most` bytes is an error. What is asked must be safe to ask twice: a kept
    /// connection that the other side closed meanwhile says nothing.
    ///
    /// # Errors
    /// Why there is no whole answer within the time, in words.
    pub async fn ask(
        &mut self,
        request: &Request<Full<Bytes>>,
        most: usize,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        // Taken out: whatever ends this early, a time-out too, ends the connection with it.
        let kept = self.kept.take();
        let asked = timeout(within, async {
            if let Some(mut connection) = kept
                && let Ok(answer) = connection.send(request.clone()).await
            {
                return whole(answer, most).await.map(|answer| (answer, connection));
            }
            let (mut connection, _) = Connection::open(&self.to).await?;
            let answer = connection.send(request.clone()).await?;
            whole(answer, most).await.map(|answer| (answer, connection))
        });
        let within = humantime::format_duration(within);
        let (answer, connection) = asked.await.map_err(|_| format!("no answer within {within}"))??;
        self.kept = Some(connection);
        Ok(answer)
    }
}

async fn whole(answer: Response<Incoming>, most: usize) -> Result<(StatusCode, Bytes), String> {
    let status = answer.status();
    match beginning(answer.into_body(), most, |_| false).await? {
        (body, true) => Ok((status, body)),
        (_, false) => Err(format!("the answer is longer than {most} bytes")),
    }
}
