//! Statements that wait for a writer, and what bounds them.

use crate::session::{NODE, ms};
use crate::{Options, PATIENCE, Session, Setup};
use evenkeel_tests::until;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A lone writer that has been killed.
async fn dead(hold: Value) -> (Setup, Vec<Session>) {
    let setup =
        Setup::start(Options { standbys: 0, database: json!({"hold": hold}), ..Options::default() }).await;
    let sessions = setup.connect_many("writer", 5).await;
    for session in &sessions {
        session.run("SELECT 1").await;
    }
    setup.cluster.node(0).kill();
    setup.no_writer().await;
    (setup, sessions)
}

fn waiting(session: Session, sql: String) -> JoinHandle<(Session, Result<(), String>)> {
    tokio::spawn(async move {
        let done = session.batch_execute(&sql).await;
        (session, done.map_err(|error| crate::session::said(&error).0))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waited_in_vain_is_told_so() {
    let (setup, sessions) = dead(json!({"timeout": "700ms"})).await;
    let begun = Instant::now();
    let (code, message) = sessions[0].fails("SELECT 1").await;
    println!("after {:.0} ms: {message}", ms(begun));
    assert!(begun.elapsed() >= Duration::from_millis(700) && begun.elapsed() < Duration::from_secs(3));
    assert_eq!(code, "57P03");
    assert_eq!(message, "no writer is known; the statement waited 0.7 s and was not run");
    let error = sessions[1].query("SELECT $1::int", &[&1]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57P03", "the extended protocol is told the same");
    assert_eq!(sessions[0].fails("BEGIN").await.0, "57P03");
    setup.cluster.node(0).start().await;
    setup.writer_is(0).await;
    for session in &sessions {
        session.run("SELECT 1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_bounded_in_number_and_a_client_that_leaves_frees_its_place() {
    let (setup, mut sessions) = dead(json!({"max_statements": 2})).await;
    let first = waiting(sessions.remove(0), "SELECT 1".to_owned());
    let leaves = sessions.remove(0);
    let _ = leaves.simple_query_raw("SELECT 2").await;
    setup.held(2).await;
    let (code, message) = sessions[0].fails("SELECT 3").await;
    assert_eq!(code, "53300");
    assert!(message.contains("2 statements wait for one already"), "{message}");
    leaves.vanish();
    setup.held(1).await;
    let third = waiting(sessions.remove(0), "SELECT 3".to_owned());
    setup.held(2).await;
    setup.cluster.node(0).start().await;
    for one in [first, third] {
        assert_eq!(one.await.unwrap().1, Ok(()));
    }
    setup.held(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_bounded_in_bytes() {
    let (setup, mut sessions) = dead(json!({"max_bytes": 10_000})).await;
    let small = waiting(sessions.remove(0), format!("SELECT '{}'", "a".repeat(6000)));
    setup.held(1).await;
    let (code, message) = sessions[0].fails(&format!("SELECT '{}'", "b".repeat(6000))).await;
    assert_eq!(code, "53300");
    assert!(message.contains("10000 bytes of statements wait already"), "{message}");
    let tiny = waiting(sessions.remove(0), "SELECT 1".to_owned());
    setup.held(2).await;
    setup.cluster.node(0).start().await;
    for one in [small, tiny] {
        assert_eq!(one.await.unwrap().1, Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_what_is_new_and_lets_finish_what_is_open() {
    let setup = Setup::start(Options::default()).await;
    let sessions =
        [setup.connect("writer").await, setup.connect("auto").await, setup.connect("reader").await];
    let open = setup.connect("writer").await;
    open.run("CREATE TABLE notes (); BEGIN").await;
    setup.order(&["db", "pause"]);
    let waiting = sessions.map(|session| waiting(session, NODE.to_owned()));
    setup.held(3).await;
    open.run("INSERT INTO notes DEFAULT VALUES").await;
    open.run("COMMIT").await;
    assert!(waiting.iter().all(|one| !one.is_finished()));
    setup.order(&["db", "resume"]);
    for one in waiting {
        assert_eq!(one.await.unwrap().1, Ok(()));
    }
    assert_eq!(setup.direct(0, "SELECT count(*) FROM notes").await, "1");
    until("nothing is held", PATIENCE, async || (setup.figure("/held_statements").await == 0).then_some(()))
        .await;
}
