//! An HTTP/1.1 client that sends exactly the bytes it is told to.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

/// No request here may take longer: one that does was lost.
const PATIENCE: Duration = Duration::from_secs(40);

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    source: Ipv4Addr,
}

impl Request {
    /// A request of this method for `/`, with a `host`.
    pub fn new(method: &str) -> Self {
        Request {
            method: method.to_owned(),
            path: "/".to_owned(),
            headers: vec![("host".to_owned(), b"shop.example.com".to_vec())],
            body: Vec::new(),
            source: Ipv4Addr::LOCALHOST,
        }
    }

    /// A GET.
    pub fn get() -> Self {
        Request::new("GET")
    }

    /// A POST with a body.
    pub fn post() -> Self {
        Request::new("POST").body(b"{\"item\":1}")
    }

    /// From a client in this country.
    pub fn from(self, country: &str) -> Self {
        self.header("x-country-code", country)
    }

    /// Adds a header, whatever bytes it holds.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Removes a header.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Sets the path.
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// Connects from this address (all of 127.0.0.0/8 is this machine).
    pub fn source(mut self, last: u8) -> Self {
        self.source = Ipv4Addr::new(127, 0, 0, last);
        self
    }

    fn written(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if !self.body.is_empty() || self.method == "POST" {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own.
    ///
    /// # Errors
    /// If there was no whole answer.
    pub async fn send(&self, to: SocketAddr) -> Result<Reply, String> {
        Connection::open(to, self.source).await?.exchange(self).await
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// From the first byte sent to the last one received.
    pub took: Duration,
}

impl Reply {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The region that answered; empty if none did.
    pub fn region(&self) -> &str {
        self.header(crate::region::SERVED_BY).unwrap_or_default()
    }

    /// The filter's decision in its own words; empty if it did not say.
    pub fn decision(&self) -> &str {
        self.header("x-evenkeel-decision").unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection that is kept for further requests.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects from a given address.
    ///
    /// # Errors
    /// If that is refused.
    pub async fn open(to: SocketAddr, source: Ipv4Addr) -> Result<Self, String> {
        let socket = TcpSocket::new_v4().map_err(|error| format!("socket: {error}"))?;
        if source != Ipv4Addr::LOCALHOST {
            let _ = socket.bind(SocketAddrV4::new(source, 0).into());
        }
        let stream = socket.connect(to).await.map_err(|error| format!("connect: {error}"))?;
        let _ = stream.set_nodelay(true);
        Ok(Connection { stream: BufReader::new(stream) })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// If there was no whole answer.
    pub async fn exchange(&mut self, request: &Request) -> Result<Reply, String> {
        self.exchange_raw(&request.written(), request.method == "HEAD").await
    }

    /// Sends any bytes and reads an answer.
    ///
    /// # Errors
    /// If there was no whole answer.
    pub async fn exchange_raw(&mut self, bytes: &[u8], without_body: bool) -> Result<Reply, String> {
        let begun = Instant::now();
        let exchange = async {
            // An early refusal may close the connection before all is written: read it all the same.
            let written = self.stream.get_mut().write_all(bytes).await;
            let reply = self.read(without_body).await;
            match (written, reply) {
                (Err(error), Err(_)) => Err(format!("write: {error}")),
                (_, reply) => reply,
            }
        };
        let mut reply = tokio::time::timeout(PATIENCE, exchange)
            .await
            .map_err(|_| format!("no answer within {PATIENCE:?}"))??;
        reply.took = begun.elapsed();
        Ok(reply)
    }

    async fn read(&mut self, without_body: bool) -> Result<Reply, String> {
        let mut reply = Reply { status: 0, headers: Vec::new(), body: Vec::new(), took: Duration::ZERO };
        loop {
            let first = self.line().await?;
            reply.status = first
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok())
                .ok_or_else(|| format!("no HTTP: {first:?}"))?;
            reply.headers.clear();
            loop {
                let line = self.line().await?;
                let Some((name, value)) = line.split_once(':') else { break };
                reply.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            if reply.status >= 200 {
                break;
            }
        }
        if without_body || reply.status == 204 || reply.status == 304 {
            return Ok(reply);
        }
        if reply.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            loop {
                let line = self.line().await?;
                let size = usize::from_str_radix(line.trim(), 16).map_err(|_| format!("chunk {line:?}"))?;
                let piece = self.bytes(size).await?;
                reply.body.extend(piece);
                self.line().await?;
                if size == 0 {
                    return Ok(reply);
                }
            }
        }
        match reply.header("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => reply.body = self.bytes(length).await?,
            None => {
                let read = self.stream.read_to_end(&mut reply.body).await;
                read.map_err(|error| format!("read: {error}"))?;
            }
        }
        Ok(reply)
    }

    async fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        loop {
            let byte = self.stream.read_u8().await.map_err(|error| format!("read: {error}"))?;
            match byte {
                b'\n' => return Ok(String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()),
                byte => line.push(byte),
            }
        }
    }

    async fn bytes(&mut self, count: usize) -> Result<Vec<u8>, String> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.map_err(|error| format!("read: {error}"))?;
        Ok(bytes)
    }
}
