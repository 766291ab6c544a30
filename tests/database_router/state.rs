//! What a session holds: what keeps its connection, what moves with it, and what never leaks.

use crate::setup::RELEASED;
use crate::{Options, PATIENCE, Setup};
use evenkeel_tests::{until, wait::throughout};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_listening_session_keeps_its_connection_and_hears() {
    let setup = Setup::start(Options::default()).await;
    for listener in ["writer", "auto"] {
        let (hears, speaks) = (setup.connect(listener).await, setup.connect("auto").await);
        hears.run("LISTEN news").await;
        assert_eq!(setup.figure("/pinned").await, 1);
        throughout("it keeps its connection while it is idle", RELEASED, async || {
            setup.figure("/pinned").await == 1
        })
        .await;
        speaks.run("NOTIFY news, 'one'").await;
        speaks.query("SELECT pg_notify('news', 'two')", &[]).await.unwrap();
        until("both are heard by an idle session", PATIENCE, async || {
            (hears.notifications() == ["one", "two"]).then_some(())
        })
        .await;
        hears.run("UNLISTEN *").await;
        assert_eq!(setup.figure("/pinned").await, 0);
        setup.at_rest().await;
        speaks.run("NOTIFY news, 'three'").await;
        assert_eq!(hears.value("SELECT 1").await, "1");
        assert_eq!(hears.notifications().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_in_the_connection_keeps_it_and_ends_with_the_session() {
    let setup = Setup::start(Options { database: json!({"pool": {"max": 3}}), ..Options::default() }).await;
    for (make, look, seen) in [
        ("CREATE TEMP TABLE mine AS SELECT 7 AS a", "SELECT a FROM mine", "7"),
        ("SELECT 1 INTO TEMPORARY mine", "SELECT count(*) FROM mine", "1"),
        (
            "SELECT pg_advisory_lock(42)",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
            "1",
        ),
        ("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 5; COMMIT", "FETCH c", "5"),
        ("PREPARE p AS SELECT 3", "EXECUTE p", "3"),
        ("SELECT set_config('my.own', 'x', false)", "SELECT current_setting('my.own')", "x"),
    ] {
        let session = setup.connect("auto").await;
        session.run(make).await;
        let pid = session.value("SELECT pg_backend_pid()").await;
        throughout("it keeps its connection while it is idle", RELEASED, async || {
            setup.figure("/pinned").await == 1
        })
        .await;
        assert_eq!(session.value(look).await, seen, "{make}");
        assert_eq!(session.value("SELECT pg_backend_pid()").await, pid, "{make}");
        drop(session);
        until("its connection is gone or as new", PATIENCE, async || {
            (setup.figure("/pinned").await == 0).then_some(())
        })
        .await;
        // Whoever is given that connection next, or its place, finds nothing of it.
        let next = setup.connect_many("writer", 3).await;
        for session in &next {
            session.run("BEGIN").await;
        }
        for session in next {
            for (sql, expected) in [
                ("SELECT count(*) FROM pg_class WHERE relpersistence = 't'", "0"),
                ("SELECT pg_try_advisory_xact_lock(42)", "t"),
                ("SELECT count(*) FROM pg_cursors", "0"),
                ("SELECT count(*) FROM pg_prepared_statements", "0"),
                ("SELECT coalesce(current_setting('my.own', true), '')", ""),
            ] {
                assert_eq!(session.value(sql).await, expected, "{make}, then {sql}");
            }
            session.run("ROLLBACK").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_with_state_are_bounded() {
    let setup =
        Setup::start(Options { database: json!({"pool": {"pinned_max": 2}}), ..Options::default() }).await;
    let sessions = setup.connect_many("writer", 3).await;
    sessions[0].run("LISTEN a").await;
    sessions[1].run("CREATE TEMP TABLE t ()").await;
    let (code, message) = sessions[2].fails("SELECT pg_advisory_lock(1)").await;
    assert_eq!(code, "53400");
    assert!(
        message.contains("2 sessions keep node connections") && message.contains("advisory locks"),
        "{message}"
    );
    assert_eq!(sessions[2].value("SELECT 1").await, "1", "the session goes on");
    sessions[0].run("LISTEN b").await;
    sessions[0].run("UNLISTEN *").await;
    sessions[2].run("SELECT pg_advisory_lock(1)").await;
    sessions[2].run("SELECT pg_advisory_unlock_all()").await;
    assert_eq!(setup.figure("/pinned").await, 1);
    sessions[1].run("DISCARD ALL").await;
    assert_eq!(setup.figure("/pinned").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_with_state_ends_honestly_with_its_node() {
    let setup = Setup::start(Options { synchronous: true, ..Options::default() }).await;
    let mut idle = setup.connect("writer").await;
    idle.run("CREATE TEMP TABLE mine ()").await;
    let mut open = setup.connect("auto").await;
    open.run("LISTEN a; BEGIN").await;
    let plain = setup.connect("writer").await;
    plain.run("SELECT 1").await;
    setup.cluster.node(0).kill();
    let (code, message) = idle.ended().await;
    assert_eq!(code, "57P01");
    assert!(
        message.contains("the node of this session went away") && message.contains("temporary tables"),
        "{message}"
    );
    let (code, message) = open.ended().await;
    assert_eq!((code.as_str(), message.contains("LISTEN")), ("57P01", true), "{message}");
    setup.cluster.node(1).promote().await;
    assert_eq!(plain.node().await, "node1");
    assert_eq!(setup.figure("/pinned").await, 0);
}

/// Settings of three kinds, and what they were set to.
const SETTINGS: [(&str, &str, &str); 5] = [
    ("SET search_path = mine, public", "SHOW search_path", "mine, public"),
    ("SET TIME ZONE 'Asia/Taipei'", "SHOW timezone", "Asia/Taipei"),
    ("SET ROLE keeper", "SELECT current_user", "keeper"),
    ("SET my.tenant = 'a;b''c'", "SHOW my.tenant", "a;b'c"),
    ("SET DateStyle TO 'German, DMY'", "SHOW datestyle", "German, DMY"),
];

#[tokio::test(flavor = "multi_thread")]
async fn settings_follow_their_session_and_no_other() {
    let setup = Setup::start(Options {
        synchronous: true,
        database: json!({"pool": {"max": 1, "max_idle": 1}}),
        ..Options::default()
    })
    .await;
    setup.cluster.node(0).sql("CREATE ROLE keeper").await;
    setup.cluster.node(0).sql("GRANT keeper TO app").await;
    setup.prepare("CREATE SCHEMA mine AUTHORIZATION app; GRANT ALL ON SCHEMA mine TO keeper").await;
    let (one, two) = (setup.connect("auto").await, setup.connect("auto").await);
    for (set, _, _) in SETTINGS {
        one.run(set).await;
    }
    // There is one connection to the writer, and both sessions use it in turn.
    let mut pids = Vec::new();
    for _ in 0..3 {
        for (_, show, value) in SETTINGS {
            assert_eq!(one.value(show).await, value);
            let near = one
                .value(&format!("{}, current_setting('cluster_name')", "SELECT current_setting('TimeZone')"))
                .await;
            assert_eq!(near, "Asia/Taipei", "at the replica");
        }
        pids.push(one.value("SELECT pg_backend_pid()").await);
        setup.at_rest().await;
        for (_, show, value) in SETTINGS {
            let other = two.try_value(show).await;
            assert_ne!(other.ok().as_deref(), Some(value), "{show} has leaked");
        }
        assert_eq!(two.value("SELECT current_user").await, "app");
        pids.push(two.value("SELECT pg_backend_pid()").await);
        setup.at_rest().await;
    }
    assert!(pids.iter().all(|pid| *pid == pids[0]), "one connection served both: {pids:?}");
    // What was taken back is not made again.
    for text in [
        "BEGIN; SET work_mem = '77MB'; ROLLBACK; BEGIN; SET LOCAL lock_timeout = '7s'; COMMIT",
        "SET work_mem = '77MB'; SELECT 1/0",
        "BEGIN; SAVEPOINT a; SET work_mem = '77MB'; ROLLBACK TO a; COMMIT",
    ] {
        let _ = one.batch_execute(text).await;
        setup.at_rest().await;
        assert_eq!(
            one.value("SELECT current_setting('work_mem') || current_setting('lock_timeout')").await,
            "4MB0"
        );
    }
    for part in [
        "BEGIN",
        "SET lock_timeout = '3s'",
        "SAVEPOINT a",
        "SET work_mem = '77MB'",
        "ROLLBACK TO a",
        "COMMIT",
    ] {
        one.run(part).await;
    }
    setup.at_rest().await;
    assert_eq!(
        one.value("SELECT current_setting('work_mem') || current_setting('lock_timeout')").await,
        "4MB3s"
    );

    setup.cluster.node(0).kill();
    setup.cluster.node(1).promote().await;
    for (_, show, value) in SETTINGS {
        assert_eq!(one.value(show).await, value, "on the new writer");
    }
    one.run("RESET TimeZone").await;
    one.run("RESET ROLE").await;
    setup.at_rest().await;
    assert_ne!(one.value("SHOW timezone").await, "Asia/Taipei");
    assert_eq!(one.value("SELECT current_user").await, "app");
    assert_eq!(one.value("SHOW search_path").await, "mine, public");
    one.run("DISCARD ALL").await;
    setup.at_rest().await;
    assert_eq!(one.value("SHOW search_path").await, "\"$user\", public");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_at_log_in_comes_back_with_a_reset() {
    let setup = Setup::start(Options { database: json!({"pool": {"max": 1}}), ..Options::default() }).await;
    let mut config = crate::session::config(setup.address("writer"));
    config.application_name("it's me").options("-c search_path=a,b -c statement_timeout=5s");
    let session = crate::Session::with(&config).await.unwrap();
    let other = setup.connect("writer").await;
    for turn in 0..3 {
        assert_eq!(session.value("SHOW application_name").await, "it's me", "turn {turn}");
        assert_eq!(session.value("SHOW search_path").await, "a,b", "turn {turn}");
        assert_eq!(session.value("SHOW statement_timeout").await, "5s", "turn {turn}");
        setup.at_rest().await;
        assert_eq!(other.value("SHOW statement_timeout").await, "0");
        assert_eq!(other.value("SHOW application_name").await, "");
        setup.at_rest().await;
        session.run(["SET search_path = c; RESET search_path", "RESET ALL", "DISCARD ALL"][turn]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_statements_of_one_name_are_each_sessions_own() {
    let setup = Setup::start(Options {
        synchronous: true,
        database: json!({"pool": {"max": 1}}),
        ..Options::default()
    })
    .await;
    // tokio-postgres counts names from s0 in each process; simple and extended ones are mixed here.
    let (one, two) = (setup.connect("auto").await, setup.connect("auto").await);
    let a = one.prepare("SELECT 'one' || $1::text || current_setting('cluster_name')").await.unwrap();
    let b = two.prepare("SELECT 'two' || $1::text || current_setting('cluster_name')").await.unwrap();
    let ask = async |session: &crate::Session, statement, text: &str| {
        session.query_one(statement, &[&text]).await.unwrap().get::<_, String>(0)
    };
    for _ in 0..3 {
        assert_eq!(ask(&one, &a, " ").await, "one node1");
        setup.at_rest().await;
        assert_eq!(ask(&two, &b, " ").await, "two node1");
        setup.at_rest().await;
        one.run("BEGIN").await;
        assert_eq!(ask(&one, &a, " ").await, "one node0");
        one.run("COMMIT").await;
        setup.at_rest().await;
    }
    setup.cluster.node(0).kill();
    setup.cluster.node(1).promote().await;
    setup.writer_is(1).await;
    assert_eq!(ask(&one, &a, " ").await, "one node1");
    setup.at_rest().await;
    assert_eq!(ask(&two, &b, " ").await, "two node1");
    two.run("BEGIN").await;
    assert_eq!(ask(&two, &b, " ").await, "two node1");
    assert_eq!(two.value("SELECT count(*) FROM pg_prepared_statements").await, "1", "its own alone");
    two.run("COMMIT").await;
    two.run("DEALLOCATE ALL").await;
    setup.at_rest().await;
    let gone = two.query(&b, &[&"x"]).await.unwrap_err();
    assert_eq!(gone.code().unwrap().code(), "26000", "what was deallocated is gone");
    assert_eq!(ask(&one, &a, "!").await, "one!node1");
}
