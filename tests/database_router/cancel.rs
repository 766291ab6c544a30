//! Cancel requests: they hit the statement of the session that asks, wherever that is.

use crate::session::said;
use crate::{Options, PATIENCE, Session, Setup};
use evenkeel_tests::until;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

const SLEEPING: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'PgSleep'";

/// Cancels a statement of `session` that runs on this node.
async fn cancel(setup: &Setup, session: &Session, node: usize) {
    let token = session.cancel_token();
    let begun = Instant::now();
    let running = session.query("SELECT pg_sleep(600)", &[]);
    let cancelling = async {
        until("it sleeps", PATIENCE, async || {
            let asleep: i64 = setup.cluster.node(node).value(SLEEPING).await.parse().unwrap();
            (asleep >= 1).then_some(())
        })
        .await;
        token.cancel_query(NoTls).await.expect("the request is taken");
    };
    let (result, ()) = tokio::join!(running, cancelling);
    assert_eq!(said(&result.unwrap_err()).0, "57014");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_request_reaches_its_session_before_and_after_moves() {
    let setup = Setup::start(Options {
        synchronous: true,
        database: json!({"pool": {"max_idle": 1}}),
        ..Options::default()
    })
    .await;
    let (auto, writer, other) =
        (setup.connect("auto").await, setup.connect("writer").await, setup.connect("writer").await);
    cancel(&setup, &auto, 1).await;
    cancel(&setup, &writer, 0).await;
    auto.run("BEGIN").await;
    cancel(&setup, &auto, 0).await;
    auto.run("ROLLBACK").await;

    // A late request must not hit who has the connection now.
    let token = writer.cancel_token();
    setup.at_rest().await;
    let undisturbed = other.try_value("SELECT pg_sleep(0.5)");
    let late = async {
        until("it sleeps", PATIENCE, async || {
            (setup.cluster.node(0).value(SLEEPING).await == "1").then_some(())
        })
        .await;
        for _ in 0..5 {
            token.cancel_query(NoTls).await.expect("the request is taken");
        }
    };
    let (result, ()) = tokio::join!(undisturbed, late);
    result.expect("it was not its statement that was cancelled");

    setup.cluster.node(0).kill();
    setup.cluster.node(1).promote().await;
    setup.writer_is(1).await;
    assert_eq!(writer.node().await, "node1");
    cancel(&setup, &writer, 1).await;
    cancel(&setup, &auto, 1).await;
    assert_eq!(writer.value("SELECT 1").await, "1");
}
