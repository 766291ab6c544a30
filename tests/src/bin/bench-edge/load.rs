//! The two ends around Envoy: upstreams that answer at once, and clients in a closed loop.
//!
//! Both speak just enough HTTP/1.1 for each other and Envoy, so that they cost little beside it.

use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The header by which an upstream says which region it is.
const SERVED_BY: &str = "x-served-by: ";

/// Starts a server that answers every request with 200, readiness probes included.
pub async fn upstream(region: &str) -> anyhow::Result<SocketAddr> {
    let body = format!(
        r#"{{"status":"UP","region":"{region}","order":"3f0c5a","items":[{{"sku":"tea-oolong-100","quantity":2}}]}}"#
    );
    let answer: Arc<str> = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\
         {SERVED_BY}{region}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer.clone()));
        }
    });
    Ok(address)
}

/// Answers until the other side goes away, which is how every connection here ends.
async fn serve(stream: TcpStream, answer: Arc<str>) -> anyhow::Result<()> {
    let mut connection = Connection::new(stream)?;
    loop {
        connection.receive().await?;
        connection.stream.write_all(answer.as_bytes()).await?;
    }
}

/// The requests that the clients send in turn: countries of a mix, each with its own session.
pub fn requests() -> Vec<Vec<u8>> {
    let places = [("TW", "AS", "zh-TW"), ("JP", "AS", "ja"), ("DE", "EU", "de"), ("US", "NA", "en-US")];
    (0..64).map(|number| request(places[number % places.len()], number)).collect()
}

fn request((country, continent, language): (&str, &str, &str), number: usize) -> Vec<u8> {
    format!(
        "GET /api/orders/{number} HTTP/1.1\r\nhost: shop.example.com\r\n\
         user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
         accept: application/json, text/plain, */*\r\naccept-language: {language},en;q=0.5\r\n\
         accept-encoding: gzip, deflate, br\r\nreferer: https://shop.example.com/orders\r\n\
         cookie: theme=dark; session=9b1f{number:04x}c27de4; consent=1\r\n\
         authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1c2VyLTcifQ.c2lnbmF0dXJl\r\n\
         x-country-code: {country}\r\nx-continent: {continent}\r\n\r\n"
    )
    .into_bytes()
}

/// Sends `total` requests over so many keep-alive connections, each waiting for its answer.
///
/// # Errors
/// The first answer that is not 200: what is measured would not be what was meant.
pub async fn closed_loop(
    to: SocketAddr,
    connections: usize,
    total: u64,
    requests: &Arc<Vec<Vec<u8>>>,
) -> anyhow::Result<Duration> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(to).await?);
    }
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let (next, requests) = (next.clone(), requests.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= total {
                        return anyhow::Ok(());
                    }
                    client.ask(&requests[usize::try_from(number)? % requests.len()]).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(started.elapsed())
}

/// A client with one keep-alive connection.
pub struct Client(Connection);

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If nothing listens there.
    pub async fn connect(to: SocketAddr) -> anyhow::Result<Client> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("no connection to {to}"))?;
        Ok(Client(Connection::new(stream)?))
    }

    /// Sends a request and gives the region that answered.
    ///
    /// # Errors
    /// If the answer is not a region's own 200.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<&str> {
        let Client(connection) = self;
        connection.stream.write_all(request).await?;
        let head = connection.receive().await?;
        if !head.starts_with("HTTP/1.1 200 ") {
            bail!("an answer is not 200: {head}");
        }
        header(head, SERVED_BY).with_context(|| format!("an answer does not come from a region: {head}"))
    }
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    /// The length of the message before, which is to be forgotten.
    done: usize,
}

impl Connection {
    fn new(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Connection { stream, read: Vec::with_capacity(4096), done: 0 })
    }

    /// Reads one whole message and gives its head.
    async fn receive(&mut self) -> anyhow::Result<&str> {
        self.read.drain(..self.done);
        self.done = 0;
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.read[..end])?;
                let body: usize = header(head, "content-length: ").map_or(Ok(0), str::parse)?;
                self.done = end + 4 + body;
                if self.read.len() >= self.done {
                    break end;
                }
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                bail!("the connection was closed");
            }
        };
        Ok(std::str::from_utf8(&self.read[..end])?)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").find_map(|line| line.strip_prefix(name))
}
