//! What is sent twice and what never is; what each outcome counts for.

use evenkeel_tests::client::Connection;
use evenkeel_tests::{Answer, Edge, Region, Request, Topology, until};
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

/// Two regions and an edge whose breaker stays out of the way.
async fn start(fields: serde_json::Value) -> (Region, Region, Edge) {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan])
        .with(json!({
            "circuit_breaker": {"sliding_window_size": 1000, "minimum_number_of_calls": 1000},
            "edge": {"per_try_timeout": "400ms"}
        }))
        .with(fields);
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    (taiwan, japan, edge)
}

async fn outcomes(edge: &Edge, region: &str, outcome: &str) -> f64 {
    let labels = [("region", region), ("outcome", outcome)];
    edge.metric("evenkeel_requests_total", &labels).await.expect("the series is there from the start")
}

/// Every way in which an application fails after it was sent a request.
fn failures() -> Vec<Answer> {
    vec![
        Answer::Status(500),
        Answer::Status(502),
        Answer::Status(503),
        Answer::Status(504),
        Answer::Status(599),
        Answer::Reset,
        Answer::Close,
        Answer::Garbage,
        Answer::Hang,
    ]
}

#[tokio::test]
async fn what_is_safe_to_repeat_is_answered_by_the_other_region_in_the_same_request() {
    let (taiwan, japan, mut edge) = start(json!({})).await;
    let mut sent = 0;
    for failure in failures() {
        taiwan.application(failure.clone());
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
            let reply = edge.send(Request::new(method).from("TW")).await;
            assert_eq!((reply.status, reply.region()), (200, "japan"), "{method} after {failure:?}");
            sent += 1;
        }
    }
    assert_eq!(taiwan.requests(), sent, "one attempt each where it failed");
    assert_eq!(japan.requests(), sent, "one attempt each where it was answered");
    assert_eq!(outcomes(&edge, "taiwan", "error").await, sent as f64, "each counts against its region");
    assert_eq!(outcomes(&edge, "japan", "ok").await, sent as f64);
    edge.assert_sound();
}

#[tokio::test]
async fn what_may_have_been_processed_is_never_sent_twice() {
    let (taiwan, japan, mut edge) = start(json!({})).await;
    let mut sent = 0;
    for failure in failures() {
        taiwan.application(failure.clone());
        for method in ["POST", "PATCH"] {
            let reply = edge.send(Request::new(method).from("TW").body(b"{\"pay\":1}")).await;
            assert!(reply.status >= 500, "{method} after {failure:?}: {}", reply.status);
            if let Answer::Status(status) = failure {
                assert_eq!(reply.status, status, "{method}: the region's own answer");
            }
            sent += 1;
        }
    }
    assert_eq!((taiwan.requests(), japan.requests()), (sent, 0), "one attempt each, no second one");
    edge.assert_sound();
}

#[tokio::test]
async fn what_was_not_sent_is_sent_elsewhere_whatever_the_method() {
    let (taiwan, japan, edge) = start(json!({"health_check": {"unhealthy_threshold": 100}})).await;
    taiwan.kill();
    for method in ["POST", "PATCH", "GET"] {
        for _ in 0..5 {
            let reply = edge.send(Request::new(method).from("TW").body(b"{\"pay\":1}")).await;
            assert_eq!((reply.status, reply.region()), (200, "japan"), "{method} while taiwan refuses");
            assert!(reply.decision().starts_with("region=taiwan reason=geo"), "{}", reply.decision());
        }
    }
    assert_eq!((taiwan.requests(), japan.requests()), (0, 15));
}

#[tokio::test]
async fn methods_that_the_operator_names_are_repeated() {
    let (taiwan, japan, edge) = start(json!({"safe_methods": ["POST"]})).await;
    taiwan.application(Answer::Close);
    let reply = edge.send(Request::post().from("TW")).await;
    assert_eq!((reply.status, reply.region()), (200, "japan"));
    assert_eq!(japan.received_at("/").expect("the retry").body, b"{\"item\":1}", "with its body");
    let reply = edge.send(Request::new("PATCH").from("TW").body(b"x")).await;
    assert_eq!(reply.status, 503, "PATCH was not named");
    assert_eq!((taiwan.requests(), japan.requests()), (2, 1));
}

#[tokio::test]
async fn what_no_region_would_do_better_is_neither_repeated_nor_counted() {
    let (taiwan, japan, edge) =
        start(json!({"circuit_breaker": {"sliding_window_size": 10, "minimum_number_of_calls": 5}})).await;
    for status in [501, 505, 404, 429, 301] {
        taiwan.application(Answer::Status(status));
        for _ in 0..10 {
            let reply = edge.send(Request::get().from("TW")).await;
            assert_eq!((reply.status, reply.region()), (status, "taiwan"));
        }
    }
    assert_eq!((taiwan.requests(), japan.requests()), (50, 0));
    assert_eq!(outcomes(&edge, "taiwan", "ok").await, 50.0);
    assert_eq!(edge.metric("evenkeel_breaker_state", &[("region", "taiwan")]).await, Some(0.0));
}

#[tokio::test]
async fn a_poisonous_request_opens_no_breaker() {
    let (taiwan, japan, edge) =
        start(json!({"circuit_breaker": {"sliding_window_size": 10, "minimum_number_of_calls": 5}})).await;
    taiwan.application(Answer::Status(500));
    japan.application(Answer::Status(500));
    for _ in 0..40 {
        let reply = edge.send(Request::get().from("TW")).await;
        assert_eq!(reply.status, 500);
    }
    assert_eq!((taiwan.requests(), japan.requests()), (40, 40), "each region tried once per request");
    for region in ["taiwan", "japan"] {
        assert_eq!(outcomes(&edge, region, "ignored").await, 40.0, "{region}");
        assert_eq!(edge.metric("evenkeel_breaker_state", &[("region", region)]).await, Some(0.0), "{region}");
    }
    let opened = edge.lines(&["transition", "kind=breaker"]);
    assert!(opened.is_empty(), "{opened:?}");
}

#[tokio::test]
async fn a_failure_that_was_retried_away_still_opens_the_breaker() {
    let (taiwan, japan, edge) =
        start(json!({"circuit_breaker": {"sliding_window_size": 10, "minimum_number_of_calls": 5, "wait_duration_in_open_state": "1m"}})).await;
    taiwan.application(Answer::Status(503));
    for _ in 0..30 {
        assert_eq!(edge.region_of("TW").await, "japan");
    }
    edge.until_metric("evenkeel_breaker_state", &[("region", "taiwan")], 2.0, SOON).await;
    // Two workers share the breaker; each may send what it has under way before it knows.
    assert!((5..=8).contains(&taiwan.requests()), "taiwan was asked {} times", taiwan.requests());
    assert_eq!(japan.requests(), 30);
    let reply = edge.send(Request::get().from("TW")).await;
    assert_eq!(reply.decision(), "region=japan reason=failover from=taiwan cause=breaker_open");
    let labels = [("from", "taiwan"), ("to", "japan"), ("cause", "breaker_open")];
    assert_eq!(edge.metric("evenkeel_failovers_total", &labels).await, Some(1.0));
}

#[tokio::test]
async fn each_end_has_its_outcome_in_the_metrics() {
    let (taiwan, _japan, edge) = start(json!({"edge": {"request_timeout": "2s"}})).await;
    let post = || Request::post().from("TW");
    for (answer, status, outcome) in [
        (Answer::Ok, 200, "ok"),
        (Answer::Status(500), 500, "error"),
        (Answer::Hang, 504, "timeout"),
        (Answer::Reset, 503, "reset"),
        (Answer::Close, 503, "reset"),
    ] {
        let before = outcomes(&edge, "taiwan", outcome).await;
        taiwan.application(answer.clone());
        assert_eq!(edge.send(post()).await.status, status, "{answer:?}");
        let what = format!("{answer:?} counts as {outcome}");
        until(&what, SOON, async || (outcomes(&edge, "taiwan", outcome).await == before + 1.0).then_some(()))
            .await;
    }
}

#[tokio::test]
async fn clients_that_hang_up_do_not_count_against_a_region() {
    let (taiwan, _japan, edge) =
        start(json!({"circuit_breaker": {"sliding_window_size": 10, "minimum_number_of_calls": 5}, "edge": {"per_try_timeout": "2s"}}))
            .await;
    taiwan.application(Answer::Slow(Duration::from_millis(600)));
    let before = taiwan.requests();
    for number in 1..=10 {
        let mut client = TcpStream::connect(edge.address()).await.expect("the edge accepts");
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-country-code: TW\r\n\r\n").await.expect("sent");
        until("the region has the request", SOON, async || {
            (taiwan.requests() == before + number).then_some(())
        })
        .await;
        drop(client);
    }
    until("ten are ignored", SOON, async || {
        (outcomes(&edge, "taiwan", "ignored").await == 10.0).then_some(())
    })
    .await;
    assert_eq!(edge.metric("evenkeel_breaker_state", &[("region", "taiwan")]).await, Some(0.0));
}

#[tokio::test]
async fn clients_cannot_ask_for_more() {
    let (taiwan, japan, edge) = start(json!({"edge": {"per_try_timeout": "2s"}})).await;
    // A first attempt that is numbered by the client still goes to the first region.
    let reply = edge.send(Request::get().from("TW").header("x-envoy-attempt-count", "7")).await;
    assert_eq!(reply.region(), "taiwan");
    // Nor may a client shorten or lengthen what the operator set.
    taiwan.application(Answer::Slow(Duration::from_millis(300)));
    let hasty = Request::get()
        .from("TW")
        .header("x-envoy-upstream-rq-timeout-ms", "1")
        .header("x-envoy-upstream-rq-per-try-timeout-ms", "1")
        .header("x-envoy-expected-rq-timeout-ms", "1");
    assert_eq!(edge.send(hasty).await.region(), "taiwan");
    // A POST is not repeated because its sender says so.
    taiwan.application(Answer::Status(503));
    let (before, others) = (taiwan.requests(), japan.requests());
    let greedy = |request: Request| {
        request
            .from("TW")
            .header("x-envoy-max-retries", "9")
            .header("x-envoy-retry-on", "5xx,retriable-4xx")
            .header("x-envoy-retriable-status-codes", "503")
            .header("x-envoy-hedge-on-per-try-timeout", "true")
    };
    assert_eq!(edge.send(greedy(Request::post())).await.status, 503);
    assert_eq!((taiwan.requests() - before, japan.requests() - others), (1, 0));
    // And a GET is repeated once, not nine times.
    japan.application(Answer::Status(503));
    assert_eq!(edge.send(greedy(Request::get())).await.status, 503);
    assert_eq!((taiwan.requests() - before, japan.requests() - others), (2, 1));
    let received = taiwan.received_at("/").expect("the request");
    for (name, _) in &received.headers {
        let steers = name.starts_with("x-envoy-retr")
            || name.starts_with("x-envoy-max")
            || name.starts_with("x-envoy-hedge");
        assert!(!steers, "the region was sent {name}");
    }
}

#[tokio::test]
async fn a_body_of_some_size_survives_the_retry() {
    let (taiwan, japan, edge) = start(json!({})).await;
    taiwan.application(Answer::Status(500));
    let body: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    let reply = edge.send(Request::new("PUT").from("TW").body(&body)).await;
    assert_eq!((reply.status, reply.region()), (200, "japan"));
    assert!(japan.received_at("/").expect("the retry").body == body, "every byte of it");
}

#[tokio::test]
async fn a_kept_connection_outlives_the_failures_of_its_requests() {
    let (taiwan, _japan, edge) = start(json!({})).await;
    let mut connection =
        Connection::open(edge.address(), std::net::Ipv4Addr::LOCALHOST).await.expect("the edge accepts");
    for failure in failures() {
        taiwan.application(failure.clone());
        let reply = connection.exchange(&Request::get().from("TW")).await;
        assert_eq!(reply.expect("an answer").region(), "japan", "after {failure:?}");
        taiwan.application(Answer::Ok);
        let reply = connection.exchange(&Request::post().from("TW")).await;
        assert_eq!(reply.expect("an answer").region(), "taiwan", "after {failure:?}");
    }
}

#[tokio::test]
async fn a_grpc_failure_hides_behind_a_200_and_counts_all_the_same() {
    let (taiwan, _japan, edge) = start(json!({})).await;
    for (status, outcome) in [("0", "ok"), ("5", "ok"), ("4", "error"), ("13", "error"), ("14", "error")] {
        let before = outcomes(&edge, "taiwan", outcome).await;
        taiwan.application(Answer::With("grpc-status", status.to_owned()));
        let call = Request::post().from("TW").header("content-type", "application/grpc");
        assert_eq!(edge.send(call).await.header("grpc-status"), Some(status));
        let what = format!("gRPC status {status} counts as {outcome}");
        until(&what, SOON, async || (outcomes(&edge, "taiwan", outcome).await == before + 1.0).then_some(()))
            .await;
    }
    // What is no gRPC call is judged by its status alone.
    let before = outcomes(&edge, "taiwan", "ok").await;
    assert_eq!(edge.send(Request::post().from("TW")).await.status, 200);
    until("a plain call counts as ok", SOON, async || {
        (outcomes(&edge, "taiwan", "ok").await == before + 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_region_that_answers_slowly_is_left_by_its_slow_calls() {
    let breaker = json!({
        "sliding_window_size": 10,
        "minimum_number_of_calls": 5,
        "slow_call_duration_threshold": "200ms",
        "wait_duration_in_open_state": "1m"
    });
    let (taiwan, _japan, edge) =
        start(json!({"circuit_breaker": breaker, "edge": {"per_try_timeout": "2s"}})).await;
    taiwan.application(Answer::Slow(Duration::from_millis(350)));
    for _ in 0..5 {
        assert_eq!(edge.region_of("TW").await, "taiwan", "slow, but an answer");
    }
    until("the breaker is open", SOON, async || {
        let reply = edge.send(Request::get().from("TW")).await;
        reply.decision().ends_with("from=taiwan cause=breaker_open").then_some(())
    })
    .await;
    assert_eq!(outcomes(&edge, "taiwan", "ok").await, taiwan.requests() as f64, "no call failed");
}
