//! One session of the watcher's own on a node.

use super::settings::{Settings, Tls};
use evenkeel_config::HostPort;
use evenkeel_config::database::{Login, Node};
use socket2::{SockRef, TcpKeepalive};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, NoTls, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Why a question got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It did not come in time.
    Late,
    /// The node answered with an error, and the session goes on: which, in words.
    Refused(String),
    /// The connection was refused or broke: why, in words.
    Lost(String),
}

impl Failure {
    /// In words.
    pub(super) fn words(self) -> String {
        match self {
            Failure::Late => "no answer in time".to_owned(),
            Failure::Refused(why) | Failure::Lost(why) => why,
        }
    }
}

/// How a node is reached and logged in to.
#[derive(Clone, Debug)]
pub(super) struct Link {
    address: HostPort,
    login: Login,
    tls: Option<Tls>,
    timeout: Duration,
    /// Is told when a session breaks by itself.
    broken: Arc<Notify>,
}

/// A session; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    driver: JoinHandle<()>,
    timeout: Duration,
}

impl Link {
    pub(super) fn new(node: &Node, settings: &Settings, broken: Arc<Notify>) -> Link {
        Link {
            address: node.address.clone(),
            login: settings.login.clone(),
            tls: settings.tls.clone(),
            timeout: settings.timeout,
            broken,
        }
    }

    /// Logs in, in the time a probe may take.
    pub(super) async fn open(&self) -> Result<Session, Failure> {
        match timeout(self.timeout, self.log_in()).await {
            Ok(result) => result.map_err(Failure::Lost),
            Err(_) => Err(Failure::Late),
        }
    }

    async fn log_in(&self) -> Result<Session, String> {
        let (host, port) = (self.address.host(), self.address.port());
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| error.to_string())?;
        tune(&tcp, self.timeout).map_err(|error| error.to_string())?;
        let mut config = tokio_postgres::Config::new();
        // A query that the node cannot finish must not go on when nobody waits for it.
        let options = format!("-c statement_timeout={}", self.timeout.as_millis());
        config.user(&self.login.user).dbname(&self.login.database);
        config.application_name("evenkeel watch").options(options);
        if let Some(path) = &self.login.password_file {
            let password = tokio::fs::read_to_string(path).await.map_err(|error| {
                format!("database.login.password_file: {} cannot be read: {error}", path.display())
            })?;
            config.password(password.trim());
        }
        let (client, driver) = match &self.tls {
            None => {
                let (client, connection) =
                    config.connect_raw(tcp, NoTls).await.map_err(|error| words(&error))?;
                (client, tokio::spawn(drive(connection, self.broken.clone())))
            }
            Some(tls) => {
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                let mut maker = MakeRustlsConnect::new((*tls.client).clone());
                let name = tls.server_name.as_deref().unwrap_or(host);
                let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut maker, name)
                    .map_err(|error| format!("\"{name}\" is no server name: {error}"))?;
                let (client, connection) =
                    config.connect_raw(tcp, tls).await.map_err(|error| words(&error))?;
                (client, tokio::spawn(drive(connection, self.broken.clone())))
            }
        };
        Ok(Session { client, driver, timeout: self.timeout })
    }
}

impl Session {
    /// Has the node parse a question once for many times.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Failure> {
        self.bounded(self.client.prepare(sql)).await
    }

    /// Asks for at most one row.
    pub(super) async fn ask(&self, statement: &Statement) -> Result<Option<Row>, Failure> {
        self.bounded(self.client.query_opt(statement, &[])).await
    }

    /// Asks once.
    pub(super) async fn ask_once(&self, sql: &str) -> Result<Vec<Row>, Failure> {
        self.bounded(self.client.query(sql, &[])).await
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    async fn bounded<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        match timeout(self.timeout, answer).await {
            Ok(answer) => answer.map_err(|error| self.failure(&error)),
            Err(_) => Err(Failure::Late),
        }
    }
}

impl Session {
    fn failure(&self, error: &tokio_postgres::Error) -> Failure {
        match error.as_db_error() {
            Some(said) if *said.code() == SqlState::QUERY_CANCELED => Failure::Late,
            // FATAL and PANIC end the session.
            Some(said) if said.severity() == "ERROR" && !self.is_closed() => Failure::Refused(words(error)),
            _ => Failure::Lost(words(error)),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Carries a session's messages; its end is news of the node that need not wait for the next probe.
async fn drive<T>(connection: impl Future<Output = T>, broken: Arc<Notify>) {
    connection.await;
    broken.notify_one();
}

/// Makes the kernel give up a connection into a black hole.
fn tune(tcp: &TcpStream, patience: Duration) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let second = Duration::from_secs(1);
    let keepalive = TcpKeepalive::new().with_time(patience.max(second)).with_interval(second).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(patience.max(second)))?;
    Ok(())
}

/// An error with its cause, and without what the library says around it.
fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        (None, Some(cause)) => cause.to_string(),
        (None, None) => error.to_string(),
    }
}
