//! The ledger: no acknowledged commit is lost, none is doubled, and none that was told as lost is there.

use crate::session::said;
use crate::{Options, PATIENCE, Session, Setup};
use evenkeel_tests::until;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sessions that write all the time.
const WRITERS: usize = 8;

/// What a client was told of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Committed,
    NotCommitted,
    Unknown,
}

/// Writes one entry after the other: in transactions, prepared and not, and on its own.
async fn write(session: Session, number: usize, stop: Arc<AtomicBool>) -> Vec<(String, Told)> {
    let mut entries = Vec::new();
    let insert =
        session.prepare("INSERT INTO ledger VALUES ($1, current_setting('cluster_name'))").await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let key = format!("{number}-{}", entries.len());
        let simple = format!("INSERT INTO ledger VALUES ('{key}', current_setting('cluster_name'))");
        let written = match entries.len() % 3 {
            0 => session.execute(&insert, &[&key]).await.map(|_| ()),
            1 => session.batch_execute(&simple).await,
            _ => transaction(&session, &simple).await,
        };
        let told = match written {
            Ok(()) => Told::Committed,
            Err(error) => match said(&error).0.as_str() {
                "40001" => Told::NotCommitted,
                "08007" => Told::Unknown,
                code => panic!("{code} is no answer to a write: {error:?}"),
            },
        };
        entries.push((key, told));
    }
    entries
}

async fn transaction(session: &Session, sql: &str) -> Result<(), tokio_postgres::Error> {
    let done = async {
        session.batch_execute("BEGIN").await?;
        session.batch_execute(sql).await?;
        session.batch_execute("COMMIT").await
    };
    let done = done.await;
    if done.is_err() {
        session.batch_execute("ROLLBACK").await.expect("a lost transaction can be ended");
    }
    done
}

async fn ledger(faults: &[&str]) {
    let setup = Setup::start(Options {
        synchronous: true,
        database: json!({"hold": {"timeout": "60s"}}),
        ..Options::default()
    })
    .await;
    setup.prepare("CREATE TABLE ledger (key text, node text)").await;
    let stop = Arc::new(AtomicBool::new(false));
    let sessions = setup.connect_many("writer", WRITERS).await;
    let writing: Vec<_> = sessions
        .into_iter()
        .enumerate()
        .map(|(number, session)| tokio::spawn(write(session, number, stop.clone())))
        .collect();
    let written = async |node: usize, more: i64| {
        let count =
            async || -> i64 { setup.direct(node, "SELECT count(*) FROM ledger").await.parse().unwrap() };
        let before = count().await;
        until("entries are written", PATIENCE, async || (count().await >= before + more).then_some(())).await;
    };
    let mut writer = 0;
    for (round, fault) in faults.iter().enumerate() {
        written(writer, 200).await;
        let (old, other) = (setup.cluster.node(writer), 1 - writer);
        match *fault {
            "kill" => old.kill(),
            "freeze" => old.freeze(),
            "cut" => old.cut(),
            _ => old.stop().await,
        }
        setup.cluster.node(other).promote().await;
        setup.writer_is(other).await;
        written(other, 20).await;
        if round + 1 < faults.len() {
            old.thaw();
            old.heal();
            old.rejoin(setup.cluster.node(other)).await;
            setup
                .cluster
                .node(other)
                .set("synchronous_standby_names", &format!("FIRST 1 ({})", old.name()))
                .await;
            until("commits wait for the standby again", PATIENCE, async || {
                let query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
                (setup.cluster.node(other).value(query).await == "1").then_some(())
            })
            .await;
        }
        writer = other;
    }
    stop.store(true, Ordering::Relaxed);
    let mut entries = Vec::new();
    for one in writing {
        entries.extend(one.await.unwrap());
    }
    let list = setup.direct(writer, "SELECT string_agg(key, ',') FROM ledger").await;
    let mut present: HashMap<&str, usize> = HashMap::new();
    for key in list.split(',') {
        *present.entry(key).or_default() += 1;
    }
    let of = |told: Told| entries.iter().filter(move |(_, other)| *other == told);
    let count = |told: Told| of(told).count();
    let found = |told: Told| of(told).filter(|(key, _)| present.contains_key(key.as_str())).count();
    println!(
        "{faults:?}: {} entries; {} committed, {} of them missing; {} lost, {} of them present; {} unknown, {} \
         of them present; {} doubled; {} commits resolved",
        entries.len(),
        count(Told::Committed),
        count(Told::Committed) - found(Told::Committed),
        count(Told::NotCommitted),
        found(Told::NotCommitted),
        count(Told::Unknown),
        found(Told::Unknown),
        present.values().filter(|count| **count > 1).count(),
        setup.figure("/counts/commits_resolved").await,
    );
    assert_eq!(found(Told::Committed), count(Told::Committed), "an acknowledged commit is missing");
    assert_eq!(found(Told::NotCommitted), 0, "a commit that was told as lost is there");
    assert!(present.values().all(|count| *count == 1), "a commit is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_right_after_every_fault() {
    ledger(&["kill", "freeze", "switchover", "cut"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "two minutes"]
async fn the_ledger_is_right_after_many_faults() {
    ledger(&["kill", "freeze", "switchover", "cut"].repeat(5)).await;
}
