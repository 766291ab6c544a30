//! A cluster, a companion before it, and its listeners.

use crate::{PATIENCE, Session};
use evenkeel_tests::companion::merged;
use evenkeel_tests::port::Port;
use evenkeel_tests::postgres::{Cluster, ClusterOptions, Node, PASSWORD, WATCHER};
use evenkeel_tests::{Companion, until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// What differs from test to test.
pub struct Options {
    /// Standbys of the first primary, `node0`.
    pub standbys: usize,
    /// Whether each commit waits for `node1`.
    pub synchronous: bool,
    /// How many nodes stand in the companion's region; the others stand in Japan.
    pub near: usize,
    /// Fields of `database` beside the usual ones.
    pub database: Value,
    /// Fields of `companion` beside the usual ones.
    pub companion: Value,
    /// Listeners beside `writer`, `reader` and `auto`: their names and fields.
    pub listeners: Vec<(&'static str, Value)>,
    /// Whether the nodes offer TLS, and the companion uses it.
    pub node_tls: bool,
}

impl Default for Options {
    /// A primary and a replica, both near.
    fn default() -> Self {
        Options {
            standbys: 1,
            synchronous: false,
            near: 8,
            database: json!({}),
            companion: json!({}),
            listeners: Vec::new(),
            node_tls: false,
        }
    }
}

/// A cluster, a companion before it, and its listeners.
pub struct Setup {
    pub companion: Companion,
    pub cluster: Cluster,
    listeners: Vec<(&'static str, Port)>,
}

impl Setup {
    /// Starts all of it; ready when the writer is known and all replicas may be read.
    pub async fn start(options: Options) -> Setup {
        let cluster = Cluster::start(ClusterOptions {
            standbys: options.standbys,
            synchronous: options.synchronous,
            tls: options.node_tls,
            ..ClusterOptions::default()
        })
        .await;
        let usual = ["writer", "reader", "auto"].map(|mode| (mode, json!({"mode": mode})));
        let wanted: Vec<(&str, Value)> = usual.into_iter().chain(options.listeners).collect();
        let listeners: Vec<(&'static str, Port)> =
            wanted.iter().map(|(name, _)| (*name, Port::free())).collect();
        let listener = |((name, fields), (_, port)): (&(&str, Value), &(&str, Port))| {
            merged(json!({"name": name, "listen": port.address().to_string()}), fields.clone())
        };
        let node = |(index, node): (usize, &Node)| {
            let region = if index < options.near { "taiwan" } else { "japan" };
            json!({"name": node.name(), "region": region, "address": node.address().to_string()})
        };
        let mut database = json!({
            "login": {"user": WATCHER},
            "nodes": cluster.nodes().iter().enumerate().map(node).collect::<Vec<_>>(),
            "credentials": "clients.yaml",
            "listeners": wanted.iter().zip(&listeners).map(listener).collect::<Vec<_>>(),
            "pool": {"release_after": "100ms"}
        });
        if options.node_tls {
            database["node_tls"] = json!({"ca": cluster.certificate(), "server_name": "127.0.0.1"});
        }
        let folder = Companion::prepare();
        std::fs::write(
            folder.path().join("clients.yaml"),
            format!("users: [{{name: app, password: {PASSWORD}}}]\n"),
        )
        .expect("the file of client users");
        certificate(folder.path());
        let settings =
            json!({"database": merged(database, options.database), "companion": options.companion});
        let companion = Companion::start_in(folder, settings).await;
        let setup = Setup { companion, cluster, listeners };
        setup.settled().await;
        setup
    }

    /// Waits until the writer is known, and all nodes that are standbys may be read.
    pub async fn settled(&self) {
        until("the writer is known, and the replicas' lag", PATIENCE, async || {
            let database = self.companion.status().await["database"].clone();
            let nodes = database["nodes"].as_array()?;
            let ready = |node: &Value| {
                node["reachable"] == true && (node["role"] != "replica" || node["lag_ms"].is_u64())
            };
            (database["writer_known"] == true && nodes.iter().all(ready)).then_some(())
        })
        .await;
    }

    /// Waits until the companion takes this node for the writer.
    pub async fn writer_is(&self, number: usize) {
        let name = self.cluster.node(number).name();
        until(&format!("{name} is the writer"), PATIENCE, async || {
            let database = self.companion.status().await["database"].clone();
            (database["nodes"][number]["writer"] == true).then_some(())
        })
        .await;
    }

    /// Waits until the companion knows no writer.
    pub async fn no_writer(&self) {
        until("no writer is known", PATIENCE, async || {
            (self.companion.status().await["database"]["writer_known"] == false).then_some(())
        })
        .await;
    }

    /// Where a listener listens.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let found = self.listeners.iter().find(|(name, _)| *name == listener);
        found.expect("a listener of this setup").1.address()
    }

    /// A session through a listener.
    pub async fn connect(&self, listener: &str) -> Session {
        Session::open(self.address(listener)).await.expect("a session")
    }

    /// So many of them at once.
    pub async fn connect_many(&self, listener: &str, count: usize) -> Vec<Session> {
        let address = self.address(listener);
        let opening: Vec<_> = (0..count).map(|_| tokio::spawn(Session::open(address))).collect();
        let mut sessions = Vec::with_capacity(count);
        for session in opening {
            sessions.push(session.await.expect("no panic").expect("a session"));
        }
        sessions
    }

    /// Something the router counts, by its path in `/v1/status` below the figures: `/counts/refused_near`.
    pub async fn figure(&self, path: &str) -> u64 {
        let figures = self.companion.status().await["database"]["figures"].clone();
        let found = figures.pointer(path).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("there is no figure {path} in {figures}"))
    }

    /// Waits until so many statements are held.
    pub async fn held(&self, count: u64) {
        until(&format!("{count} statements are held"), PATIENCE, async || {
            (self.figure("/held_statements").await == count).then_some(())
        })
        .await;
    }

    /// Runs a command of `evenkeel`, which must succeed.
    pub fn order(&self, arguments: &[&str]) {
        let output = self.companion.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    /// Sessions of clients on a node, by the node's own word.
    pub async fn backends(&self, number: usize) -> usize {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
        self.cluster.node(number).value(query).await.parse().expect("a number")
    }

    /// Makes the database `app` hold these, and waits until the replicas have them.
    pub async fn prepare(&self, sql: &str) {
        let session = self.connect("writer").await;
        session.batch_execute(sql).await.expect("the objects of this test");
        self.cluster.replayed(0).await;
    }

    /// A value from a node's own database `app`, past the router.
    pub async fn direct(&self, number: usize, sql: &str) -> String {
        let mut config = tokio_postgres::Config::new();
        let address = self.cluster.node(number).direct();
        config.host("127.0.0.1").port(address.port()).user("app").password(PASSWORD).dbname("app");
        let session = Session::with(&config).await.expect("the node answers");
        session.value(sql).await
    }

    /// Makes a replica receive and no longer replay.
    pub async fn stop_replay(&self, number: usize) {
        let node = self.cluster.node(number);
        node.sql("SELECT pg_wal_replay_pause()").await;
        until("the replica replays no more", PATIENCE, async || {
            (node.value("SELECT pg_get_wal_replay_pause_state()").await == "paused").then_some(())
        })
        .await;
    }

    /// Memory of the companion that is in use, in MB.
    pub fn memory(&self) -> f64 {
        let path = format!("/proc/{}/status", self.companion.pid());
        let text = std::fs::read_to_string(path).expect("the companion runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for memory");
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes / 1024.0
    }

    /// Waits until every session has given its node connections back.
    pub async fn at_rest(&self) {
        until("no node connection is in use", PATIENCE, async || {
            let pools = self.companion.status().await["database"]["figures"]["pools"].clone();
            pools.as_array()?.iter().all(|pool| pool["in_use"] == 0).then_some(())
        })
        .await;
    }
}

/// Sessions that have been idle this long have given their connections back.
pub const RELEASED: Duration = Duration::from_millis(300);

/// A certificate for `localhost` that is its own authority: `tls.crt` and `tls.key`.
fn certificate(folder: &std::path::Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).expect("its file");
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).expect("its file");
}
