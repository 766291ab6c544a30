//! Positions, replay and fates.

use super::*;

#[tokio::test]
async fn a_replica_that_is_late_is_told_and_waited_for() {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    let (primary, standby) = (cluster.node(0), cluster.node(1));
    standby.set("recovery_min_apply_delay", "1h").await;
    until("the delay is in force", SOON, async || {
        (standby.value("SHOW recovery_min_apply_delay").await == "1h").then_some(())
    })
    .await;
    // Only commits are delayed.
    primary.sql("CREATE TABLE late AS SELECT generate_series(1, 1000) AS row").await;
    let (generation, lsn) = watch.writer_position().await.expect("the writer answers");
    let span = Duration::from_millis(100);
    assert!(!watch.replayed(1, generation, lsn, span).await, "it has not");
    assert!(watch.replayed(0, generation, lsn, span).await, "the writer itself always has");
    assert!(!watch.replayed(1, generation + 1, lsn, span).await, "nobody knows that generation");
    until("it is too late for reads", SOON, async || {
        let node = watch.view().nodes[1].clone();
        (node.lag > Some(RULES.max_replica_lag) && node.lag_bytes > Some(0)).then_some(())
    })
    .await;
    assert_eq!(reader(&watch.view(), &RULES, |node| node == 1, 0), Some(0));
    until("its history shows it", SOON, async || {
        watch.history(1).iter().any(|point| point.lag > Some(Millis::ZERO)).then_some(())
    })
    .await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let watch = watch.clone();
            tokio::spawn(async move { watch.replayed(1, generation, lsn, SOON).await })
        })
        .collect();
    standby.set("recovery_min_apply_delay", "0").await;
    for wait in waiting {
        assert!(wait.await.expect("no panic"), "it has caught up");
    }
    until("it may be read again", SOON, async || {
        (reader(&watch.view(), &RULES, |node| node == 1, 0) == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_writers_position_is_never_one_from_before_the_question() {
    let cluster = cluster(0).await;
    let watch = settled(settings(&cluster)).await;
    cluster.node(0).sql("CREATE TABLE t (row int)").await;
    for _ in 0..20 {
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let watch = watch.clone();
                tokio::spawn(async move { watch.writer_position().await })
            })
            .collect();
        let rows = cluster.node(0).sql("INSERT INTO t VALUES (1); SELECT pg_current_wal_lsn()").await;
        let written = Lsn::parse(rows[0][0].as_deref().expect("a position")).expect("a position");
        let (generation, lsn) = watch.writer_position().await.expect("the writer answers");
        assert!(lsn >= written, "{lsn} {written}");
        assert_eq!(generation, 1);
        for each in asked {
            assert!(each.await.expect("no panic").is_some());
        }
    }
    let begun = Instant::now();
    for _ in 0..100 {
        watch.writer_position().await.expect("the writer answers");
    }
    println!("the writer's position: {:?} each", begun.elapsed() / 100);
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'evenkeel watch'";
    assert_eq!(cluster.node(0).value(sessions).await, "2", "one that probes and one that asks");
    cluster.node(0).kill();
    assert_eq!(watch.writer_position().await, None);
}

/// The number of a transaction that was committed or rolled back on a node.
async fn transaction(cluster: &Cluster, node: usize, end: &str) -> u64 {
    let sql = format!("BEGIN; INSERT INTO ledger VALUES (1); SELECT pg_current_xact_id(); {end}");
    cluster.node(node).sql(&sql).await[0][0].as_deref().expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn a_transactions_fate_is_told_only_where_it_is_certain() {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    cluster.node(0).sql("CREATE TABLE ledger (row int)").await;
    let (committed, aborted) =
        (transaction(&cluster, 0, "COMMIT").await, transaction(&cluster, 0, "ROLLBACK").await);
    let next = transaction(&cluster, 0, "COMMIT").await;
    assert_eq!(watch.fate(1, committed).await, Fate::Committed, "the same writer, never restarted");
    assert_eq!(watch.fate(1, aborted).await, Fate::Aborted);
    assert_eq!(watch.fate(1, next + 1000).await, Fate::Unknown, "a number from the future");
    assert_eq!(watch.fate(7, committed).await, Fate::Unknown, "a generation that never was");
    cluster.replayed(0).await;
    let at = watch.now();
    until("the standby is probed after that", SOON, async || {
        watch.view().nodes[1].sampled_at.filter(|sampled| *sampled > at)
    })
    .await;
    cluster.node(0).kill();
    seen(&watch, "no writer", |view| view.writer == Writer::None).await;
    assert_eq!(watch.fate(1, committed).await, Fate::Unknown, "there is nobody to ask");
    cluster.node(1).promote().await;
    seen(&watch, "the new writer", |view| view.writer == known(1, 2)).await;
    // Numbers that the old writer may have used and the new one certainly does.
    let reused = transaction(&cluster, 1, "COMMIT").await;
    assert_eq!(watch.fate(1, committed).await, Fate::Committed);
    assert_eq!(watch.fate(1, aborted).await, Fate::Aborted);
    assert_eq!(watch.fate(1, reused).await, Fate::Unknown, "committed, but by whom?");
    assert_eq!(watch.fate(3, reused).await, Fate::Committed, "by the new writer");
    assert!(
        !watch.replayed(1, 1, Lsn(1), Duration::from_millis(50)).await,
        "positions from before mean nothing"
    );
}

#[tokio::test]
async fn after_a_crash_of_the_writer_no_fate_is_certain() {
    let cluster = cluster(0).await;
    let watch = settled(settings(&cluster)).await;
    cluster.node(0).sql("CREATE TABLE ledger (row int)").await;
    let committed = transaction(&cluster, 0, "COMMIT").await;
    cluster.node(0).kill();
    seen(&watch, "no writer", |view| view.writer == Writer::None).await;
    cluster.node(0).start().await;
    seen(&watch, "the writer is back", |view| view.writer == known(0, 1)).await;
    assert_eq!(watch.fate(1, committed).await, Fate::Unknown, "numbers may be given out anew");
}
