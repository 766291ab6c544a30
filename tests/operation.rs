//! What operators do and see: configuration, orders, metrics, the companion, an absent filter.

use evenkeel_config::render::{ECDS_FILE, FilterSource, bootstrap, ecds};
use evenkeel_tests::port::Port;
use evenkeel_tests::region::unix_ms;
use evenkeel_tests::wait::throughout;
use evenkeel_tests::{Answer, Edge, Region, Request, Topology, until};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const SOON: Duration = Duration::from_secs(15);

async fn start(fields: Value) -> (Region, Region, Edge) {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(fields);
    let edge = Edge::start_with_ecds(&topology).await.probed(&["taiwan", "japan"]).await;
    (taiwan, japan, edge)
}

fn from_now(span: Duration) -> String {
    humantime::format_rfc3339_millis(SystemTime::now() + span).to_string()
}

/// The hash of the configuration in force.
async fn configuration(edge: &Edge) -> String {
    let metrics = edge.metrics().await;
    let in_force: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("evenkeel_config_info{") && line.ends_with(" 1"))
        .filter_map(|line| line.split("hash=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(in_force.len(), 1, "one configuration is in force: {in_force:?}");
    in_force[0].to_owned()
}

#[tokio::test]
async fn a_new_configuration_is_in_force_at_once_and_the_old_state_with_it() {
    let (taiwan, japan, mut edge) =
        start(json!({"circuit_breaker": {"wait_duration_in_open_state": "10m"}})).await;
    let old = configuration(&edge).await;
    // Live calls open taiwan's breaker, its probes are good: only the shared state knows.
    taiwan.application(Answer::Status(503));
    until("the breaker is open", SOON, async || {
        edge.send(Request::get().from("TW")).await;
        (edge.metric("evenkeel_breaker_state", &[("region", "taiwan")]).await == Some(2.0)).then_some(())
    })
    .await;
    let asked = taiwan.requests();
    let next = Topology::of(&[&taiwan, &japan])
        .with(json!({"circuit_breaker": {"wait_duration_in_open_state": "10m"}}))
        .with_region("taiwan", json!({"countries": ["TW", "DE"]}));
    edge.replace(&next);
    until("the new configuration is in force", SOON, async || {
        (configuration(&edge).await != old).then_some(())
    })
    .await;
    assert_eq!(configuration(&edge).await, next.plan().hash, "and it is this very one");
    for country in ["TW", "DE"] {
        until("the state is known under the new configuration", SOON, async || {
            let reply = edge.send(Request::get().from(country)).await;
            assert_eq!((reply.status, reply.region()), (200, "japan"));
            (reply.decision() == "region=japan reason=failover from=taiwan cause=breaker_open").then_some(())
        })
        .await;
    }
    assert_eq!(taiwan.requests(), asked, "the open breaker stayed open");
    let opened = edge.lines(&["region=taiwan kind=breaker from=closed to=open"]);
    assert_eq!(opened.len(), 1, "it opened once: {opened:?}");
    edge.assert_sound();
}

#[tokio::test]
async fn a_rejected_configuration_is_named_and_the_old_one_serves_on() {
    let (taiwan, japan, mut edge) = start(json!({})).await;
    let old = configuration(&edge).await;
    let good = Topology::of(&[&taiwan, &japan]);
    let text = ecds(&good.plan());
    for (find, put, said) in [
        ("\"local_region\": \"taiwan\"", "\"lokal_region\": \"taiwan\"", "lokal_region"),
        ("\"name\": \"japan\"", "\"name\": \"taiwan\"", "regions[1].name"),
        ("\"interval\": \"250ms\"", "\"interval\": \"0s\"", "health_check.interval"),
        ("\"interval\": \"250ms\"", "\"interval\": \"-1s\"", "health_check.interval"),
        ("\"weight\": 60", "\"weight\": -60", "-60"),
        ("\"weight\": 60", "\"weight\": 60,,", "configuration:"),
        ("\"cluster\": \"japan\"", "\"cluster\": \"\"", "regions[1].cluster"),
        ("\"all_unhealthy\": \"local\"", "\"all_unhealthy\": \"panic\"", "panic"),
    ] {
        let bad = text.replacen(find, put, 1);
        assert_ne!(bad, text, "the rendering no longer says {find}");
        let since = unix_ms();
        edge.replace_text(&bad);
        let line = edge.line(&["configuration:", said], since, SOON).await;
        assert!(line.text.contains("[error]"), "{line:?}");
        assert_eq!(edge.region_of("JP").await, "japan", "after {put}");
        assert_eq!(edge.region_of("TW").await, "taiwan", "after {put}");
        assert_eq!(configuration(&edge).await, old, "after {put}");
    }
    // And what is not even YAML.
    edge.replace_text("resources: [}");
    throughout("the old one serves", Duration::from_millis(500), async || {
        edge.region_of("JP").await == "japan"
    })
    .await;
    // A good one is taken up afterwards.
    let next = good.with_region("japan", json!({"countries": ["JP", "DE"]}));
    edge.replace(&next);
    until("a good one is taken up", SOON, async || {
        (configuration(&edge).await == next.plan().hash).then_some(())
    })
    .await;
    until("on both workers", SOON, async || {
        for _ in 0..8 {
            if edge.region_of("DE").await != "japan" {
                return None;
            }
        }
        Some(())
    })
    .await;
    edge.assert_sound();
}

#[tokio::test]
async fn a_drain_by_configuration_ends_at_its_time() {
    let (taiwan, japan, edge) = start(json!({})).await;
    let since = unix_ms();
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({"failback": {"hold": "0s", "ramp": "0s"}}));
    let until_then = Duration::from_secs(4);
    edge.replace(&topology.with(json!({"overrides": [{"drain": "taiwan", "until": from_now(until_then)}]})));
    edge.line(&["region=taiwan kind=override from=none to=drained cause=drain"], since, SOON).await;
    until("taiwan is drained", SOON, async || (edge.region_of("TW").await == "japan").then_some(())).await;
    let reply = edge.send(Request::get().from("TW")).await;
    assert_eq!(reply.decision(), "region=japan reason=failover from=taiwan cause=drain");
    let line = edge.line(&["region=taiwan kind=override from=drained to=none"], since, SOON).await;
    let lasted = line.at - since;
    println!("measured: a drain of {until_then:?} lasted {lasted} ms");
    assert!((3_900..=5_000).contains(&lasted), "it lasted {lasted} ms");
    until("taiwan is back", SOON, async || (edge.region_of("TW").await == "taiwan").then_some(())).await;
}

#[tokio::test]
async fn a_pin_sends_everyone_to_one_region_until_it_ends_or_that_one_fails() {
    let (taiwan, japan, edge) = start(json!({})).await;
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({"failback": {"hold": "0s", "ramp": "0s"}}));
    let since = unix_ms();
    edge.replace(
        &topology
            .clone()
            .with(json!({"overrides": [{"pin": "japan", "until": from_now(Duration::from_secs(600))}]})),
    );
    edge.line(&["region=japan kind=override from=none to=pinned cause=pin"], since, SOON).await;
    until("the pin is in force", SOON, async || (edge.region_of("TW").await == "japan").then_some(())).await;
    let reply = edge.send(Request::get().from("TW")).await;
    assert_eq!(reply.decision(), "region=japan reason=override");
    // A pin to a region that cannot serve falls back.
    japan.kill();
    edge.until_metric("evenkeel_region_share", &[("region", "japan")], 0.0, SOON).await;
    until("it falls back", SOON, async || (edge.region_of("JP").await == "taiwan").then_some(())).await;
    japan.restore();
    edge.until_whole(&["japan"], SOON).await;
    until("it leads again", SOON, async || (edge.region_of("TW").await == "japan").then_some(())).await;
    let since = unix_ms();
    edge.replace(
        &topology.with(json!({"overrides": [{"pin": "japan", "until": from_now(Duration::from_secs(2))}]})),
    );
    edge.line(&["region=japan kind=override from=pinned to=none"], since, SOON).await;
    until("the pin is over", SOON, async || (edge.region_of("TW").await == "taiwan").then_some(())).await;
}

#[tokio::test]
async fn a_freeze_holds_shares_and_retries_go_on() {
    let (taiwan, japan, edge) = start(json!({})).await;
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({"failback": {"hold": "0s", "ramp": "0s"}}));
    let since = unix_ms();
    edge.replace(
        &topology.with(json!({"overrides": [{"freeze": true, "until": from_now(Duration::from_secs(6))}]})),
    );
    edge.line(&["region=all kind=override from=none to=frozen"], since, SOON).await;
    taiwan.kill();
    edge.until_metric("evenkeel_region_healthy", &[("region", "taiwan")], 0.0, SOON).await;
    for _ in 0..20 {
        let reply = edge.send(Request::get().from("TW")).await;
        assert_eq!((reply.status, reply.region()), (200, "japan"), "the retry inside the request goes on");
        assert_eq!(reply.decision(), "region=taiwan reason=geo", "and the choice does not move");
    }
    assert_eq!(edge.metric("evenkeel_region_share", &[("region", "taiwan")]).await, Some(100.0));
    edge.line(&["region=all kind=override from=frozen to=none"], since, SOON).await;
    until("what was held back happens now", SOON, async || {
        edge.send(Request::get().from("TW"))
            .await
            .decision()
            .starts_with("region=japan reason=failover")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_companion_hears_of_every_transition_and_every_five_seconds() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let companion = Region::start("companion");
    let topology = Topology::of(&[&taiwan, &japan]).with(
        json!({"companion": {"address": companion.address().to_string(), "authority": "companion.internal"}}),
    );
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    let posts =
        || companion.received().into_iter().filter(|post| post.path == "/v1/edge-state").collect::<Vec<_>>();
    let body =
        |post: &evenkeel_tests::region::Received| serde_json::from_slice::<Value>(&post.body).expect("JSON");
    until("the first post", SOON, async || posts().first().cloned()).await;
    let first = &posts()[0];
    assert_eq!(
        (first.method.as_str(), first.header("host").as_deref()),
        ("POST", Some("companion.internal"))
    );
    assert_eq!(first.header("content-type").as_deref(), Some("application/json"));
    let told = body(first);
    assert_eq!(told["edge"], "shop-taiwan");
    assert_eq!(told["local_region"], "taiwan");
    assert_eq!(told["config_hash"], topology.plan().hash);
    assert_eq!(told["prober_lost"], false);
    assert_eq!(told["regions"]["taiwan"], json!({"healthy": true, "breaker": "closed", "share": 100}));

    // A transition is told at once, in the words of the log.
    let since = unix_ms();
    taiwan.readiness(Answer::Status(503));
    let line = edge.line(&["region=taiwan kind=health from=healthy to=unhealthy"], since, SOON).await;
    let (post, told) = until("the transition is told", SOON, async || {
        posts().into_iter().map(|post| (body(&post), post)).find_map(|(told, post)| {
            let wanted = json!({"region": "taiwan", "kind": "health", "from": "healthy", "to": "unhealthy", "cause": "unhealthy"});
            let has = told["transitions"].as_array()?.iter().any(|one| {
                ["region", "kind", "from", "to", "cause"].iter().all(|field| one[field] == wanted[field])
            });
            has.then_some((post, told))
        })
    })
    .await;
    let told_at = unix_ms() - u64::try_from(post.at.elapsed().as_millis()).unwrap_or(0);
    let delay = told_at.saturating_sub(line.at);
    println!("measured: a transition is posted after {delay} ms");
    assert!(delay <= 150, "told after {delay} ms: 100 ms and a tick of 50 ms were promised");
    assert_eq!(told["regions"]["taiwan"]["healthy"], false);
    assert_eq!(told["regions"]["taiwan"]["share"], 0);

    // Without news, every five seconds; the sequence grows; what was accepted is not told again.
    let quiet = posts().len();
    until("two quiet posts", SOON, async || (posts().len() >= quiet + 2).then_some(())).await;
    let all = posts();
    let gap = all[all.len() - 1].at - all[all.len() - 2].at;
    assert!((4_800..=6_000).contains(&gap.as_millis()), "{gap:?} between two quiet posts");
    assert_eq!(body(&all[all.len() - 1])["transitions"], json!([]));
    let sequences: Vec<u64> = all.iter().filter_map(|post| body(post)["sequence"].as_u64()).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");

    // A companion that fails is no trouble to requests, and is told what it missed.
    companion.kill();
    let since = unix_ms();
    taiwan.readiness(Answer::Ok);
    edge.line(&["region=taiwan kind=health from=unhealthy to=healthy"], since, SOON).await;
    assert_eq!(edge.send(Request::get().from("JP")).await.status, 200);
    companion.restore();
    let missed = companion.received().len();
    until("it is told what it missed", SOON, async || {
        posts()
            .iter()
            .skip(missed)
            .any(|post| post.body.windows(9).any(|word| word == b"unhealthy"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_metrics_of_the_contract_are_there_with_their_labels() {
    let (taiwan, japan, edge) = start(json!({})).await;
    for country in ["TW", "JP", "DE"] {
        edge.send(Request::get().from(country)).await;
    }
    taiwan.kill();
    edge.until_metric("evenkeel_region_healthy", &[("region", "taiwan")], 0.0, SOON).await;
    edge.send(Request::get().from("TW")).await;
    until("the last request is counted", SOON, async || {
        let labels = [("region", "japan"), ("reason", "failover")];
        edge.metric("evenkeel_decisions_total", &labels).await.filter(|count| *count > 0.0)
    })
    .await;
    let text = edge.metrics().await;
    for (series, kind) in [
        ("evenkeel_requests_total{region=\"japan\",outcome=\"ok\"}", "counter"),
        ("evenkeel_requests_total{region=\"taiwan\",outcome=\"timeout\"}", "counter"),
        ("evenkeel_decisions_total{region=\"taiwan\",reason=\"geo\"}", "counter"),
        ("evenkeel_failovers_total{from=\"taiwan\",to=\"japan\",cause=\"unhealthy\"}", "counter"),
        ("evenkeel_region_healthy{region=\"taiwan\"}", "gauge"),
        ("evenkeel_region_share{region=\"japan\"}", "gauge"),
        ("evenkeel_breaker_state{region=\"taiwan\"}", "gauge"),
        ("evenkeel_health_checks_total{region=\"taiwan\",result=\"failed\"}", "counter"),
        ("evenkeel_health_checks_total{region=\"japan\",result=\"ok\"}", "counter"),
        ("evenkeel_health_check_duration_ms_count{region=\"japan\"}", "histogram"),
        ("evenkeel_health_check_duration_ms_bucket{region=\"japan\",le=\"1000\"}", "histogram"),
        ("evenkeel_build_info{version=\"", "gauge"),
        ("evenkeel_config_info{hash=\"", "gauge"),
    ] {
        assert!(text.lines().any(|line| line.starts_with(series)), "no series {series} in\n{text}");
        let name = series.split('{').next().unwrap_or_default();
        let family = name.trim_end_matches("_count").trim_end_matches("_bucket");
        assert!(text.contains(&format!("# TYPE {family} {kind}")), "{family} is a {kind}:\n{text}");
    }
    // Every series has its labels cut out of its name.
    for line in text.lines().filter(|line| line.starts_with("evenkeel_") || line.contains("evenkeel_region_"))
    {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        assert!(!name.contains("taiwan") && !name.contains("_region_taiwan"), "a label in a name: {line}");
    }
    assert!(japan.requests() > 0);
    // requests_total counts attempts, decisions_total requests.
    let attempts = edge.metric("evenkeel_requests_total", &[]).await.expect("attempts");
    let decisions = edge.metric("evenkeel_decisions_total", &[]).await.expect("decisions");
    assert!(attempts >= decisions && decisions == 4.0, "{attempts} attempts, {decisions} decisions");
}

#[tokio::test]
async fn without_the_filter_the_local_region_serves_and_clients_choose_nothing() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let (listen, admin) = (Port::free(), Port::free());
    let folder = tempfile::tempdir().expect("a directory");
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({
        "local_region": "japan",
        "edge": {"listen": listen.address().to_string(), "admin": admin.address().to_string()}
    }));
    // Envoy insists on the file, but what it holds is no filter that it can load.
    let place = |text: &str| {
        let aside = folder.path().join("new");
        std::fs::write(&aside, text).expect("written");
        std::fs::rename(aside, folder.path().join(ECDS_FILE)).expect("moved");
    };
    let good = ecds(&topology.plan());
    place(&good.replace("\"interval\": \"250ms\"", "\"interval\": \"never\""));
    let rendered =
        bootstrap(&topology.plan(), &FilterSource::Ecds(folder.path().to_path_buf())).expect("rendered");
    let edge = Edge::start_with_bootstrap(&rendered, listen, admin).await;
    for request in [
        Request::get().from("TW"),
        Request::post().from("TW"),
        Request::get().header("x-evenkeel-region", "taiwan"),
    ] {
        let reply = edge
            .send(request.header("x-evenkeel-fallback", "taiwan").header("x-envoy-attempt-count", "2"))
            .await;
        assert_eq!((reply.status, reply.region(), reply.decision()), (200, "japan", ""));
    }
    assert_eq!(taiwan.requests(), 0);
    // Once it can be loaded, it is taken up without a restart.
    place(&good);
    until("the filter is taken up", SOON, async || (edge.region_of("TW").await == "taiwan").then_some(()))
        .await;
}
