//! From a stranger's first byte to a client whose user is known.
//!
//! Every read takes exactly what the protocol says comes next, never more. So nothing that arrived
//! before TLS can be taken for something that arrived within it (CVE-2021-23214), and what a stranger
//! can make us hold is one start-up packet of 10,000 bytes or one SASL message of 1,024.

mod packet;

pub use packet::{Request, Startup, read};

use super::accept::Admission;
use super::cancel::Cancels;
use super::credentials::{Credentials, NodeLogin};
use super::login::Identity;
use super::refusals::Refusals;
use super::scram::{Exchange, MECHANISM, NONCE_BYTES, ScramError};
use super::stream::{self, Stream};
use super::tls::ClientSide;
use super::wire::authentication::{self as auth, Authentication};
use super::wire::backend::{Code, Report, code, put_error};
use super::wire::{HEADER, frontend, outline};
use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The longest SASL message, PostgreSQL's `PG_MAX_SASL_MESSAGE_LENGTH`.
const MAX_SASL: usize = 1024;

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// A client that was refused has this long to take in why.
const LINGER: Duration = Duration::from_secs(1);

/// The most that is read and thrown away meanwhile: twice the longest start-up packet.
const LINGER_BYTES: usize = 20_000;

/// A client whose user is known. AuthenticationOk was its last message; the session says the rest.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub stream: Stream,
    /// Bytes that were read and not used yet.
    pub read: BytesMut,
    /// Who it is on the nodes.
    pub identity: Arc<Identity>,
    /// Who it is here.
    pub user: String,
    /// The settings it begins with, those in `options` first.
    pub parameters: Vec<(String, String)>,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// What all listeners share to know a client by.
pub struct Entrance {
    credentials: ArcSwap<Credentials>,
    tls: ArcSwapOption<ClientSide>,
    cancels: Cancels,
    refusals: Refusals,
    refused: AtomicU64,
}

impl Entrance {
    /// With these users, this TLS, and these sessions to cancel.
    pub fn new(credentials: Credentials, tls: Option<ClientSide>, cancels: Cancels) -> Self {
        Entrance {
            credentials: ArcSwap::from_pointee(credentials),
            tls: ArcSwapOption::new(tls.map(Arc::new)),
            cancels,
            refusals: Refusals::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Takes new users and TLS. Who is in stays in.
    pub fn replace(&self, credentials: Credentials, tls: Option<ClientSide>) {
        self.credentials.store(Arc::new(credentials));
        self.tls.store(tls.map(Arc::new));
    }

    /// Clients that were told why they are not let in.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Leads a stranger to the point where its user is known. None: it is gone, was refused, or
    /// wanted to cancel something.
    pub(crate) async fn welcome<P>(
        &self,
        tcp: TcpStream,
        peer: SocketAddr,
        admission: &impl Admission<Place = P>,
    ) -> Option<(Client, P)> {
        let (mut stream, startup) = self.opening(tcp, peer).await?;
        match self.authenticate(&mut stream, &startup, admission).await {
            Ok((login, place)) => {
                let Startup { user, database, parameters, .. } = startup;
                let identity = Arc::new(Identity { user: login.user, password: login.password, database });
                Some((Client { stream, read: BytesMut::new(), identity, user, parameters, peer }, place))
            }
            Err(end) => {
                self.end(stream, peer, &startup.user, end).await;
                None
            }
        }
    }

    /// Up to the start-up packet of a session, with TLS begun where the client asks for it.
    async fn opening(&self, tcp: TcpStream, peer: SocketAddr) -> Option<(Stream, Startup)> {
        let gone =
            |error: io::Error| tracing::debug!(%peer, %error, "a connection ended during its start-up");
        let mut stream = self.encrypted_at_once(tcp).await.map_err(gone).ok()?;
        let mut asked = Asked::default();
        loop {
            stream = match self.step(&mut stream, &mut asked).await {
                Ok(Step::Begin(startup)) => return Some((stream, startup)),
                Ok(Step::Done) => return None,
                Ok(Step::Again) => stream,
                Ok(Step::Encrypt(tls)) => {
                    let Stream::Plain(tcp) = stream else { return None };
                    tls.accept(tcp).await.map_err(gone).ok()?
                }
                Err(end) => {
                    self.end(stream, peer, "", end).await;
                    return None;
                }
            }
        }
    }

    /// PostgreSQL 17's clients may begin with TLS at once, if they name the protocol in ALPN.
    async fn encrypted_at_once(&self, tcp: TcpStream) -> io::Result<Stream> {
        stream::prepare(&tcp)?;
        let mut first = [0];
        if tcp.peek(&mut first).await? == 0 || first != [TLS_HANDSHAKE] {
            return Ok(Stream::Plain(tcp));
        }
        let Some(tls) = self.tls.load_full() else { return Err(io::Error::other("TLS is not configured")) };
        let stream = tls.accept(tcp).await?;
        match stream.alpn() {
            Some(super::tls::ALPN) => Ok(stream),
            _ => Err(io::Error::other("it began with TLS, and did not name PostgreSQL in ALPN")),
        }
    }

    /// Reads one start-up packet and answers it.
    async fn step(&self, stream: &mut Stream, asked: &mut Asked) -> Result<Step, End> {
        let request = packet::read(&packet(stream).await?).map_err(End::Refused)?;
        let (before, answer) = match request {
            Request::Startup(startup) => return Ok(Step::Begin(startup)),
            Request::Cancel(pid, secret) => {
                self.cancels.deliver((pid, secret)).await;
                return Ok(Step::Done);
            }
            Request::Tls => (&mut asked.tls, self.tls.load_full()),
            Request::Gss => (&mut asked.gss, None),
        };
        if std::mem::replace(before, true) || stream.is_encrypted() {
            return Err(refused(code::PROTOCOL_VIOLATION, "encryption was asked for twice"));
        }
        stream.write_all(if answer.is_some() { b"S" } else { b"N" }).await?;
        Ok(answer.map_or(Step::Again, Step::Encrypt))
    }

    /// Checks who the client is, and that there is room for it.
    async fn authenticate<P>(
        &self,
        stream: &mut Stream,
        startup: &Startup,
        admission: &impl Admission<Place = P>,
    ) -> Result<(NodeLogin, P), End> {
        if !stream.is_encrypted() && self.tls.load().as_ref().is_some_and(|tls| tls.required) {
            return Err(refused(
                code::INVALID_AUTHORIZATION,
                "connections without TLS are refused: use sslmode=require or stronger",
            ));
        }
        // Before any arithmetic: a full listener says so at the least cost.
        admission.check().map_err(End::Refused)?;
        let user = startup.user.as_str();
        let mut out = BytesMut::new();
        if startup.minor > 0 || !startup.unknown.is_empty() {
            auth::put_negotiate(&mut out, &startup.unknown);
        }
        let credentials = self.credentials.load_full();
        let exchange = begin(stream, &mut out, &credentials, user).await?;
        let signature = exchange.finish(&sasl(stream).await?).map_err(|error| explained(error, user))?;
        let known = credentials.find(user).ok_or_else(|| explained(ScramError::Refused, user))?;
        let place = admission.admit().map_err(End::Refused)?;
        Authentication::SaslFinal(signature.as_bytes()).put(&mut out);
        Authentication::Ok.put(&mut out);
        send(stream, &mut out).await?;
        Ok((known.login().clone(), place))
    }

    async fn end(&self, stream: Stream, peer: SocketAddr, user: &str, end: End) {
        match end {
            End::Gone(error) => tracing::debug!(%peer, %error, "a connection ended during its start-up"),
            End::Refused(report) => self.refuse(stream, peer, user, &report).await,
        }
    }

    /// Says why, and logs it: not more often than anyone wants to read.
    async fn refuse(&self, mut stream: Stream, peer: SocketAddr, user: &str, report: &Report) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(suppressed) = self.refusals.tell(user, peer.ip(), Instant::now()) {
            let sqlstate = String::from_utf8_lossy(&report.code);
            let reason = &report.message;
            tracing::warn!(%peer, user, %sqlstate, reason, suppressed, "a client was refused");
        }
        let mut out = BytesMut::new();
        put_error(&mut out, report);
        let farewell = async {
            send(&mut stream, &mut out).await?;
            stream.shutdown().await?;
            // Bytes that are never read would turn the close into a reset, and the reset may destroy
            // the error before the client has read it.
            let mut thrown_away = 0;
            let mut buffer = [0; 512];
            while thrown_away < LINGER_BYTES {
                match stream.read(&mut buffer).await? {
                    0 => break,
                    count => thrown_away += count,
                }
            }
            Ok::<(), End>(())
        };
        // It was told, or it does not listen: either way this is the end.
        let _ = tokio::time::timeout(LINGER, farewell).await;
    }
}

/// What a client has asked for already.
#[derive(Default)]
struct Asked {
    tls: bool,
    gss: bool,
}

/// What follows from one start-up packet.
enum Step {
    /// Another packet.
    Again,
    /// TLS, to which the client was told yes.
    Encrypt(Arc<ClientSide>),
    /// A session.
    Begin(Startup),
    /// Nothing more.
    Done,
}

/// Offers SCRAM, reads the client's first message and sends the challenge.
async fn begin(
    stream: &mut Stream,
    out: &mut BytesMut,
    credentials: &Credentials,
    user: &str,
) -> Result<Exchange, End> {
    Authentication::Sasl(b"SCRAM-SHA-256\0\0").put(out);
    send(stream, out).await?;
    let message = sasl(stream).await?;
    let (mechanism, response) = auth::read_sasl_initial(&message)
        .map_err(|error| refused(code::PROTOCOL_VIOLATION, error.to_string()))?;
    if mechanism != MECHANISM.as_bytes() {
        return Err(refused(
            code::PROTOCOL_VIOLATION,
            "the client chose a SASL mechanism that was not offered",
        ));
    }
    let random: [u8; NONCE_BYTES] = rand::random();
    let exchange = Exchange::begin(credentials.verifier(user), response.unwrap_or_default(), &random)
        .map_err(|error| explained(error, user))?;
    Authentication::SaslContinue(exchange.challenge()).put(out);
    send(stream, out).await?;
    Ok(exchange)
}

/// Reads a start-up packet, without its length.
async fn packet(stream: &mut Stream) -> Result<Vec<u8>, End> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = packet::body_length(length).map_err(End::Refused)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// Reads a SASL message, without its header.
async fn sasl(stream: &mut Stream) -> Result<Vec<u8>, End> {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let violation = |what: String| refused(code::PROTOCOL_VIOLATION, what);
    let length = match outline(&header) {
        Ok(Some(found)) if found.tag == frontend::tag::PASSWORD => found.len - HEADER,
        Ok(_) => return Err(violation("a SASL response was expected, and another message came".to_owned())),
        Err(error) => return Err(violation(error.to_string())),
    };
    if length > MAX_SASL {
        return Err(violation(format!("a SASL response of {length} bytes: at most {MAX_SASL} are read")));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

async fn send(stream: &mut Stream, out: &mut BytesMut) -> Result<(), End> {
    stream.write_all(out).await?;
    stream.flush().await?;
    out.clear();
    Ok(())
}

/// Why a conversation ends before the client is in.
#[derive(Debug)]
enum End {
    /// There is nobody to tell.
    Gone(io::Error),
    /// The client is told why.
    Refused(Report),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        End::Gone(error)
    }
}

fn refused(code: Code, message: impl Into<String>) -> End {
    End::Refused(Report::fatal(code, message, ""))
}

/// PostgreSQL's own words for a wrong password, whether or not there is such a user.
fn explained(error: ScramError, user: &str) -> End {
    match error {
        ScramError::Refused => {
            refused(code::INVALID_PASSWORD, format!("password authentication failed for user \"{user}\""))
        }
        ScramError::Unsupported(_) => refused(code::FEATURE_NOT_SUPPORTED, error.to_string()),
        ScramError::Malformed(_) => refused(code::PROTOCOL_VIOLATION, error.to_string()),
    }
}
