//! Reload and shutdown while clients work.

use crate::session::said;
use crate::{Options, PATIENCE, Setup};
use evenkeel_tests::companion::merged;
use evenkeel_tests::postgres::PASSWORD;
use evenkeel_tests::until;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_load_keeps_every_session() {
    let setup = Setup::start(Options {
        database: json!({"pool": {"max": 20, "max_idle": 20}}),
        ..Options::default()
    })
    .await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut busy = Vec::new();
    for session in setup.connect_many("auto", 8).await {
        let (stop, done) = (stop.clone(), done.clone());
        busy.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                session.run("BEGIN").await;
                session.query("SELECT txid_current()", &[]).await.unwrap();
                session.run("COMMIT").await;
                assert_eq!(session.value("SELECT 1").await, "1");
                done.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let more = async |count: usize| {
        let before = done.load(Ordering::Relaxed);
        until("the load goes on", PATIENCE, async || {
            (done.load(Ordering::Relaxed) >= before + count).then_some(())
        })
        .await;
    };
    more(20).await;
    let open = setup.connect("writer").await;
    open.run("BEGIN").await;

    let limits = json!({"database": {"pool": {"max": 17, "max_idle": 1, "pinned_max": 0}}});
    let changed = merged(setup.companion.settings(), limits);
    setup.companion.write(&changed.to_string());
    setup.companion.signal(1);
    let (other, late) = (setup.connect("writer").await, setup.connect("writer").await);
    until("the new limits are in force", PATIENCE, async || {
        let refused = other.batch_execute("LISTEN a").await;
        (refused.err().map(|error| said(&error).0).as_deref() == Some("53400")).then_some(())
    })
    .await;
    drop((other, late));
    more(20).await;
    open.run("COMMIT").await;

    // A file that is wrong changes nothing, and is told.
    setup.companion.write(&changed.to_string().replace("\"max\":17", "\"max\":\"many\""));
    setup.companion.signal(1);
    until("the bad file is told", PATIENCE, async || {
        setup.companion.log().contains("database.pool.max").then_some(())
    })
    .await;
    more(20).await;

    // Another password, and the sessions that are in stay in.
    std::fs::write(
        setup.companion.folder().join("clients.yaml"),
        "users: [{name: app, password: other, login: {user: app}}]",
    )
    .unwrap();
    setup.companion.write(&changed.to_string());
    setup.companion.signal(1);
    until("the old password is refused", PATIENCE, async || {
        let refused = crate::Session::open(setup.address("auto")).await.err()?;
        (said(&refused).0 == "28P01").then_some(())
    })
    .await;
    let mut config = crate::session::config(setup.address("auto"));
    config.password("other");
    crate::Session::with(&config).await.expect("the new one is taken");
    assert_ne!(PASSWORD, "other");
    more(20).await;
    stop.store(true, Ordering::Relaxed);
    for one in busy {
        one.await.expect("no statement failed");
    }
    println!("{} rounds over three reloads", done.load(Ordering::Relaxed));
    // One for each way to log in.
    until("only max_idle are kept", PATIENCE, async || (setup.backends(0).await <= 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_who_is_idle_and_lets_finish_who_is_not() {
    let patient = json!({"drain_timeout": "30s"});
    let mut setup = Setup::start(Options { companion: patient, ..Options::default() }).await;
    setup.prepare("CREATE TABLE notes (note text)").await;
    let mut idle = setup.connect("writer").await;
    let mut rested = setup.connect("auto").await;
    rested.run("SELECT 1").await;
    let mut open = setup.connect("writer").await;
    open.run("BEGIN; INSERT INTO notes VALUES ('kept')").await;
    let mut pinned = setup.connect("writer").await;
    pinned.run("LISTEN a").await;
    setup.companion.signal(15);
    for session in [&mut idle, &mut rested, &mut pinned] {
        let (code, message) = session.ended().await;
        assert_eq!((code.as_str(), message.as_str()), ("57P01", "the router is shutting down"));
    }
    until("nobody is let in any more", PATIENCE, async || {
        crate::Session::open(setup.address("writer")).await.err()
    })
    .await;
    open.run("INSERT INTO notes VALUES ('too'); COMMIT").await;
    assert_eq!(open.ended().await.0, "57P01");
    assert!(setup.companion.ended().await.success());
    assert_eq!(setup.direct(0, "SELECT count(*) FROM notes").await, "2");
    until("no connection is left behind", PATIENCE, async || (setup.backends(0).await == 0).then_some(()))
        .await;
}
