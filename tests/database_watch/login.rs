//! Statistics, passwords, TLS, reload.

use super::*;

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
async fn nodes_are_watched_over_tls_and_their_certificates_verified() {
    let options = ClusterOptions { standbys: 0, synchronous: false, tls: true, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await;
    let tls = |certificate: &std::path::Path, name: &str| {
        let config = NodeTls { ca: Some(certificate.to_owned()), server_name: Some(name.to_owned()) };
        let client = NodeSide::load(&config).expect("a certificate").client().clone();
        Settings { tls: Some(Tls { client, server_name: config.server_name }), ..settings(&cluster) }
    };
    let watch = settled(tls(&cluster.certificate(), "127.0.0.1")).await;
    let sessions = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'evenkeel watch'";
    assert_eq!(cluster.node(0).value(sessions).await, "1");
    let other = Cluster::start(ClusterOptions {
        standbys: 0,
        synchronous: false,
        tls: true,
        ..ClusterOptions::default()
    })
    .await;
    for wrong in [tls(&cluster.certificate(), "db.example.com"), tls(&other.certificate(), "127.0.0.1")] {
        watch.reconfigure(wrong);
        seen(&watch, "the certificate is refused", |view| view.writer == Writer::None).await;
        let error = watch.view().nodes[0].error.clone().unwrap_or_default();
        assert!(error.contains("certificate"), "{error}");
        watch.reconfigure(tls(&cluster.certificate(), "127.0.0.1"));
        seen(&watch, "the right one is taken", |view| view.writer() == Some(0)).await;
    }
    cluster.node(0).set("ssl", "off").await;
    watch.reconfigure(tls(&cluster.certificate(), "127.0.0.1"));
    seen(&watch, "a node without TLS is refused", |view| view.writer == Writer::None).await;
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
