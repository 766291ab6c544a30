//! What probes find, and what follows from it.

use evenkeel_tests::region::unix_ms;
use evenkeel_tests::wait::throughout;
use evenkeel_tests::{Answer, Edge, Region, Request, Topology, until};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

fn healthy(region: &str) -> [(&'static str, &str); 1] {
    [("region", region)]
}

/// Hold and ramp out of the way.
fn at_once() -> serde_json::Value {
    json!({"failback": {"hold": "0s", "ramp": "0s"}})
}

#[tokio::test]
async fn one_probe_per_interval_whatever_the_workers() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({"health_check": {"interval": "500ms"}}));
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    until("fourteen probes", SOON, async || (taiwan.probes().len() >= 14).then_some(())).await;
    for region in [&taiwan, &japan] {
        let probes = region.probes();
        let gaps: Vec<Duration> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // One that was late on its way leaves less time to the next, but two never share an interval.
        for gap in &gaps {
            assert!(
                *gap >= Duration::from_millis(250),
                "{}: {gap:?} between two probes: {gaps:?}",
                region.name()
            );
        }
        let span = probes[probes.len() - 1] - probes[0];
        let expected = span.as_secs_f64() / 0.5;
        println!("measured: {} probes of {} in {span:?}", probes.len(), region.name());
        assert!(
            gaps.len() as f64 <= expected + 0.5,
            "{}: {} probes in {span:?}",
            region.name(),
            probes.len()
        );
        assert!(
            gaps.len() as f64 >= expected * 0.75,
            "{}: {} probes in {span:?}",
            region.name(),
            probes.len()
        );
    }
    let probe = taiwan.last_probe().expect("a probe");
    assert_eq!((probe.method.as_str(), probe.path.as_str()), ("GET", "/actuator/health/readiness"));
    assert_eq!(probe.header("host").as_deref(), Some("taiwan"));
    assert!(probe.header("user-agent").is_some_and(|agent| agent.starts_with("evenkeel/")), "{probe:?}");
    let probing = edge.lines(&["prober: this VM probes now"]);
    assert_eq!(probing.len(), 1, "{probing:?}");
    assert_eq!((taiwan.requests(), japan.requests()), (0, 0), "probes are no requests");
}

#[tokio::test]
async fn a_region_whose_readiness_is_anything_but_a_timely_2xx_is_left() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(at_once())
        .with(json!({"health_check": {"timeout": "1s", "max_latency": "500ms"}}));
    let mut edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    for answer in [
        Answer::Status(503),
        Answer::Status(404),
        Answer::Redirect,
        Answer::Garbage,
        Answer::Hang,
        Answer::Reset,
        Answer::Close,
        Answer::Slow(Duration::from_millis(600)),
    ] {
        let since = unix_ms();
        taiwan.readiness(answer.clone());
        edge.line(&["region=taiwan kind=health from=healthy to=unhealthy cause=unhealthy"], since, SOON)
            .await;
        edge.until_metric("evenkeel_region_healthy", &healthy("taiwan"), 0.0, SOON).await;
        let reply = edge.send(Request::get().from("TW")).await;
        assert_eq!((reply.status, reply.region()), (200, "japan"), "after {answer:?}");
        assert_eq!(
            reply.decision(),
            "region=japan reason=failover from=taiwan cause=unhealthy",
            "after {answer:?}"
        );
        taiwan.readiness(Answer::Ok);
        edge.until_metric("evenkeel_region_healthy", &healthy("taiwan"), 1.0, SOON).await;
        until("taiwan serves again", SOON, async || (edge.region_of("TW").await == "taiwan").then_some(()))
            .await;
    }
    assert_eq!(
        edge.metric("evenkeel_region_healthy", &healthy("japan")).await,
        Some(1.0),
        "japan was never touched"
    );
    edge.assert_sound();
}

#[tokio::test]
async fn a_readiness_answer_of_ten_megabytes_harms_nothing() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({"health_check": {"timeout": "3s", "max_latency": "2s"}}));
    let mut edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    taiwan.readiness(Answer::Huge);
    let begun = taiwan.probes().len();
    until("a few such answers", SOON, async || (taiwan.probes().len() >= begun + 4).then_some(())).await;
    let before = edge.stat("server.memory_allocated").await;
    until("many such answers", Duration::from_secs(40), async || {
        // Service goes on meanwhile.
        assert_eq!(edge.region_of("JP").await, "japan");
        (taiwan.probes().len() >= begun + 16).then_some(())
    })
    .await;
    let after = edge.stat("server.memory_allocated").await;
    println!(
        "measured: Envoy's heap {} KB before and {} KB after 12 probes of 10 MB",
        before >> 10,
        after >> 10
    );
    assert!(after < before + (25 << 20), "Envoy's heap grew from {before} to {after}");
    assert_eq!(edge.region_of("JP").await, "japan");
    edge.assert_sound();
}

#[tokio::test]
async fn thresholds_swallow_a_region_that_flaps_from_probe_to_probe() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let edge = Edge::start(&Topology::of(&[&taiwan, &japan])).await.probed(&["taiwan", "japan"]).await;
    taiwan.readiness(Answer::Failing(50, 503));
    let begun = taiwan.probes().len();
    until("a dozen probes", SOON, async || {
        assert_eq!(edge.region_of("TW").await, "taiwan", "one failure in a row is not two");
        (taiwan.probes().len() >= begun + 12).then_some(())
    })
    .await;
    let failed = [("region", "taiwan"), ("result", "failed")];
    assert!(edge.metric("evenkeel_health_checks_total", &failed).await >= Some(5.0), "it did flap");
    assert!(edge.lines(&["region=taiwan kind=health"]).is_empty(), "and nothing moved");
}

#[tokio::test]
async fn a_region_that_flaps_slowly_gets_its_share_back_only_when_it_stays() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({"failback": {"hold": "4s", "ramp": "2s"}}));
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    let mut served = 0;
    for round in 0..3 {
        taiwan.answers(Answer::Status(503));
        edge.until_metric("evenkeel_region_healthy", &healthy("taiwan"), 0.0, SOON).await;
        taiwan.answers(Answer::Ok);
        edge.until_metric("evenkeel_region_healthy", &healthy("taiwan"), 1.0, SOON).await;
        // It is well for less than the hold, then fails again.
        throughout("nobody is sent to a region in its hold", Duration::from_millis(500), async || {
            served += 1;
            edge.region_of("TW").await == "japan"
        })
        .await;
        assert!(edge.metric("evenkeel_region_share", &healthy("taiwan")).await < Some(6.0), "round {round}");
    }
    assert!(served > 20, "only {served} requests");
    let ramps = edge.lines(&["region=taiwan kind=failback", "to=ramp"]);
    assert!(ramps.is_empty(), "{ramps:?}");
    edge.until_whole(&["taiwan"], SOON).await;
    assert_eq!(edge.region_of("TW").await, "taiwan");
}

/// Both regions' readiness fails while their applications go on: what a shared dependency does.
async fn all_down(answer: &str, more: serde_json::Value) -> (Region, Region, Edge) {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology =
        Topology::of(&[&taiwan, &japan]).with(json!({"all_unhealthy": answer})).with(at_once()).with(more);
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    taiwan.readiness(Answer::Status(503));
    japan.readiness(Answer::Status(503));
    for region in ["taiwan", "japan"] {
        edge.until_metric("evenkeel_region_share", &healthy(region), 0.0, SOON).await;
    }
    (taiwan, japan, edge)
}

#[tokio::test]
async fn with_all_regions_down_the_local_one_serves() {
    let (_taiwan, japan, edge) = all_down("local", json!({"local_region": "japan"})).await;
    for country in ["TW", "JP", "DE"] {
        let reply = edge.send(Request::get().from(country)).await;
        assert_eq!((reply.status, reply.region()), (200, "japan"), "country {country}");
        assert!(reply.decision().contains("reason=degraded"), "{}", reply.decision());
    }
    japan.readiness(Answer::Ok);
    edge.until_metric("evenkeel_region_share", &healthy("japan"), 100.0, SOON).await;
    let reply = edge.send(Request::get().from("JP")).await;
    assert_eq!(reply.decision(), "region=japan reason=geo", "back to normal");
}

#[tokio::test]
async fn with_all_regions_down_any_goes_by_weight() {
    let (taiwan, japan, edge) = all_down("any", json!({})).await;
    for _ in 0..200 {
        let reply = edge.send(Request::get().from("TW")).await;
        assert_eq!(reply.status, 200);
        assert!(reply.decision().contains("reason=degraded"), "{}", reply.decision());
    }
    assert!((90..=150).contains(&taiwan.requests()), "60 % of 200: {}", taiwan.requests());
    assert_eq!(taiwan.requests() + japan.requests(), 200);
}

#[tokio::test]
async fn with_all_regions_down_reject_answers_at_once() {
    let (taiwan, japan, edge) = all_down("reject", json!({})).await;
    for request in [Request::get(), Request::post()] {
        let reply = edge.send(request.from("TW")).await;
        assert_eq!((reply.status, reply.text().as_str()), (503, "no region is eligible\n"));
        assert!(reply.decision().starts_with("region=none reason=rejected"), "{}", reply.decision());
    }
    assert_eq!((taiwan.requests(), japan.requests()), (0, 0), "no region was asked");
    let labels = [("region", "none"), ("reason", "rejected")];
    assert_eq!(edge.metric("evenkeel_decisions_total", &labels).await, Some(2.0));
    taiwan.readiness(Answer::Ok);
    until("service is back", SOON, async || {
        (edge.send(Request::get().from("TW")).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn one_region_alone_is_served_whatever_its_health() {
    let taiwan = Region::start("taiwan");
    let edge = Edge::start(&Topology::of(&[&taiwan]).with(json!({"overrides": [
        {"drain": "taiwan", "until": "2099-01-01T00:00:00Z"}
    ]})))
    .await
    .probed(&["taiwan"])
    .await;
    edge.line(&["region=taiwan kind=override from=none to=drain_refused cause=drain"], 0, SOON).await;
    assert_eq!(edge.region_of("JP").await, "taiwan", "the last region is not drained");
    taiwan.readiness(Answer::Status(503));
    edge.until_metric("evenkeel_region_healthy", &healthy("taiwan"), 0.0, SOON).await;
    assert_eq!(edge.region_of("JP").await, "taiwan", "nor refused");
}

#[tokio::test]
async fn a_readiness_answer_drains_its_region_and_ends_the_drain() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let mut edge = Edge::start(&Topology::of(&[&taiwan, &japan]).with(at_once()))
        .await
        .probed(&["taiwan", "japan"])
        .await;
    let since = unix_ms();
    taiwan.readiness(Answer::With("x-evenkeel-drain", "600s".to_owned()));
    let line =
        edge.line(&["region=taiwan kind=override from=none to=drained cause=drain"], since, SOON).await;
    println!("measured: a drain is followed after {} ms with probes every 250 ms", line.at - since);
    until("taiwan is drained", SOON, async || (edge.region_of("TW").await == "japan").then_some(())).await;
    let reply = edge.send(Request::get().from("TW")).await;
    assert_eq!(reply.decision(), "region=japan reason=failover from=taiwan cause=drain");
    assert_eq!(
        edge.metric("evenkeel_region_healthy", &healthy("taiwan")).await,
        Some(1.0),
        "drained is not ill"
    );

    // The last region is not drained, and that is said and counted.
    let since = unix_ms();
    japan.readiness(Answer::With("x-evenkeel-drain", "600s".to_owned()));
    edge.line(&["region=japan kind=override from=none to=drain_refused"], since, SOON).await;
    assert_eq!(edge.metric("evenkeel_drains_refused_total", &[]).await, Some(1.0));
    assert_eq!(edge.region_of("TW").await, "japan");
    assert_eq!(edge.region_of("JP").await, "japan");
    japan.readiness(Answer::Ok);

    // Without the header the drain ends, and what is no duration has no effect.
    taiwan.readiness(Answer::Ok);
    until("taiwan is back", SOON, async || (edge.region_of("TW").await == "taiwan").then_some(())).await;
    for rubbish in ["", "soon", "-5s", "1e9", "\u{feff}9s", "99999999999999999999s"] {
        taiwan.readiness(Answer::With("x-evenkeel-drain", rubbish.to_owned()));
        let probes = taiwan.probes().len();
        until("two more probes", SOON, async || (taiwan.probes().len() >= probes + 2).then_some(())).await;
        assert_eq!(edge.region_of("TW").await, "taiwan", "drain: {rubbish:?}");
    }
    edge.assert_sound();
}

#[tokio::test]
async fn an_announced_drain_ends_by_itself_if_the_region_falls_silent_about_it() {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(at_once())
        .with(json!({"health_check": {"unhealthy_threshold": 100}}));
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    taiwan.readiness(Answer::With("x-evenkeel-drain", "2s".to_owned()));
    until("taiwan is drained", SOON, async || (edge.region_of("TW").await == "japan").then_some(())).await;
    let since = unix_ms();
    // No answer at all says nothing of the drain: what remained of it counts down.
    taiwan.readiness(Answer::Reset);
    let line = edge.line(&["region=taiwan kind=override from=drained to=none"], since, SOON).await;
    let lasted = line.at - since;
    assert!((1_000..=3_500).contains(&lasted), "it ended after {lasted} ms");
}

#[tokio::test]
async fn a_cluster_that_envoy_does_not_know_is_named_as_the_cause() {
    let (taiwan, japan, mars) = (Region::start("taiwan"), Region::start("japan"), Region::start("mars"));
    let topology = Topology::of(&[&taiwan, &japan]);
    let mut edge = Edge::start_with_ecds(&topology).await.probed(&["taiwan", "japan"]).await;
    let since = unix_ms();
    // The filter is told of a region that Envoy's own configuration does not have.
    edge.replace(&Topology::of(&[&taiwan, &japan, &mars]).with_region("mars", json!({"countries": ["MM"]})));
    edge.line(&["region=mars kind=health from=healthy to=unhealthy cause=no_cluster"], since, SOON).await;
    until("mars is passed over", SOON, async || {
        let reply = edge.send(Request::get().from("MM")).await;
        assert_eq!(reply.status, 200);
        reply.decision().ends_with("reason=failover from=mars cause=no_cluster").then_some(())
    })
    .await;
    assert_eq!(mars.requests(), 0);
    assert_eq!(edge.region_of("JP").await, "japan");
    edge.assert_sound();
}

/// With the defaults and without any traffic, from just after a good probe: the worst moment.
async fn idle_detection(answer: Option<Answer>, limit: Duration) {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let edge =
        Edge::start(&Topology::with_defaults(&[&taiwan, &japan])).await.probed(&["taiwan", "japan"]).await;
    let seen = taiwan.probes().len();
    until("the next probe", SOON, async || (taiwan.probes().len() > seen).then_some(())).await;
    let ok = [("region", "taiwan"), ("result", "ok")];
    until("its result", SOON, async || {
        (edge.metric("evenkeel_health_checks_total", &ok).await >= Some(2.0)).then_some(())
    })
    .await;
    let since = unix_ms();
    match &answer {
        None => taiwan.kill(),
        Some(answer) => taiwan.answers(answer.clone()),
    }
    let words = ["region=taiwan kind=health from=healthy to=unhealthy cause=unhealthy"];
    let line = edge.line(&words, since, limit + Duration::from_secs(5)).await;
    let took = Duration::from_millis(line.at - since);
    println!("measured: idle, {answer:?}: detected after {took:?} (at most {limit:?})");
    assert!(took <= limit, "detected after {took:?}");
    assert_eq!((taiwan.requests(), edge.lines(&["kind=breaker"]).len()), (0, 0), "by probes alone");
    until("all workers know", SOON, async || (edge.region_of("TW").await == "japan").then_some(())).await;
}

#[tokio::test]
async fn idle_a_dead_region_is_seen_within_seven_seconds() {
    idle_detection(None, Duration::from_secs(7)).await;
}

#[tokio::test]
async fn idle_a_silent_region_is_seen_within_thirteen_seconds() {
    idle_detection(Some(Answer::Hang), Duration::from_secs(13)).await;
}
