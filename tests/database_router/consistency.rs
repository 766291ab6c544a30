//! What a read must see.

use crate::session::ms;
use crate::{Options, PATIENCE, Setup};
use evenkeel_tests::until;
use serde_json::json;
use std::time::{Duration, Instant};

/// Sessions that write and read at once, and how often each does.
const SESSIONS: usize = 10;
const TURNS: usize = 30;

/// One replica that replays 50 ms late.
async fn setup(consistency: &'static str) -> Setup {
    let listener = json!({"mode": "auto", "consistency": consistency});
    let setup = Setup::start(Options {
        listeners: vec![("asked", listener)],
        database: json!({"hold": {"replay_timeout": "5s"}}),
        ..Options::default()
    })
    .await;
    setup.prepare("CREATE TABLE counts (session int PRIMARY KEY, turn int)").await;
    setup.cluster.node(1).set("recovery_min_apply_delay", "50ms").await;
    setup
}

/// Writes and reads at once; gives how many reads were stale, and how many were answered near.
async fn write_and_read(setup: &Setup) -> (usize, usize) {
    let sessions = setup.connect_many("asked", SESSIONS).await;
    let mut running = Vec::new();
    for (number, session) in sessions.into_iter().enumerate() {
        running.push(tokio::spawn(async move {
            let (mut stale, mut near) = (0, 0);
            session.run(&format!("INSERT INTO counts VALUES ({number}, -1)")).await;
            for turn in 0..TURNS {
                let write = format!("UPDATE counts SET turn = {turn} WHERE session = {number}");
                session.run(&write).await;
                let read = format!(
                    "SELECT turn, current_setting('cluster_name') FROM counts WHERE session = {number}"
                );
                let rows = session.query(&read, &[]).await.unwrap();
                let seen = rows.first().map(|row| row.get::<_, i32>(0));
                stale += usize::from(seen != Some(i32::try_from(turn).unwrap()));
                near += usize::from(rows.first().is_some_and(|row| row.get::<_, &str>(1) == "node1"));
            }
            (stale, near)
        }));
    }
    let mut sum = (0, 0);
    for one in running {
        let (stale, near) = one.await.unwrap();
        sum = (sum.0 + stale, sum.1 + near);
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_sees_its_own_writes_and_reads_near_otherwise() {
    let setup = setup("session").await;
    let begun = Instant::now();
    let (stale, near) = write_and_read(&setup).await;
    let pairs = SESSIONS * TURNS;
    println!("session: {stale} stale of {pairs}, {near} answered near, {:.0} ms", ms(begun));
    assert_eq!(stale, 0);
    assert!(near > pairs * 9 / 10, "{near} of {pairs} were answered near");

    // Without a write of its own a session waits for nothing.
    let waits = setup.figure("/counts/replay_waits").await;
    let reading = setup.connect("asked").await;
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(reading.node().await, "node1");
    }
    println!("100 reads without a write took {:.1} ms", ms(begun));
    assert_eq!(setup.figure("/counts/replay_waits").await, waits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_does_not_catch_up_in_time_leaves_the_read_to_the_writer() {
    let setup = Setup::start(Options {
        database: json!({"hold": {"replay_timeout": "200ms"}}),
        ..Options::default()
    })
    .await;
    setup.prepare("CREATE TABLE notes (note text)").await;
    setup.stop_replay(1).await;
    let auto = setup.connect("auto").await;
    auto.run("INSERT INTO notes VALUES ('mine')").await;
    let begun = Instant::now();
    assert_eq!(auto.value("SELECT note || current_setting('cluster_name') FROM notes").await, "minenode0");
    println!("the read went to the writer after {:.0} ms", ms(begun));
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(setup.figure("/counts/replay_timeouts").await, 1);
    // A transaction that begins near must see it as well.
    auto.run("BEGIN READ ONLY").await;
    assert_eq!(auto.value("SELECT note FROM notes").await, "mine");
    auto.run("COMMIT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eventual_reads_wait_for_nothing() {
    let setup = setup("eventual").await;
    let (stale, near) = write_and_read(&setup).await;
    println!("eventual: {stale} stale of {}", SESSIONS * TURNS);
    assert!(stale > 0, "with a replica that is 50 ms late");
    assert_eq!(setup.figure("/counts/replay_waits").await, 0);
    assert!(near > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn global_reads_see_what_anyone_committed() {
    let setup = setup("global").await;
    let (writer, reading) = (setup.connect("writer").await, setup.connect("asked").await);
    writer.run("INSERT INTO counts VALUES (1, 0)").await;
    let mut near = 0;
    for turn in 1..=30 {
        writer.run(&format!("UPDATE counts SET turn = {turn}")).await;
        let seen = reading.value("SELECT turn || current_setting('cluster_name') FROM counts").await;
        assert!(seen.starts_with(&format!("{turn}node")), "{seen} in turn {turn}");
        near += usize::from(seen.ends_with("node1"));
    }
    println!("global: 0 stale of 30, {near} answered near");
    assert!(near > 20, "{near}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_write_forwarding_writes_are_refused_as_on_a_replica() {
    let setup = setup("off").await;
    let session = setup.connect("asked").await;
    assert_eq!(session.node().await, "node1");
    assert_eq!(session.fails("INSERT INTO counts VALUES (1, 1)").await.0, "25006");
    setup.order(&["db", "drain", "node1"]);
    until("reads go to the writer", PATIENCE, async || (session.node().await == "node0").then_some(())).await;
    assert_eq!(session.fails("INSERT INTO counts VALUES (1, 1)").await.0, "25006");
}
