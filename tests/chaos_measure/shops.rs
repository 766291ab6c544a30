//! Shops that lose, double, change or delay what they acknowledge, on a real PostgreSQL behind a real companion;
//! and databases that do not agree.

use crate::run::{Result, Run, target};
use evenkeel_chaos::audit::audit_within;
use evenkeel_chaos::target::Target;
use evenkeel_tests::port::Port;
use evenkeel_tests::postgres::{Cluster, ClusterOptions, PASSWORD, WATCHER, program};
use evenkeel_tests::{Companion, Shop, until};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    cluster: Cluster,
    companion: Companion,
    listener: Port,
}

impl Scene {
    async fn start() -> Scene {
        let cluster = Cluster::start(ClusterOptions { standbys: 1, ..ClusterOptions::default() }).await;
        let listener = Port::free();
        let folder = Companion::prepare();
        let users = format!("users: [{{name: app, password: {PASSWORD}}}]\n");
        std::fs::write(folder.path().join("clients.yaml"), users).unwrap();
        let nodes: Vec<Value> = cluster
            .nodes()
            .iter()
            .map(|node| json!({"name": node.name(), "region": "taiwan", "address": node.address().to_string()}))
            .collect();
        let settings = json!({"database": {
            "login": {"user": WATCHER}, "nodes": nodes, "credentials": "clients.yaml",
            // Five shops at once, with 12 sessions each, and none that waits for another's.
            "pool": {"max": 90},
            "listeners": [{"name": "auto", "listen": listener.address().to_string(), "mode": "auto"}]
        }});
        let companion = Companion::start_in(folder, settings).await;
        until("the writer is known", PATIENCE, async || {
            let (reply, body) = companion.readiness().await;
            (reply.status == 200 && body["components"]["database"]["writer"] == "UP").then_some(())
        })
        .await;
        Scene { cluster, companion, listener }
    }

    async fn shop(&self, fault: &str) -> Shop {
        let port = self.listener.address().port();
        let database = format!("host=127.0.0.1 port={port} user=app password={PASSWORD} dbname=app");
        Shop::start(&database, fault).await
    }

    fn target(&self, shop: &Shop) -> Target {
        let psql = |node: &evenkeel_tests::postgres::Node| {
            let port = node.direct().port().to_string();
            let program = program("psql").display().to_string();
            json!({"node": node.name(),
                "psql": [program, "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", "app", "-XAtq"]})
        };
        let audit: Vec<Value> = self.cluster.nodes().iter().map(psql).collect();
        target(
            &[("taiwan", "TW", shop.address().to_string())],
            json!({"topology": self.companion.file(), "profile": "rpo0", "audit": audit}),
        )
    }

    /// The shop is honest for a while, and has its fault from then on.
    async fn run(&self, fault: &str, spans: [Duration; 2]) -> Result {
        let shop = self.shop(fault).await;
        let target = self.target(&shop);
        for attempt in 1.. {
            shop.mend();
            let run = Run {
                name: format!("{}{fault}-{attempt}", std::process::id()),
                target: &target,
                // A busy machine is late by less, and a slow shop by more.
                load: json!({"rate": 40, "orders": 50, "slow": "3s"}),
                criteria: json!({
                    "rto-reads": "4s", "rto-orders": "4s", "lost-orders": {"rpo0": 0}, "rpo": {"rpo0": "0s"},
                    "corrupt-orders": 0
                }),
                spans,
            };
            // A replica that is behind for longer is one that differs.
            let look = async |run: &str, ledger: &[_]| {
                audit_within(&target, run, ledger, Duration::from_secs(2)).await.ok()
            };
            let result = run.run(async || shop.break_now(), look).await;
            assert!(attempt < 5 || !result.fell_behind(), "{:?}", result.outcome);
            // Only a machine that is too busy for the load gets another chance: never a bad verdict.
            if !result.fell_behind() {
                return result;
            }
        }
        unreachable!("the loop ends by one of its own");
    }
}

const LONG: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(5)];
const SHORT: [Duration; 2] = [Duration::from_millis(500), Duration::from_millis(1_500)];

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_shop_is_found_by_its_own_criterion_and_the_honest_one_passes() {
    let scene = Scene::start().await;
    let (honest, lose, double, corrupt, slow) = tokio::join!(
        scene.run("honest", LONG),
        scene.run("lose", LONG),
        scene.run("double", LONG),
        scene.run("corrupt", LONG),
        scene.run("slow", LONG),
    );
    assert!(honest.outcome.passed, "{:?}, {:?}", honest.outcome, honest.figures);
    assert_eq!(honest.missed(), [""; 0]);
    let loss = honest.figures.loss.expect("an audit");
    assert!(loss.acknowledged > 100, "{loss:?}");
    assert_eq!(honest.journal.audit.as_ref().expect("an audit").nodes.len(), 2);
    assert!(honest.journal.requests.iter().any(|request| request.reads.is_some()), "orders are read back");
    assert!(honest.journal.requests.iter().all(|request| request.region == Some(0)), "it says who answered");

    assert_eq!(lose.missed(), ["lost-orders", "rpo"], "{:?}", lose.outcome);
    let loss = lose.figures.loss.expect("an audit");
    assert!(loss.reads_of_lost > 0 && loss.rpo > 3_000.0, "{loss:?}");
    assert_eq!(double.missed(), ["corrupt-orders"], "{:?}", double.outcome);
    let audit = double.journal.audit.as_ref().expect("an audit");
    assert!(audit.doubled.len() > 50 && audit.lost.is_empty(), "{audit:?}");
    // Who reads a changed order sees it too.
    assert_eq!(corrupt.missed(), ["rto-reads", "corrupt-orders"], "{:?}", corrupt.outcome);
    assert!(corrupt.journal.audit.as_ref().expect("an audit").corrupt.len() > 50);
    assert_eq!(slow.missed(), ["rto-orders"], "{:?}", slow.outcome);
    assert_eq!((slow.figures.orders.failed, slow.figures.orders.rto), (0, None), "{:?}", slow.figures.orders);
    for broken in [lose, double, corrupt, slow] {
        assert!(!broken.outcome.passed);
    }

    // A replica that no longer replays what the writer has differs.
    let replica = scene.cluster.node(1);
    replica.sql("SELECT pg_wal_replay_pause()").await;
    let behind = scene.run("honest-behind", SHORT).await;
    assert!(behind.missed().contains(&"corrupt-orders"), "{:?}", behind.outcome);
    let audit = behind.journal.audit.as_ref().expect("an audit");
    assert!(audit.diverged.len() > 10 && audit.lost.is_empty(), "{audit:?}");
    replica.sql("SELECT pg_wal_replay_resume()").await;

    // With two writers nobody knows which one is right.
    replica.promote().await;
    let shop = scene.shop("honest").await;
    let error = audit_within(&scene.target(&shop), "run", &[], PATIENCE).await.expect_err("two writers");
    assert!(error.to_string().contains("two writers: node0 and node1"), "{error:#}");
}
