//! Many sessions, few connections.

use crate::setup::RELEASED;
use crate::{Options, PATIENCE, Setup};
use evenkeel_tests::{until, wait::throughout};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn idle_sessions_give_their_connections_back() {
    let setup =
        Setup::start(Options { database: json!({"pool": {"max": 20, "max_idle": 2}}), ..Options::default() })
            .await;
    let sessions = setup.connect_many("writer", 10).await;
    for session in &sessions {
        session.run("BEGIN").await;
    }
    assert_eq!(setup.backends(0).await, 10);
    throughout("transactions keep theirs", RELEASED, async || setup.backends(0).await == 10).await;
    let begun = Instant::now();
    for session in &sessions {
        session.run("COMMIT").await;
    }
    setup.at_rest().await;
    println!("all were given back after {:.0} ms", crate::session::ms(begun));
    until("only max_idle are kept", PATIENCE, async || (setup.backends(0).await == 2).then_some(())).await;
    for session in &sessions {
        assert_eq!(session.value("SELECT 1").await, "1");
    }
}

/// Watches how many connections a listener's users have on a node, until told to stop.
fn most_backends(setup: &Arc<Setup>, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
    let (setup, stop) = (setup.clone(), stop.clone());
    tokio::spawn(async move {
        let mut most = 0;
        while !stop.load(Ordering::Relaxed) {
            most = most.max(setup.backends(0).await);
        }
        most
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_busy_sessions_share_five_connections() {
    let setup = Arc::new(
        Setup::start(Options {
            database: json!({"pool": {"max": 5, "max_idle": 5, "release_after": "10ms", "connect_timeout": "30s"}}),
            ..Options::default()
        })
        .await,
    );
    let stop = Arc::new(AtomicBool::new(false));
    let watching = most_backends(&setup, &stop);
    let sessions = setup.connect_many("writer", 100).await;
    let begun = Instant::now();
    let mut running = Vec::new();
    for session in sessions {
        running.push(tokio::spawn(async move {
            for _ in 0..3 {
                session.run("SELECT pg_sleep(0.01)").await;
            }
        }));
    }
    for one in running {
        one.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let most = watching.await.unwrap();
    println!("300 statements of 100 sessions in {:.0} ms over {most} connections", crate::session::ms(begun));
    assert!((1..=5).contains(&most), "{most} connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_gets_no_connection_in_time_is_told_so() {
    let setup = Setup::start(Options {
        database: json!({"pool": {"max": 1, "connect_timeout": "500ms"}}),
        ..Options::default()
    })
    .await;
    let (holds, waits) = (setup.connect("writer").await, setup.connect("writer").await);
    holds.run("BEGIN").await;
    let (code, message) = waits.fails("SELECT 1").await;
    assert_eq!(code, "53300");
    assert!(message.contains("database.pool.max"), "{message}");
    holds.run("COMMIT").await;
    assert_eq!(waits.value("SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn transaction_pooling_serves_fifty_clients_over_three_connections() {
    let setup = Arc::new(
        Setup::start(Options {
            database: json!({"pool": {"max": 3, "max_idle": 3, "release_after": "1h", "connect_timeout": "30s"}}),
            listeners: vec![("pooled", json!({"mode": "writer", "pooling": "transaction"}))],
            ..Options::default()
        })
        .await,
    );
    setup.prepare("CREATE TABLE notes (client int, turn int)").await;
    let stop = Arc::new(AtomicBool::new(false));
    let watching = most_backends(&setup, &stop);
    let pids = Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let sessions = setup.connect_many("pooled", 50).await;
    let begun = Instant::now();
    let done = Arc::new(AtomicUsize::new(0));
    let mut running = Vec::new();
    for (number, session) in sessions.into_iter().enumerate() {
        let (pids, done) = (pids.clone(), done.clone());
        running.push(tokio::spawn(async move {
            let client = i32::try_from(number).unwrap();
            session.run(&format!("SET my.client = '{number}'")).await;
            let own = session
                .prepare(&format!(
                    "SELECT $1::int + {number}, current_setting('my.client'), pg_backend_pid()"
                ))
                .await
                .unwrap();
            let insert = session.prepare("INSERT INTO notes VALUES ($1, $2)").await.unwrap();
            for turn in 0..10 {
                let row = session.query_one(&own, &[&1000]).await.unwrap();
                assert_eq!(row.get::<_, i32>(0), 1000 + client);
                assert_eq!(row.get::<_, &str>(1), number.to_string(), "SET is kept");
                pids.lock().unwrap().insert(row.get::<_, i32>(2));
                session.run("BEGIN").await;
                session.execute(&insert, &[&client, &turn]).await.unwrap();
                session.run("COMMIT").await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for one in running {
        one.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let most = watching.await.unwrap();
    let used = pids.lock().unwrap().len();
    println!(
        "500 transactions of 50 clients in {:.0} ms over {used} connections, at most {most} at once",
        crate::session::ms(begun)
    );
    assert_eq!(setup.direct(0, "SELECT count(DISTINCT (client, turn)) FROM notes").await, "500");
    // The session that made the table is of the same pool.
    assert!(most <= 3 && used <= 4, "{most} at once, {used} altogether");
}
