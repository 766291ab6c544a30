//! A region that answers, or fails, as it is told.

use crate::port::Port;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The response header that names the region.
pub const SERVED_BY: &str = "x-served-by";

/// Where a region's readiness is asked.
pub const READINESS: &str = "/actuator/health/readiness";

/// How a region answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// 200.
    Ok,
    /// This status.
    Status(u16),
    /// 200, so much later.
    Slow(Duration),
    /// The request is read and never answered.
    Hang,
    /// The request is read, then the connection is reset.
    Reset,
    /// The request is read, then the connection is closed in good order.
    Close,
    /// The request is read, then come bytes that are no HTTP.
    Garbage,
    /// 302 to a page that would answer 200.
    Redirect,
    /// 200 with 10 MB.
    Huge,
    /// 200 with one more header.
    With(&'static str, String),
    /// This status for so many of a hundred requests, evenly spread, 200 for the others.
    Failing(u64, u16),
}

/// A request as a region received it.
#[derive(Clone, Debug)]
pub struct Received {
    /// When it was read.
    pub at: Instant,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header of this name, as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

/// How many requests are kept for looking at.
const KEPT: usize = 4_000;

#[derive(Debug)]
struct Shared {
    name: String,
    readiness: watch::Sender<Answer>,
    application: watch::Sender<Answer>,
    log: Mutex<Log>,
    turn: AtomicU64,
    open: Mutex<Vec<AbortHandle>>,
}

#[derive(Debug, Default)]
struct Log {
    probes: Vec<Received>,
    requests: VecDeque<Received>,
    counts: BTreeMap<String, usize>,
}

/// A region that answers, or fails, as it is told.
#[derive(Debug)]
pub struct Region {
    port: Port,
    shared: Arc<Shared>,
    listening: Mutex<Option<AbortHandle>>,
}

impl Region {
    /// A region that answers everything with 200.
    pub fn start(name: &str) -> Self {
        Region::start_at(name, Port::free())
    }

    /// The same at a given port.
    pub fn start_at(name: &str, port: Port) -> Self {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            readiness: watch::Sender::new(Answer::Ok),
            application: watch::Sender::new(Answer::Ok),
            log: Mutex::default(),
            turn: AtomicU64::new(0),
            open: Mutex::default(),
        });
        let region = Region { port, shared, listening: Mutex::default() };
        region.restore();
        region
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How it answers probes from now on.
    pub fn readiness(&self, answer: Answer) {
        self.shared.readiness.send_replace(answer);
    }

    /// How it answers everything else from now on.
    pub fn application(&self, answer: Answer) {
        self.shared.application.send_replace(answer);
    }

    /// Both.
    pub fn answers(&self, answer: Answer) {
        self.readiness(answer.clone());
        self.application(answer);
    }

    /// Stops listening and resets every connection: what a killed process looks like from outside.
    pub fn kill(&self) {
        if let Some(listening) = locked(&self.listening).take() {
            listening.abort();
        }
        for connection in locked(&self.shared.open).drain(..) {
            connection.abort();
        }
    }

    /// Listens again at the same port.
    pub fn restore(&self) {
        let accepting = tokio::spawn(accept(self.port.listen(), Arc::clone(&self.shared)));
        *locked(&self.listening) = Some(accepting.abort_handle());
    }

    /// How many requests there were, probes apart.
    pub fn requests(&self) -> usize {
        locked(&self.shared.log).counts.values().sum()
    }

    /// How many of one method.
    pub fn requests_of(&self, method: &str) -> usize {
        locked(&self.shared.log).counts.get(method).copied().unwrap_or(0)
    }

    /// The latest requests, probes apart, oldest first.
    pub fn received(&self) -> Vec<Received> {
        locked(&self.shared.log).requests.iter().cloned().collect()
    }

    /// The last one for this path.
    pub fn received_at(&self, path: &str) -> Option<Received> {
        locked(&self.shared.log).requests.iter().rev().find(|request| request.path == path).cloned()
    }

    /// When it was probed.
    pub fn probes(&self) -> Vec<Instant> {
        locked(&self.shared.log).probes.iter().map(|probe| probe.at).collect()
    }

    /// The last probe.
    pub fn last_probe(&self) -> Option<Received> {
        locked(&self.shared.log).probes.last().cloned()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.kill();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task closes the listener: connections are refused from then on.
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let serving = tokio::spawn(serve(stream, Arc::clone(&shared)));
        let mut open = locked(&shared.open);
        open.retain(|connection| !connection.is_finished());
        open.push(serving.abort_handle());
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    // A connection that is dropped without a good end is reset, as a killed process's would be
    // where data is left unread.
    let _ = stream.set_zero_linger();
    let mut connection = Incoming { stream, bytes: Vec::new() };
    while let Some(request) = connection.request().await {
        let probe = request.path.starts_with("/actuator/");
        {
            let mut log = locked(&shared.log);
            if probe {
                log.probes.push(request.clone());
            } else {
                *log.counts.entry(request.method.clone()).or_default() += 1;
                if log.requests.len() == KEPT {
                    log.requests.pop_front();
                }
                log.requests.push_back(request.clone());
            }
        }
        let answers = if probe { &shared.readiness } else { &shared.application };
        let answer = answers.borrow().clone();
        if !connection.answer(&shared, &request, answer).await {
            return;
        }
    }
    // The peer closed first: nothing is lost by an orderly end.
    let _ = connection.stream.shutdown().await;
}

struct Incoming {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Incoming {
    /// Answers; false if the connection is at its end.
    async fn answer(&mut self, shared: &Shared, request: &Received, answer: Answer) -> bool {
        let (status, extra, size) = match answer {
            Answer::Ok => (200, String::new(), None),
            Answer::Status(status) => (status, String::new(), None),
            Answer::Slow(pause) => {
                tokio::time::sleep(pause).await;
                (200, String::new(), None)
            }
            Answer::Hang => {
                // Until the peer gives up, then gone.
                let mut rest = [0; 1024];
                while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
                return false;
            }
            Answer::Reset => return false,
            Answer::Close => {
                let _ = self.stream.shutdown().await;
                return false;
            }
            Answer::Garbage => {
                let _ = self.stream.write_all(b"\x00\xffSSH-2.0-nonsense\r\n\r\n{{{").await;
                let _ = self.stream.shutdown().await;
                return false;
            }
            Answer::Redirect => (302, "location: /elsewhere\r\n".to_owned(), None),
            Answer::Huge => (200, String::new(), Some(10 << 20)),
            Answer::With(name, value) => (200, format!("{name}: {value}\r\n"), None),
            Answer::Failing(percent, status) => {
                let turn = shared.turn.fetch_add(1, Ordering::Relaxed);
                let fails = (turn + 1) * percent / 100 != turn * percent / 100;
                (if fails { status } else { 200 }, String::new(), None)
            }
        };
        let body = match size {
            Some(size) => vec![b' '; size],
            None => format!("{} {} {}\n", shared.name, request.method, request.path).into_bytes(),
        };
        let mut head = format!(
            "HTTP/1.1 {status} x\r\n{SERVED_BY}: {}\r\n{extra}content-length: {}\r\n\r\n",
            shared.name,
            body.len()
        )
        .into_bytes();
        if request.method != "HEAD" {
            head.extend_from_slice(&body);
        }
        self.stream.write_all(&head).await.is_ok()
    }

    /// The next request; none at the connection's end.
    async fn request(&mut self) -> Option<Received> {
        // Only what is new is looked at, or a large head would take forever.
        let mut seen = 0;
        let end = loop {
            let from = usize::saturating_sub(seen, 3);
            if let Some(at) = find(self.bytes.get(from..)?, b"\r\n\r\n") {
                break from + at;
            }
            seen = self.bytes.len();
            self.more().await?;
        };
        let head: Vec<u8> = self.bytes.drain(..end + 4).collect();
        let mut lines = head.get(..end)?.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
        let first = String::from_utf8_lossy(lines.next()?).into_owned();
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers: Vec<(String, Vec<u8>)> = lines
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                let name = String::from_utf8_lossy(line.get(..colon)?).to_ascii_lowercase();
                Some((name, line.get(colon + 1..)?.trim_ascii().to_vec()))
            })
            .collect();
        let mut received = Received { at: Instant::now(), method, path, headers, body: Vec::new() };
        let chunked = received.header("transfer-encoding").is_some();
        let length = received.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let end = loop {
            let end = if chunked { find(&self.bytes, b"0\r\n\r\n").map(|at| at + 5) } else { Some(length) };
            match end.filter(|end| *end <= self.bytes.len()) {
                Some(end) => break end,
                None => self.more().await?,
            }
        };
        received.body = self.bytes.drain(..end).collect();
        Some(received)
    }

    async fn more(&mut self) -> Option<()> {
        let mut part = [0; 16 << 10];
        let read = self.stream.read(&mut part).await.ok().filter(|read| *read > 0)?;
        self.bytes.extend_from_slice(part.get(..read)?);
        Some(())
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Milliseconds since 1970, for comparing with a log's time stamps.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
