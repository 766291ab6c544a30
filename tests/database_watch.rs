//! The watcher on real PostgreSQL clusters: killed, frozen, cut off, promoted.

use evenkeel_config::database::{Engine, Login, Node};
use evenkeel_database::watch::{Fate, Settings, Statements, Watch};
use evenkeel_policy::database::{Event, Lsn, Rules, View, Writer, reader};
use evenkeel_policy::time::Millis;
use evenkeel_tests::postgres::{Cluster, ClusterOptions, PASSWORD, WATCHER};
use evenkeel_tests::{until, wait::throughout};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

const RULES: Rules = Rules {
    unhealthy_threshold: 2,
    healthy_threshold: 2,
    interval: Millis::new(200),
    interval_without_writer: Millis::new(50),
    max_replica_lag: Millis::new(1000),
    max_replica_lag_bytes: None,
};

fn settings(cluster: &Cluster) -> Settings {
    let node = |node: &evenkeel_tests::postgres::Node| Node {
        name: node.name().to_owned(),
        region: "taiwan".to_owned(),
        address: node.address().to_string().parse().expect("an address"),
        patroni: None,
    };
    Settings {
        engine: Engine::Postgresql,
        nodes: cluster.nodes().iter().map(node).collect(),
        login: Login { user: WATCHER.to_owned(), password_file: None, database: "postgres".to_owned() },
        rules: RULES,
        timeout: Duration::from_secs(1),
        tls: None,
        data_dir: None,
    }
}

async fn cluster(standbys: usize) -> Cluster {
    Cluster::start(ClusterOptions { standbys, synchronous: false, ..ClusterOptions::default() }).await
}

/// A watcher that knows the writer and has heard of all nodes.
async fn settled(settings: Settings) -> Watch {
    let watch = Watch::start(settings).expect("nothing is remembered");
    seen(&watch, "all nodes and a writer", |view| {
        view.writer().is_some() && view.nodes.iter().all(|node| node.reachable)
    })
    .await;
    watch
}

/// Waits for a view, and gives the moment at which it was published.
async fn seen(watch: &Watch, what: &str, mut fits: impl FnMut(&View) -> bool) -> Instant {
    let mut changes = watch.subscribe();
    let fitting = tokio::time::timeout(SOON, changes.wait_for(|view| fits(view))).await;
    assert!(fitting.is_ok(), "not within {SOON:?}: {what}; now {:#?}", watch.view());
    Instant::now()
}

fn known(node: usize, timeline: u32) -> Writer {
    Writer::Known { node, timeline }
}

/// Strikes the writer, promotes node 1, and prints how long each was seen after it happened.
async fn follow(what: &str, within: Duration, strike: impl FnOnce(&Cluster)) -> (Cluster, Watch) {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    let struck = Instant::now();
    strike(&cluster);
    let lost = seen(&watch, "no writer", |view| view.writer == Writer::None).await - struck;
    let ready = cluster.node(1).promote().await.1;
    let found = seen(&watch, "the new writer", |view| view.writer == known(1, 2)).await;
    let found = found.saturating_duration_since(ready);
    println!("{what}: no writer after {lost:?}, the new one {found:?} after it was ready");
    assert!(lost < within, "{what}: {lost:?}");
    assert!(found < Duration::from_millis(500), "{what}: {found:?}");
    assert_eq!(watch.view().generation, 3);
    (cluster, watch)
}

#[tokio::test]
async fn a_killed_writer_is_missed_at_once_and_its_successor_followed() {
    follow("killed", Duration::from_secs(1), |cluster| cluster.node(0).kill()).await;
}

#[tokio::test]
async fn a_writer_that_is_cut_off_is_missed_at_once_and_its_successor_followed() {
    follow("cut off", Duration::from_secs(1), |cluster| cluster.node(0).cut()).await;
}

#[tokio::test]
async fn a_writer_in_a_black_hole_is_missed_and_its_successor_followed() {
    follow("black hole", Duration::from_secs(5), |cluster| cluster.node(0).blackhole()).await;
}

#[tokio::test]
async fn a_frozen_writer_is_missed_and_when_it_thaws_it_is_stale() {
    let (cluster, watch) = follow("frozen", Duration::from_secs(5), |cluster| cluster.node(0).freeze()).await;
    cluster.node(0).thaw();
    until("the old writer is told of as stale", SOON, async || {
        let stale = |event: &Event| *event == Event::Stale { node: 0, timeline: 1 };
        watch.recent().iter().any(|notice| stale(&notice.event)).then_some(())
    })
    .await;
    assert_eq!(cluster.node(0).value("SELECT pg_is_in_recovery()").await, "f", "two primaries live");
    throughout("the new writer stays", Duration::from_secs(1), async || watch.view().writer == known(1, 2))
        .await;
    cluster.node(1).kill();
    seen(&watch, "no writer", |view| view.writer == Writer::None).await;
    throughout("the old one never writes again", Duration::from_secs(1), async || {
        watch.view().writer == Writer::None
    })
    .await;
}

#[tokio::test]
async fn a_new_writer_is_followed_while_the_old_one_lives() {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    let ready = cluster.node(1).promote().await.1;
    let found = seen(&watch, "the new writer", |view| view.writer == known(1, 2)).await;
    println!("beside a living one: {:?} after it was ready", found.saturating_duration_since(ready));
    assert_eq!(watch.view().generation, 2);
    let words: Vec<String> = watch.recent().iter().map(|notice| notice.words.clone()).collect();
    assert!(words.contains(&"the writer is node1 on timeline 2; it was node0".to_owned()), "{words:?}");
}

#[tokio::test]
async fn a_writer_that_merely_was_away_is_writer_again() {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    cluster.node(0).cut();
    seen(&watch, "no writer", |view| view.writer == Writer::None).await;
    let local = |node| reader(&watch.view(), &RULES, |local| local == node, 0);
    assert_eq!(local(1), Some(1), "reads go on");
    cluster.node(0).heal();
    seen(&watch, "the same writer", |view| view.writer == known(0, 1)).await;
    assert_eq!(watch.view().generation, 3);
}

#[tokio::test]
async fn a_probes_session_that_an_administrator_ends_is_no_lost_node() {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    let before = watch.view().nodes[0].sampled_at;
    let ended = cluster.node(0).value("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'evenkeel watch'").await;
    assert_ne!(ended, "0");
    until("the next probes", SOON, async || (watch.view().nodes[0].sampled_at > before).then_some(())).await;
    assert_eq!((watch.view().writer, watch.view().generation), (known(0, 1), 1));
}

#[tokio::test]
async fn a_lost_standby_serves_no_reads_until_it_is_back() {
    let cluster = cluster(2).await;
    let watch = settled(settings(&cluster)).await;
    let choice = || reader(&watch.view(), &RULES, |node| node == 1, 0);
    until("the standby's lag is known", SOON, async || (choice() == Some(1)).then_some(())).await;
    cluster.node(1).kill();
    seen(&watch, "the standby is missed", |view| !view.nodes[1].reachable).await;
    assert_eq!(choice(), Some(2));
    assert!(watch.view().nodes[1].error.is_some());
    cluster.node(1).start().await;
    seen(&watch, "the standby is back", |view| view.nodes[1].reachable).await;
    watch.set_drained(1, true);
    assert_eq!((watch.view().nodes[1].drained, choice()), (true, Some(2)));
    watch.set_drained(1, false);
    assert_eq!(choice(), Some(1));
    assert_eq!(watch.view().generation, 1);
}

#[tokio::test]
async fn two_writers_on_one_timeline_get_no_writes() {
    let cluster = cluster(2).await;
    let watch = settled(settings(&cluster)).await;
    // What an operator's mistake does: a standby started as if it were none.
    let wrong = cluster.node(2);
    wrong.stop().await;
    std::fs::remove_file(wrong.folder().join("standby.signal")).expect("it was a standby");
    wrong.start().await;
    let conflict = Writer::Conflict { nodes: (0, 2), timeline: 1 };
    seen(&watch, "two writers", |view| view.writer == conflict).await;
    assert_eq!(watch.view().writer(), None);
    assert_eq!(watch.writer_position().await, None);
    assert!(
        watch.recent().iter().any(|notice| notice.words.contains("node0 and node2 both write on timeline 1"))
    );
    wrong.kill();
    seen(&watch, "the one that is left", |view| view.writer == known(0, 1)).await;
}

#[tokio::test]
async fn a_restarted_watcher_refuses_the_primary_that_was_replaced() {
    let cluster = cluster(1).await;
    let data = tempfile::tempdir().expect("a folder");
    let remembering = || Settings { data_dir: Some(data.path().to_owned()), ..settings(&cluster) };
    let watch = settled(remembering()).await;
    cluster.node(0).kill();
    cluster.node(1).promote().await;
    seen(&watch, "the new writer", |view| view.writer == known(1, 2)).await;
    drop(watch);
    let file = std::fs::read_to_string(data.path().join("highest-timeline.json")).expect("it was written");
    let system = cluster.node(1).value("SELECT system_identifier FROM pg_control_system()").await;
    assert_eq!(file, format!(r#"{{"version":1,"timelines":{{"{system}":2}}}}"#));
    cluster.node(1).kill();
    cluster.node(0).start().await;
    let watch = Watch::start(remembering()).expect("the file is whole");
    seen(&watch, "the old primary", |view| view.nodes[0].reachable).await;
    throughout("it gets no writes", Duration::from_secs(1), async || watch.view().writer == Writer::None)
        .await;
    assert_eq!(watch.view().highest_timeline, 2);
    std::fs::write(data.path().join("highest-timeline.json"), "{").expect("the folder can be written");
    let error = Watch::start(remembering()).expect_err("a damaged file is not obeyed").to_string();
    assert!(error.contains("highest-timeline.json") && error.contains("remove the file"), "{error}");
}

#[tokio::test]
async fn a_node_of_another_database_is_refused() {
    let unrelated =
        ClusterOptions { standbys: 0, synchronous: false, unrelated: true, ..ClusterOptions::default() };
    let (ours, theirs) = tokio::join!(cluster(0), Cluster::start(unrelated));
    let mut mixed = settings(&ours);
    mixed.rules.unhealthy_threshold = 1;
    let watch = settled(mixed.clone()).await;
    mixed
        .nodes
        .extend(settings(&theirs).nodes.into_iter().map(|node| Node { name: "other".to_owned(), ..node }));
    watch.reconfigure(mixed);
    until("it is told of", SOON, async || {
        watch.view().nodes.get(1)?.error.as_deref()?.contains("another database").then_some(())
    })
    .await;
    assert_eq!((watch.view().writer, watch.view().nodes[1].reachable), (known(0, 1), false));
}

#[tokio::test]
async fn a_replica_that_is_late_is_told_and_waited_for() {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    let (primary, standby) = (cluster.node(0), cluster.node(1));
    standby.set("recovery_min_apply_delay", "1h").await;
    until("the delay is in force", SOON, async || {
        (standby.value("SHOW recovery_min_apply_delay").await == "1h").then_some(())
    })
    .await;
    // Only commits are delayed.
    primary.sql("CREATE TABLE late AS SELECT generate_series(1, 1000) AS row").await;
    let (generation, lsn) = watch.writer_position().await.expect("the writer answers");
    let span = Duration::from_millis(100);
    assert!(!watch.replayed(1, generation, lsn, span).await, "it has not");
    assert!(watch.replayed(0, generation, lsn, span).await, "the writer itself always has");
    assert!(!watch.replayed(1, generation + 1, lsn, span).await, "nobody knows that generation");
    until("it is too late for reads", SOON, async || {
        let node = watch.view().nodes[1].clone();
        (node.lag > Some(RULES.max_replica_lag) && node.lag_bytes > Some(0)).then_some(())
    })
    .await;
    assert_eq!(reader(&watch.view(), &RULES, |node| node == 1, 0), Some(0));
    until("its history shows it", SOON, async || {
        watch.history(1).iter().any(|point| point.lag > Some(Millis::ZERO)).then_some(())
    })
    .await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let watch = watch.clone();
            tokio::spawn(async move { watch.replayed(1, generation, lsn, SOON).await })
        })
        .collect();
    standby.set("recovery_min_apply_delay", "0").await;
    for wait in waiting {
        assert!(wait.await.expect("no panic"), "it has caught up");
    }
    until("it may be read again", SOON, async || {
        (reader(&watch.view(), &RULES, |node| node == 1, 0) == Some(1)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_writers_position_is_never_one_from_before_the_question() {
    let cluster = cluster(0).await;
    let watch = settled(settings(&cluster)).await;
    cluster.node(0).sql("CREATE TABLE t (row int)").await;
    for _ in 0..20 {
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let watch = watch.clone();
                tokio::spawn(async move { watch.writer_position().await })
            })
            .collect();
        let rows = cluster.node(0).sql("INSERT INTO t VALUES (1); SELECT pg_current_wal_lsn()").await;
        let written = Lsn::parse(rows[0][0].as_deref().expect("a position")).expect("a position");
        let (generation, lsn) = watch.writer_position().await.expect("the writer answers");
        assert!(lsn >= written, "{lsn} {written}");
        assert_eq!(generation, 1);
        for each in asked {
            assert!(each.await.expect("no panic").is_some());
        }
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'evenkeel watch'";
    assert_eq!(cluster.node(0).value(sessions).await, "2", "one that probes and one that asks");
    cluster.node(0).kill();
    assert_eq!(watch.writer_position().await, None);
}

/// The number of a transaction that was committed or rolled back on a node.
async fn transaction(cluster: &Cluster, node: usize, end: &str) -> u64 {
    let sql = format!("BEGIN; INSERT INTO ledger VALUES (1); SELECT pg_current_xact_id(); {end}");
    cluster.node(node).sql(&sql).await[0][0].as_deref().expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn a_transactions_fate_is_told_only_where_it_is_certain() {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    cluster.node(0).sql("CREATE TABLE ledger (row int)").await;
    let (committed, aborted) =
        (transaction(&cluster, 0, "COMMIT").await, transaction(&cluster, 0, "ROLLBACK").await);
    let next = transaction(&cluster, 0, "COMMIT").await;
    assert_eq!(watch.fate(1, committed).await, Fate::Committed, "the same writer, never restarted");
    assert_eq!(watch.fate(1, aborted).await, Fate::Aborted);
    assert_eq!(watch.fate(1, next + 1000).await, Fate::Unknown, "a number from the future");
    assert_eq!(watch.fate(7, committed).await, Fate::Unknown, "a generation that never was");
    cluster.replayed(0).await;
    let at = watch.now();
    until("the standby is probed after that", SOON, async || {
        watch.view().nodes[1].sampled_at.filter(|sampled| *sampled > at)
    })
    .await;
    cluster.node(0).kill();
    seen(&watch, "no writer", |view| view.writer == Writer::None).await;
    assert_eq!(watch.fate(1, committed).await, Fate::Unknown, "there is nobody to ask");
    cluster.node(1).promote().await;
    seen(&watch, "the new writer", |view| view.writer == known(1, 2)).await;
    // Numbers that the old writer may have used and the new one certainly does.
    let reused = transaction(&cluster, 1, "COMMIT").await;
    assert_eq!(watch.fate(1, committed).await, Fate::Committed);
    assert_eq!(watch.fate(1, aborted).await, Fate::Aborted);
    assert_eq!(watch.fate(1, reused).await, Fate::Unknown, "committed, but by whom?");
    assert_eq!(watch.fate(3, reused).await, Fate::Committed, "by the new writer");
    assert!(
        !watch.replayed(1, 1, Lsn(1), Duration::from_millis(50)).await,
        "positions from before mean nothing"
    );
}

#[tokio::test]
async fn after_a_crash_of_the_writer_no_fate_is_certain() {
    let cluster = cluster(0).await;
    let watch = settled(settings(&cluster)).await;
    cluster.node(0).sql("CREATE TABLE ledger (row int)").await;
    let committed = transaction(&cluster, 0, "COMMIT").await;
    cluster.node(0).kill();
    seen(&watch, "no writer", |view| view.writer == Writer::None).await;
    cluster.node(0).start().await;
    seen(&watch, "the writer is back", |view| view.writer == known(0, 1)).await;
    assert_eq!(watch.fate(1, committed).await, Fate::Unknown, "numbers may be given out anew");
}

#[tokio::test]
async fn nodes_tell_their_own_statistics() {
    let settings_of = |cluster: &Cluster| Settings { timeout: Duration::from_secs(5), ..settings(cluster) };
    let preload = vec![("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned())];
    let options =
        ClusterOptions { standbys: 0, synchronous: false, settings: preload, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await;
    let watch = settled(settings_of(&cluster)).await;
    let vitals = until("statistics", SOON, async || watch.vitals(0)).await;
    assert_eq!((vitals.max_connections, &vitals.statements), (100, &Statements::NotInstalled));
    assert!(vitals.connections >= 1 && vitals.active >= 1 && vitals.size > Some(1_000_000), "{vitals:?}");
    drop(watch);
    cluster.node(0).sql("CREATE EXTENSION pg_stat_statements").await;
    cluster.node(0).sql("SELECT pg_sleep(1.1)").await;
    let watch = settled(settings_of(&cluster)).await;
    let vitals = until("statistics", SOON, async || watch.vitals(0)).await;
    let Statements::Counted { slow, slowest } = vitals.statements else { panic!("{vitals:?}") };
    assert!(slow == 1 && slowest > Duration::from_secs(1), "{slow} {slowest:?}");
}

#[tokio::test]
async fn a_password_is_read_at_each_log_in() {
    let options =
        ClusterOptions { standbys: 0, synchronous: false, scram: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    let mut settings = settings(&cluster);
    settings.login.password_file = Some(file.clone());
    let watch = Watch::start(settings).expect("nothing is remembered");
    let error = |part: &'static str| {
        let watch = &watch;
        async move {
            until(part, SOON, async || watch.view().nodes[0].error.as_deref()?.contains(part).then_some(()))
                .await;
        }
    };
    error("password_file").await;
    std::fs::write(&file, "wrong").expect("the folder can be written");
    error("28P01").await;
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("the folder can be written");
    seen(&watch, "the writer", |view| view.writer == known(0, 1)).await;
}

#[tokio::test]
async fn a_reload_adds_and_removes_nodes_and_leaves_the_others_alone() {
    let cluster = cluster(2).await;
    let all = settings(&cluster);
    let mut two = all.clone();
    two.nodes.pop();
    let watch = settled(two.clone()).await;
    let sessions = "SELECT pid FROM pg_stat_activity WHERE application_name = 'evenkeel watch'";
    let before = cluster.node(0).sql(sessions).await;
    let mut reversed = all.clone();
    reversed.nodes.reverse();
    watch.reconfigure(reversed);
    seen(&watch, "all three", |view| view.nodes.len() == 3 && view.nodes.iter().all(|node| node.reachable))
        .await;
    assert_eq!((watch.view().writer, watch.nodes()[2].name.as_str()), (known(2, 1), "node0"));
    watch.reconfigure(two);
    seen(&watch, "two", |view| view.nodes.len() == 2 && view.writer == known(0, 1)).await;
    assert_eq!(cluster.node(0).sql(sessions).await, before, "its session has lasted");
    until("the third's session is closed", SOON, async || {
        cluster.node(2).sql(sessions).await.is_empty().then_some(())
    })
    .await;
    watch.shutdown().await;
    until("all sessions are closed", SOON, async || {
        cluster.node(0).sql(sessions).await.is_empty().then_some(())
    })
    .await;
}

/// Aurora's status functions as SQL functions, told by a table which instance writes.
const AURORA: &str = "
CREATE TABLE instances (server_id text PRIMARY KEY, aws_region text, writes bool, storage_lag int, own_lag int);
INSERT INTO instances VALUES ('node0', 'ap-east-2', true, -1, NULL), ('node1', 'ap-northeast-1', false, 70, 30);
GRANT SELECT ON instances TO PUBLIC;
CREATE FUNCTION aurora_db_instance_identifier() RETURNS text LANGUAGE sql AS
  $$ SELECT current_setting('cluster_name') $$;
CREATE FUNCTION aurora_replica_status() RETURNS TABLE (server_id text, session_id text, durable_lsn bigint,
    highest_lsn_rcvd bigint, current_read_lsn bigint, replica_lag_in_msec float8) LANGUAGE sql AS
  $$ SELECT server_id, CASE WHEN writes THEN 'MASTER_SESSION_ID' ELSE md5(server_id) END, at, at, at, own_lag
       FROM instances,
            (SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
                      - '0/0')::bigint AS at) AS position $$;";

const AURORA_GLOBAL: &str = "
CREATE FUNCTION aurora_global_db_instance_status() RETURNS TABLE (server_id text, session_id text,
    aws_region text, visibility_lag_in_msec float8) LANGUAGE sql AS
  $$ SELECT server_id, CASE WHEN writes THEN 'MASTER_SESSION_ID' ELSE md5(server_id) END, aws_region, own_lag
       FROM instances $$;
CREATE FUNCTION aurora_global_db_status() RETURNS TABLE (aws_region text, durability_lag_in_msec float8)
  LANGUAGE sql AS $$ SELECT aws_region, storage_lag FROM instances $$;";

#[tokio::test]
async fn aurora_is_followed_by_what_its_functions_say() {
    let cluster = cluster(1).await;
    cluster.node(0).sql(AURORA).await;
    cluster.replayed(0).await;
    let aurora = || Settings { engine: Engine::Aurora, ..settings(&cluster) };
    let lag = async |watch: &Watch, ms| {
        until("the lag that it tells", SOON, async || {
            (watch.view().nodes[1].lag == Some(Millis::new(ms))).then_some(())
        })
        .await;
    };
    let watch = settled(aurora()).await;
    lag(&watch, 30).await;
    drop(watch);
    cluster.node(0).sql(AURORA_GLOBAL).await;
    cluster.replayed(0).await;
    let watch = settled(aurora()).await;
    lag(&watch, 100).await;
    assert_eq!((watch.view().writer, watch.view().generation), (known(0, 1), 1));
    cluster.node(0).sql("CREATE TABLE ledger (row int)").await;
    let (generation, lsn) = watch.writer_position().await.expect("the writer answers");
    assert!(watch.replayed(1, generation, lsn, SOON).await);
    cluster.node(0).kill();
    seen(&watch, "no writer", |view| view.writer == Writer::None).await;
    cluster.node(1).promote().await;
    throughout("PostgreSQL's word alone makes no writer", Duration::from_millis(300), async || {
        watch.view().writer == Writer::None
    })
    .await;
    cluster.node(1).sql("UPDATE instances SET writes = server_id = 'node1'").await;
    seen(&watch, "the new writer", |view| view.writer == known(1, 1)).await;
    assert_eq!(watch.view().generation, 3);
}
