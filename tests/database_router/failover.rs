//! The writer goes, another comes: what sessions see of it.

use crate::session::{NODE, said};
use crate::{Options, PATIENCE, Session, Setup};
use evenkeel_tests::until;
use serde_json::json;
use std::time::{Duration, Instant};

/// What happens to the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    Freeze,
    Switchover,
    Cut,
}

impl Fault {
    async fn strike(self, setup: &Setup) {
        let writer = setup.cluster.node(0);
        match self {
            Fault::Kill => writer.kill(),
            Fault::Freeze => writer.freeze(),
            Fault::Switchover => writer.stop().await,
            Fault::Cut => writer.cut(),
        }
    }
}

const TABLES: &str = "CREATE TABLE notes (note text)";

/// A writer, `node0`, and the synchronous standby that takes over, `node1`.
async fn setup() -> Setup {
    let setup = Setup::start(Options {
        synchronous: true,
        database: json!({"pool": {"max": 40, "max_idle": 40}}),
        ..Options::default()
    })
    .await;
    setup.prepare(TABLES).await;
    setup
}

/// Idle sessions that must be kept.
const IDLE: usize = 50;

async fn sessions_live_through(fault: Fault) {
    let setup = setup().await;
    let idle = setup.connect_many("writer", IDLE).await;
    for session in &idle {
        session.run("SET application_name = 'idle'").await;
    }
    let statement = idle[0].prepare("SELECT $1 || current_setting('cluster_name')").await.unwrap();
    let open = setup.connect_many("writer", 4).await;
    for session in &open {
        session.run("BEGIN; INSERT INTO notes VALUES ('lost')").await;
    }
    let held = setup.connect_many("writer", 5).await;

    fault.strike(&setup).await;
    setup.no_writer().await;
    let waiting: Vec<_> = held
        .into_iter()
        .map(|session| {
            tokio::spawn(async move {
                session.run("INSERT INTO notes VALUES ('held')").await;
                session
            })
        })
        .collect();
    setup.held(5).await;
    let ready = setup.cluster.node(1).promote().await.1;
    let prober = setup.connect("writer").await;
    prober.run("INSERT INTO notes VALUES ('first')").await;
    println!(
        "{fault:?}: the first new write was accepted {:.0} ms after the writer was ready",
        crate::session::ms(ready)
    );
    assert!(ready.elapsed() < Duration::from_secs(3));
    for one in waiting {
        one.await.expect("what waited was answered without an error");
    }
    for session in &idle {
        assert_eq!(session.node().await, "node1");
        assert_eq!(session.value("SHOW application_name").await, "idle");
    }
    println!("{fault:?}: {} of {IDLE} idle sessions kept", idle.iter().filter(|one| !one.is_over()).count());
    let row = idle[0].query_one(&statement, &[&"on "]).await.expect("it is prepared anew");
    assert_eq!(row.get::<_, &str>(0), "on node1");

    // What each of four sessions does first, having been in a transaction.
    let (code, message) = open[0].fails("INSERT INTO notes VALUES ('more')").await;
    assert_eq!((code.as_str(), message.contains("lost with its node")), ("40001", true), "{message}");
    assert_eq!(open[0].fails("SELECT 1").await.0, "25P02");
    open[0].run("ROLLBACK").await;
    open[1].run("ROLLBACK").await;
    assert_eq!(open[2].fails("COMMIT").await.0, "40001");
    assert_eq!(open[3].query("SELECT 1", &[]).await.unwrap_err().code().unwrap().code(), "40001");
    // Once told, COMMIT rolls back, as in any failed transaction.
    open[3].run("COMMIT").await;
    for session in &open {
        assert_eq!(session.node().await, "node1", "the socket is kept, the session usable");
        session.run("BEGIN; INSERT INTO notes VALUES ('after'); COMMIT").await;
    }
    let notes = "SELECT string_agg(note || n, ' ' ORDER BY note) FROM (SELECT note, count(*) n FROM notes GROUP BY note) a";
    assert_eq!(prober.value(notes).await, "after4 first1 held5");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_live_through_a_kill() {
    sessions_live_through(Fault::Kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_live_through_a_freeze() {
    sessions_live_through(Fault::Freeze).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_live_through_a_switchover() {
    sessions_live_through(Fault::Switchover).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_live_through_a_cut() {
    sessions_live_through(Fault::Cut).await;
}

/// Waits until the companion has probed a standby anew: what it knew of a transaction before the
/// promotion says whether its fate can be told.
async fn probed_since(setup: &Setup, number: usize) {
    let node = setup.cluster.node(number);
    let now = node.value("SELECT clock_timestamp()").await;
    let query = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE application_name = 'evenkeel watch' AND query_start > '{now}' AND state = 'idle'"
    );
    until("the standby was probed", PATIENCE, async || (node.value(&query).await != "0").then_some(())).await;
}

/// Runs a statement, strikes once it is under way on the writer, promotes the standby, and gives what
/// the client was told.
async fn struck_during(
    setup: &Setup,
    session: &Session,
    sql: &str,
    fault: Fault,
) -> Result<(), (String, String)> {
    let under_way = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active' \
                     AND (wait_event IN ('PgSleep', 'SyncRep'))";
    let running = session.batch_execute(sql);
    let striking = async {
        until("the statement is under way", PATIENCE, async || {
            (setup.cluster.node(0).value(under_way).await == "1").then_some(())
        })
        .await;
        // What was written so far is on the standby.
        let lsn = setup.cluster.node(0).value("SELECT pg_current_wal_flush_lsn()").await;
        until("the standby has it", PATIENCE, async || {
            let query = format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'");
            (setup.cluster.node(1).value(&query).await == "t").then_some(())
        })
        .await;
        probed_since(setup, 1).await;
        fault.strike(setup).await;
        setup.cluster.node(1).promote().await;
    };
    let (result, ()) = tokio::join!(running, striking);
    result.map_err(|error| said(&error))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_write_in_flight_is_told_as_unknown_and_never_repeated() {
    let setup = setup().await;
    let session = setup.connect("writer").await;
    let write = "INSERT INTO notes SELECT 'in flight' FROM pg_sleep(600)";
    let begun = Instant::now();
    let (code, message) = struck_during(&setup, &session, write, Fault::Freeze).await.unwrap_err();
    println!("the client was told after {:.0} ms: {message}", crate::session::ms(begun));
    assert_eq!(code, "08007");
    assert_eq!(session.value("SELECT count(*) FROM notes").await, "0");
    assert_eq!(session.node().await, "node1");
    setup.cluster.node(0).thaw();
    assert_eq!(setup.figure("/counts/commits_unknown").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_in_flight_is_sent_anew_or_safe_to_repeat() {
    let setup = setup().await;
    let session = setup.connect("reader").await;
    let reading = session.try_value("SELECT current_setting('cluster_name') FROM pg_sleep(2)");
    let striking = async {
        until("the read is under way", PATIENCE, async || {
            let query =
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'";
            (setup.cluster.node(1).value(query).await == "1").then_some(())
        })
        .await;
        setup.cluster.node(1).kill();
    };
    let (read, ()) = tokio::join!(reading, striking);
    assert_eq!(read.expect("the client saw nothing of it"), "node0");
}

/// Makes every COMMIT on `node0` wait for a standby that does not exist: it is durable on `node1`, and
/// its answer never comes.
async fn withhold_answers(setup: &Setup) {
    setup.cluster.node(0).set("synchronous_standby_names", "FIRST 1 (nobody)").await;
    until("commits wait", PATIENCE, async || {
        let names = setup.cluster.node(0).value("SHOW synchronous_standby_names").await;
        names.contains("nobody").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_resolved_where_that_is_certain() {
    let setup = setup().await;
    let session = setup.connect("writer").await;
    session.run("BEGIN; INSERT INTO notes VALUES ('committed')").await;
    withhold_answers(&setup).await;
    let answer = struck_during(&setup, &session, "COMMIT", Fault::Kill).await;
    assert_eq!(answer, Ok(()), "the new writer has it");
    assert_eq!(session.value("SELECT note FROM notes").await, "committed");
    assert_eq!(setup.figure("/counts/commits_resolved").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_happened_is_told_as_such_or_as_unknown() {
    let setup = setup().await;
    setup
        .prepare(
            "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN PERFORM pg_sleep(600); RETURN NULL; END$$;
             CREATE CONSTRAINT TRIGGER doze AFTER INSERT ON notes DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION doze()",
        )
        .await;
    let session = setup.connect("writer").await;
    session.run("BEGIN; INSERT INTO notes VALUES ('never')").await;
    let (code, message) = struck_during(&setup, &session, "COMMIT", Fault::Kill).await.unwrap_err();
    println!("COMMIT: {code} {message}");
    assert!(matches!(code.as_str(), "40001" | "08007"), "{code}");
    assert_eq!(session.value("SELECT count(*) FROM notes").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_committed_is_never_told_as_lost() {
    for (open, sql) in [
        (true, "INSERT INTO notes VALUES ('two'); COMMIT"),
        (true, "COMMIT; INSERT INTO notes SELECT 'two' FROM pg_sleep(600)"),
        (false, "BEGIN; INSERT INTO notes VALUES ('two'); COMMIT; SELECT pg_sleep(600)"),
        (false, "INSERT INTO notes VALUES ('one')"),
        (false, "CALL twice()"),
        (false, "DO $$BEGIN INSERT INTO notes VALUES ('one'); COMMIT; PERFORM pg_sleep(600); END$$"),
    ] {
        for fault in [Fault::Kill, Fault::Switchover] {
            let stops = sql.contains("pg_sleep") || sql.contains("CALL");
            if fault == Fault::Switchover && !stops {
                // A server that is stopped lets go of who waits for a standby without a word.
                continue;
            }
            let setup = setup().await;
            setup
                .prepare(
                    "CREATE PROCEDURE twice() LANGUAGE plpgsql AS
                     $$BEGIN INSERT INTO notes VALUES ('one'); COMMIT; PERFORM pg_sleep(600); END$$",
                )
                .await;
            let session = setup.connect("writer").await;
            if open {
                session.run("BEGIN; INSERT INTO notes VALUES ('one')").await;
            }
            if !stops {
                withhold_answers(&setup).await;
            }
            let told = struck_during(&setup, &session, sql, fault).await;
            let found = session.value("SELECT count(*) FROM notes").await;
            println!("{fault:?}, {sql}: {told:?}, {found} rows");
            assert_ne!(found, "0", "{sql}: it was committed");
            assert_eq!(told.map_err(|(code, _)| code), Err("08007".to_owned()), "{fault:?}: {sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_commit_that_is_lost_is_told_as_unknown() {
    let setup = setup().await;
    let session = setup.connect("writer").await;
    session.run("BEGIN").await;
    withhold_answers(&setup).await;
    let insert = session.prepare("INSERT INTO notes VALUES ('piped')").await.unwrap();
    let commit = session.prepare("COMMIT").await.unwrap();
    let both = async { tokio::join!(session.execute(&insert, &[]), session.execute(&commit, &[])).1 };
    let striking = async {
        until("the commit waits", PATIENCE, async || {
            let query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
            (setup.cluster.node(0).value(query).await == "1").then_some(())
        })
        .await;
        until("the standby has it", PATIENCE, async || {
            let lsn = setup.cluster.node(0).value("SELECT pg_current_wal_flush_lsn()").await;
            let query = format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'");
            (setup.cluster.node(1).value(&query).await == "t").then_some(())
        })
        .await;
        Fault::Kill.strike(&setup).await;
        setup.cluster.node(1).promote().await;
    };
    let (told, ()) = tokio::join!(both, striking);
    let found = session.value("SELECT count(*) FROM notes").await;
    assert_eq!(found, "1");
    if let Err(error) = told {
        assert_eq!(said(&error).0, "08007");
    }
    assert_eq!(session.value(NODE).await, "node1");
}
