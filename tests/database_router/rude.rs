//! Clients that vanish, that do not read, that send half of what they should, and ten thousand at once.

use crate::raw::{Raw, batch, beginning, query, sync};
use crate::{Options, PATIENCE, Setup};
use evenkeel_tests::until;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

async fn setup() -> Setup {
    let setup = Setup::start(Options { database: json!({"pool": {"max": 2}}), ..Options::default() }).await;
    setup.prepare("CREATE TABLE notes (note text)").await;
    setup
}

/// Both connections of the pool work, and nothing of others is in them.
async fn all_is_clean(setup: &Setup) {
    until("no transaction is left open", PATIENCE, async || {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'";
        (setup.cluster.node(0).value(query).await == "0").then_some(())
    })
    .await;
    let sessions = setup.connect_many("writer", 2).await;
    for session in &sessions {
        session.run("BEGIN").await;
        assert_eq!(session.value("SELECT count(*) FROM notes").await, "0");
        assert_eq!(session.query("SELECT 1", &[]).await.unwrap().len(), 1);
    }
    for session in &sessions {
        session.run("COMMIT").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_leaves_no_transaction_and_no_lock() {
    let setup = setup().await;
    let session = setup.connect("writer").await;
    session.run("BEGIN; INSERT INTO notes VALUES ('lost'); LOCK notes").await;
    session.vanish();
    all_is_clean(&setup).await;

    // In the middle of a statement that waits: the node's work ends too.
    let holds = setup.connect("writer").await;
    holds.run("BEGIN; LOCK notes").await;
    let mut waits = Raw::open(setup.address("writer")).await;
    waits.send(&query("INSERT INTO notes VALUES ('lost'); SELECT pg_sleep(600)")).await;
    until("it waits for the lock", PATIENCE, async || {
        let query =
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event_type = 'Lock'";
        (setup.cluster.node(0).value(query).await == "1").then_some(())
    })
    .await;
    drop(waits);
    let begun = Instant::now();
    until("the statement has ended", PATIENCE, async || (setup.backends(0).await == 1).then_some(())).await;
    println!("a vanished client's statement ended after {:.0} ms", crate::session::ms(begun));
    holds.run("COMMIT").await;
    all_is_clean(&setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_a_batch_harms_nobody() {
    let setup = setup().await;
    let insert = batch("INSERT INTO notes VALUES ('lost')");
    // Ends of a client in the middle of its words.
    for part in [
        &insert[..],
        &insert[..insert.len() / 2],
        &query("INSERT INTO notes VALUES ('lost')")[..20],
        &beginning(b'Q', 1_000_000),
        &beginning(b'P', 2_000_000_000),
        &beginning(b'B', 500_000),
    ] {
        for listener in ["writer", "auto"] {
            let mut raw = Raw::open(setup.address(listener)).await;
            raw.send(part).await;
            drop(raw);
        }
    }
    // The same after Flush: the node has run it, and nobody has said Sync.
    let mut raw = Raw::open(setup.address("writer")).await;
    raw.send(&insert).await;
    raw.send(&[b'H', 0, 0, 0, 4]).await;
    for expected in [b'1', b'2', b'C'] {
        assert_eq!(raw.message().await.unwrap().0, expected);
    }
    drop(raw);
    all_is_clean(&setup).await;

    // What comes late, comes: byte by byte.
    let mut raw = Raw::open(setup.address("auto")).await;
    let mut whole = batch("SELECT 7");
    whole.extend_from_slice(&sync());
    for byte in &whole {
        raw.send(&[*byte]).await;
    }
    assert_eq!(raw.answers().await, ("12DCZ".to_owned(), b'I'));
    // Several batches in one piece.
    let mut many = query("SELECT 1");
    many.extend_from_slice(&whole);
    many.extend_from_slice(&query("INSERT INTO notes VALUES ('kept') RETURNING note"));
    many.extend_from_slice(&query("SELEC"));
    many.extend_from_slice(&whole);
    raw.send(&many).await;
    for expected in ["TDCZ", "12DCZ", "TDCZ", "EZ", "12DCZ"] {
        assert_eq!(raw.answers().await, (expected.to_owned(), b'I'));
    }
    assert_eq!(setup.direct(0, "SELECT count(*) FROM notes").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_ends_its_own_session_only() {
    let setup = setup().await;
    let good = setup.connect("auto").await;
    for (what, bytes) in [
        ("a length below the least", vec![b'Q', 0, 0, 0, 3]),
        ("a negative length", vec![b'Q', 0xff, 0xff, 0xff, 0xff]),
        ("an unknown tag", vec![b'z', 0, 0, 0, 4]),
        ("a password after the log-in", vec![b'p', 0, 0, 0, 5, 0]),
        ("a Bind that ends too soon", vec![b'B', 0, 0, 0, 5, 0, b'S', 0, 0, 0, 4]),
    ] {
        let mut raw = Raw::open(setup.address("auto")).await;
        raw.send(&bytes).await;
        let begun = Instant::now();
        while raw.message().await.is_some() {}
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        assert_eq!(good.value("SELECT 1").await, "1", "{what}");
    }
    all_is_clean(&setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_costs_little_and_others_are_served() {
    let setup = setup().await;
    let good = setup.connect("writer").await;
    good.run("SELECT 1").await;
    let before = setup.memory();
    let mut slow = Raw::open(setup.address("writer")).await;
    slow.send(&query("SELECT repeat('x', 1000000) FROM generate_series(1, 200)")).await;
    until("the node waits for the client", PATIENCE, async || {
        let query =
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event = 'ClientWrite'";
        (setup.cluster.node(0).value(query).await == "1").then_some(())
    })
    .await;
    let (mut worst, mut most) = (Duration::ZERO, before);
    for _ in 0..200 {
        let begun = Instant::now();
        good.run("SELECT 1").await;
        worst = worst.max(begun.elapsed());
        most = most.max(setup.memory());
    }
    println!(
        "{before:.1} MB before, {most:.1} MB with a client that owes 200 MB; others waited {worst:?} at most"
    );
    assert!(most < before + 10.0, "{most} MB");
    assert!(worst < Duration::from_secs(2));
    // When it reads again it gets all of it.
    let mut rows = 0;
    loop {
        let (tag, body) = slow.message().await.expect("the session goes on");
        rows += usize::from(tag == b'D' && body.len() == 1_000_006);
        if tag == b'Z' {
            break;
        }
    }
    assert_eq!(rows, 200);
    assert!(setup.memory() < before + 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_clients_than_a_listener_takes_are_told_so() {
    let setup = Setup::start(Options {
        listeners: vec![("small", json!({"mode": "writer", "max_clients": 5}))],
        ..Options::default()
    })
    .await;
    let sessions = setup.connect_many("small", 5).await;
    let refused = crate::Session::open(setup.address("small")).await.err().unwrap();
    let (code, message) = crate::session::said(&refused);
    assert_eq!(code, "53300");
    assert!(message.contains("too many clients already"), "{message}");
    drop(sessions);
    until("there is room again", PATIENCE, async || {
        crate::Session::open(setup.address("small")).await.ok().map(drop)
    })
    .await;
}

/// A crowd for the tests that the whole suite leaves out.
const CROWD: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute: ten thousand log-ins"]
async fn ten_thousand_idle_clients_cost_little_and_a_good_one_is_served_beside_them() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let setup = Setup::start(Options {
        listeners: vec![("crowd", json!({"mode": "writer", "max_clients": CROWD + 10}))],
        database: json!({"pool": {"max": 20}}),
        ..Options::default()
    })
    .await;
    let before = setup.memory();
    let begun = Instant::now();
    let mut crowd = Vec::with_capacity(CROWD);
    for _ in 0..CROWD / 100 {
        let address = setup.address("crowd");
        let opening: Vec<_> = (0..100).map(|_| tokio::spawn(Raw::open(address))).collect();
        for one in opening {
            crowd.push(one.await.unwrap());
        }
    }
    println!("{CROWD} clients logged in within {:.1} s", begun.elapsed().as_secs_f64());
    // Each has said something, and is idle.
    for one in &mut crowd {
        one.send(&query("SELECT 1")).await;
    }
    for one in &mut crowd {
        assert_eq!(one.answers().await.1, b'I');
    }
    setup.at_rest().await;
    let good = setup.connect("crowd").await;
    let begun = Instant::now();
    for _ in 0..1000 {
        good.run("SELECT 1").await;
    }
    let after = setup.memory();
    println!(
        "{before:.1} MB before, {after:.1} MB with {CROWD} idle clients, {:.2} KB each; a statement beside them \
         takes {:.3} ms",
        (after - before) * 1024.0 / CROWD as f64,
        crate::session::ms(begun) / 1000.0
    );
    assert!(after - before < 500.0, "1,000 idle clients are to cost less than 50 MB");
    assert!(begun.elapsed() < Duration::from_secs(30));
    // None of them was told anything meanwhile.
    for one in &mut crowd {
        let mut byte = [0];
        let nothing = futures_util::future::poll_immediate(one.stream.read(&mut byte)).await;
        assert!(nothing.is_none(), "a client was told something, or its connection closed");
    }
}
