//! The watcher on real PostgreSQL clusters: killed, frozen, cut off, promoted.

use evenkeel_config::database::{Engine, Login, Node, NodeTls};
use evenkeel_database::router::tls::NodeSide;
use evenkeel_database::watch::{Fate, Settings, Statements, Tls, Watch};
use evenkeel_policy::database::{Event, Lsn, Role, Rules, View, Writer, reader};
use evenkeel_policy::time::Millis;
use evenkeel_tests::postgres::{Cluster, ClusterOptions, PASSWORD, Patroni, WATCHER};
use evenkeel_tests::{until, wait::throughout};
use std::time::{Duration, Instant};

mod engines;
mod failover;
mod login;
mod questions;

const SOON: Duration = Duration::from_secs(10);

const RULES: Rules = Rules {
    unhealthy_threshold: 2,
    healthy_threshold: 2,
    interval: Millis::new(200),
    interval_without_writer: Millis::new(50),
    max_replica_lag: Millis::new(1000),
    max_replica_lag_bytes: None,
};

fn settings(cluster: &Cluster) -> Settings {
    let node = |node: &evenkeel_tests::postgres::Node| Node {
        name: node.name().to_owned(),
        region: "taiwan".to_owned(),
        address: node.address().to_string().parse().expect("an address"),
        patroni: None,
    };
    Settings {
        engine: Engine::Postgresql,
        nodes: cluster.nodes().iter().map(node).collect(),
        login: Login { user: WATCHER.to_owned(), password_file: None, database: "postgres".to_owned() },
        rules: RULES,
        timeout: Duration::from_secs(1),
        tls: None,
        data_dir: None,
    }
}

async fn cluster(standbys: usize) -> Cluster {
    Cluster::start(ClusterOptions { standbys, synchronous: false, ..ClusterOptions::default() }).await
}

/// A watcher that knows the writer and has heard of all nodes.
async fn settled(settings: Settings) -> Watch {
    let watch = Watch::start(settings).expect("nothing is remembered");
    seen(&watch, "all nodes and a writer", |view| {
        view.writer().is_some() && view.nodes.iter().all(|node| node.reachable)
    })
    .await;
    watch
}

/// Waits for a view, and gives the moment at which it was published.
async fn seen(watch: &Watch, what: &str, mut fits: impl FnMut(&View) -> bool) -> Instant {
    let mut changes = watch.subscribe();
    let fitting = tokio::time::timeout(SOON, changes.wait_for(|view| fits(view))).await;
    assert!(fitting.is_ok(), "not within {SOON:?}: {what}; now {:#?}", watch.view());
    Instant::now()
}

fn known(node: usize, timeline: u32) -> Writer {
    Writer::Known { node, timeline }
}
