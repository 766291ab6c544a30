//! A demo region: a real HTTP server in a process of its own, so that it can really be killed,
//! frozen and started again.

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};

/// The response header by which a demo region names itself.
pub const REGION_HEADER: &str = "x-demo-region";

/// Connections that the kernel accepts for a region that does not: enough that a frozen region
/// stays silent, as a frozen machine does. A full queue would give it away by failed connections,
/// long before the per-try time-out.
const BACKLOG: u32 = 4096;

/// The longest wait that `/slow?ms=` grants.
const SLOWEST: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub struct Options {
    /// The region's name, as it appears in every answer.
    #[arg(long)]
    name: String,
    /// The port on 127.0.0.1; 0 takes a free one and prints it.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// End when standard input closes: a region must not outlive the demo that started it.
    #[arg(long)]
    until_stdin_closes: bool,
}

/// Serves until it is killed (or standard input closes, where asked for).
pub fn run(options: Options) -> Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(options))
}

async fn serve(options: Options) -> Result<ExitCode> {
    let port = options.port;
    let listener = listen(port)
        .with_context(|| format!("--port {port}: cannot listen on 127.0.0.1; choose a free port"))?;
    println!("demo region {} listens on http://{}", options.name, listener.local_addr()?);
    let region = Arc::new(Region { name: options.name, served: AtomicU64::new(0) });
    let accept = async {
        loop {
            // A failed accept (too many open files) passes; the next one may do.
            if let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                let region = region.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(region.clone(), request));
                    // A client that goes away in mid-request is its own affair.
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
                });
            }
        }
    };
    if options.until_stdin_closes {
        let mut stdin = tokio::io::stdin();
        let closed = async move { while matches!(stdin.read(&mut [0; 64]).await, Ok(n) if n > 0) {} };
        tokio::select! { () = accept => (), () = closed => () }
    } else {
        accept.await;
    }
    Ok(ExitCode::SUCCESS)
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // A restart on the same port must not wait for old connections to leave TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    socket.listen(BACKLOG)
}

struct Region {
    name: String,
    served: AtomicU64,
}

async fn answer(
    region: Arc<Region>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // The whole request is read first, as an application that uses its body would.
    if body.collect().await.is_err() {
        return Ok(reply(&region, StatusCode::BAD_REQUEST, &serde_json::json!({"error": "body cut short"})));
    }
    let json = match head.uri.path() {
        "/actuator/health/readiness" | "/actuator/health/liveness" => serde_json::json!({
            "status": "UP", "region": region.name, "components": {"application": {"status": "UP"}}
        }),
        path => {
            let served = region.served.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(service_time(head.uri.path(), head.uri.query(), served)).await;
            serde_json::json!({"region": region.name, "method": head.method.as_str(), "path": path})
        }
    };
    Ok(reply(&region, StatusCode::OK, &json))
}

/// 1 to 3 ms, as a small handler takes; `/slow?ms=N` takes N.
fn service_time(path: &str, query: Option<&str>, served: u64) -> Duration {
    let asked = query
        .filter(|_| path == "/slow")
        .and_then(|q| q.split('&').find_map(|pair| pair.strip_prefix("ms=")).and_then(|ms| ms.parse().ok()));
    match asked {
        Some(ms) => Duration::from_millis(ms).min(SLOWEST),
        None => Duration::from_micros(1000 + evenkeel_chaos::load::pace::scatter(served) % 2000),
    }
}

fn reply(region: &Region, status: StatusCode, json: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(name) = HeaderValue::from_str(&region.name) {
        headers.insert(REGION_HEADER, name);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_time_is_small_or_as_asked() {
        for served in 0..1000 {
            let time = service_time("/orders/1", None, served);
            assert!((Duration::from_millis(1)..Duration::from_millis(3)).contains(&time), "{time:?}");
        }
        assert_eq!(service_time("/slow", Some("x=1&ms=250"), 0), Duration::from_millis(250));
        assert_eq!(service_time("/slow", Some("ms=99999999999"), 0), SLOWEST);
        assert!(service_time("/slow", Some("ms=soon"), 0) < Duration::from_millis(3));
        assert!(service_time("/orders", Some("ms=250"), 0) < Duration::from_millis(3));
    }
}
