//! A real PostgreSQL cluster: a primary and its standbys, each with a network in front of it.
//!
//! The servers end with the test, however it ends. `node(0)` is the first primary; which node is one
//! later is the test's own doing ([`Node::promote`]), as in production it is the engine's.

pub(crate) mod door;
mod node;
mod patroni;
mod processes;
mod tools;

pub use node::{Node, Rows};
pub use patroni::Patroni;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

use crate::port::Port;
use crate::wait::until;
use door::Door;
use tools::{Tools, empty, template};

/// The companion's own user in every cluster: a member of `pg_monitor`, without a password unless
/// [`ClusterOptions::scram`] is set.
pub const WATCHER: &str = "evenkeel";

/// The password of [`WATCHER`] and of the user `app`, who owns the database `app`.
pub const PASSWORD: &str = "keel-password";

/// Where one of PostgreSQL's programs is: `pgbench`, say.
///
/// # Panics
/// If there is no PostgreSQL; the message says how to get one.
pub fn program(name: &str) -> PathBuf {
    Tools::find().programs().join(name)
}

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// How many standbys the primary has.
    pub standbys: usize,
    /// Whether each commit waits for the first standby, `node1`.
    pub synchronous: bool,
    /// Whether users must prove their passwords (SCRAM-SHA-256). `postgres` never must.
    pub scram: bool,
    /// Whether the nodes offer TLS, with a certificate for 127.0.0.1: [`Cluster::certificate`].
    pub tls: bool,
    /// Whether it is a database of its own kind, with its own system identifier. Otherwise all clusters
    /// of one process have the same, which is quicker.
    pub unrelated: bool,
    /// Settings for every node beside the usual ones: `("shared_preload_libraries", "…")`.
    pub settings: Vec<(String, String)>,
}

impl Default for ClusterOptions {
    /// A primary, a synchronous and two asynchronous standbys, trusting everyone.
    fn default() -> Self {
        ClusterOptions {
            standbys: 3,
            synchronous: true,
            scram: false,
            tls: false,
            unrelated: false,
            settings: Vec::new(),
        }
    }
}

/// A real PostgreSQL cluster.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    // Fields are dropped in order: the nodes end before their network and their data.
    _network: Threads,
    folder: TempDir,
    _template: Arc<TempDir>,
}

/// Threads of its own for the network: a test that blocks its own must not stop it.
#[derive(Debug)]
struct Threads(Option<tokio::runtime::Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The other way to end it blocks, which asynchronous tests may not.
            runtime.shutdown_background();
        }
    }
}

impl Cluster {
    /// Starts one; it is ready when all standbys stream.
    ///
    /// # Panics
    /// If it cannot be started; the message says what is missing.
    pub async fn start(options: ClusterOptions) -> Cluster {
        let tools = Arc::new(Tools::find());
        let template = if options.unrelated { Arc::new(empty(&tools)) } else { template(&tools) };
        let folder = tools.folder();
        let network = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("network")
            .enable_all()
            .build()
            .expect("a runtime");
        let make = |number: usize| {
            let name = format!("node{number}");
            let data = folder.path().join(&name);
            let copied = Command::new("cp").arg("-a").arg(template.path().join("data")).arg(&data).status();
            assert!(copied.expect("cp starts").success(), "the template can be copied");
            let port = Port::free();
            let _inside = network.enter();
            let door = Door::open(network.handle(), port.address());
            Node::new(name, data, port, door, tools.clone())
        };
        let nodes: Vec<Node> = (0..=options.standbys).map(make).collect();
        let mut settings = settings(&options);
        if options.tls {
            let [certificate, key] = tools.certificate(folder.path());
            settings.extend([
                ("ssl".to_owned(), "on".to_owned()),
                ("ssl_cert_file".to_owned(), certificate.display().to_string()),
                ("ssl_key_file".to_owned(), key.display().to_string()),
            ]);
        }
        for (number, node) in nodes.iter().enumerate() {
            node.configure(&settings, &hba(options.scram));
            if number > 0 {
                node.stand_by(&nodes[0]);
            }
            node.spawn();
        }
        let cluster = Cluster { nodes, _network: Threads(Some(network)), folder, _template: template };
        cluster.settle(&options).await;
        cluster
    }

    async fn settle(&self, options: &ClusterOptions) {
        for node in &self.nodes {
            node.ready().await;
        }
        let primary = self.node(0);
        self.streaming(0, options.standbys).await;
        for statement in [
            format!("CREATE ROLE {WATCHER} LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor"),
            format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"),
            "CREATE DATABASE app OWNER app STRATEGY file_copy".to_owned(),
        ] {
            primary.sql(&statement).await;
        }
        if options.synchronous && options.standbys > 0 {
            primary.set("synchronous_standby_names", "FIRST 1 (node1)").await;
        }
        self.replayed(0).await;
    }

    /// One of the nodes.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// All of them, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The certificate of all nodes, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.crt")
    }

    /// Waits until so many standbys stream from node `primary`.
    ///
    /// # Panics
    /// If they do not within 30 s.
    pub async fn streaming(&self, primary: usize, standbys: usize) {
        let primary = self.node(primary);
        let query = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        until(&format!("{standbys} standbys stream from {}", primary.name()), PATIENCE, async || {
            (primary.value(query).await == standbys.to_string()).then_some(())
        })
        .await;
    }

    /// Waits until every standby that streams from node `primary` has replayed what it has written.
    ///
    /// # Panics
    /// If they have not within 30 s.
    pub async fn replayed(&self, primary: usize) {
        let primary = self.node(primary);
        let lsn = primary.value("SELECT pg_current_wal_lsn()").await;
        let query = format!("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn < '{lsn}'");
        until(&format!("all standbys of {} have replayed {lsn}", primary.name()), PATIENCE, async || {
            (primary.value(&query).await == "0").then_some(())
        })
        .await;
    }

    /// Promotes node `to` and makes the other standbys that answer follow it. Gives the moment at
    /// which it accepted writes.
    ///
    /// # Panics
    /// If it does not become a primary.
    pub async fn promote(&self, to: usize) -> Instant {
        let new = self.node(to);
        let (_, ready) = new.promote().await;
        for (number, node) in self.nodes.iter().enumerate() {
            let asked = node.try_sql("SELECT pg_is_in_recovery()");
            let answer = tokio::time::timeout(Duration::from_secs(1), asked).await;
            let recovers = matches!(answer, Ok(Ok(rows)) if rows[0][0].as_deref() == Some("t"));
            if number != to && recovers {
                node.follow(new).await;
            }
        }
        ready
    }
}

/// How long a standby may take. Far more than it needs, for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn settings(options: &ClusterOptions) -> Vec<(String, String)> {
    let usual = [
        ("listen_addresses", "127.0.0.1"),
        ("max_connections", "100"),
        ("shared_buffers", "16MB"),
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("autovacuum", "off"),
        ("jit", "off"),
        ("wal_level", "replica"),
        ("wal_keep_size", "256MB"),
        ("max_wal_senders", "16"),
        ("max_logical_replication_workers", "0"),
        ("checkpoint_timeout", "1h"),
        ("hot_standby_feedback", "on"),
        // With the default of 5 s a promotion sometimes takes 5 s; operators are told to set this.
        ("wal_retrieve_retry_interval", "100ms"),
        ("recovery_target_timeline", "latest"),
        ("wal_receiver_status_interval", "1s"),
        // In the data directory, so that a killed server leaves nothing elsewhere.
        ("dynamic_shared_memory_type", "mmap"),
    ];
    let usual = usual.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    usual.chain(options.settings.iter().cloned()).collect()
}

fn hba(scram: bool) -> String {
    let method = if scram { "scram-sha-256" } else { "trust" };
    format!(
        "host replication all 127.0.0.1/32 trust\n\
         host all postgres 127.0.0.1/32 trust\n\
         host all all 127.0.0.1/32 {method}\n"
    )
}
