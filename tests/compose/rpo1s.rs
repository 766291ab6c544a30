//! The profile rpo1s: what the loss of the writer's whole region costs, in acknowledged orders.

use crate::platform::{SOON, cut_links, docker, known_writer, other, profile, set_links, whole, writer};
use crate::shop::{PACE, Stream};
use crate::writer::lost;
use evenkeel_tests::until;
use serde_json::json;
use std::time::{Duration, Instant};

/// What the profile's name promises.
const BOUND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long, and of a platform with EVENKEEL_PROFILE=rpo1s"]
async fn a_lost_region_costs_less_than_a_second_of_acknowledged_orders() {
    assert_eq!(profile(), "rpo1s", "bring the platform up with EVENKEEL_PROFILE=rpo1s");
    whole().await;
    let (_, near) = writer().await;
    let far = other(&near);
    let all = ["a", "b", "etcd", "companion", "edge", "shop", "redis", "kafka"];
    let parts = all.map(|part| format!("{near}-{part}"));
    // With its way to the other region: what the writer sent last is still on it, and would arrive.
    let ways = ["link-to-taiwan", "link-to-japan"];
    let all: Vec<&str> = parts.iter().map(String::as_str).chain(ways).collect();
    // So far away that something is always on the way, and so many orders that some of them are.
    set_links(&json!({"round_trip": "200ms"})).await;
    let there = Stream::start("there", &[other(far)], Duration::from_millis(25));
    let here = Stream::start("here", &[far], PACE);
    there.taken(100).await;
    here.taken(10).await;

    cut_links(true).await;
    docker("kill", &all);
    let killed = Instant::now();
    let next = until("the other region's node writes", SOON, async || {
        let (node, region) = known_writer().await?;
        (region == far).then_some(node)
    })
    .await;
    let promoted = killed.elapsed();
    here.taken(20).await;
    let orders: Vec<_> = there.stop().await.into_iter().chain(here.stop().await).collect();

    let acknowledged: Vec<_> = orders.iter().filter(|order| order.taken()).collect();
    let missing = lost(&next, acknowledged.iter().map(|order| order.key.clone()).collect());
    let ends = acknowledged.iter().map(|order| order.ended);
    let last = ends.filter(|ended| *ended <= killed).max().expect("orders were taken before");
    let of_missing = acknowledged.iter().filter(|order| missing.contains(&order.key));
    let span = of_missing.map(|order| last.saturating_duration_since(order.ended)).max();
    println!(
        "measured: {near} lost, {next} writes after {promoted:?}; {} orders acknowledged, {} of them lost: the \
         last {:?} before the fault",
        acknowledged.len(),
        missing.len(),
        span.unwrap_or_default(),
    );
    assert!(span.unwrap_or_default() < BOUND, "{missing:?}");
    let refused = orders.iter().filter(|order| order.key.starts_with("here") && !order.taken());
    assert_eq!(refused.count(), 0, "orders in the region that stands wait for its writer");

    // The ways are as long as ever then.
    docker("start", &all);
    whole().await;
}
