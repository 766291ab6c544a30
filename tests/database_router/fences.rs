//! Old writers, and two at once: what must never be written.

use crate::session::said;
use crate::{Options, PATIENCE, Setup};
use evenkeel_tests::{until, wait::throughout};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LOG: &str = "CREATE TABLE log (at timestamptz DEFAULT clock_timestamp(), who text);
    CREATE FUNCTION log(text) RETURNS text LANGUAGE sql AS
    $$INSERT INTO log VALUES (DEFAULT, $1) RETURNING current_setting('cluster_name')$$";

async fn setup() -> Setup {
    let setup =
        Setup::start(Options { database: json!({"hold": {"timeout": "1s"}}), ..Options::default() }).await;
    setup.prepare(LOG).await;
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_writer_that_lives_on_is_never_written_to_again() {
    let mut setup = setup().await;
    let idle = setup.connect_many("writer", 10).await;
    // Attached to a connection of the old writer at the moment of the promotion, in several ways.
    let open = setup.connect("writer").await;
    open.run("BEGIN; SELECT log('open')").await;
    let failed = setup.connect("auto").await;
    failed.run("BEGIN; SELECT log('failed')").await;
    let pinned = setup.connect("writer").await;
    pinned.run("CREATE TEMP TABLE mine ()").await;
    let reader = setup.connect("reader").await;
    setup.order(&["db", "drain", "node1"]);
    until("the reader reads at the writer", PATIENCE, async || {
        (reader.node().await == "node0").then_some(())
    })
    .await;
    reader.run("BEGIN").await;
    assert_eq!(reader.node().await, "node0");
    setup.order(&["db", "undrain", "node1"]);
    let stop = Arc::new(AtomicBool::new(false));
    let mut busy = Vec::new();
    for listener in ["writer", "auto", "writer", "auto"] {
        let (session, stop) = (setup.connect(listener).await, stop.clone());
        busy.push(tokio::spawn(async move {
            let mut refusals = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                if let Err(error) = session.query("SELECT log('busy')", &[]).await {
                    refusals.push(said(&error).0);
                }
            }
            refusals
        }));
    }
    for session in &idle {
        session.run("SELECT log('idle')").await;
    }

    setup.cluster.node(1).promote().await;
    setup.writer_is(1).await;
    assert_eq!(setup.cluster.node(0).value("SELECT pg_is_in_recovery()").await, "f", "two primaries live");
    let written = "SELECT count(*) FROM log";
    let before = setup.direct(0, written).await;
    let others = setup.direct(1, written).await;
    for session in &idle {
        assert_eq!(session.value("SELECT log('idle')").await, "node1");
    }
    assert_eq!(open.fails("COMMIT").await.0, "40001");
    assert_eq!(failed.fails("SELECT log('failed')").await.0, "40001");
    failed.run("ROLLBACK").await;
    assert_eq!(failed.value("SELECT log('failed')").await, "node1");
    let (code, message) = reader.fails("SELECT 1").await;
    assert_eq!(code, "40001", "a transaction that reads at the old writer is over: {message}");
    let mut pinned = pinned;
    let (code, message) = pinned.ended().await;
    assert_eq!((code.as_str(), message.contains("temporary tables")), ("57P01", true), "{message}");
    until("busy sessions have written on", PATIENCE, async || {
        let now: i64 = setup.direct(1, written).await.parse().unwrap();
        (now > others.parse::<i64>().unwrap() + 100).then_some(())
    })
    .await;
    let after = setup.direct(0, written).await;
    assert_eq!(after, before, "writes reached the old writer after the new one was known");
    println!("{before} entries on the old writer when the new one was known, {after} at the end");
    stop.store(true, Ordering::Relaxed);
    for one in busy {
        let refusals = one.await.unwrap();
        assert!(refusals.iter().all(|code| code == "08007" || code == "40001"), "{refusals:?}");
    }

    // The new writer dies, the companion is restarted, and only the old one is there.
    setup.cluster.node(1).kill();
    setup.no_writer().await;
    assert_eq!(idle[0].fails("SELECT log('no')").await.0, "57P03");
    setup.companion.signal(15);
    assert!(setup.companion.ended().await.success());
    setup.companion.restart().await;
    until("the old writer answers", PATIENCE, async || {
        let database = setup.companion.status().await["database"].clone();
        (database["nodes"][0]["reachable"] == true && database["nodes"][0]["disputed"] == true).then_some(())
    })
    .await;
    // Nobody has told this process what a node says at log-in, so log-ins wait as well.
    for listener in ["writer", "auto", "reader"] {
        let refused =
            crate::Session::open(setup.address(listener)).await.err().expect("nobody may be read or written");
        assert_eq!(said(&refused).0, "57P03", "{listener}");
    }
    assert_eq!(setup.direct(0, written).await, before, "after the restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_on_one_timeline_get_no_writes_and_reads_go_on() {
    let setup = Setup::start(Options {
        standbys: 2,
        database: json!({"hold": {"timeout": "500ms"}}),
        ..Options::default()
    })
    .await;
    setup.prepare(LOG).await;
    let (writer, auto, reader) =
        (setup.connect("writer").await, setup.connect("auto").await, setup.connect("reader").await);
    let open = setup.connect("writer").await;
    open.run("BEGIN; SELECT log('open')").await;
    // What an operator's mistake does: a standby started as if it were none.
    let wrong = setup.cluster.node(2);
    wrong.stop().await;
    std::fs::remove_file(wrong.folder().join("standby.signal")).expect("it was a standby");
    wrong.start().await;
    until("two writers are seen", PATIENCE, async || {
        (setup.companion.status().await["database"]["conflict"] == true).then_some(())
    })
    .await;
    for session in [&writer, &auto] {
        let (code, message) = session.fails("INSERT INTO log VALUES (DEFAULT, 'no')").await;
        assert_eq!(code, "57P03");
        assert!(message.contains("node0 and node2 both claim to be the writer of timeline 1"), "{message}");
    }
    assert_eq!(open.fails("COMMIT").await.0, "40001");
    throughout("reads go on at the replica", Duration::from_millis(500), async || {
        auto.node().await == "node1" && reader.node().await == "node1"
    })
    .await;
    for node in [0, 2] {
        assert_eq!(setup.direct(node, "SELECT count(*) FROM log").await, "0");
    }
    wrong.kill();
    setup.writer_is(0).await;
    writer.run("INSERT INTO log VALUES (DEFAULT, 'again')").await;
}
