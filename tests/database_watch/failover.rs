//! The writer goes away in every way there is, and another takes its place.

use super::*;

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
async fn a_slow_network_is_no_reason_to_drop_a_writer() {
    let cluster = cluster(1).await;
    let watch = settled(settings(&cluster)).await;
    // Longer than the time between two probes, shorter than a probe may take.
    cluster.node(0).slow(Duration::from_millis(150));
    throughout("the writer stays", Duration::from_secs(2), async || watch.view().generation == 1).await;
    let ready = cluster.node(1).promote().await.1;
    let found = seen(&watch, "the new writer", |view| view.writer == known(1, 2)).await;
    let found = found.saturating_duration_since(ready);
    println!("beside a slow one: {found:?} after it was ready");
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
