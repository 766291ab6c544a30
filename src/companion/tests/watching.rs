//! What a database in every odd state means for readiness, roles and alerts.

mod scene;

use evenkeel_companion::alerts::{Active, Kind, Severity};
use evenkeel_companion::edges::{Breaker, RegionState};
use evenkeel_companion::readiness::Status;
use evenkeel_policy::database::{Role, Writer};
use evenkeel_policy::time::Millis;
use scene::Scene;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(15), "not within 15s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn active(scene: &Scene, kind: Kind) -> Option<Active> {
    scene.world.alerts.active().into_iter().find(|alert| alert.kind == kind)
}

async fn status_of(at: SocketAddr, path: &str) -> (u16, serde_json::Value) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_and_a_stale_one_are_alarms_until_they_are_gone() {
    let scene = Scene::begin("").await;
    until("the first writer was seen", async || (!scene.world.history.writers().is_empty()).then_some(()))
        .await;
    scene.database.change(|view| view.writer = Writer::Conflict { nodes: (0, 2), timeline: 3 });
    let alert = until("two writers", async || active(&scene, Kind::TwoWriters)).await;
    assert_eq!(alert.severity, Severity::Critical);
    assert!(
        alert.summary.contains("tw-a and jp-a") && alert.summary.contains("timeline 3"),
        "{}",
        alert.summary
    );
    scene.database.change(|view| {
        view.writer = Writer::Known { node: 2, timeline: 4 };
        view.highest_timeline = 4;
        (view.nodes[2].role, view.nodes[2].timeline) = (Some(Role::Writer), Some(4));
    });
    let alert = until("a stale writer", async || active(&scene, Kind::StaleWriter)).await;
    assert!(alert.summary.contains("tw-a claims to be the writer on timeline 3, but 4"), "{}", alert.summary);
    assert_eq!(active(&scene, Kind::TwoWriters), None);
    assert_eq!(scene.world.counters.writer_changes.get(), 1);
    let (status, body) = status_of(scene.public, "/primary").await;
    assert_eq!(
        (status, body["role"].as_str()),
        (503, Some("uninitialized")),
        "a node that is not believed is no primary"
    );
    scene
        .database
        .change(|view| (view.nodes[0].role, view.nodes[0].timeline) = (Some(Role::Replica), Some(4)));
    until("all is well", async || {
        scene.world.alerts.active().iter().all(|alert| alert.kind == Kind::ComponentDown).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_an_alert_after_so_many_periods_and_not_before() {
    let lag = "alerts: {replication_lag: {above: 5s, periods: 2, period: 2s}}\n";
    let scene = Scene::begin(lag).await;
    let began = Instant::now();
    scene.database.change(|view| view.nodes[2].lag = Some(Millis::new(7_500)));
    let alert = until("lag", async || active(&scene, Kind::ReplicationLag)).await;
    assert!(began.elapsed() >= Duration::from_secs(4), "two periods of 2s, but {:?}", began.elapsed());
    assert!(
        alert.summary.contains("jp-a replays 7s behind, above 5s for 2 periods of 2s"),
        "{}",
        alert.summary
    );
    scene.database.change(|view| view.nodes[2].lag = Some(Millis::new(10)));
    until("over", async || active(&scene, Kind::ReplicationLag).is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_node_in_any_role_is_enough_and_a_silent_one_is_not() {
    let scene = Scene::begin("components: {database: {timeout: 30s}}\n").await;
    let database = async || scene.world.readiness().await;
    assert_eq!(database().await.status, Status::Up);
    // The writer is gone and no other is known: shown, and no reason for a 503.
    scene.database.change(|view| {
        view.writer = Writer::None;
        view.nodes[0].reachable = false;
        view.nodes[0].error = Some("connection refused".to_owned());
    });
    let readiness = database().await;
    let component = &readiness.components["database"];
    let local = component.database.clone().unwrap();
    assert_eq!(
        (readiness.status, local.writer, local.node.as_deref()),
        (Status::Up, Status::Down, Some("tw-b"))
    );
    // The last local one is gone; Japan's does not count.
    scene.database.change(|view| view.nodes[1].reachable = false);
    let readiness = database().await;
    let error = readiness.components["database"].error.clone().unwrap();
    assert_eq!(readiness.status, Status::Down);
    assert!(error.contains("tw-a: connection refused") && !error.contains("jp-a"), "{error}");
    let (status, _) = status_of(scene.public, "/replica").await;
    assert_eq!(status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_judged_by_their_lag() {
    let scene = Scene::begin("").await;
    for (path, expected) in [
        ("/replica", 200),
        ("/replica?lag=1kB", 503),
        ("/replica?lag=10MB", 200),
        ("/replica?node=tw-b&lag=1280", 200),
        ("/replica?node=tw-b&lag=1279", 503),
        ("/replica?node=jp-a", 404),
        ("/primary", 200),
        ("/primary?node=tw-b", 503),
    ] {
        let (status, body) = status_of(scene.public, path).await;
        assert_eq!(status, expected, "{path}: {body}");
    }
    let (_, body) = status_of(scene.public, "/replica").await;
    assert_eq!(
        (&body["state"], &body["role"], &body["timeline"]),
        (&"running".into(), &"replica".into(), &3.into())
    );
    scene.database.change(|view| view.nodes[1].lag_bytes = None);
    assert_eq!(status_of(scene.public, "/replica?lag=10MB").await.0, 503, "what is not known is not near");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_region_eligible_is_told_by_the_edge_that_finds_none() {
    let scene = Scene::begin("").await;
    let out = RegionState { healthy: false, breaker: Breaker::Open, share: 0 };
    let mut post = scene.post("e1", out.clone(), Vec::new());
    post.regions.insert("taiwan".to_owned(), out);
    scene.world.edges.take(post, evenkeel_companion::clock::now()).unwrap();
    scene.world.news.notify_one();
    let alert = until("none eligible", async || active(&scene, Kind::AllRegionsUnhealthy)).await;
    assert!(alert.summary.contains("Edge e1 finds no region eligible"), "{}", alert.summary);
    let failovers = scene.world.alerts.active().iter().filter(|alert| alert.kind == Kind::Failover).count();
    assert_eq!(failovers, 2);
}
