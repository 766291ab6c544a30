//! Which attempt reaches which region: the promises of `rules.md`, "Safe to repeat".

use crate::edge::{self, Edge};
use crate::region::{self, Region};
use evenkeel_config::EnvoyVersion;
use evenkeel_config::render::FilterSource;
use std::time::Duration;

const TAIWAN_FIRST: [(&str, &str); 2] = [("x-evenkeel-region", "taiwan"), ("x-evenkeel-fallback", "japan")];
const DEAD_FIRST: [(&str, &str); 2] = [("x-evenkeel-region", "dead"), ("x-evenkeel-fallback", "japan")];

struct Case {
    name: &'static str,
    method: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    /// Status and answering region; `none` where Envoy answers.
    answer: (u16, &'static str),
    /// Requests that reached Taiwan and Japan.
    reached: (usize, usize),
}

fn cases() -> Vec<Case> {
    let case = |name, method, order: &[_], more: &[_], answer, reached| Case {
        name,
        method,
        headers: [order, more].concat(),
        answer,
        reached,
    };
    let first = |name, method, status: &'static str, answer, reached| {
        case(name, method, &TAIWAN_FIRST, &[("x-do-taiwan", status)], answer, reached)
    };
    vec![
        case("plain", "GET", &TAIWAN_FIRST, &[], (200, "taiwan"), (1, 0)),
        case("no filter", "GET", &[], &[], (200, "taiwan"), (1, 0)),
        case("unknown region", "GET", &[("x-evenkeel-region", "mars")], &[], (200, "taiwan"), (1, 0)),
        case("other region", "POST", &[("x-evenkeel-region", "japan")], &[], (200, "japan"), (0, 1)),
        first("500", "GET", "500", (200, "japan"), (1, 1)),
        first("503", "GET", "503", (200, "japan"), (1, 1)),
        first("504", "HEAD", "504", (200, "none"), (1, 1)),
        first("506", "OPTIONS", "506", (200, "japan"), (1, 1)),
        first("510", "PUT", "510", (200, "japan"), (1, 1)),
        first("599", "DELETE", "599", (200, "japan"), (1, 1)),
        first("501", "GET", "501", (501, "taiwan"), (1, 0)),
        first("505", "GET", "505", (505, "taiwan"), (1, 0)),
        first("429", "GET", "429", (429, "taiwan"), (1, 0)),
        first("404", "GET", "404", (404, "taiwan"), (1, 0)),
        first("closed after reading", "GET", "close", (200, "japan"), (1, 1)),
        first("grpc 14", "GET", "grpc14", (200, "japan"), (1, 1)),
        first("grpc 13", "GET", "grpc13", (200, "japan"), (1, 1)),
        first("grpc 4", "GET", "grpc4", (200, "japan"), (1, 1)),
        first("grpc 5", "GET", "grpc5", (200, "taiwan"), (1, 0)),
        case("refused", "GET", &DEAD_FIRST, &[], (200, "japan"), (0, 1)),
        case(
            "both fail",
            "GET",
            &TAIWAN_FIRST,
            &[("x-do-taiwan", "503"), ("x-do-japan", "502")],
            (502, "japan"),
            (1, 1),
        ),
        case("alone", "GET", &TAIWAN_FIRST[..1], &[("x-do-taiwan", "503")], (503, "taiwan"), (2, 0)),
        first("post 503", "POST", "503", (503, "taiwan"), (1, 0)),
        first("post closed after reading", "POST", "close", (503, "none"), (1, 0)),
        first("patch 503", "PATCH", "503", (503, "taiwan"), (1, 0)),
        first("post grpc 14", "POST", "grpc14", (200, "taiwan"), (1, 0)),
        case("post refused", "POST", &DEAD_FIRST, &[], (200, "japan"), (0, 1)),
        first("safe method", "MOVE", "503", (200, "japan"), (1, 1)),
        case(
            "forged attempt",
            "GET",
            &TAIWAN_FIRST,
            &[("x-envoy-attempt-count", "1")],
            (200, "taiwan"),
            (1, 0),
        ),
        case(
            "forged retries",
            "POST",
            &TAIWAN_FIRST,
            &[("x-do-taiwan", "503"), ("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "5")],
            (503, "taiwan"),
            (1, 0),
        ),
        case(
            "forged statuses",
            "POST",
            &TAIWAN_FIRST,
            &[
                ("x-do-taiwan", "429"),
                ("x-envoy-retry-on", "retriable-status-codes"),
                ("x-envoy-retriable-status-codes", "429"),
            ],
            (429, "taiwan"),
            (1, 0),
        ),
    ]
}

fn start(test: &str, version: Option<EnvoyVersion>) -> Option<(Edge, Region, Region)> {
    let envoy = edge::binary()?;
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let yaml = format!(
        "service: shop\nlocal_region: taiwan\nsafe_methods: [MOVE]\nregions:\n- {{name: taiwan, address: \"{}\"}}\n\
         - {{name: japan, address: \"{}\"}}\n- {{name: dead, address: \"{}\"}}\nedge: {{per_try_timeout: 500ms, request_timeout: 5s}}\n",
        taiwan.address,
        japan.address,
        region::nobody()
    );
    let mut plan = edge::plan(&yaml, &envoy);
    if let Some(version) = version {
        plan.file.edge.envoy_version = version;
    }
    let bootstrap = edge::without_filter(edge::bootstrap(&plan, &FilterSource::Static));
    Some((Edge::start(&envoy, edge::folder(test), &bootstrap), taiwan, japan))
}

fn check(test: &str, version: Option<EnvoyVersion>) {
    let Some((edge, taiwan, japan)) = start(test, version) else { return };
    let mut wrong = Vec::new();
    for case in cases() {
        let headers = [&case.headers[..], &[("x-test", case.name)]].concat();
        let answer = edge.get(case.method, &headers);
        let found =
            ((answer.status, answer.region.as_str()), (taiwan.count(case.name), japan.count(case.name)));
        if found != (case.answer, case.reached) {
            wrong.push(format!("{}: {found:?}, not {:?}", case.name, (case.answer, case.reached)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn attempts_go_where_the_rules_say() {
    check("attempts", None);
}

/// The form for Envoys before 1.39 goes on working in the later ones.
#[test]
fn attempts_go_where_the_rules_say_by_pairs_of_regions() {
    check("pairs", Some(EnvoyVersion::V1_36));
}

#[test]
fn a_hanging_region_is_left_after_one_try() {
    let Some((edge, taiwan, japan)) = start("hanging", None) else { return };
    let hang = [&TAIWAN_FIRST[..], &[("x-do-taiwan", "hang"), ("x-test", "hang")]].concat();
    let answer = edge.get("GET", &hang);
    assert_eq!((answer.status, answer.region.as_str()), (200, "japan"));
    assert!((480..750).contains(&answer.took.as_millis()), "{:?}", answer.took);
    let answer = edge.get("POST", &hang);
    assert_eq!((answer.status, taiwan.count("hang"), japan.count("hang")), (504, 2, 1));
    // A client cannot shorten the time either.
    let forged = [("x-envoy-upstream-rq-timeout-ms", "1"), ("x-envoy-upstream-rq-per-try-timeout-ms", "1")];
    let answer = edge.get("GET", &[&hang[..], &forged].concat());
    assert!(answer.status == 200 && answer.took >= Duration::from_millis(490), "{:?}", answer.took);
}

/// Envoy's own limit is 3 concurrent retries.
#[test]
fn the_requests_of_a_whole_region_can_be_retried_at_once() {
    let Some((edge, _taiwan, japan)) = start("overflow", None) else { return };
    let hang = [&TAIWAN_FIRST[..], &[("x-do-taiwan", "hang"), ("x-test", "all")]].concat();
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..40).map(|_| scope.spawn(|| edge.get("GET", &hang).status)).collect();
        let failed = all.into_iter().filter_map(|t| t.join().ok()).filter(|status| *status != 200).count();
        assert_eq!(failed, 0);
    });
    assert_eq!(japan.count("all"), 40);
    let stats = edge.stats();
    assert!(
        !stats.lines().any(|l| l.contains("upstream_rq_retry_overflow") && !l.ends_with(": 0")),
        "{stats}"
    );
}
