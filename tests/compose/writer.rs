//! The database's writer dies.

use crate::platform::{REGIONS, SOON, docker, known_writer, rows, whole, writer};
use crate::shop::{Stream, known_order, read};
use evenkeel_tests::until;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_for_the_writer_that_replaces_a_killed_one_and_none_is_refused_or_lost() {
    whole().await;
    let id = known_order("writer").await;
    let (killed, _) = writer().await;
    let stream = Stream::start("writer", &REGIONS);
    stream.taken(20).await;

    docker("kill", &[&killed]);
    let begun = Instant::now();
    let mut reads = 0;
    let next = until("another writer is known", SOON, async || {
        for region in REGIONS {
            let reply = read(region, &id).await.expect("an answer");
            assert_eq!(reply.status, 200, "{region}, {:?}: {}", begun.elapsed(), reply.text());
            reads += 1;
        }
        known_writer().await.map(|(node, _)| node).filter(|node| *node != killed)
    })
    .await;
    let promoted = begun.elapsed();
    stream.taken(20).await;
    let orders = stream.stop().await;

    let refused: Vec<_> = orders.iter().filter(|order| !order.taken()).collect();
    let longest = orders.iter().map(|order| order.took()).max().unwrap_or_default();
    let late = orders.iter().filter(|order| order.took() > Duration::from_secs(1)).count();
    println!(
        "measured: {killed} killed, {next} writes after {promoted:?}; {} orders, {late} of them answered later \
         than 1 s, the last after {longest:?}, {} refused; {reads} reads, none failed",
        orders.len(),
        refused.len(),
    );
    assert!(refused.is_empty(), "{refused:#?}");
    let lost = lost(&next, orders.iter().map(|order| order.key.clone()).collect());
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");

    docker("start", &[&killed]);
    whole().await;
}

/// Those of these keys that a node has no order of.
pub fn lost(node: &str, keys: BTreeSet<String>) -> BTreeSet<String> {
    let sql =
        format!("SELECT idempotency_key FROM orders WHERE idempotency_key LIKE '%-{}-%'", std::process::id());
    let found: BTreeSet<String> = rows(node, &sql).expect("the node answers").into_iter().collect();
    keys.difference(&found).cloned().collect()
}
