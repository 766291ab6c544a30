//! Which node a statement goes to.

use crate::session::NODE;
use crate::{Options, PATIENCE, Setup};
use evenkeel_tests::until;
use serde_json::json;

const NOTES: &str = "CREATE TABLE notes (note text);
    CREATE FUNCTION note(text) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO notes VALUES ($1); RETURN current_setting('cluster_name'); END$$";

/// `node0` writes, `node1` is near, `node2` is not.
async fn setup() -> Setup {
    let setup = Setup::start(Options {
        standbys: 2,
        near: 2,
        database: json!({"max_replica_lag": "1s"}),
        ..Options::default()
    })
    .await;
    setup.prepare(NOTES).await;
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_go_where_their_listener_and_their_words_send_them() {
    let setup = setup().await;
    for (listener, node) in [("writer", "node0"), ("reader", "node1"), ("auto", "node1")] {
        let session = setup.connect(listener).await;
        assert_eq!(session.node().await, node, "{listener}");
        let row = session.query_one(NODE, &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), node, "{listener}, prepared");
    }
    let auto = setup.connect("auto").await;
    let at = "current_setting('cluster_name')";
    for (sql, node) in [
        (format!("SELECT {at}"), "node1"),
        (format!("VALUES ({at})"), "node1"),
        (format!("WITH a AS (SELECT {at}) SELECT * FROM a"), "node1"),
        (format!("/* INSERT */ SELECT {at} -- UPDATE"), "node1"),
        (
            format!("SELECT {at} FROM (SELECT FROM notes FOR UPDATE) a RIGHT JOIN (SELECT 1) b ON true"),
            "node0",
        ),
        (format!("INSERT INTO notes VALUES ('a') RETURNING {at}"), "node0"),
        (format!("WITH a AS (INSERT INTO notes VALUES ('a') RETURNING note) SELECT {at} FROM a"), "node0"),
        (format!("SELECT {at}, pg_advisory_xact_lock(1)"), "node0"),
        (format!("SELECT {at}; INSERT INTO notes VALUES ('b')"), "node0"),
        (format!("SELECT {at}, pg_current_xact_id()"), "node0"),
        (format!("SELECT {at}, txid_current()"), "node0"),
    ] {
        assert_eq!(auto.value(&sql).await, node, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_stays_where_it_began_and_only_one_that_reads_begins_near() {
    let setup = setup().await;
    let auto = setup.connect("auto").await;
    for (begin, node) in [
        ("BEGIN", "node0"),
        ("BEGIN READ ONLY", "node1"),
        ("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", "node1"),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", "node0"),
    ] {
        auto.run(begin).await;
        assert_eq!(auto.node().await, node, "{begin}");
        assert_eq!(auto.query_one(NODE, &[]).await.unwrap().get::<_, &str>(0), node, "{begin}, prepared");
        auto.run("COMMIT").await;
    }
    auto.run("BEGIN READ ONLY").await;
    let (code, _) = auto.fails("INSERT INTO notes VALUES ('refused')").await;
    assert_eq!(code, "25006", "a transaction that was begun near is not moved");
    auto.run("ROLLBACK").await;
    auto.run("BEGIN; INSERT INTO notes VALUES ('kept')").await;
    assert_eq!(auto.value("SELECT note FROM notes").await, "kept", "it sees its own");
    auto.run("COMMIT").await;
    assert_eq!(auto.value("SELECT count(*) FROM notes").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_hidden_in_a_function_reaches_the_writer_once() {
    let setup = setup().await;
    let auto = setup.connect("auto").await;
    assert_eq!(auto.value("SELECT note('simple')").await, "node0");
    assert_eq!(setup.figure("/counts/refused_near").await, 1);
    assert_eq!(setup.direct(0, "SELECT count(*) FROM notes").await, "1");

    let statement = auto.prepare("SELECT note($1)").await.unwrap();
    for turn in 0..3 {
        let row = auto.query_one(&statement, &[&format!("prepared {turn}")]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "node0");
    }
    assert_eq!(setup.figure("/counts/refused_near").await, 2, "only the first time it took the detour");
    let all = "SELECT string_agg(note, ',' ORDER BY note) FROM notes";
    assert_eq!(setup.direct(0, all).await, "prepared 0,prepared 1,prepared 2,simple");

    // Several in one batch of the client's: all or nothing goes the way.
    let (a, b) = ("pipelined a".to_owned(), "pipelined b".to_owned());
    let pair: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&a];
    let other: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&b];
    let (one, two) = tokio::join!(auto.query_one(&statement, &pair), auto.query_one(&statement, &other));
    assert_eq!((one.unwrap().get::<_, &str>(0), two.unwrap().get::<_, &str>(0)), ("node0", "node0"));
    assert_eq!(setup.direct(0, "SELECT count(*) FROM notes").await, "6");
    assert_eq!(auto.node().await, "node1", "what reads still reads near");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_refuses_writes_on_every_node() {
    let setup = setup().await;
    let reader = setup.connect("reader").await;
    assert_eq!(reader.node().await, "node1");
    assert_eq!(reader.fails("INSERT INTO notes VALUES ('no')").await.0, "25006");
    for node in ["node1", "node2"] {
        setup.order(&["db", "drain", node]);
    }
    let other = setup.connect("reader").await;
    for session in [&reader, &other] {
        until("reads have moved to the writer", PATIENCE, async || {
            (session.node().await == "node0").then_some(())
        })
        .await;
        for write in ["INSERT INTO notes VALUES ('no')", "SELECT note('no')", "CREATE TABLE none ()"] {
            assert_eq!(session.fails(write).await.0, "25006", "{write}");
        }
        assert_eq!(
            session.query("INSERT INTO notes VALUES ('no')", &[]).await.unwrap_err().code().unwrap().code(),
            "25006"
        );
        // A replica could not be told to write either. What drivers say to reset a session is taken.
        let write = "INSERT INTO notes VALUES ('no')";
        for ask in [
            "SET default_transaction_read_only = off",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
            "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL",
            "RESET ALL",
            "DISCARD ALL",
        ] {
            session.run(ask).await;
            assert_eq!(session.fails(write).await.0, "25006", "after {ask}");
        }
        for ask in [
            "BEGIN READ WRITE",
            "SELECT set_config('default_transaction_read_only', 'off', false)",
            "SET default_transaction_read_only = off; COMMIT; INSERT INTO notes VALUES ('no')",
        ] {
            assert_eq!(session.fails(ask).await.0, "25006", "{ask}");
        }
        session.run("BEGIN").await;
        assert_eq!(session.fails("SET TRANSACTION READ WRITE").await.0, "25006");
        assert_eq!(session.fails("SET default_transaction_read_only = off").await.0, "25006");
        session.run("ROLLBACK").await;
        assert_eq!(session.value("SHOW transaction_read_only").await, "on");
    }
    assert_eq!(setup.direct(0, "SELECT count(*) FROM notes").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_prefer_the_near_replica_then_a_far_one_then_the_writer() {
    let setup = setup().await;
    let sessions = [setup.connect("reader").await, setup.connect("auto").await];
    let moved = async |to: &str| {
        for session in &sessions {
            until(&format!("reads have moved to {to}"), PATIENCE, async || {
                (session.node().await == to).then_some(())
            })
            .await;
        }
    };
    moved("node1").await;
    setup.order(&["db", "drain", "node1"]);
    moved("node2").await;
    setup.order(&["db", "drain", "node2"]);
    moved("node0").await;
    setup.order(&["db", "undrain", "node2"]);
    moved("node2").await;
    setup.order(&["db", "undrain", "node1"]);
    moved("node1").await;
    setup.cluster.node(1).kill();
    // Not one read fails on the way.
    moved("node2").await;
    setup.cluster.node(1).start().await;
    moved("node1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_beyond_the_lag_bound_answers_nothing() {
    let setup = setup().await;
    let (reader, writer) = (setup.connect("reader").await, setup.connect("writer").await);
    assert_eq!(reader.node().await, "node1");
    let moved = async |to: &str| {
        until(&format!("reads have moved to {to}"), PATIENCE, async || {
            (reader.node().await == to).then_some(())
        })
        .await;
    };
    for (late, next) in [(1, "node2"), (2, "node0")] {
        setup.stop_replay(late).await;
        writer.run("INSERT INTO notes VALUES ('new')").await;
        moved(next).await;
    }
    assert_eq!(reader.value("SELECT count(*) FROM notes").await, "2");
    setup.cluster.node(1).sql("SELECT pg_wal_replay_resume()").await;
    moved("node1").await;
}
