//! Which region a request goes to while all is well, and what a client may have a say in.

use evenkeel_tests::client::Connection;
use evenkeel_tests::port::Port;
use evenkeel_tests::{Answer, Edge, Region, Request, Topology, until};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn geo_follows_the_country_in_any_case_then_the_continent_then_the_default() {
    let (taiwan, japan, france) = (Region::start("taiwan"), Region::start("japan"), Region::start("france"));
    let topology = Topology::of(&[&taiwan, &japan, &france])
        .with_region("japan", json!({"continents": ["AS"]}))
        .with_region("france", json!({"continents": ["EU"], "weight": 0}))
        .with(json!({"routing": {"policy": "geo", "default": "local"}}));
    let mut edge = Edge::start(&topology).await;
    for (country, region) in [
        ("TW", "taiwan"),
        ("tw", "taiwan"),
        ("JP", "japan"),
        ("jP", "japan"),
        ("KR", "japan"),
        ("DE", "france"),
        ("fr", "france"),
        ("US", "taiwan"),
        ("", "taiwan"),
        ("T", "taiwan"),
        ("Taiwan", "taiwan"),
        ("??", "taiwan"),
    ] {
        assert_eq!(edge.region_of(country).await, region, "country {country:?}");
    }
    let reply = edge.send(Request::get().from("JP")).await;
    assert_eq!(reply.decision(), "region=japan reason=geo");
    let reply = edge.send(Request::get()).await;
    assert_eq!((reply.region(), reply.decision()), ("taiwan", "region=taiwan reason=local"));
    edge.assert_sound();
}

#[tokio::test]
async fn a_continent_header_serves_where_the_country_is_unknown() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with_region("japan", json!({"continents": ["EU"]}))
        .with(json!({"routing": {"default": "local", "continent_header": "x-continent"}}));
    let edge = Edge::start(&topology).await;
    for (header, region) in [("EU", "japan"), ("eu", "japan"), ("NA", "taiwan"), ("rubbish", "taiwan")] {
        let reply = edge.send(Request::get().header("x-continent", header)).await;
        assert_eq!(reply.region(), region, "continent {header}");
    }
}

#[tokio::test]
async fn weights_hold_within_two_points_over_ten_thousand_requests() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({"routing": {"policy": "weighted"}}));
    let edge = Edge::start(&topology).await;
    // Connections of their own, so that both workers take part; kept, so that this is quick.
    let mut connections = Vec::new();
    for _ in 0..10 {
        let connection = Connection::open(edge.address(), Ipv4Addr::LOCALHOST).await;
        connections.push(connection.expect("the edge accepts"));
    }
    for connection in &mut connections {
        for _ in 0..1_000 {
            let reply = connection.exchange(&Request::get().from("TW")).await.expect("an answer");
            assert_eq!(reply.status, 200);
        }
    }
    let share = taiwan.requests() as f64 / 100.0;
    println!("measured: taiwan {share:.2} % of 10,000 requests (60 wanted)");
    assert_eq!(taiwan.requests() + japan.requests(), 10_000);
    assert!((58.0..=62.0).contains(&share), "taiwan got {share} %");
    let counted = edge.metric("evenkeel_decisions_total", &[("reason", "weighted")]).await;
    assert_eq!(counted, Some(10_000.0), "each decision is counted once");
}

#[tokio::test]
async fn weight_zero_gets_nothing_until_nothing_else_is_left() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with_region("japan", json!({"weight": 0}))
        .with(json!({"routing": {"policy": "weighted"}}));
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    for _ in 0..200 {
        assert_eq!(edge.region_of("JP").await, "taiwan");
    }
    taiwan.kill();
    edge.until_metric("evenkeel_region_healthy", &[("region", "taiwan")], 0.0, SOON).await;
    until("japan serves", SOON, async || (edge.region_of("JP").await == "japan").then_some(())).await;
}

#[tokio::test]
async fn latency_prefers_the_clearly_nearer_region_and_changes_over() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(
        json!({"routing": {"policy": "latency"}, "health_check": {"timeout": "3s", "max_latency": "2s"}}),
    );
    taiwan.readiness(Answer::Slow(Duration::from_millis(250)));
    let mut edge = Edge::start(&topology).await;
    let chosen = async || edge.region_of("TW").await;
    until("japan, the nearer one, is chosen", SOON, async || (chosen().await == "japan").then_some(())).await;
    let reply = edge.send(Request::get()).await;
    assert_eq!(reply.decision(), "region=japan reason=latency");
    japan.readiness(Answer::Slow(Duration::from_millis(600)));
    until("taiwan is nearer now", SOON, async || (chosen().await == "taiwan").then_some(())).await;
    edge.assert_sound();
}

#[tokio::test]
async fn local_serves_everyone_until_it_cannot() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({"routing": {"policy": "local"}, "local_region": "japan"}));
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    for country in ["TW", "JP", "DE"] {
        assert_eq!(edge.region_of(country).await, "japan");
    }
    japan.kill();
    edge.until_metric("evenkeel_region_healthy", &[("region", "japan")], 0.0, SOON).await;
    let reply = edge.send(Request::get()).await;
    assert_eq!(reply.region(), "taiwan");
    assert!(
        reply.decision().starts_with("region=taiwan reason=failover from=japan cause="),
        "{}",
        reply.decision()
    );
}

/// Which region each of these requests goes to.
async fn assignment(edge: &Edge, requests: &BTreeMap<String, Request>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (key, request) in requests {
        let reply = edge.send(request.clone()).await;
        assert_eq!(reply.status, 200, "key {key}: {}", reply.text());
        found.insert(key.clone(), reply.region().to_owned());
    }
    found
}

/// The same key keeps its region; a region's loss moves only its own keys, over all that are left;
/// and when it is back, so are they.
async fn keys_keep_their_region(sticky: serde_json::Value, requests: BTreeMap<String, Request>) {
    let regions = [Region::start("taiwan"), Region::start("japan"), Region::start("france")];
    let [taiwan, japan, france] = &regions;
    let topology = Topology::of(&[taiwan, japan, france])
        .with(json!({"routing": {"policy": "weighted", "sticky": sticky}}));
    let mut edge = Edge::start(&topology).await.probed(&["taiwan", "japan", "france"]).await;
    let before = assignment(&edge, &requests).await;
    let used: BTreeSet<&String> = before.values().collect();
    assert_eq!(used.len(), 3, "every region has keys: {before:?}");
    assert_eq!(assignment(&edge, &requests).await, before, "the same key, the same region");

    japan.kill();
    edge.until_metric("evenkeel_region_healthy", &[("region", "japan")], 0.0, SOON).await;
    let without = assignment(&edge, &requests).await;
    let mut moved = BTreeSet::new();
    for (key, region) in &without {
        match before[key].as_str() {
            "japan" => {
                assert_ne!(region, "japan", "key {key} is still at the lost region");
                moved.insert(region);
            }
            own => assert_eq!(region, own, "key {key} had nothing to do with the lost region"),
        }
    }
    assert_eq!(moved.len(), 2, "the lost region's keys spread over both others: {moved:?}");

    japan.restore();
    edge.until_whole(&["japan"], SOON).await;
    assert_eq!(assignment(&edge, &requests).await, before, "all keys are back where they were");
    edge.assert_sound();
}

#[tokio::test]
async fn sticky_by_header() {
    let request = |key: String| (key.clone(), Request::get().header("x-user", key));
    let requests = (0..60).map(|number| request(format!("user-{number}"))).collect();
    keys_keep_their_region(json!({"source": "header", "name": "x-user", "seed": "tests"}), requests).await;
}

#[tokio::test]
async fn sticky_by_cookie() {
    let request =
        |key: String| (key.clone(), Request::get().header("cookie", format!("a=b; session={key}; c=d")));
    let requests = (0..60).map(|number| request(format!("s{number}"))).collect();
    keys_keep_their_region(json!({"source": "cookie", "name": "session", "seed": "tests"}), requests).await;
}

#[tokio::test]
async fn sticky_by_client_address() {
    let requests = (2..62).map(|last: u8| (last.to_string(), Request::get().source(last))).collect();
    keys_keep_their_region(json!({"source": "client_ip", "seed": "tests"}), requests).await;
}

#[tokio::test]
async fn without_the_key_a_sticky_edge_still_goes_by_weight() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let sticky = json!({"source": "header", "name": "x-user", "seed": "tests"});
    let topology =
        Topology::of(&[&taiwan, &japan]).with(json!({"routing": {"policy": "weighted", "sticky": sticky}}));
    let edge = Edge::start(&topology).await;
    for _ in 0..100 {
        edge.send(Request::get()).await;
    }
    assert!((35..=85).contains(&taiwan.requests()), "taiwan got {} of 100", taiwan.requests());
}

#[tokio::test]
async fn only_trusted_proxies_name_the_country() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({"routing": {"default": "local"}, "trusted_proxies": ["127.0.0.9", "10.0.0.0/8"]}));
    let edge = Edge::start(&topology).await;
    let from = |last: u8| Request::get().from("JP").source(last);
    assert_eq!(edge.send(from(9)).await.region(), "japan", "the trusted proxy's word counts");
    assert_eq!(edge.send(from(8)).await.region(), "taiwan", "a stranger's does not");
    // What a client writes into x-forwarded-for changes neither.
    let posing = from(8).header("x-forwarded-for", "127.0.0.9");
    assert_eq!(edge.send(posing).await.region(), "taiwan", "a stranger poses as the proxy");
    let real = from(9).header("x-forwarded-for", "203.0.113.7");
    assert_eq!(edge.send(real).await.region(), "japan", "the proxy speaks for a client");
}

#[tokio::test]
async fn the_decision_is_shown_only_where_it_is_asked_for() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({"debug_header": false}));
    let edge = Edge::start(&topology).await;
    let reply = edge.send(Request::get().from("JP")).await;
    assert_eq!((reply.region(), reply.header("x-evenkeel-decision")), ("japan", None));
    // The region is told its place in the order all the same.
    let received = japan.received_at("/").expect("the request");
    assert_eq!(received.header("x-evenkeel-region").as_deref(), Some("japan"));
    assert_eq!(received.header("x-evenkeel-fallback").as_deref(), Some("taiwan"));
}

/// Two edges, each with its own region behind it; what they share and where each stands.
struct TwoEdges {
    taiwan: Region,
    japan: Region,
    at_taiwan: Edge,
    at_japan: Edge,
}

const SECRET: &str = "a secret of the edges, 0123456789";

impl TwoEdges {
    async fn start() -> Self {
        let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
        let (listen_taiwan, listen_japan) = (Port::free(), Port::free());
        let topology = Topology::of(&[&taiwan, &japan])
            .with(json!({"hop": {"secret": SECRET}, "routing": {"default": "local"}}))
            .with_region(
                "taiwan",
                json!({
                    "edge_address": listen_taiwan.address().to_string(),
                    "readiness": {"address": taiwan.address().to_string()}
                }),
            )
            .with_region(
                "japan",
                json!({
                    "edge_address": listen_japan.address().to_string(),
                    "readiness": {"address": japan.address().to_string()}
                }),
            );
        let here = |region: &str, listen: &Port| {
            topology
                .clone()
                .with(json!({"local_region": region, "edge": {"listen": listen.address().to_string()}}))
        };
        let at_taiwan = Edge::start(&here("taiwan", &listen_taiwan)).await;
        let at_japan = Edge::start(&here("japan", &listen_japan)).await;
        TwoEdges { taiwan, japan, at_taiwan, at_japan }
    }
}

#[tokio::test]
async fn a_request_crosses_to_the_other_edge_once_and_its_mark_stays_between_edges() {
    let two = TwoEdges::start().await;
    let reply = two.at_taiwan.send(Request::get().from("JP").path("/crossing")).await;
    assert_eq!((reply.status, reply.region()), (200, "japan"));
    let hops = async |edge: &Edge| edge.metric("evenkeel_decisions_total", &[("reason", "hop")]).await;
    assert_eq!(hops(&two.at_japan).await, Some(1.0), "the other edge does not decide again");
    assert_eq!(hops(&two.at_taiwan).await, Some(0.0));

    let received = two.japan.received_at("/crossing").expect("the request");
    for (name, value) in &received.headers {
        let value = String::from_utf8_lossy(value);
        assert!(!value.contains(SECRET), "the application sees the edges' secret in {name}");
        assert_ne!(name, "x-evenkeel-hop", "the application sees the edges' mark");
    }

    // A marked request is not sent on, even from a country that another region claims.
    let marked = |region: &str, secret: &str| {
        Request::post().from("TW").header("x-evenkeel-hop", region).header("x-evenkeel-hop-secret", secret)
    };
    let reply = two.at_japan.send(marked("taiwan", SECRET)).await;
    assert_eq!((reply.status, reply.region()), (200, "japan"), "{}", reply.decision());
    // It came round: refused.
    let reply = two.at_japan.send(marked("japan", SECRET)).await;
    assert_eq!((reply.status, reply.region()), (508, ""), "{}", reply.text());
    // A forged mark has no effect at all: the country decides.
    for forged in ["", "wrong", &SECRET[1..], &format!("{SECRET}x")] {
        for region in ["taiwan", "japan"] {
            let reply = two.at_japan.send(marked(region, forged).path("/forged")).await;
            assert_eq!((reply.status, reply.region()), (200, "taiwan"), "secret {forged:?}");
        }
    }
    let received = two.taiwan.received_at("/forged").expect("the request");
    assert_eq!(received.header("x-evenkeel-hop"), None, "a forged mark goes no further");
    assert_eq!(received.header("x-evenkeel-hop-secret"), None);
}

#[tokio::test]
async fn edges_that_lead_in_a_circle_end_in_508_and_a_get_is_still_answered() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let listen = Port::free();
    // The mistake: what should be japan's edge is this very edge.
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({"hop": {"secret": SECRET}, "edge": {"listen": listen.address().to_string()}}))
        .with_region(
            "japan",
            json!({
                "edge_address": listen.address().to_string(),
                "readiness": {"address": japan.address().to_string()}
            }),
        );
    let edge = Edge::start(&topology).await;
    let reply = edge.send(Request::post().from("JP")).await;
    assert_eq!((reply.status, japan.requests()), (508, 0), "{}", reply.text());
    let reply = edge.send(Request::get().from("JP")).await;
    assert_eq!((reply.status, reply.region()), (200, "taiwan"), "the retry goes to the region that is left");
}
