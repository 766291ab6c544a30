//! A small HTTP/1.1 client with kept connections, plain enough that nothing is repeated or
//! hidden: one call is one request on the wire.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;

/// Why a request got no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// No connection: nothing was sent.
    Connect,
    /// The connection broke, or what came was no HTTP.
    Broken,
    /// Nothing within the client's patience.
    Timeout,
}

/// A connection that carries one request at a time.
pub type Connection = SendRequest<Full<Bytes>>;

/// Kept connections to one address, used in turn so that all of them carry traffic (and with them
/// all of Envoy's workers, which own a part of the connections each).
#[derive(Debug)]
pub struct Pool {
    address: SocketAddr,
    idle: Mutex<VecDeque<Connection>>,
}

impl Pool {
    /// No connections yet.
    pub fn new(address: SocketAddr) -> Self {
        Pool { address, idle: Mutex::default() }
    }

    /// Opens connections ahead of use.
    ///
    /// # Errors
    /// If one cannot be made.
    pub async fn warm(&self, connections: usize) -> Result<(), NoAnswer> {
        for _ in 0..connections {
            let connection = self.connect().await?;
            self.put_back(connection);
        }
        Ok(())
    }

    /// One request, one answer with its whole body. Dropping the future closes the connection.
    ///
    /// # Errors
    /// If there is no whole answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, NoAnswer> {
        let connection = self.ready().await?;
        self.send_on(connection, request).await
    }

    /// A connection that was not closed meanwhile: a kept one, or else a new one.
    ///
    /// # Errors
    /// [`NoAnswer::Connect`].
    pub async fn ready(&self) -> Result<Connection, NoAnswer> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match idle {
                // A connection that the server has closed meanwhile is not a failed request.
                Some(mut connection) => {
                    if connection.ready().await.is_ok() {
                        return Ok(connection);
                    }
                }
                None => return self.connect().await,
            }
        }
    }

    /// The same on a connection from [`ready`](Self::ready), for who wants to know when it was there.
    ///
    /// # Errors
    /// If there is no whole answer.
    pub async fn send_on(
        &self,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let response = connection.send_request(request).await.map_err(|_| NoAnswer::Broken)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| NoAnswer::Broken)?.to_bytes();
        self.put_back(connection);
        Ok(Response::from_parts(head, body))
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(connection);
    }

    async fn connect(&self) -> Result<Connection, NoAnswer> {
        let stream = TcpStream::connect(self.address).await.map_err(|_| NoAnswer::Connect)?;
        stream.set_nodelay(true).ok();
        let (connection, driver) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Connect)?;
        // Its error reaches the request that it belongs to.
        tokio::spawn(driver);
        Ok(connection)
    }
}

/// How long an admin page or a readiness answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Fetches a page as text; anything but 200 is an error.
///
/// # Errors
/// If there is no answer within 2 s, or another one.
pub async fn get(pool: &Pool, path: &str) -> Result<String> {
    get_with(pool, path, None).await
}

/// The same with a bearer token, where there is one.
///
/// # Errors
/// As [`get`].
pub async fn get_with(pool: &Pool, path: &str, token: Option<&str>) -> Result<String> {
    let address = pool.address;
    let mut request = Request::get(path).header("host", "127.0.0.1");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = match tokio::time::timeout(PATIENCE, pool.send(request.body(Full::default())?)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => bail!("http://{address}{path}: no answer ({error:?})"),
        Err(_) => bail!("http://{address}{path}: no answer in {PATIENCE:?}"),
    };
    if response.status() != 200 {
        bail!("http://{address}{path}: status {}", response.status());
    }
    String::from_utf8(response.into_body().to_vec()).with_context(|| format!("http://{address}{path}"))
}
