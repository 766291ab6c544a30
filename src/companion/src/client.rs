//! The client of a companion's admin listener: one question, one answer.

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use tokio::net::TcpStream;

/// The variable that holds the token where no file does.
pub const TOKEN_VARIABLE: &str = "EVENKEEL_TOKEN";

/// From connecting to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A status of 32 nodes with their histories takes a hundredth of it.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// A companion as somebody outside sees it.
#[derive(Clone)]
pub struct Client {
    address: String,
    token: Option<String>,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Client {
    /// The companion whose admin listener is at `address` (`host:port`). White space around the token does
    /// not count.
    pub fn new(address: impl Into<String>, token: Option<&str>) -> Self {
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        Client { address: address.into(), token }
    }

    /// Reads a page.
    ///
    /// # Errors
    /// Why there is none, with the remedy.
    pub async fn read(&self, path: &str) -> Result<String> {
        self.ask(Request::get(path), Bytes::new()).await
    }

    /// Gives an order.
    ///
    /// # Errors
    /// Why it was not taken, with the remedy.
    pub async fn order(&self, path: &str, order: &Value) -> Result<Value> {
        let request = Request::post(path).header("content-type", "application/json");
        let answer = self.ask(request, order.to_string().into()).await?;
        serde_json::from_str(&answer).with_context(|| format!("{self} did not answer in JSON"))
    }

    async fn ask(&self, mut request: hyper::http::request::Builder, body: Bytes) -> Result<String> {
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request
            .header("host", &self.address)
            .body(Full::new(body))
            .with_context(|| format!("--admin {:?} or the token cannot be sent as it is", self.address))?;
        let answer = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
        let (status, text) = answer.map_err(|_| {
            anyhow!("{self} does not answer within 5s: is a companion's admin listener there?")
        })??;
        if status.is_success() {
            return Ok(text);
        }
        let reason = serde_json::from_str::<Value>(&text).ok();
        let reason = reason.as_ref().and_then(|body| body["error"].as_str());
        let Some(reason) = reason else {
            bail!("{self} answered {status}: is a companion's admin listener there?");
        };
        match status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => {
                bail!("{self}: a token is needed: give --token-file FILE or the variable {TOKEN_VARIABLE}")
            }
            _ => bail!("{self}: {reason}"),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, String)> {
        let stream = TcpStream::connect(&self.address).await.map_err(|error| {
            anyhow!("no companion at {self} ({error}): start one with evenkeel run, or say where it is with --admin")
        })?;
        let (mut connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // Its error reaches the request that it belongs to.
        tokio::spawn(driver);
        let answer = connection.send_request(request).await.with_context(|| format!("{self} broke off"))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow!("{self} broke off: {error}"))?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }
}
