//! The filter in a process of several VMs, in virtual time.

mod process;

use evenkeel_filter::host::{Answer, Attribute};
use process::*;

const PLUGIN: &str = r#"{
  "local_region": "taiwan",
  "regions": [
    {"name": "taiwan", "cluster": "taiwan", "weight": 60, "countries": ["TW"]},
    {"name": "japan", "cluster": "japan", "weight": 40, "countries": ["JP"]}
  ],
  "debug_header": true
}"#;

/// The same with other settings in place of `"debug_header": true`.
fn plugin(settings: &str) -> String {
    PLUGIN.replace("\"debug_header\": true", settings)
}

#[test]
fn one_vm_probes_once_an_interval_however_many_there_are() {
    let process = Process::new();
    let mut vms = process.vms(5, PLUGIN);
    let mut probes = Vec::new();
    process.run(&mut vms, seconds(60), |call| {
        probes.push((call.at, call.cluster.clone(), call.vm));
        well(call)
    });
    let taiwan: Vec<u64> = probes.iter().filter(|(_, c, _)| c == "taiwan").map(|(at, ..)| *at).collect();
    assert_eq!(taiwan.len(), 12, "one in 5 s for a minute: {taiwan:?}");
    assert!(taiwan.windows(2).all(|pair| pair[1] - pair[0] == 5_000), "{taiwan:?}");
    assert_eq!(vms.iter().filter(|vm| vm.is_prober()).count(), 1);
}

#[test]
fn a_stand_in_probes_within_one_interval_of_the_probers_death() {
    let process = Process::new();
    let mut vms = process.vms(4, PLUGIN);
    process.run(&mut vms, seconds(7), well);
    let died = vms.iter().position(Vm::is_prober).expect("one probes");
    vms.remove(died);
    let death = process.now();
    let mut next = None;
    process.run(&mut vms, seconds(10), |call| {
        next.get_or_insert(call.at);
        well(call)
    });
    let waited = next.expect("a stand-in probes") - death;
    assert!(waited <= 5_000, "{waited} ms");
    assert_eq!(vms.iter().filter(|vm| vm.is_prober()).count(), 1);
    assert!(vms.iter().all(|vm| share(vm, "taiwan") == 100));
}

#[test]
fn a_prober_that_comes_back_from_a_long_pause_gives_way() {
    let process = Process::new();
    let mut vms = process.vms(2, PLUGIN);
    process.run(&mut vms, seconds(1), well);
    let paused = vms.iter().position(Vm::is_prober).expect("one probes");
    let mut asleep = vec![vms.remove(paused)];
    process.run(&mut vms, seconds(5), well);
    assert!(vms[0].is_prober());
    asleep.append(&mut vms);
    process.run(&mut asleep, seconds(1), well);
    assert_eq!(asleep.iter().filter(|vm| vm.is_prober()).count(), 1);
}

#[test]
fn a_dead_region_is_seen_within_seven_seconds_and_a_silent_one_within_thirteen() {
    for (silent, limit) in [(false, 7_000), (true, 13_000)] {
        // Death may come at any moment between two probes.
        for phase in [0, 100, 2_500, 4_950] {
            let process = Process::new();
            let mut vms = process.vms(3, PLUGIN);
            process.run(&mut vms, 5_000 + phase, well);
            let death = process.now();
            while share(&vms[0], "taiwan") == 100 && process.now() < death + 20_000 {
                process.run(&mut vms, 50, |call| match (call.cluster.as_str(), silent) {
                    ("taiwan", true) => None,
                    ("taiwan", false) => Some(status(503)),
                    _ => Some(status(200)),
                });
            }
            let detection = process.now() - death;
            assert!(detection <= limit, "silent: {silent}, phase {phase}: {detection} ms");
        }
    }
}

#[test]
fn what_one_worker_learns_all_know_within_100_ms() {
    let process = Process::new();
    let mut vms = process.vms(4, PLUGIN);
    process.run(&mut vms, seconds(1), well);
    for _ in 0..5 {
        send(&mut vms[1], FakeExchange::get().country("TW"), End::Refused);
    }
    assert_eq!(breaker(&vms[1], "taiwan"), "open");
    process.run(&mut vms, 100, well);
    for vm in &mut vms {
        let seen = send(vm, FakeExchange::get().country("TW"), End::Ok);
        assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some("japan"));
        assert_eq!(
            seen.decision().as_deref(),
            Some("region=japan reason=failover from=taiwan cause=breaker_open")
        );
    }
    assert_eq!(process.metric("evenkeel_failovers_total.from.taiwan.to.japan.cause.breaker_open"), 1);
}

#[test]
fn failures_of_several_workers_add_up_to_one_breaker() {
    let process = Process::new();
    let mut vms = process.vms(5, PLUGIN);
    for vm in &mut vms {
        send(vm, FakeExchange::get().country("TW"), End::Refused);
    }
    assert_eq!(breaker(&vms[4], "taiwan"), "open", "five failures, one on each worker");
}

#[test]
fn successes_are_gathered_but_never_lost() {
    let process = Process::new();
    let mut vms = process.vms(2, PLUGIN);
    for _ in 0..6 {
        send(&mut vms[0], FakeExchange::get().country("TW"), End::Ok);
    }
    for _ in 0..5 {
        send(&mut vms[1], FakeExchange::get().country("TW"), End::Refused);
    }
    // The second worker has not heard of the six good calls yet, so its own five open the breaker:
    // the accepted inaccuracy is what arrives within two ticks.
    assert_eq!(breaker(&vms[1], "taiwan"), "open");
    let process = Process::new();
    let mut vms = process.vms(2, PLUGIN);
    for _ in 0..6 {
        send(&mut vms[0], FakeExchange::get().country("TW"), End::Ok);
    }
    process.run(&mut vms, 100, well);
    for _ in 0..4 {
        send(&mut vms[1], FakeExchange::get().country("TW"), End::Refused);
    }
    assert_eq!(breaker(&vms[1], "taiwan"), "closed", "four of ten are not half");
    send(&mut vms[0], FakeExchange::get().country("TW"), End::Refused);
    assert_eq!(breaker(&vms[0], "taiwan"), "open", "five of the last ten are");
}

#[test]
fn trials_never_exceed_their_number_over_the_whole_process() {
    let process = Process::new();
    let mut vms = process.vms(4, PLUGIN);
    for _ in 0..5 {
        send(&mut vms[0], FakeExchange::get().country("TW"), End::Refused);
    }
    process.run(&mut vms, seconds(31), well);
    assert!(vms.iter().all(|vm| breaker(vm, "taiwan") == "half_open"));
    let mut open = Vec::new();
    let mut trials = 0;
    for round in 0..5 {
        for vm in &mut vms {
            let exchange = FakeExchange::get().country("TW");
            let tracked = begin(vm, &exchange).expect("routed");
            trials += usize::from(exchange.value("x-evenkeel-region").as_deref() == Some("taiwan"));
            open.push((exchange, tracked, round));
        }
    }
    assert_eq!(trials, 3, "three trials for twenty requests on four workers");
}

#[test]
fn only_requests_safe_to_repeat_test_a_region() {
    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    for _ in 0..5 {
        send(&mut vms[0], FakeExchange::get().country("TW"), End::Refused);
    }
    process.run(&mut vms, seconds(31), well);
    let post = FakeExchange::default().header(":method", "POST").country("TW");
    let seen = send(&mut vms[0], post, End::Ok);
    assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some("japan"));
    let seen = send(&mut vms[0], FakeExchange::get().country("TW"), End::Ok);
    assert_eq!(seen.decision().as_deref(), Some("region=taiwan reason=trial"));
}

#[test]
fn a_write_by_another_worker_is_never_overwritten() {
    let process = Process::new();
    let mut vms = process.vms(2, PLUGIN);
    for round in 0..5 {
        process.0.borrow_mut().interference = round;
        send(&mut vms[round as usize % 2], FakeExchange::get().country("TW"), End::Refused);
    }
    assert_eq!(breaker(&vms[0], "taiwan"), "open");
    assert_eq!(process.0.borrow().interference, 0, "every write was disturbed as planned");
}

#[test]
fn a_first_attempt_that_was_retried_counts_against_its_region() {
    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    for _ in 0..5 {
        send(&mut vms[0], FakeExchange::get().country("TW"), End::Retried);
    }
    assert_eq!(breaker(&vms[0], "taiwan"), "open");
    assert_eq!(breaker(&vms[0], "japan"), "closed");
    process.run(&mut vms, 50, well);
    assert_eq!(process.metric("evenkeel_requests_total.region.taiwan.outcome.error"), 5);
    assert_eq!(process.metric("evenkeel_requests_total.region.japan.outcome.ok"), 5);
}

#[test]
fn a_request_that_every_region_fails_opens_no_breaker() {
    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    for _ in 0..50 {
        let mut exchange = FakeExchange::get().country("TW");
        let tracked = begin(&mut vms[0], &exchange).expect("routed");
        exchange.ends(500, 1 << 15, 2, "via_upstream");
        vms[0].on_finish(&exchange, &tracked);
    }
    assert_eq!((breaker(&vms[0], "taiwan"), breaker(&vms[0], "japan")), ("closed", "closed"));
    process.run(&mut vms, 50, well);
    assert_eq!(process.metric("evenkeel_requests_total.region.taiwan.outcome.ignored"), 50);
}

#[test]
fn a_client_that_goes_away_says_nothing_of_the_region() {
    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    for _ in 0..20 {
        send(&mut vms[0], FakeExchange::get().country("TW"), End::ClientGone);
    }
    assert_eq!(breaker(&vms[0], "taiwan"), "closed");
}

#[test]
fn a_new_configuration_keeps_what_is_known() {
    let process = Process::new();
    let mut vms = process.vms(3, PLUGIN);
    for _ in 0..5 {
        send(&mut vms[0], FakeExchange::get().country("TW"), End::Refused);
    }
    process.run(&mut vms, 100, well);
    let with_korea = PLUGIN.replace(
        "\"regions\": [",
        "\"regions\": [{\"name\": \"korea\", \"cluster\": \"korea\", \"countries\": [\"KR\"]},",
    );
    for vm in &mut vms {
        vm.reconfigure(with_korea.as_bytes()).expect("right");
        assert_eq!((breaker(vm, "taiwan"), share(vm, "taiwan")), ("open", 0));
        assert_eq!((breaker(vm, "korea"), share(vm, "korea")), ("closed", 100));
    }
    process.run(&mut vms, seconds(1), well);
    assert!(vms.iter().all(|vm| share(vm, "taiwan") == 0 && share(vm, "japan") == 100));
    assert_eq!(vms.iter().filter(|vm| vm.is_prober()).count(), 1);
}

#[test]
fn a_bad_configuration_changes_nothing() {
    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    let error = vms[0].reconfigure(br#"{"regions": [{"name": "a", "cluster": "a", "wait": 1}]}"#);
    let error = error.expect_err("unknown field").to_string();
    assert!(error.contains("regions[0].wait") && error.contains("unknown field"), "{error}");
    let seen = send(&mut vms[0], FakeExchange::get().country("TW"), End::Ok);
    assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some("taiwan"));
}

#[test]
fn a_vm_that_begins_anew_knows_what_the_others_know() {
    let process = Process::new();
    let mut vms = process.vms(2, PLUGIN);
    for _ in 0..5 {
        send(&mut vms[0], FakeExchange::get().country("TW"), End::Refused);
    }
    vms.remove(0);
    let reborn = process.vm(7, PLUGIN);
    assert_eq!((breaker(&reborn, "taiwan"), share(&reborn, "taiwan")), ("open", 0));
}

#[test]
fn nothing_that_a_client_sends_steers_the_choice() {
    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    let forged = FakeExchange::get()
        .country("TW")
        .header("x-evenkeel-region", "japan")
        .header("x-evenkeel-fallback", "mars")
        .header("x-evenkeel-hop", "japan")
        .header("x-evenkeel-hop-secret", "guess")
        .header("x-evenkeel-anything", b"\xff\xfe")
        .header("x-envoy-attempt-count", "7")
        .header("x-envoy-max-retries", "9")
        .header("x-envoy-retry-on", "5xx")
        .header("x-envoy-retry-grpc-on", "internal")
        .header("x-envoy-hedge-on-per-try-timeout", "true")
        .header("x-envoy-upstream-rq-timeout-ms", "1")
        .header("x-envoy-decorator-operation", "kept")
        .header("x-other", "kept");
    let seen = send(&mut vms[0], forged, End::Ok);
    let request = seen.request.borrow();
    let left: Vec<(&str, &str)> = request
        .iter()
        .filter(|(name, _)| name.starts_with("x-"))
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value).expect("text")))
        .collect();
    assert_eq!(
        left,
        [
            ("x-country-code", "TW"),
            ("x-envoy-decorator-operation", "kept"),
            ("x-other", "kept"),
            ("x-evenkeel-region", "taiwan"),
            ("x-evenkeel-fallback", "japan"),
        ]
    );
}

#[test]
fn odd_bytes_and_missing_headers_are_just_an_unknown_country() {
    let process = Process::new();
    let mut vms = process.vms(1, &plugin(r#""routing": {"policy": "geo", "default": "local"}"#));
    for value in [&b"\xff\xfe"[..], b"", b"TWN", &[b'a'; 60_000]] {
        let seen = send(&mut vms[0], FakeExchange::get().header("x-country-code", value), End::Ok);
        assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some("taiwan"));
    }
    let seen = send(&mut vms[0], FakeExchange::default(), End::Ok);
    assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some("taiwan"));
}

#[test]
fn the_country_counts_only_from_a_trusted_peer() {
    let process = Process::new();
    let settings = r#""trusted_proxies": ["10.0.0.0/8", "::1"], "routing": {"default": "local"}"#;
    let mut vms = process.vms(1, &plugin(settings));
    let rows = [
        (Attribute::Peer, "10.1.2.3", "japan"),
        (Attribute::Peer, "192.0.2.1", "taiwan"),
        (Attribute::Peer, "rubbish", "taiwan"),
        (Attribute::SourceAddress, "10.1.2.3:4567", "japan"),
        (Attribute::SourceAddress, "[::1]:4567", "japan"),
        (Attribute::SourceAddress, "192.0.2.1:4567", "taiwan"),
    ];
    for (attribute, address, region) in rows {
        let exchange = FakeExchange::get().country("JP").attribute(attribute, address);
        let seen = send(&mut vms[0], exchange, End::Ok);
        assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some(region), "{address}");
    }
    let seen = send(&mut vms[0], FakeExchange::get().country("JP"), End::Ok);
    assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some("taiwan"), "no peer known");
}

#[test]
fn a_key_keeps_its_region_whichever_worker_serves_it() {
    for (settings, header, values) in [
        (r#"{"source": "header", "name": "X-User"}"#, "x-user", ["7", "8"]),
        (r#"{"source": "cookie", "name": "sid"}"#, "cookie", ["a=1; sid=7", "sid=8; b=2"]),
    ] {
        let process = Process::new();
        let settings = format!(r#""routing": {{"policy": "weighted", "sticky": {settings}}}"#);
        let mut vms = process.vms(3, &plugin(&settings));
        for value in values {
            let mut regions: Vec<_> = vms
                .iter_mut()
                .map(|vm| {
                    send(vm, FakeExchange::get().header(header, value), End::Ok).value("x-evenkeel-region")
                })
                .collect();
            regions.dedup();
            assert_eq!(regions.len(), 1, "{header}: {value}");
        }
    }
}

#[test]
fn the_hop_mark_ends_a_circle() {
    let secret = "0123456789abcdef";
    let settings = format!(r#""hop": {{"secret": "{secret}"}}"#);
    let configuration =
        plugin(&settings).replace(r#""cluster": "japan","#, r#""cluster": "japan", "edge": true,"#);
    let process = Process::new();
    let mut vms = process.vms(1, &configuration);
    let vm = &mut vms[0];
    let seen = send(vm, FakeExchange::get().country("JP"), End::Ok);
    assert_eq!(seen.value("x-evenkeel-hop").as_deref(), Some("taiwan"));
    assert_eq!(seen.value("x-evenkeel-hop-secret").as_deref(), Some(secret));

    let marked = |from: &str, secret: &str| {
        FakeExchange::get()
            .country("JP")
            .header("x-evenkeel-hop", from)
            .header("x-evenkeel-hop-secret", secret)
    };
    let seen = send(vm, marked("japan", secret), End::Ok);
    assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some("taiwan"), "japan's edge decided already");
    assert_eq!((seen.value("x-evenkeel-fallback"), seen.value("x-evenkeel-hop")), (None, None));
    let seen = send(vm, marked("taiwan", secret), End::Ok);
    assert_eq!(seen.refused.borrow().as_ref().map(|(status, _)| *status), Some(508));
    let seen = send(vm, marked("taiwan", "0123456789abcdeX"), End::Ok);
    assert_eq!(seen.value("x-evenkeel-region").as_deref(), Some("japan"), "a forged mark counts for nothing");
}

#[test]
fn with_no_region_left_the_configuration_decides() {
    for (all_unhealthy, region, decision) in [
        ("local", Some("taiwan"), "region=taiwan reason=degraded from=japan cause=unhealthy"),
        ("reject", None, "region=none reason=rejected from=japan cause=unhealthy"),
    ] {
        let process = Process::new();
        let settings = format!(r#""all_unhealthy": "{all_unhealthy}", "debug_header": true"#);
        let mut vms = process.vms(2, &plugin(&settings));
        process.run(&mut vms, seconds(10), |_| Some(status(503)));
        let seen = send(&mut vms[0], FakeExchange::get().country("JP"), End::Ok);
        assert_eq!(seen.value("x-evenkeel-region").as_deref(), region);
        assert_eq!(seen.decision().as_deref(), Some(decision));
        assert_eq!(seen.refused.borrow().is_some(), region.is_none());
    }
}

#[test]
fn a_missing_cluster_and_an_empty_one_are_found_by_probing() {
    let process = Process::new();
    process.0.borrow_mut().missing_clusters.push("taiwan".to_owned());
    let mut vms = process.vms(2, PLUGIN);
    process.run(&mut vms, seconds(2), well);
    let seen = send(&mut vms[0], FakeExchange::get().country("TW"), End::Ok);
    assert_eq!(seen.decision().as_deref(), Some("region=japan reason=failover from=taiwan cause=no_cluster"));

    let process = Process::new();
    process.0.borrow_mut().empty_clusters.push("taiwan".to_owned());
    let mut vms = process.vms(2, PLUGIN);
    process.run(&mut vms, seconds(2), well);
    let seen = send(&mut vms[0], FakeExchange::get().country("TW"), End::Ok);
    assert_eq!(seen.decision().as_deref(), Some("region=japan reason=failover from=taiwan cause=unhealthy"));
}

#[test]
fn an_answer_that_cannot_be_read_is_a_failed_probe() {
    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    process.run(&mut vms, seconds(3), |call| match call.cluster.as_str() {
        "taiwan" => Some(Answer::default()),
        _ => Some(status(204)),
    });
    assert_eq!((share(&vms[0], "taiwan"), share(&vms[0], "japan")), (0, 100));
    assert_eq!(process.metric("evenkeel_region_healthy.region.taiwan"), 0);
    assert_eq!(process.metric("evenkeel_region_share.region.japan"), 100);
}

#[test]
fn a_region_drains_itself_by_its_readiness_answer() {
    let process = Process::new();
    let mut vms = process.vms(2, PLUGIN);
    let drained = |left: &'static str| {
        move |call: &Started| {
            let drain = (call.cluster == "taiwan").then(|| left.to_owned());
            Some(Answer { status: Some(200), drain })
        }
    };
    process.run(&mut vms, seconds(1), drained("600s"));
    let seen = send(&mut vms[1], FakeExchange::get().country("TW"), End::Ok);
    assert_eq!(seen.decision().as_deref(), Some("region=japan reason=failover from=taiwan cause=drain"));
    process.run(&mut vms, seconds(6), well);
    assert_eq!(share(&vms[0], "taiwan"), 0, "held");
    process.run(&mut vms, seconds(31), well);
    assert_eq!(share(&vms[0], "taiwan"), 5, "the drain is over: the ramp begins");

    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    process.run(&mut vms, seconds(1), |_| Some(Answer { status: Some(200), drain: Some("600s".to_owned()) }));
    assert_eq!((share(&vms[0], "taiwan"), share(&vms[0], "japan")), (0, 100), "never the last region");
    assert_eq!(process.metric("evenkeel_drains_refused_total"), 1);

    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    process.run(&mut vms, seconds(6), drained("rubbish"));
    assert_eq!(share(&vms[0], "taiwan"), 100, "rubbish drains nothing");
}

#[test]
fn orders_in_the_configuration_end_by_themselves() {
    let process = Process::new();
    // The process's clock shows 2027-01-15T08:00:00Z.
    let settings =
        r#""overrides": [{"drain": "taiwan", "until": "2027-01-15T08:01:00Z"}], "debug_header": true"#;
    let mut vms = process.vms(2, &plugin(settings));
    process.run(&mut vms, seconds(59), well);
    let seen = send(&mut vms[0], FakeExchange::get().country("TW"), End::Ok);
    assert_eq!(seen.decision().as_deref(), Some("region=japan reason=failover from=taiwan cause=drain"));
    process.run(&mut vms, seconds(1 + 31), well);
    assert_eq!(share(&vms[0], "taiwan"), 5);
}

#[test]
fn a_companion_hears_of_a_transition_at_once_and_of_nothing_every_five_seconds() {
    let process = Process::new();
    let mut vms = process.vms(3, &plugin(r#""companion": {"cluster": "companion"}"#));
    let mut posts: Vec<(u64, serde_json::Value)> = Vec::new();
    let mut keep = |call: &Started, status_code| {
        if call.cluster == "companion" {
            posts.push((call.at, serde_json::from_str(&call.body).expect("JSON")));
        }
        Some(status(status_code))
    };
    process.run(&mut vms, seconds(12), |call| keep(call, 200));
    let failed = process.now();
    for _ in 0..5 {
        send(&mut vms[1], FakeExchange::get().country("TW"), End::Refused);
    }
    // The first telling is lost; the second must repeat it.
    process.run(&mut vms, seconds(1), |call| keep(call, 503));
    process.run(&mut vms, seconds(6), |call| keep(call, 200));
    let times: Vec<u64> = posts.iter().map(|(at, _)| *at).collect();
    assert!(times[..3].windows(2).all(|pair| pair[1] - pair[0] == 5_000), "{times:?}");
    let told = posts.iter().find(|(at, _)| *at > failed).expect("told");
    assert!(told.0 - failed <= 100, "{} ms", told.0 - failed);
    let repeated = posts.iter().find(|(at, _)| *at > failed + 4_000).expect("told again");
    for (_, post) in [told, repeated] {
        assert_eq!(post["edge"], "edge-1");
        assert_eq!(post["regions"]["taiwan"]["breaker"], "open");
        let transitions = post["transitions"].as_array().expect("a list");
        assert!(transitions.iter().any(|t| t["region"] == "taiwan" && t["to"] == "out"), "{post}");
    }
    assert!(posts.windows(2).all(|pair| pair[1].1["sequence"].as_u64() > pair[0].1["sequence"].as_u64()));
}

#[test]
fn a_lost_prober_leaves_the_state_as_it_is_and_says_so() {
    let process = Process::new();
    let mut vms = process.vms(2, PLUGIN);
    process.run(&mut vms, seconds(6), well);
    // Envoy no longer lets anyone call out, and says nothing.
    process.run(&mut vms, seconds(60), |_| None);
    // Unanswered calls are failed probes, not silence: the regions count as unhealthy.
    assert_eq!(process.metric("evenkeel_prober_lost"), 0);
    assert_eq!(share(&vms[0], "taiwan"), 0);
    let process = Process::new();
    let mut vms = process.vms(1, PLUGIN);
    process.run(&mut vms, seconds(6), well);
    let mut asleep = process.vms(1, PLUGIN);
    process.0.borrow_mut().now += seconds(30);
    asleep[0].on_tick();
    assert!(asleep[0].engine().state().prober_lost, "all are too old at once");
    assert_eq!(share(&asleep[0], "taiwan"), 100);
}
