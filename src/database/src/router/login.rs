//! Logging in to a node as a client's user.

use super::credentials::Secret;
use super::kept::Kept;
use super::nodes::NodeAddress;
use super::scram::MECHANISM;
use super::stream::{self, Stream};
use super::tls::NodeSide;
use super::wire::authentication::{self as auth, Authentication};
use super::wire::{HEADER, backend, outline};
use bytes::{Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use std::fmt::Display;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// No message of a log-in is longer: PostgreSQL's longest error texts fit many times over.
const MAX_MESSAGE: usize = 64 << 10;

/// Who a node connection belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The user on the nodes.
    pub user: String,
    /// Its password; none where the nodes ask for none.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
}

/// A connection to a node, logged in and at rest.
#[derive(Debug)]
pub struct Link {
    /// The connection itself.
    pub stream: Stream,
    /// Bytes that were read and not used yet.
    pub read: BytesMut,
    /// The node's place in the configuration.
    pub node: usize,
    /// The view's generation that it was made under.
    pub generation: u64,
    /// What a CancelRequest for it must say.
    pub key: (i32, i32),
    /// The node's ParameterStatus messages at log-in.
    pub parameters: Vec<(String, String)>,
    /// When it was made.
    pub born: Instant,
    /// What the session that last used it left behind.
    pub kept: Kept,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The node could not be reached, or what answered did not speak as a node should.
    #[error("{0}")]
    Unreachable(String),
    /// The node asks for what it is never given: waiting changes nothing.
    #[error("{0}")]
    Impossible(String),
    /// The node said no.
    #[error("the node refused the log-in with {code}: {message}")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// The node's own words.
        message: String,
        /// Its whole ErrorResponse.
        raw: Bytes,
    },
}

/// Connects to the node and logs in. The link's generation is 0: whoever knows better sets it.
///
/// # Errors
/// Why not, in words for an operator; never with the password.
pub async fn connect(
    node: &NodeAddress,
    identity: &Identity,
    tls: Option<&NodeSide>,
    timeout: Duration,
) -> Result<Link, LoginError> {
    let login = async {
        let stream = open(node, tls).await?;
        Login { node, identity, stream, read: BytesMut::with_capacity(4096), out: BytesMut::new() }
            .run()
            .await
    };
    tokio::time::timeout(timeout, login).await.map_err(|_| late(node, timeout))?
}

/// What to say of a log-in that takes longer than `timeout`.
pub(super) fn late(node: &NodeAddress, timeout: Duration) -> LoginError {
    unreachable(node, format_args!("no log-in within {timeout:?}"))
}

/// Opens the connection itself, with TLS where that is configured.
///
/// # Errors
/// [`LoginError::Unreachable`].
pub async fn open(node: &NodeAddress, tls: Option<&NodeSide>) -> Result<Stream, LoginError> {
    let failed = |error| unreachable(node, error);
    let address = (node.address.host(), node.address.port());
    let mut tcp = TcpStream::connect(address).await.map_err(failed)?;
    stream::prepare(&tcp).map_err(failed)?;
    let Some(tls) = tls else { return Ok(Stream::Plain(tcp)) };
    tcp.write_all(&auth::SSL_REQUEST).await.map_err(failed)?;
    // One byte and no more: what an intruder might put behind it must not be taken for encrypted.
    match tcp.read_u8().await.map_err(failed)? {
        b'S' => {
            let failed = |error| unreachable(node, format_args!("TLS: {error}"));
            tls.connect(tcp, node.address.host()).await.map_err(failed)
        }
        _ => Err(unreachable(node, "it offers no TLS, and database.node_tls requires it")),
    }
}

fn unreachable(node: &NodeAddress, why: impl Display) -> LoginError {
    LoginError::Unreachable(format!("node {} at {}: {why}", node.name, node.address))
}

struct Login<'a> {
    node: &'a NodeAddress,
    identity: &'a Identity,
    stream: Stream,
    read: BytesMut,
    out: BytesMut,
}

impl<'a> Login<'a> {
    async fn run(mut self) -> Result<Link, LoginError> {
        let Identity { user, database, .. } = self.identity;
        auth::put_startup(&mut self.out, &[("user", user), ("database", database)]);
        self.send().await?;
        self.authenticate().await?;
        let mut key = (0, 0);
        let mut parameters = Vec::new();
        loop {
            let (tag, body) = self.message().await?;
            match tag {
                backend::tag::PARAMETER_STATUS => {
                    let (name, value) = backend::read_parameter(&body).map_err(|error| self.broken(error))?;
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    parameters.push((text(name), text(value)));
                }
                backend::tag::KEY => {
                    key = backend::read_key(&body).map_err(|error| self.broken(error))?;
                }
                backend::tag::READY => break,
                _ => return Err(self.broken(format_args!("unexpected message '{}'", char::from(tag)))),
            }
        }
        Ok(Link {
            stream: self.stream,
            read: self.read,
            node: self.node.index,
            generation: 0,
            key,
            parameters,
            born: Instant::now(),
            kept: Kept::default(),
        })
    }

    async fn authenticate(&mut self) -> Result<(), LoginError> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let (tag, body) = self.message().await?;
            if tag != backend::tag::AUTHENTICATION {
                return Err(self.broken(format_args!("unexpected message '{}'", char::from(tag))));
            }
            match Authentication::read(&body).map_err(|error| self.broken(error))? {
                Authentication::Ok if scram.is_none() => return Ok(()),
                Authentication::Ok => {
                    return Err(self.broken("it ended SCRAM without proving that it knows the password"));
                }
                Authentication::Cleartext => {
                    let password = self.password()?.as_bytes();
                    if !self.stream.is_encrypted() {
                        return Err(self.impossible(
                            "it asks for the password in clear over a connection without TLS: set \
                             database.node_tls, or have the node use scram-sha-256",
                        ));
                    }
                    auth::put_password(&mut self.out, password);
                }
                Authentication::Md5(salt) => {
                    let hash = md5_hash(self.identity.user.as_bytes(), self.password()?.as_bytes(), salt);
                    auth::put_password(&mut self.out, hash.as_bytes());
                }
                Authentication::Sasl(mechanisms) => {
                    if !mechanisms.split(|b| *b == 0).any(|name| name == MECHANISM.as_bytes()) {
                        return Err(
                            self.impossible("it offers no SASL mechanism that is known: SCRAM-SHA-256 is")
                        );
                    }
                    let client = ScramSha256::new(self.password()?.as_bytes(), ChannelBinding::unsupported());
                    auth::put_sasl_initial(&mut self.out, MECHANISM, client.message());
                    scram = Some(client);
                }
                Authentication::SaslContinue(challenge) => {
                    let Some(client) = &mut scram else { return Err(self.broken("a challenge too early")) };
                    match client.update(challenge) {
                        Ok(()) => auth::put_sasl(&mut self.out, client.message()),
                        Err(error) => return Err(self.broken(format_args!("SCRAM: {error}"))),
                    }
                }
                Authentication::SaslFinal(signature) => {
                    let Some(mut client) = scram.take() else {
                        return Err(self.broken("a SCRAM signature too early"));
                    };
                    client.finish(signature).map_err(|error| self.broken(format_args!("SCRAM: {error}")))?;
                }
                Authentication::Other(kind) => {
                    return Err(self.impossible(format_args!(
                        "it asks for authentication of kind {kind}: scram-sha-256, md5, password over TLS and \
                         trust are known"
                    )));
                }
            }
            self.send().await?;
        }
    }

    fn password(&self) -> Result<&'a str, LoginError> {
        let identity = self.identity;
        let user = &identity.user;
        identity.password.as_ref().map(Secret::reveal).ok_or_else(|| {
            self.impossible(format_args!(
                "it asks for a password, and the credentials file has none for user {user}"
            ))
        })
    }

    async fn send(&mut self) -> Result<(), LoginError> {
        if self.out.is_empty() {
            return Ok(());
        }
        let sent = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| self.broken(error))?;
        self.out.clear();
        Ok(())
    }

    /// The next message: its tag and body. Notices are passed over, an error ends the log-in.
    async fn message(&mut self) -> Result<(u8, Bytes), LoginError> {
        loop {
            let Some(found) = outline(&self.read).map_err(|error| self.broken(error))? else {
                self.fill().await?;
                continue;
            };
            if found.len > MAX_MESSAGE {
                return Err(self.broken(format_args!("a message of {} bytes", found.len)));
            }
            if self.read.len() < found.len {
                self.fill().await?;
                continue;
            }
            let raw = self.read.split_to(found.len).freeze();
            let body = raw.slice(HEADER..);
            match found.tag {
                backend::tag::NOTICE | backend::tag::NEGOTIATE => {}
                backend::tag::ERROR => {
                    let field = |name| {
                        let value = backend::report_field(&body, name).unwrap_or_default();
                        String::from_utf8_lossy(value).into_owned()
                    };
                    return Err(LoginError::Refused { code: field(b'C'), message: field(b'M'), raw });
                }
                tag => return Ok((tag, body)),
            }
        }
    }

    async fn fill(&mut self) -> Result<(), LoginError> {
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err(self.broken("it closed the connection during the log-in")),
            Ok(_) => Ok(()),
            Err(error) => Err(self.broken(error)),
        }
    }

    fn broken(&self, why: impl Display) -> LoginError {
        unreachable(self.node, why)
    }

    fn impossible(&self, why: impl Display) -> LoginError {
        LoginError::Impossible(format!("node {} at {}: {why}", self.node.name, self.node.address))
    }
}
