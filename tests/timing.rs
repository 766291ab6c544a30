//! What is promised in milliseconds, and what happens under load. One at a time: a test that
//! measures has the machine to itself.

use evenkeel_tests::region::unix_ms;
use evenkeel_tests::{Answer, Edge, Load, Region, RegionProcess, Request, Shots, Topology, until};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};

const SOON: Duration = Duration::from_secs(20);

/// One at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

fn process(name: &str) -> RegionProcess {
    RegionProcess::start(env!("CARGO_BIN_EXE_region"), name)
}

async fn begin(topology: &Topology) -> Edge {
    Edge::start(topology).await.probed(&["taiwan", "japan"]).await
}

const COUNTRIES: [&str; 4] = ["TW", "JP", "DE", "US"];

/// 200 GETs a second from all countries and 40 POSTs among them.
const RATE: u32 = 240;

fn mixed(number: u64) -> Request {
    let country = COUNTRIES[(number / 6) as usize % COUNTRIES.len()];
    if number % 6 == 5 { Request::post().from(country) } else { Request::get().from(country) }
}

/// POSTs that were under way at a moment.
fn in_flight(shots: &Shots, at: Instant) -> usize {
    shots.that(|shot| shot.method == "POST" && shot.at <= at && shot.at + shot.took >= at).len()
}

fn assert_no_failed_get(shots: &Shots) {
    let failed = shots.failed("GET");
    let first: Vec<_> = failed.iter().take(3).collect();
    assert!(failed.is_empty(), "{} of {} GETs failed, for example {first:?}", failed.len(), shots.0.len());
}

/// When a region got no share any more, in milliseconds after `since`.
async fn out_after(edge: &Edge, region: &str, since: u64) -> u64 {
    let line = edge.line(&[&format!("region={region} kind=failback"), "to=out"], since, SOON).await;
    line.at - since
}

#[tokio::test]
async fn a_killed_region_costs_no_get_and_few_posts() {
    let _alone = alone().await;
    let (mut taiwan, japan) = (process("taiwan"), process("japan"));
    let mut edge = begin(&Topology::with_defaults(&[&taiwan, &japan])).await;
    let load = Load::start(edge.address(), RATE, mixed);
    load.run_for(Duration::from_secs(3)).await;
    let (at, since) = (Instant::now(), unix_ms());
    taiwan.kill();
    load.run_for(Duration::from_secs(4)).await;
    let shots = load.finish().await;
    let detected = out_after(&edge, "taiwan", since).await;

    let posts = shots.failed("POST");
    // In flight, the breaker's window, and what arrives in 100 ms.
    let allowed = in_flight(&shots, at) + 10 + RATE as usize / 6 / 10;
    println!(
        "measured: kill: detected after {detected} ms; failed GET {} of {}, POST {} of {} (at most {allowed}); longest GET {:?}",
        shots.failed("GET").len(),
        shots.that(|shot| shot.method == "GET").len(),
        posts.len(),
        shots.that(|shot| shot.method == "POST").len(),
        shots.longest("GET"),
    );
    assert_no_failed_get(&shots);
    assert!(posts.len() <= allowed, "{} POSTs failed, at most {allowed} may: {posts:?}", posts.len());
    assert!(detected < 1_000, "detected after {detected} ms");
    let late = shots.that(|shot| shot.at > at + Duration::from_secs(1) && shot.region() != "japan");
    assert!(late.is_empty(), "all go to japan afterwards: {late:?}");
    edge.assert_sound();
}

#[tokio::test]
async fn a_frozen_region_delays_a_get_by_no_more_than_the_per_try_time_out() {
    let _alone = alone().await;
    let (taiwan, japan) = (process("taiwan"), process("japan"));
    let mut edge = begin(&Topology::with_defaults(&[&taiwan, &japan])).await;
    let load = Load::start(edge.address(), RATE, mixed);
    load.run_for(Duration::from_secs(3)).await;
    let since = unix_ms();
    taiwan.freeze();
    load.run_for(Duration::from_secs(5)).await;
    let shots = load.finish().await;
    let detected = out_after(&edge, "taiwan", since).await;
    taiwan.thaw();
    println!(
        "measured: freeze: detected after {detected} ms; failed GET {} of {}, POST {}; longest GET {:?}",
        shots.failed("GET").len(),
        shots.that(|shot| shot.method == "GET").len(),
        shots.failed("POST").len(),
        shots.longest("GET"),
    );
    assert_no_failed_get(&shots);
    let limit = Duration::from_millis(2_000 + 250);
    assert!(shots.longest("GET") <= limit, "the longest GET took {:?}", shots.longest("GET"));
    assert!(detected <= 2_000 + 500, "detected after {detected} ms");
    edge.assert_sound();
}

#[tokio::test]
async fn a_region_comes_back_by_a_growing_share() {
    let _alone = alone().await;
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({"failback": {"hold": "2s", "ramp": "8s"}, "health_check": {"interval": "500ms"}}));
    let mut edge = begin(&topology).await;
    taiwan.kill();
    edge.until_metric("evenkeel_region_share", &[("region", "taiwan")], 0.0, SOON).await;
    let load = Load::start(edge.address(), 200, |_| Request::get().from("TW"));
    let since = unix_ms();
    taiwan.restore();
    let hold = edge.line(&["region=taiwan kind=failback from=out to=hold"], since, SOON).await;
    let ramp = edge.line(&["region=taiwan kind=failback from=hold to=ramp"], since, SOON).await;
    let began = Instant::now() - Duration::from_millis(unix_ms() - ramp.at);
    edge.line(&["region=taiwan kind=failback from=ramp to=full"], since, SOON).await;
    load.run_for(Duration::from_millis(500)).await;
    let shots = load.finish().await;

    assert_no_failed_get(&shots);
    let held = ramp.at - hold.at;
    assert!((2_000..=2_400).contains(&held), "it was held for {held} ms");
    // Nobody goes there in the hold but the half-open breaker's trials.
    let early = shots.that(|shot| shot.at + Duration::from_millis(60) < began && shot.region() == "taiwan");
    assert!(early.len() <= 3, "{} requests before the ramp", early.len());
    let share = |from: f64, to: f64| {
        let window = shots.that(|shot| {
            shot.at >= began + Duration::from_secs_f64(from) && shot.at < began + Duration::from_secs_f64(to)
        });
        let there = window.iter().filter(|shot| shot.region() == "taiwan").count();
        100.0 * there as f64 / window.len().max(1) as f64
    };
    let shares: Vec<f64> = (0..8).map(|second| share(f64::from(second), f64::from(second + 1))).collect();
    println!("measured: ramp of 8 s: {shares:.0?} % per second (wanted 11, 23, 35, 46, 58, 70, 82, 94)");
    for (second, share) in shares.iter().enumerate() {
        let wanted = 5.0 + 95.0 * (second as f64 + 0.5) / 8.0;
        assert!(
            (share - wanted).abs() < 14.0,
            "second {second}: {share:.0} %, {wanted:.0} wanted: {shares:.0?}"
        );
    }
    assert!(share(8.15, 9.0) > 99.0, "then it has everything: {}", share(8.15, 9.0));
    edge.assert_sound();
}

#[tokio::test]
async fn errors_in_the_ramp_step_it_back_instead_of_flapping() {
    let _alone = alone().await;
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({
        "failback": {"hold": "1s", "ramp": "6s"},
        // The breaker would only open at half of all calls: a fifth is for the gate.
        "circuit_breaker": {"sliding_window_size": 100, "minimum_number_of_calls": 100}
    }));
    let mut edge = begin(&topology).await;
    taiwan.kill();
    edge.until_metric("evenkeel_region_share", &[("region", "taiwan")], 0.0, SOON).await;
    let load = Load::start(edge.address(), 200, |_| Request::get().from("TW"));
    let since = unix_ms();
    taiwan.restore();
    edge.line(&["region=taiwan kind=failback from=hold to=ramp"], since, SOON).await;
    let share = async || edge.metric("evenkeel_region_share", &[("region", "taiwan")]).await.unwrap_or(0.0);
    let before =
        until("a third is back", SOON, async || Some(share().await).filter(|now| *now >= 33.0)).await;
    taiwan.application(Answer::Failing(20, 503));
    edge.line(&["region=taiwan kind=failback from=ramp to=step_back cause=ramp"], since, SOON).await;
    let after =
        until("its share is halved", SOON, async || Some(share().await).filter(|now| *now < before)).await;
    println!("measured: gate: share {before} % before the errors, {after} % after the step back");
    // It grew a little until twenty calls were counted, and then was halved.
    assert!(after <= 33.0, "{before} % before, {after} % after");
    // As long as there are errors it goes down, never out.
    until("down to the first share", SOON, async || (share().await <= 6.0).then_some(())).await;
    taiwan.application(Answer::Ok);
    edge.line(&["region=taiwan kind=failback from=ramp to=full"], since, SOON).await;
    let shots = load.finish().await;
    assert_no_failed_get(&shots);
    let outs = edge.lines(&["region=taiwan kind=failback", "to=out"]);
    assert_eq!(outs.len(), 1, "out once, when it was killed: {outs:?}");
    edge.assert_sound();
}

#[tokio::test]
async fn half_open_trials_are_counted_over_the_whole_process() {
    let _alone = alone().await;
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({
        "circuit_breaker": {"wait_duration_in_open_state": "2s", "permitted_number_of_calls_in_half_open_state": 4},
        "edge": {"per_try_timeout": "5s"}
    }));
    let mut edge = begin(&topology).await;
    taiwan.application(Answer::Status(503));
    let load = Load::start(edge.address(), 200, |number| {
        // A request that is not safe to repeat is never a trial.
        if number % 4 == 0 { Request::post().from("TW") } else { Request::get().from("TW") }
    });
    let opened = edge.line(&["region=taiwan kind=breaker from=closed to=open"], 0, SOON).await;
    // The trials will take a while, so that many requests find them under way.
    taiwan.application(Answer::Slow(Duration::from_millis(1_500)));
    let half_open = edge.line(&["region=taiwan kind=breaker from=open to=half_open"], 0, SOON).await;
    let waited = half_open.at - opened.at;
    let before = taiwan.requests();
    let closed = edge.line(&["region=taiwan kind=breaker from=half_open to=closed"], 0, SOON).await;
    let trials = edge.metric("evenkeel_decisions_total", &[("region", "taiwan"), ("reason", "trial")]).await;
    let shots = load.finish().await;
    println!(
        "measured: half-open: opened for {waited} ms, {trials:?} trials, closed {} ms later, {} requests before",
        closed.at - half_open.at,
        before
    );
    assert!((2_000..=2_300).contains(&waited), "it was open for {waited} ms");
    assert_eq!(trials, Some(4.0), "as many trials as are permitted, over both workers");
    let tried =
        shots.that(|shot| shot.reply.as_ref().is_ok_and(|reply| reply.decision().contains("reason=trial")));
    assert_eq!(tried.len(), 4);
    assert!(tried.iter().all(|shot| shot.method == "GET"), "{tried:?}");
    assert_no_failed_get(&shots);
    edge.assert_sound();
}

#[tokio::test]
async fn a_reload_under_load_loses_no_request_and_no_state() {
    let _alone = alone().await;
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({"failback": {"hold": "5m"}, "circuit_breaker": {"wait_duration_in_open_state": "5m"}}));
    let mut edge = Edge::start_with_ecds(&topology).await.probed(&["taiwan", "japan"]).await;
    open_breaker(&edge, &taiwan).await;
    let asked = taiwan.requests();
    let load = Load::start(edge.address(), RATE, mixed);
    for round in 1..=6u32 {
        load.run_for(Duration::from_millis(400)).await;
        let next = topology.clone().with_region("japan", json!({"weight": 40 + round}));
        edge.replace(&next);
        let hash = next.plan().hash;
        until("the new configuration is in force", SOON, async || {
            edge.metric("evenkeel_config_info", &[("hash", &hash)]).await.filter(|now| *now == 1.0)
        })
        .await;
    }
    load.run_for(Duration::from_millis(500)).await;
    let shots = load.finish().await;
    let failed = shots.that(|shot| !shot.is_good());
    println!("measured: 6 reloads under load: {} of {} requests failed", failed.len(), shots.0.len());
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(taiwan.requests(), asked, "the open breaker stayed open through all of it");
    let opened = edge.lines(&["region=taiwan kind=breaker"]);
    assert_eq!(opened.len(), 1, "{opened:?}");
    // Its probes go on, too.
    let probes = taiwan.probes().len();
    until("probes go on", SOON, async || (taiwan.probes().len() >= probes + 3).then_some(())).await;
    edge.assert_sound();
}

/// Opens taiwan's breaker while its probes stay good, and waits until all workers know: only the state
/// that they share tells them.
async fn open_breaker(edge: &Edge, taiwan: &Region) {
    taiwan.application(Answer::Status(503));
    let mut in_a_row = 0;
    until("all workers know that the breaker is open", SOON, async || {
        let reply = edge.send(Request::get().from("TW")).await;
        in_a_row =
            if reply.decision().ends_with("from=taiwan cause=breaker_open") { in_a_row + 1 } else { 0 };
        (in_a_row == 20).then_some(())
    })
    .await;
    taiwan.application(Answer::Ok);
}

#[tokio::test]
async fn a_vms_panic_costs_one_worker_a_second_and_a_half_and_no_state() {
    let _alone = alone().await;
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({"circuit_breaker": {"wait_duration_in_open_state": "5m"}}))
        .crashable();
    let edge = begin(&topology).await;
    open_breaker(&edge, &taiwan).await;
    let asked = taiwan.requests();
    let load =
        Load::start(edge.address(), RATE, |number| Request::get().from(COUNTRIES[number as usize % 4]));
    load.run_for(Duration::from_millis(500)).await;
    let at = Instant::now();
    let reply = edge.send(Request::get().from("JP").header("x-crash-test", "1")).await;
    assert_eq!(reply.status, 503, "the request that panics");
    load.run_for(Duration::from_secs(4)).await;
    let shots = load.finish().await;

    let failed = shots.that(|shot| !shot.is_good());
    let span = failed.last().map_or(Duration::ZERO, |last| last.at + last.took - at);
    let meanwhile = shots.that(|shot| shot.at >= at && shot.at <= at + span).len().max(1);
    println!(
        "measured: a VM's panic: 503 for {span:?}, {} of {meanwhile} requests in that time",
        failed.len()
    );
    assert!(!failed.is_empty(), "requests on that worker are refused while Envoy backs off");
    assert!(span <= Duration::from_millis(1_500), "503 for {span:?}");
    // The other worker serves on: connections are spread by chance over two.
    assert!(failed.len() * 4 < meanwhile * 3 || failed.len() < 20, "{} of {meanwhile} failed", failed.len());
    assert_eq!(taiwan.requests(), asked, "the new VM knows that the breaker is open");
    assert_eq!(edge.lines(&["region=taiwan kind=breaker"]).len(), 1);
}

#[tokio::test]
async fn a_dead_probers_part_is_taken_over_within_an_interval() {
    let _alone = alone().await;
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let mut edge = begin(&Topology::with_defaults(&[&taiwan, &japan]).crashable()).await;
    let first = edge.line(&["prober: this VM probes now"], 0, SOON).await;
    // The prober's VM panics at this answer. If it is the main thread's, Envoy never repairs it.
    taiwan.readiness(Answer::With("x-crash-test", "1".to_owned()));
    let died = edge.line(&["proxy_on_http_call_response"], 0, SOON).await;
    taiwan.readiness(Answer::Ok);
    assert_eq!(died.thread, first.thread, "it was the prober that died");
    let next = edge.line(&["prober: this VM probes now"], died.at, SOON).await;
    let gap = next.at - died.at;
    let whose = |thread| if thread == edge.pid() { "the main thread" } else { "a worker" };
    println!(
        "measured: the prober ({}) dies: {} probes {gap} ms later",
        whose(first.thread),
        whose(next.thread)
    );
    assert!(gap <= 5_000, "nobody probed for {gap} ms");
    let probes = taiwan.probes().len();
    until("probes go on", SOON, async || (taiwan.probes().len() >= probes + 2).then_some(())).await;
    let all = japan.probes();
    let longest = all.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    println!("measured: the longest time between two probes was {longest:?}");
    assert!(longest < Duration::from_secs(10), "{longest:?} without a probe: every region would be stale");
    // No region became stale, nothing moved, requests are served.
    assert!(edge.lines(&["transition"]).is_empty(), "{:?}", edge.lines(&["transition"]));
    until("both workers serve", SOON, async || {
        for _ in 0..8 {
            if edge.send(Request::get().from("JP")).await.region() != "japan" {
                return None;
            }
        }
        Some(())
    })
    .await;
    assert_eq!(edge.lines(&["proxy_on_"]).len(), 1, "one VM died, once");
    edge.assert_running();
}

#[tokio::test]
async fn both_regions_killed_and_restored_under_load() {
    let _alone = alone().await;
    let (mut taiwan, mut japan) = (process("taiwan"), process("japan"));
    let mut edge = begin(&Topology::of(&[&taiwan, &japan])).await;
    let load = Load::start(edge.address(), 100, mixed);
    load.run_for(Duration::from_millis(500)).await;
    taiwan.kill();
    japan.kill();
    load.run_for(Duration::from_secs(2)).await;
    let back = Instant::now();
    taiwan.restore();
    japan.restore();
    load.run_for(Duration::from_secs(4)).await;
    let shots = load.finish().await;
    // Degraded requests go to the local region at once; nothing waits for a hold.
    let late = shots.that(|shot| shot.at > back + Duration::from_secs(2) && !shot.is_good());
    println!(
        "measured: both killed: {} of {} requests failed",
        shots.that(|shot| !shot.is_good()).len(),
        shots.0.len()
    );
    assert!(late.is_empty(), "service did not come back: {late:?}");
    assert!(shots.0.iter().all(|shot| shot.reply.is_ok()), "every request was answered, if only with 503");
    edge.assert_sound();
}
