//! Coordinated omission: a generator that waits for each answer before it sends the next hides a stall from
//! its own percentiles. Ours does not.

use crate::run::{Run, target};
use bytes::Bytes;
use evenkeel_chaos::http::Pool;
use evenkeel_chaos::measure::percentile;
use evenkeel_tests::{RegionProcess, Topology};
use http_body_util::Full;
use hyper::Request;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One request after the other, at most 200 per second, timed from when each is sent: in ms.
async fn closed_loop(address: SocketAddr, span: Duration) -> Vec<f64> {
    let pool = Pool::new(address);
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let begun = Instant::now();
    let mut took = Vec::new();
    while begun.elapsed() < span {
        pace.tick().await;
        let sent = Instant::now();
        let request =
            Request::get("/").header("host", "test").body(Full::<Bytes>::default()).expect("a request");
        pool.send(request).await.expect("an answer");
        took.push(sent.elapsed().as_secs_f64() * 1000.0);
    }
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_that_a_closed_loop_hides_is_seen() {
    let region = RegionProcess::start(env!("CARGO_BIN_EXE_region"), "taiwan");
    evenkeel_tests::until("the region answers", Duration::from_secs(20), async || {
        evenkeel_tests::Request::get().path("/").send(region.address()).await.ok()
    })
    .await;
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("evenkeel.yaml");
    let topology = Topology::of(&[&region]);
    std::fs::write(&file, topology.field("").expect("the whole").to_string()).expect("the topology");
    let target = target(&[("taiwan", "TW", region.address().to_string())], json!({"topology": file}));
    let run = Run {
        name: "stall".to_owned(),
        target: &target,
        load: json!({"rate": 200, "slow": "500ms"}),
        criteria: json!({"rto-reads": "100ms"}),
        spans: [Duration::from_secs(2), Duration::from_secs(3)],
    };
    let stall = async || {
        region.freeze();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        region.thaw();
    };
    let (mut closed, open) = tokio::join!(
        closed_loop(region.address(), Duration::from_secs(6)),
        run.run(stall, async |_, _| None)
    );

    // Both met the same second and a half, in which the region answered nobody.
    assert!(closed.iter().any(|took| *took > 1_400.0), "{closed:?}");
    let hidden = percentile(&mut closed, 95.0).expect("requests");
    let mut open_loop: Vec<f64> = open.journal.requests.iter().map(|request| request.latency()).collect();
    let seen = percentile(&mut open_loop, 95.0).expect("requests");
    println!(
        "measured: 95th percentile with a stall of 1.5 s: closed loop {hidden:.1} ms, ours {seen:.1} ms"
    );
    assert!(seen > 1_000.0, "{seen} ms");
    assert!(hidden < seen / 4.0, "{hidden} ms, {seen} ms");
    // Each that was due in the stall counts, and none is said to be well before the end of it.
    assert!(open.figures.reads.late > 100, "{:?}", open.figures.reads);
    assert!(open.figures.reads.outage > 1_000.0 && open.figures.reads.rto.expect("it recovers") > 900.0);
    assert_eq!(open.missed(), ["rto-reads"]);
}
