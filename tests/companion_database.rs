//! The companion with a real PostgreSQL cluster: readiness, roles, orders, alerts, the way of a session.

use evenkeel_tests::postgres::{Cluster, ClusterOptions, PASSWORD, WATCHER};
use evenkeel_tests::{Companion, port::Port, until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Two nodes in Taiwan, the others in Japan.
fn settings(cluster: &Cluster, listener: SocketAddr) -> Value {
    let node = |(index, node): (usize, &evenkeel_tests::postgres::Node)| {
        let region = if index < 2 { "taiwan" } else { "japan" };
        json!({"name": node.name(), "region": region, "address": node.address().to_string()})
    };
    json!({
        "database": {
            "login": {"user": WATCHER},
            "nodes": cluster.nodes().iter().enumerate().map(node).collect::<Vec<_>>(),
            "credentials": "clients.yaml",
            "listeners": [{"name": "writer", "listen": listener.to_string(), "mode": "writer"}]
        }
    })
}

async fn companion(cluster: &Cluster, listener: SocketAddr) -> Companion {
    let folder = Companion::prepare();
    std::fs::write(
        folder.path().join("clients.yaml"),
        format!("users: [{{name: app, password: {PASSWORD}}}]\n"),
    )
    .unwrap();
    let companion = Companion::start_in(folder, settings(cluster, listener)).await;
    until("readiness is UP and the writer known", PATIENCE, async || {
        let (reply, body) = companion.readiness().await;
        (reply.status == 200 && body["components"]["database"]["writer"] == "UP").then_some(())
    })
    .await;
    companion
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_is_followed_told_and_shown_and_never_takes_the_region_out() {
    let cluster = Cluster::start(ClusterOptions::default()).await;
    let listener = Port::free();
    let companion = companion(&cluster, listener.address()).await;
    let (primary, standby) = (cluster.node(0).name().to_owned(), cluster.node(1).name().to_owned());

    assert_eq!(companion.get("/primary").await.status, 200);
    assert_eq!(companion.get(&format!("/primary?node={standby}")).await.status, 503);
    until("the local replica is near", PATIENCE, async || {
        (companion.get("/replica?lag=10MB").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(companion.get(&format!("/replica?node={primary}")).await.status, 503);
    assert_eq!(companion.get("/replica?lag=much").await.status, 400);
    assert_eq!(companion.get("/replica?node=mars").await.status, 404);
    let text = companion.command(&["db", "status"]);
    let table = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.status.success() && table.contains("writer") && !table.contains("!!"), "{table}");

    // The writer dies: its absence is shown, and is no reason for a 503 as long as a local node answers.
    cluster.node(0).kill();
    let begun = Instant::now();
    until("the missing writer is shown", PATIENCE, async || {
        let (reply, body) = companion.readiness().await;
        assert_eq!(reply.status, 200, "{body}");
        (body["components"]["database"]["writer"] == "DOWN").then_some(())
    })
    .await;
    println!("the missing writer was shown after {:?}", begun.elapsed());
    until("no writer is an alert", PATIENCE, async || alert(&companion, "no_writer").await.then_some(()))
        .await;
    let text = companion.command(&["db", "status"]);
    assert_eq!(text.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&text.stdout).starts_with("!! NO WRITER"), "{text:?}");

    cluster.promote(1).await;
    until("the new writer is shown", PATIENCE, async || {
        let database = companion.status().await["database"].clone();
        database["writer"].as_str().unwrap().starts_with(&standby).then_some(())
    })
    .await;
    until("the alert is over", PATIENCE, async || (!alert(&companion, "no_writer").await).then_some(()))
        .await;
    assert!(companion.log().contains(&format!("failover: the database's writer is {standby} now")));
    assert_eq!(companion.metric("evenkeel_db_writer_changes_total").await, Some(1.0));
    assert_eq!(role(&companion, "taiwan", &primary).await, Some(0.0));
    assert_eq!(role(&companion, "taiwan", &standby).await, Some(2.0));

    // The old one comes back as it was: it is not believed, and that is said loudly.
    cluster.node(0).start().await;
    until("the stale writer is an alert", PATIENCE, async || {
        alert(&companion, "stale_writer").await.then_some(())
    })
    .await;
    assert_eq!(role(&companion, "taiwan", &primary).await, Some(0.0));
    let text = companion.command(&["db", "status"]);
    let table = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(table.contains(&format!("!! STALE WRITER: {primary}")), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_reach_nodes_and_sessions() {
    let cluster = Cluster::start(ClusterOptions { standbys: 1, ..ClusterOptions::default() }).await;
    let listener = Port::free();
    let mut companion = companion(&cluster, listener.address()).await;
    let standby = cluster.node(1).name().to_owned();

    let refused = companion.command(&["db", "drain", "mars"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no such node") && said.contains(&standby), "{said}");
    assert!(companion.command(&["db", "drain", &standby]).status.success());
    until("a drained replica serves no reads", PATIENCE, async || {
        (companion.get("/replica").await.status == 503).then_some(())
    })
    .await;
    companion.signal(15);
    assert!(companion.ended().await.success());
    companion.restart().await;
    let drained = async || companion.status().await["database"]["nodes"][1]["drained"] == true;
    until("the order outlives a restart", PATIENCE, async || drained().await.then_some(())).await;
    assert!(companion.command(&["db", "undrain", &standby]).status.success());
    until("it is in use again", PATIENCE, async || (!drained().await).then_some(())).await;
    assert!(companion.command(&["db", "drain", &standby, "--for", "1s"]).status.success());
    until("a drain with an end ends by itself", PATIENCE, async || (!drained().await).then_some(())).await;

    // A paused session's statement waits, and goes on.
    let address = listener.address();
    let client = connect(address).await;
    client.batch_execute("SELECT 1").await.unwrap();
    assert!(companion.command(&["db", "pause"]).status.success());
    let waiting = tokio::spawn(async move {
        client.batch_execute("SELECT 2").await.unwrap();
        client
    });
    until("the statement is held", PATIENCE, async || {
        (companion.metric("evenkeel_db_sessions{listener=\"writer\",state=\"held\"}").await == Some(1.0))
            .then_some(())
    })
    .await;
    assert!(!waiting.is_finished());
    assert!(companion.command(&["db", "resume"]).status.success());
    let client = waiting.await.unwrap();

    // Shutdown waits for the session's transaction, and ends the session when that is over.
    client.batch_execute("BEGIN; SELECT 3").await.unwrap();
    companion.signal(15);
    until("readiness says so", PATIENCE, async || {
        (companion.readiness().await.0.status == 503).then_some(())
    })
    .await;
    client.batch_execute("COMMIT").await.expect("what was begun is finished");
    assert!(companion.ended().await.success());
}

async fn connect(address: SocketAddr) -> tokio_postgres::Client {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(address.port()).user("app").password(PASSWORD).dbname("app");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("a session");
    tokio::spawn(connection);
    client
}

async fn alert(companion: &Companion, kind: &str) -> bool {
    let alerts = companion.status().await["alerts"].clone();
    alerts.as_array().is_some_and(|alerts| alerts.iter().any(|alert| alert["kind"] == kind))
}

async fn role(companion: &Companion, region: &str, node: &str) -> Option<f64> {
    companion.metric(&format!("evenkeel_db_role{{region=\"{region}\",node=\"{node}\"}}")).await
}
