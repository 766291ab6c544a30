//! One HTTP request, one answer, on a connection of its own.

use crate::http::{NoAnswer, Pool};
use crate::load::socket_address;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use evenkeel_config::HostPort;
use http_body_util::Full;
use hyper::Request;
use std::time::Duration;

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
    let request = request.header("host", address.to_string()).body(Full::new(body.into()));
    let request = request.with_context(|| format!("http://{address}: cannot be asked so"))?;
    let pool = Pool::new(socket_address(address)?);
    let answer = tokio::time::timeout(patience, pool.send(request)).await;
    match answer.unwrap_or(Err(NoAnswer::Timeout)) {
        Ok(answer) => {
            let text = String::from_utf8_lossy(answer.body()).into_owned();
            Ok((answer.status().as_u16(), text))
        }
        Err(NoAnswer::Connect) => bail!("http://{address}: nobody listens there"),
        Err(NoAnswer::Broken) => bail!("http://{address}: the answer broke off"),
        Err(NoAnswer::Timeout) => bail!("http://{address}: no answer within {patience:?}"),
    }
}

/// A `GET`.
///
/// # Errors
/// As [`ask`].
pub async fn get(address: &HostPort, path: &str, patience: Duration) -> Result<(u16, String)> {
    ask(address, Request::get(path), Bytes::new(), patience).await
}
