//! `database`: which PostgreSQL nodes there are, how they are watched, and how sessions reach them.

use crate::HostPort;
use evenkeel_policy::time::Millis;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// The service's PostgreSQL. Default: none, and the companion routes no sessions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Who promotes: nobody that Evenkeel asks (`postgresql`), Patroni, or Aurora. Default:
    /// `postgresql`.
    #[serde(default)]
    pub engine: Engine,
    /// Every node that may hold the data. 1 to 32.
    pub nodes: Vec<Node>,
    /// How the companion itself logs in to watch the nodes.
    pub login: Login,
    /// How often and how patiently nodes are watched.
    #[serde(default)]
    pub probe: Probe,
    /// Where clients connect. Default: none.
    #[serde(default)]
    pub listeners: Vec<Listener>,
    /// The file of client users (YAML), see README. Relative to the topology file. Required with
    /// `listeners`.
    #[serde(default)]
    pub credentials: Option<PathBuf>,
    /// TLS towards clients. Default: none, and a client that asks for it is told no.
    #[serde(default)]
    pub server_tls: Option<ServerTls>,
    /// TLS towards the nodes. Default: none, plain TCP.
    #[serde(default)]
    pub node_tls: Option<NodeTls>,
    /// A replica that is further behind than this serves no reads. Default: 5s.
    #[serde(default = "lag_seconds")]
    pub max_replica_lag: Millis,
    /// The same in bytes of WAL. Default: none, bytes do not matter.
    #[serde(default)]
    pub max_replica_lag_bytes: Option<u64>,
    /// Connections to the nodes.
    #[serde(default)]
    pub pool: Pool,
    /// What happens to statements while there is no writer.
    #[serde(default)]
    pub hold: Hold,
}

/// Who promotes a new writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Plain PostgreSQL: a person or a script promotes.
    #[default]
    Postgresql,
    /// Patroni: its REST interface tells the role beside the node itself.
    Patroni,
    /// Aurora, global or not: its status functions tell role and lag.
    Aurora,
}

/// One PostgreSQL node.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The node's name: lower-case letters, digits and hyphens, at most 63.
    pub name: String,
    /// The region it stands in, one of `regions[].name`.
    pub region: String,
    /// Where it listens, as `host:port`.
    pub address: HostPort,
    /// Where its Patroni answers, as `host:port`; only with `engine: patroni`. Default: the node's
    /// host, port 8008.
    #[serde(default)]
    pub patroni: Option<HostPort>,
}

/// A PostgreSQL user of the companion's own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user. It needs `pg_monitor`.
    pub user: String,
    /// A file with the user's password; white space around it does not count. Relative to the
    /// topology file. Default: none, the nodes ask for none.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The database to log in to. Default: `postgres`.
    #[serde(default = "postgres")]
    pub database: String,
}

/// How nodes are watched.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probe {
    /// Between two probes of a node. Default: 200ms.
    pub interval: Millis,
    /// The same while no writer is known. Default: 50ms.
    pub interval_without_writer: Millis,
    /// A probe or log-in that takes longer has failed. Default: 1s.
    pub timeout: Millis,
    /// Failed probes in a row that make a node unreachable; a refused or broken connection counts at
    /// once. Default: 2.
    pub unhealthy_threshold: u32,
    /// Good probes in a row that make it reachable again; a writer on a higher timeline counts at
    /// once. Default: 2.
    pub healthy_threshold: u32,
}

impl Default for Probe {
    fn default() -> Self {
        Probe {
            interval: Millis::new(200),
            interval_without_writer: Millis::new(50),
            timeout: Millis::from_secs(1),
            unhealthy_threshold: 2,
            healthy_threshold: 2,
        }
    }
}

/// Where clients connect.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// The listener's name in metrics and logs. Default: the mode.
    #[serde(default)]
    pub name: Option<String>,
    /// Where it listens, as `ip:port`.
    pub listen: HostPort,
    /// Which node a statement goes to.
    pub mode: Mode,
    /// What reads wait for; only with `mode: auto`. Default: `session`.
    #[serde(default)]
    pub consistency: Consistency,
    /// When a session gives its node connection back. Default: `session`.
    #[serde(default)]
    pub pooling: Pooling,
    /// Clients connected at once; the next one is refused. Default: 10000.
    #[serde(default = "max_clients")]
    pub max_clients: u32,
}

impl Listener {
    /// Its name in metrics and logs.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(match self.mode {
            Mode::Writer => "writer",
            Mode::Reader => "reader",
            Mode::Auto => "auto",
        })
    }
}

/// Which node a statement goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The current writer, in whichever region.
    Writer,
    /// A healthy replica of the region within the lag bound, else another, else the writer.
    Reader,
    /// Reads near, writes to the writer, statement by statement.
    Auto,
}

/// What a read waits for, as in Aurora's write forwarding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// For the session's own last write.
    #[default]
    Session,
    /// For nothing.
    Eventual,
    /// For everything that was committed before the read.
    Global,
    /// Writes are not forwarded: they are refused as on a replica.
    Off,
}

/// When a session gives its node connection back to the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// When it has been idle for `pool.release_after` and holds no state.
    #[default]
    Session,
    /// At the end of every transaction that leaves no state.
    Transaction,
}

/// Connections to one node for one user and database.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// At most this many, in use or idle. Default: 20.
    pub max: u32,
    /// At most this many are kept while idle. Default: 5.
    pub max_idle: u32,
    /// To connect and log in, and to wait for a free connection. Default: 10s.
    pub connect_timeout: Millis,
    /// An idle connection is closed after this. Default: 5m.
    pub idle_timeout: Millis,
    /// A connection is closed at its first idle moment after this. Default: 20m.
    pub lifetime: Millis,
    /// A session without state that has been idle this long gives its connection back. Default: 1s.
    pub release_after: Millis,
    /// Sessions with state (LISTEN, temporary tables, session locks, cursors WITH HOLD, …) that may
    /// keep their connections at once. Default: 15.
    pub pinned_max: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            max: 20,
            max_idle: 5,
            connect_timeout: Millis::from_secs(10),
            idle_timeout: Millis::from_secs(300),
            lifetime: Millis::from_secs(1200),
            release_after: Millis::from_secs(1),
            pinned_max: 15,
        }
    }
}

/// What happens to statements while there is no writer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hold {
    /// A statement waits this long for a writer, then fails with 57P03. Default: 30s.
    pub timeout: Millis,
    /// Statements that may wait at once; the next one fails with 53300. Default: 1000.
    pub max_statements: u32,
    /// Bytes of statements that may wait at once. Default: 64 MiB (67108864).
    pub max_bytes: u64,
    /// A read waits this long for a replica to have replayed what it must see, then goes to the
    /// writer. Default: 500ms.
    pub replay_timeout: Millis,
    /// Asks for the transaction's number before each COMMIT, so that one whose answer is lost can
    /// often be resolved. Costs one small statement per explicit transaction. Default: true.
    pub resolve_commits: bool,
}

impl Default for Hold {
    fn default() -> Self {
        Hold {
            timeout: Millis::from_secs(30),
            max_statements: 1000,
            max_bytes: 64 << 20,
            replay_timeout: Millis::new(500),
            resolve_commits: true,
        }
    }
}

/// TLS towards clients.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// The certificate chain (PEM). Relative to the topology file.
    pub certificate: PathBuf,
    /// Its private key (PEM). Relative to the topology file.
    pub key: PathBuf,
    /// True: a client without TLS is refused. Default: false.
    #[serde(default)]
    pub required: bool,
}

/// TLS towards the nodes. The server's certificate is always verified.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeTls {
    /// The file of trusted authorities (PEM). Relative to the topology file. Default:
    /// `/etc/ssl/certs/ca-certificates.crt`.
    pub ca: Option<PathBuf>,
    /// The server name expected in the certificate. Default: the node's host.
    pub server_name: Option<String>,
}

fn postgres() -> String {
    "postgres".to_owned()
}
fn lag_seconds() -> Millis {
    Millis::from_secs(5)
}
fn max_clients() -> u32 {
    10_000
}
