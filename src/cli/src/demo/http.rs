//! A small HTTP/1.1 client with kept connections, plain enough that nothing is repeated or
//! hidden: one call is one request on the wire.

use super::journal::NoAnswer;
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

type Connection = SendRequest<Full<Bytes>>;

/// Kept connections to one address, used in turn so that all of them carry traffic (and with them
/// all of Envoy's workers, which own a part of the connections each).
pub struct Pool {
    address: SocketAddr,
    idle: Mutex<VecDeque<Connection>>,
}

impl Pool {
    pub fn new(address: SocketAddr) -> Self {
        Pool { address, idle: Mutex::default() }
    }

    /// Opens connections ahead of use.
    pub async fn warm(&self, connections: usize) -> Result<(), NoAnswer> {
        for _ in 0..connections {
            let connection = self.connect().await?;
            self.put_back(connection);
        }
        Ok(())
    }

    /// One request, one answer with its whole body. Dropping the future closes the connection.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, NoAnswer> {
        let mut connection = self.take().await?;
        let response = connection.send_request(request).await.map_err(|_| NoAnswer::Broken)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_| NoAnswer::Broken)?.to_bytes();
        self.put_back(connection);
        Ok(Response::from_parts(head, body))
    }

    async fn take(&self) -> Result<Connection, NoAnswer> {
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
pub async fn get(pool: &Pool, path: &str) -> Result<String> {
    let address = pool.address;
    let request = Request::get(path).header("host", "127.0.0.1").body(Full::default())?;
    let response = match tokio::time::timeout(PATIENCE, pool.send(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => bail!("http://{address}{path}: no answer ({error:?})"),
        Err(_) => bail!("http://{address}{path}: no answer in {PATIENCE:?}"),
    };
    if response.status() != 200 {
        bail!("http://{address}{path}: status {}", response.status());
    }
    String::from_utf8(response.into_body().to_vec()).with_context(|| format!("http://{address}{path}"))
}
