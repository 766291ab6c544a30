//! One HTTP request, one answer, on a connection of its own.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use evenkeel_config::HostPort;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// A metrics page of 32 regions takes a hundredth of it.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;

/// Status and text of the answer.
///
/// # Errors
/// That nobody answered whole within `patience`, and where.
pub async fn ask(
    address: &HostPort,
    request: hyper::http::request::Builder,
    body: impl Into<Bytes>,
    patience: Duration,
) -> Result<(u16, String)> {
    let request = request.header("host", address.to_string()).body(Full::new(body.into()))?;
    let exchange = async {
        let stream = TcpStream::connect((address.host(), address.port())).await?;
        let (mut connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // Its error reaches the request that it belongs to.
        tokio::spawn(driver);
        let answer = connection.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes();
        anyhow::Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    let answer = tokio::time::timeout(patience, exchange).await;
    answer
        .map_err(|_| anyhow!("no answer within {patience:?}"))
        .flatten()
        .with_context(|| format!("http://{address}"))
}

/// A `GET`.
///
/// # Errors
/// As [`ask`].
pub async fn get(address: &HostPort, path: &str, patience: Duration) -> Result<(u16, String)> {
    ask(address, Request::get(path), Bytes::new(), patience).await
}
