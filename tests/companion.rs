//! The companion with real parts: Redis, Kafka and an application that are killed, frozen and cut off.

use evenkeel_tests::companion::{TOKEN, merged};
use evenkeel_tests::kafka::kafka;
use evenkeel_tests::redis::redis;
use evenkeel_tests::{Answer, Companion, Edge, Region, Reply, Request, Server, Topology, until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// From a component's return to readiness that says so: a second of cache, its time-out, and room for a
/// busy machine.
const BACK: Duration = Duration::from_secs(15);

fn redis_at(server: &Server) -> Value {
    json!({"components": {"redis": {"url": format!("redis://{}/0", server.address())}}})
}

/// Asks until the component is as expected; the last answer's own duration is given back with it.
async fn component(companion: &Companion, name: &str, status: &str, within: Duration) -> (Value, Duration) {
    until(&format!("{name} is {status}"), within, async || {
        let (reply, body) = companion.readiness().await;
        let component = body["components"][name].clone();
        assert_eq!(reply.status == 200, body["status"] == "UP", "{body}");
        (component["status"] == status).then_some((component, reply.took))
    })
    .await
}

/// Breaks a component in one way and mends it: readiness tells within the promised time, with a reason,
/// and no answer takes longer than the component's time-out.
async fn breaks_and_returns(
    companion: &Companion,
    name: &str,
    timeout: Duration,
    mut act: impl AsyncFnMut(bool),
) -> String {
    component(companion, name, "UP", BACK).await;
    act(true).await;
    let begun = Instant::now();
    let (down, took) = component(companion, name, "DOWN", BACK).await;
    // A result that was just found counts for a second; then one check.
    let promised = Duration::from_secs(1) + timeout + Duration::from_millis(500);
    assert!(begun.elapsed() < promised, "{name}: known after {:?}", begun.elapsed());
    assert!(took < timeout + Duration::from_millis(300), "{name}: an answer took {took:?}");
    let reason = down["error"].as_str().expect("a reason in words").to_owned();
    act(false).await;
    component(companion, name, "UP", BACK).await;
    reason
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_told_down_when_killed_frozen_or_cut_off_and_up_when_back() {
    let mut server = redis(None).await;
    let companion = Companion::start(redis_at(&server)).await;
    let second = Duration::from_secs(1);
    let killed = breaks_and_returns(&companion, "redis", second, async |broken| {
        if broken { server.kill() } else { server.restore().await }
    })
    .await;
    assert!(!killed.contains("within"), "a killed Redis is told at once: {killed}");
    let frozen =
        breaks_and_returns(
            &companion,
            "redis",
            second,
            async |broken| {
                if broken { server.freeze() } else { server.thaw() }
            },
        )
        .await;
    let cut = breaks_and_returns(&companion, "redis", second, async |broken| {
        if broken { server.cut_off() } else { server.reconnect() }
    })
    .await;
    for reason in [frozen, cut] {
        assert!(reason.contains("no answer within 1s"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_asks_for_a_password_that_is_shown_nowhere() {
    let server = redis(Some("a-secret-word")).await;
    let mut settings = redis_at(&server);
    let companion = Companion::start(settings.clone()).await;
    let (down, _) = component(&companion, "redis", "DOWN", BACK).await;
    assert!(down["error"].as_str().unwrap().contains("NOAUTH"), "{down}");
    std::fs::write(companion.folder().join("redis.password"), "a-secret-word\n").unwrap();
    settings["components"]["redis"]["password_file"] = "redis.password".into();
    companion.write(&merged(companion.settings(), settings).to_string());
    component(&companion, "redis", "UP", BACK).await;
    // Another password in the file is a change of its own.
    std::fs::write(companion.folder().join("redis.password"), "wrong-word\n").unwrap();
    let (down, _) = component(&companion, "redis", "DOWN", BACK).await;
    let said = down["error"].as_str().unwrap();
    assert!(said.contains("authentication failed") && !said.contains("wrong-word"), "{said}");
    let log = companion.log();
    assert!(!log.contains("secret-word") && !log.contains("wrong-word"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_told_down_when_killed_frozen_or_cut_off_and_up_when_back() {
    let mut server = kafka().await;
    let companion =
        Companion::start(json!({"components": {"kafka": {"brokers": [server.address().to_string()]}}})).await;
    let second = Duration::from_secs(1);
    breaks_and_returns(&companion, "kafka", second, async |broken| {
        // Its memory is gone with it: the topic is missing and is made again.
        if broken { server.kill() } else { server.restore().await }
    })
    .await;
    let frozen =
        breaks_and_returns(
            &companion,
            "kafka",
            second,
            async |broken| {
                if broken { server.freeze() } else { server.thaw() }
            },
        )
        .await;
    let cut = breaks_and_returns(&companion, "kafka", second, async |broken| {
        if broken { server.cut_off() } else { server.reconnect() }
    })
    .await;
    for reason in [frozen, cut] {
        assert!(reason.contains("within 1s"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_decides_unless_it_is_optional() {
    let application = Region::start("taiwan");
    let url = format!("http://{}/health", application.address());
    let settings = |required: bool| json!({"components": {"application": {"url": url, "required": required, "read_timeout": "500ms"}}});
    let companion = Companion::start(settings(true)).await;
    let (reply, body) = companion.readiness().await;
    assert_eq!((reply.status, &body["region"]), (200, &json!("taiwan")));
    for (answer, part) in [
        (Answer::Status(503), "answered 503"),
        (Answer::Slow(Duration::from_secs(5)), "no answer within 500ms"),
    ] {
        application.answers(answer);
        let (down, took) = component(&companion, "application", "DOWN", BACK).await;
        assert!(down["error"].as_str().unwrap().contains(part), "{down}");
        assert!(took < Duration::from_millis(800), "{took:?}");
        application.answers(Answer::Ok);
        component(&companion, "application", "UP", BACK).await;
    }
    companion.write(&merged(companion.settings(), settings(false)).to_string());
    application.answers(Answer::Status(500));
    until("an optional component is shown and does not decide", BACK, async || {
        let (reply, body) = companion.readiness().await;
        let down = body["components"]["application"]["status"] == "DOWN";
        (down && reply.status == 200 && body["components"]["application"]["required"] == false).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_probes_costs_the_components_nothing() {
    let server = redis(None).await;
    let companion = Companion::start(redis_at(&server)).await;
    component(&companion, "redis", "UP", BACK).await;
    let name = "evenkeel_component_checks_total{region=\"taiwan\",component=\"redis\"}";
    let before = companion.metric(name).await.unwrap();
    assert!(before >= 1.0, "it was asked to be known as up");
    let begun = Instant::now();
    let mut probers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let to = companion.public();
        probers.spawn(async move {
            let mut connection =
                evenkeel_tests::client::Connection::open(to, std::net::Ipv4Addr::LOCALHOST).await.unwrap();
            let request = Request::get().path("/actuator/health/readiness");
            for _ in 0..500 {
                assert_eq!(connection.exchange(&request).await.unwrap().status, 200);
            }
        });
    }
    while let Some(ended) = probers.join_next().await {
        ended.unwrap();
    }
    let (took, checks) = (begun.elapsed(), companion.metric(name).await.unwrap() - before);
    println!("10,000 readiness answers in {took:?}: {checks} checks of Redis");
    // One a second at most, and one for the second that had begun.
    assert!(checks <= took.as_secs_f64() + 2.0, "{checks} checks in {took:?}");
}

async fn post(companion: &Companion, path: &str, body: &Value, token: Option<&str>) -> Reply {
    let mut request = Request::post().path(path).body(body.to_string().as_bytes());
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let to = if path == "/v1/edge-state" { companion.public() } else { companion.admin() };
    request.send(to).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_is_taken_a_bad_one_changes_nothing_and_both_are_told() {
    let companion = Companion::start(json!({})).await;
    assert!(companion.log().contains("companion started"));
    companion.write("service: shop\nregions: [{name: taiwan, wight: 5}]\n");
    let config = until("the bad file is told of", BACK, async || {
        let config = companion.status().await["config"].clone();
        config["error"].is_string().then_some(config)
    })
    .await;
    assert!(config["error"].as_str().unwrap().contains("wight"), "{config}");
    assert_eq!(companion.metric("evenkeel_config_reload_failures_total").await, Some(1.0));
    assert_eq!(companion.metric("evenkeel_config_in_force").await, Some(0.0));
    assert!(companion.log().contains("the one before stays in force"));
    assert_eq!(companion.readiness().await.0.status, 200);
    let reply = Request::get().send(companion.admin()).await.unwrap();
    let policy = reply.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = reply.text();
    assert!(page.contains("The file was changed and is not in force") && page.contains("wight"));

    // What is live at once, and what waits for a restart.
    let other = json!({
        "companion": {"admin": "127.0.0.1:1"},
        "components": {"application": {"url": "http://127.0.0.1:1/", "required": true}}
    });
    companion.write(&merged(companion.settings(), other).to_string());
    let (down, _) = component(&companion, "application", "DOWN", BACK).await;
    assert!(down["error"].as_str().unwrap().contains("refused"), "{down}");
    let config = companion.status().await["config"].clone();
    assert!(
        config["error"].is_null() && config["waiting"][0].as_str().unwrap().contains("companion.admin"),
        "{config}"
    );

    // SIGHUP reads it again even if nothing changed.
    let loaded = config["loaded_at"].clone();
    companion.signal(libc_signal("HUP"));
    until("SIGHUP reloads", BACK, async || {
        (companion.status().await["config"]["loaded_at"] != loaded).then_some(())
    })
    .await;
}

fn libc_signal(name: &str) -> i32 {
    match name {
        "HUP" => 1,
        "INT" => 2,
        _ => 15,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_need_the_token_end_by_themselves_and_outlive_a_restart() {
    let mut companion = Companion::start(json!({})).await;
    let order = json!({"region": "taiwan", "for": "10m"});
    for (token, status, part) in
        [(None, 401, "a token is needed"), (Some("a token of other letters"), 401, "the token was refused")]
    {
        let reply = post(&companion, "/v1/drain", &order, token).await;
        assert_eq!(reply.status, status);
        assert!(reply.text().contains(part), "{}", reply.text());
    }
    for (order, part) in [
        (json!({"region": "japan", "for": "10m"}), "say it to japan's"),
        (json!({"region": "mars", "for": "10m"}), "no such region"),
        (json!({"region": "taiwan"}), "for: is missing"),
        (json!({"region": "taiwan", "for": "10"}), "not a duration"),
        (json!({"region": "taiwan", "for": "2d"}), "at most 1day"),
        (json!({"region": "taiwan", "for": "0s"}), "above 0"),
    ] {
        let reply = post(&companion, "/v1/drain", &order, Some(TOKEN)).await;
        assert!(reply.status >= 400 && reply.text().contains(part), "{order}: {}", reply.text());
    }
    assert_eq!(companion.readiness().await.0.header("x-evenkeel-drain"), None);

    let done = companion.command(&["drain", "taiwan", "--for", "10m"]);
    assert!(done.status.success(), "{done:?}");
    let seconds = |reply: &Reply| -> u64 {
        let value = reply.header("x-evenkeel-drain").expect("the drain's header");
        value.strip_suffix('s').unwrap().parse().unwrap()
    };
    let (reply, _) = companion.readiness().await;
    assert_eq!(reply.status, 200, "a drained region is still ready");
    assert!((590..=600).contains(&seconds(&reply)));
    companion.signal(libc_signal("TERM"));
    assert!(companion.ended().await.success());
    companion.restart().await;
    assert!((560..=600).contains(&seconds(&companion.readiness().await.0)), "the order outlives a restart");
    let done = companion.command(&["undrain", "taiwan"]);
    assert!(String::from_utf8_lossy(&done.stdout).contains("no longer drained"), "{done:?}");
    assert_eq!(companion.readiness().await.0.header("x-evenkeel-drain"), None);

    assert!(companion.command(&["drain", "taiwan", "--for", "1s"]).status.success());
    until("the drain ends by itself", BACK, async || {
        companion.readiness().await.0.header("x-evenkeel-drain").is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_file_orders_are_refused_with_the_remedy() {
    let companion = Companion::start(json!({"companion": {"token_file": null}})).await;
    let reply = post(&companion, "/v1/drain", &json!({"region": "taiwan", "for": "1m"}), Some(TOKEN)).await;
    assert_eq!(reply.status, 403);
    assert!(reply.text().contains("companion.token_file"), "{}", reply.text());
    let failed = companion.command(&["drain", "taiwan", "--for", "1m"]);
    assert_eq!(failed.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("companion.token_file"), "{failed:?}");
}

fn edge_state(edge: &str, sequence: u64, share: u8, lost: bool) -> Value {
    let region = |share: u8| json!({"healthy": share > 0, "breaker": if share > 0 { "closed" } else { "open" }, "share": share});
    let transitions = if share == 0 {
        json!([{"region": "japan", "kind": "failback", "from": "full", "to": "out", "cause": "breaker_open"}])
    } else {
        json!([])
    };
    json!({
        "edge": edge, "sequence": sequence, "local_region": "taiwan", "config_hash": "abc", "prober_lost": lost,
        "regions": {"taiwan": region(100), "japan": region(share)}, "transitions": transitions
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_tell_their_state_and_webhooks_are_told_of_it() {
    let hook = Region::start("hook");
    let webhooks = json!([
        {"name": "plain", "url": format!("http://{}/secret-path", hook.address())},
        {"name": "dead", "url": "http://127.0.0.1:1/secret-path", "format": "slack"}
    ]);
    let companion = Companion::start(json!({"alerts": {"webhooks": webhooks}})).await;
    let reply = post(&companion, "/v1/edge-state", &json!({"edge": 5}), None).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("edge: "), "{}", reply.text());
    let large = json!({"edge": "x".repeat(70_000)});
    assert_eq!(post(&companion, "/v1/edge-state", &large, None).await.status, 413);

    assert_eq!(post(&companion, "/v1/edge-state", &edge_state("e1", 10, 100, false), None).await.status, 200);
    assert_eq!(post(&companion, "/v1/edge-state", &edge_state("e1", 10, 100, false), None).await.status, 409);
    assert_eq!(post(&companion, "/v1/edge-state", &edge_state("e1", 11, 0, true), None).await.status, 200);
    let alerts = async || companion.status().await["alerts"].as_array().unwrap().clone();
    until("failover and the lost prober are alerts", BACK, async || {
        let kinds: Vec<String> =
            alerts().await.iter().map(|alert| alert["kind"].as_str().unwrap().to_owned()).collect();
        (kinds.contains(&"failover".to_owned()) && kinds.contains(&"prober_lost".to_owned())).then_some(())
    })
    .await;
    let failover = alerts().await.into_iter().find(|alert| alert["kind"] == "failover").unwrap();
    assert!(
        failover["summary"]
            .as_str()
            .unwrap()
            .contains("japan gets no traffic from edge e1, cause breaker_open")
    );
    assert_eq!(companion.status().await["transitions"][0]["to"], "out");

    assert_eq!(post(&companion, "/v1/edge-state", &edge_state("e1", 12, 100, false), None).await.status, 200);
    until("both are over", BACK, async || alerts().await.is_empty().then_some(())).await;
    // The dead one beside it has delayed nothing: two that fire, two that are over.
    until("the webhook was told of all four", BACK, async || {
        let sent = companion.metric("evenkeel_alerts_total{webhook=\"plain\",result=\"sent\"}").await;
        (sent == Some(4.0)).then_some(())
    })
    .await;
    // No post follows: after 15 s the edge is silent.
    until("the silent edge is an alert", Duration::from_secs(25), async || {
        alerts().await.iter().any(|alert| alert["kind"] == "edge_silent").then_some(())
    })
    .await;
    let log = companion.log();
    assert!(log.contains("cause breaker_open") && !log.contains("secret-path"), "{log}");
    assert!(!companion.metrics().await.contains("secret-path"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_fails_for_a_while_gets_its_alert_later() {
    let hook = Region::start("hook");
    hook.answers(Answer::Status(500));
    let webhooks = json!([{"name": "ill", "url": format!("http://{}/", hook.address())}]);
    let companion = Companion::start(json!({"alerts": {"webhooks": webhooks}})).await;
    post(&companion, "/v1/edge-state", &edge_state("e1", 1, 0, false), None).await;
    until("it was tried more than once", BACK, async || (hook.requests() >= 2).then_some(())).await;
    let name = |result: &str| format!("evenkeel_alerts_total{{webhook=\"ill\",result=\"{result}\"}}");
    assert_eq!(companion.metric(&name("sent")).await, Some(0.0));
    hook.answers(Answer::Ok);
    until("it was taken", BACK, async || (companion.metric(&name("sent")).await == Some(1.0)).then_some(()))
        .await;
    assert_eq!(companion.metric(&name("failed")).await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_companion_elsewhere_is_an_alert_until_it_is_back() {
    let other = Region::start("japan");
    let companion = Companion::start(json!({
        "regions": [{"name": "taiwan"}, {"name": "japan", "companion": {"address": other.address().to_string()}}]
    }))
    .await;
    let peer = async || companion.status().await["peers"][0].clone();
    until("it is heard", BACK, async || peer().await["heard_at"].is_number().then_some(())).await;
    other.answers(Answer::Status(503));
    let silent = async || {
        let alerts = companion.status().await["alerts"].clone();
        alerts.as_array().unwrap().iter().any(|alert| alert["kind"] == "companion_silent")
    };
    until("three questions in vain", Duration::from_secs(25), async || silent().await.then_some(())).await;
    other.answers(Answer::Ok);
    until("it is heard again", BACK, async || (!silent().await).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_in_the_form_that_prometheus_reads() {
    let companion =
        Companion::start(json!({"components": {"application": {"url": "http://127.0.0.1:1/"}}})).await;
    component(&companion, "application", "DOWN", BACK).await;
    post(&companion, "/v1/edge-state", &edge_state("e\"1", 1, 0, false), None).await;
    let text = companion.metrics().await;
    for line in [
        "evenkeel_component_up{region=\"taiwan\",component=\"application\"} 0.0",
        "evenkeel_build_info{version=\"",
        "evenkeel_config_info{hash=\"",
        "evenkeel_edge_region_share{edge=\"e\\\"1\",region=\"japan\"} 0.0",
        "evenkeel_readiness_requests_total{result=\"down\"} ",
        "# TYPE evenkeel_readiness_duration_seconds histogram",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    let reply = Request::get().path("/metrics").send(companion.admin()).await.unwrap();
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_says_out_of_service_and_a_second_signal_ends_it_at_once() {
    // A webhook that never answers keeps the companion for the two seconds that last alerts may take.
    let hook = Region::start("hook");
    hook.answers(Answer::Hang);
    let webhooks = json!([{"name": "slow", "url": format!("http://{}/", hook.address())}]);
    let mut companion = Companion::start(json!({"alerts": {"webhooks": webhooks}})).await;
    post(&companion, "/v1/edge-state", &edge_state("e1", 1, 0, false), None).await;
    until("the alert is under way", BACK, async || (hook.requests() > 0).then_some(())).await;
    companion.signal(libc_signal("TERM"));
    until("readiness says so", BACK, async || {
        let (reply, body) = companion.readiness().await;
        (reply.status == 503 && body["status"] == "OUT_OF_SERVICE").then_some(())
    })
    .await;
    companion.signal(libc_signal("INT"));
    let begun = Instant::now();
    assert_eq!(companion.ended().await.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_edge_tells_its_companion_of_a_dead_region_and_follows_its_drain() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let companion = Companion::start(json!({})).await;
    // The companion answers for Taiwan's readiness.
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({"companion": {"address": companion.public().to_string()}}))
        .with_region("taiwan", json!({"readiness": {"address": companion.public().to_string()}}));
    let _edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    let region = async |name: &str| companion.status().await["edges"][0]["regions"][name].clone();
    until("the edge is heard", BACK, async || (region("taiwan").await["share"] == 100).then_some(())).await;

    japan.answers(Answer::Status(503));
    until("the dead region is told", BACK, async || {
        (region("japan").await["healthy"] == false).then_some(())
    })
    .await;
    let status = companion.status().await;
    assert!(
        status["transitions"].as_array().unwrap().iter().any(|told| told["region"] == "japan"),
        "{status}"
    );
    japan.answers(Answer::Ok);
    until("Japan is whole again", Duration::from_secs(30), async || {
        (region("japan").await["share"] == 100).then_some(())
    })
    .await;

    let done = companion.command(&["drain", "taiwan", "--for", "5m"]);
    assert!(done.status.success(), "{done:?}");
    until("the edge follows the drain", BACK, async || (region("taiwan").await["share"] == 0).then_some(()))
        .await;
    let edge = companion.status().await["edges"][0].clone();
    assert_eq!(edge["causes"]["taiwan"], "drain", "{edge}");
    assert!(companion.command(&["undrain", "taiwan"]).status.success());
    until("and its end", Duration::from_secs(30), async || {
        (region("taiwan").await["share"] == 100).then_some(())
    })
    .await;
}
