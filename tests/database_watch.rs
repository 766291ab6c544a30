//! The watcher on real PostgreSQL clusters.

use evenkeel_tests::postgres::{Cluster, ClusterOptions};
use std::time::Instant;

#[tokio::test]
async fn a_cluster_starts_fails_over_and_takes_its_old_primary_back() {
    let begun = Instant::now();
    let cluster = Cluster::start(ClusterOptions::default()).await;
    println!("started in {:?}", begun.elapsed());
    cluster.node(0).sql("CREATE TABLE kept AS SELECT 1 AS row").await;
    cluster.node(0).kill();
    let begun = Instant::now();
    let ready = cluster.promote(1).await;
    println!("promoted in {:?}, settled in {:?}", ready - begun, begun.elapsed());
    let begun = Instant::now();
    cluster.node(0).rejoin(cluster.node(1)).await;
    println!("rejoined in {:?}", begun.elapsed());
    cluster.streaming(1, 3).await;
    cluster.replayed(1).await;
    assert_eq!(cluster.node(0).value("SELECT row FROM kept").await, "1");
    assert_eq!(cluster.node(0).value("SELECT pg_is_in_recovery()").await, "t");
}
