//! What takes minutes: `make test-full` runs it.

use evenkeel_tests::client::Connection;
use evenkeel_tests::{Answer, Edge, Region, Request, Topology, until};
use serde_json::json;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(20);

/// Requests in all, after a warm-up.
const REQUESTS: usize = 1_000_000;

/// What a process holds in memory, in KB.
fn resident(pid: u32) -> usize {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a process says its size")
}

/// Sends this many requests over a few kept connections, with every feature of the filter in use.
async fn send(edge: &Edge, requests: usize) {
    const CONNECTIONS: usize = 16;
    let to = edge.address();
    let mut senders = JoinSet::new();
    for sender in 0..CONNECTIONS {
        senders.spawn(async move {
            let mut connection = Connection::open(to, Ipv4Addr::LOCALHOST).await.expect("the edge accepts");
            for number in 0..requests / CONNECTIONS {
                let country = ["TW", "JP", "DE", "US"][number % 4];
                let request = Request::get()
                    .from(country)
                    .header("x-user", format!("user-{sender}-{number}"))
                    .header("x-evenkeel-forged", "1");
                let reply = connection.exchange(&request).await.expect("an answer");
                assert_eq!(reply.status, 200);
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.expect("a sender");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million requests: run by make test-full"]
async fn memory_stays_flat_over_a_million_requests() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({
        "routing": {"sticky": {"source": "header", "name": "x-user", "seed": "tests"}},
        "failback": {"hold": "0s", "ramp": "0s"}
    }));
    let mut edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    send(&edge, REQUESTS / 10).await;
    let (before, heap_before) = (resident(edge.pid()), edge.stat("server.memory_allocated").await);
    for round in 0..10 {
        send(&edge, REQUESTS / 10).await;
        // Regions come and go meanwhile, so that transitions, trials and logs are part of it.
        taiwan.readiness(Answer::Status(503));
        edge.until_metric("evenkeel_region_healthy", &[("region", "taiwan")], 0.0, SOON).await;
        taiwan.readiness(Answer::Ok);
        edge.until_metric("evenkeel_region_healthy", &[("region", "taiwan")], 1.0, SOON).await;
        println!("after {} requests: {} KB resident", (round + 1) * REQUESTS / 10, resident(edge.pid()));
    }
    let (after, heap_after) = (resident(edge.pid()), edge.stat("server.memory_allocated").await);
    println!(
        "measured: a million requests: {before} KB resident before, {after} KB after; Envoy's heap {} and {} KB",
        heap_before >> 10,
        heap_after >> 10
    );
    // Linear memory is part of what is resident. A byte leaked per request would be 1 MB, and what is
    // leaked is never so small: a header's copy has twenty.
    assert!(after < before + (8 << 10), "{before} KB before, {after} KB after");
    edge.assert_sound();
}

#[tokio::test]
#[ignore = "a hundred reloads: run by make test-full"]
async fn memory_stays_flat_over_a_hundred_reloads() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]);
    let mut edge = Edge::start_with_ecds(&topology).await.probed(&["taiwan", "japan"]).await;
    let mut sizes = Vec::new();
    for round in 0..100u32 {
        // Two configurations in turn: a metric names each, and metrics are kept for ever.
        let next = topology.clone().with_region("japan", json!({"weight": 40 + round % 2 + 1}));
        let hash = next.plan().hash;
        edge.replace(&next);
        until("it is in force", SOON, async || {
            edge.metric("evenkeel_config_info", &[("hash", &hash)]).await.filter(|now| *now == 1.0)
        })
        .await;
        assert_eq!(edge.region_of("JP").await, "japan");
        sizes.push(resident(edge.pid()));
    }
    println!("measured: reloads: {} KB resident after 20, {} KB after 100", sizes[19], sizes[99]);
    assert!(sizes[99] < sizes[19] + (16 << 10), "{sizes:?}");
    edge.assert_sound();
}
