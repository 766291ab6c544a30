//! What clients send to break the edge: no crash, a clear answer, and service goes on.

use evenkeel_config::render::{FilterSource, bootstrap};
use evenkeel_tests::client::Connection;
use evenkeel_tests::port::Port;
use evenkeel_tests::{Edge, Region, Reply, Request, Topology};
use serde_json::json;
use std::net::Ipv4Addr;

async fn start() -> (Region, Region, Edge) {
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({"routing": {
        "default": "local",
        "continent_header": "x-continent",
        "sticky": {"source": "cookie", "name": "session", "seed": "tests"}
    }}));
    let edge = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;
    (taiwan, japan, edge)
}

async fn raw(edge: &Edge, bytes: &[u8]) -> Result<Reply, String> {
    Connection::open(edge.address(), Ipv4Addr::LOCALHOST).await?.exchange_raw(bytes, false).await
}

/// On both workers, since each connection may be taken by either.
async fn assert_serving(edge: &mut Edge, after: &str) {
    for _ in 0..8 {
        let reply = edge.send(Request::get().from("JP")).await;
        assert_eq!((reply.status, reply.region()), (200, "japan"), "after {after}");
    }
    edge.assert_sound();
}

#[tokio::test]
async fn headers_that_are_no_text() {
    let (_taiwan, japan, mut edge) = start().await;
    let odd: [&[u8]; 5] = [b"\xff\xfe", b"\xc3\x28", b"caf\xe9", b"\xf0\x9f\x98", b"\x80"];
    let names = [
        "x-country-code",
        "x-continent",
        "cookie",
        "x-evenkeel-region",
        "x-evenkeel-fallback",
        "x-evenkeel-hop",
        "x-evenkeel-hop-secret",
        "x-evenkeel-made-up",
        "x-envoy-attempt-count",
        "x-envoy-retry-on",
        "x-forwarded-for",
        "content-type",
        "user-agent",
        "x-e",
    ];
    for name in names {
        for value in odd {
            let reply = edge.send(Request::get().header(name, value)).await;
            assert_eq!(reply.status, 200, "{name}: {value:?}");
        }
    }
    let cookie = [b"session=".as_slice(), b"\xff\xfe\xfd"].concat();
    assert_eq!(edge.send(Request::get().header("cookie", cookie)).await.status, 200);
    assert_serving(&mut edge, "headers that are no text").await;
    assert_eq!(japan.received_at("/").and_then(|r| r.header("x-evenkeel-made-up")), None);
}

#[tokio::test]
async fn headers_of_sixty_kilobytes() {
    let (_taiwan, _japan, mut edge) = start().await;
    for name in ["x-big", "x-country-code", "cookie", "x-evenkeel-hop", "x-evenkeel-made-up"] {
        let just_fits = "T".repeat(59 << 10);
        let reply = edge.send(Request::get().header(name, &just_fits)).await;
        assert_eq!(reply.status, 200, "{name} of 59 KB");
        let too_much = "T".repeat(61 << 10);
        let reply = edge.send(Request::get().header(name, &too_much)).await;
        assert_eq!(reply.status, 431, "{name} of 61 KB: Envoy's own limit");
    }
    assert_serving(&mut edge, "large headers").await;
}

#[tokio::test]
async fn thousands_of_headers() {
    let (_taiwan, _japan, mut edge) = start().await;
    let many = |count: usize, name: &str| {
        (0..count).fold(Request::get().from("JP"), |request, number| {
            request.header(&format!("{name}{number}"), "v")
        })
    };
    // Envoy's own limit is 100.
    assert_eq!(edge.send(many(80, "x-evenkeel-")).await.status, 200);
    assert_eq!(edge.send(many(3_000, "x-h-")).await.status, 431);
    assert_serving(&mut edge, "thousands of headers").await;

    // Where the operator raised that limit, the filter has to read them all.
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let (listen, admin) = (Port::free(), Port::free());
    let topology = Topology::of(&[&taiwan, &japan]).with(json!({
        "edge": {"listen": listen.address().to_string(), "admin": admin.address().to_string()}
    }));
    let rendered = bootstrap(&topology.plan(), &FilterSource::Static).expect("rendered");
    let limits = "common_http_protocol_options:\n            max_headers_count: 20000\n          max_request_headers_kb: 8192\n          stat_prefix: edge";
    let raised = rendered.replace("stat_prefix: edge", limits);
    assert_ne!(raised, rendered, "the rendering no longer says stat_prefix: edge");
    let mut edge = Edge::start_with_bootstrap(&raised, listen, admin).await;
    for name in ["x-h-", "x-evenkeel-", "x-envoy-retry-", "cookie-"] {
        let reply = edge.send(many(5_000, name)).await;
        assert_eq!((reply.status, reply.region()), (200, "japan"), "5,000 times {name}");
    }
    let left = japan.received_at("/").expect("the request").headers;
    assert!(left.len() > 5_000, "the harmless ones went through: {}", left.len());
    let reply = edge.send(Request::get().from("JP").header("x-big", "v".repeat(4 << 20))).await;
    assert_eq!((reply.status, reply.region()), (200, "japan"), "one header of 4 MB");
    assert_serving(&mut edge, "5,000 headers").await;
}

#[tokio::test]
async fn requests_without_what_every_request_has() {
    let (taiwan, japan, mut edge) = start().await;
    for (bytes, statuses) in [
        (b"GET / HTTP/1.1\r\n\r\n".as_slice(), [400].as_slice()),
        (b"GET / HTTP/1.1\r\nhost:\r\n\r\n", &[200, 400]),
        (b"GET / HTTP/1.0\r\n\r\n", &[400, 426]),
        (b"GET http:// HTTP/1.1\r\nhost: a\r\n\r\n", &[200, 400, 404]),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", &[400, 403, 404, 405, 503]),
        (b" / HTTP/1.1\r\nhost: a\r\n\r\n", &[400]),
        (b"GET  HTTP/1.1\r\nhost: a\r\n\r\n", &[400]),
        (b"G\xff\xfe / HTTP/1.1\r\nhost: a\r\n\r\n", &[400]),
        (b"GET /\xff\xfe HTTP/1.1\r\nhost: a\r\n\r\n", &[200, 400]),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx-country-code\r\n\r\n", &[400]),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx-country-code:\r\n\r\n", &[200]),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense, and more of it than a frame's head", &[]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[400]),
    ] {
        let shown = String::from_utf8_lossy(bytes).into_owned();
        match raw(&edge, bytes).await {
            Ok(reply) => assert!(statuses.contains(&reply.status), "{shown:?}: {}", reply.status),
            Err(problem) => assert!(statuses.is_empty(), "{shown:?}: {problem}"),
        }
    }
    assert!(taiwan.requests() + japan.requests() <= 4, "what is no request reaches no region");
    assert_serving(&mut edge, "requests that are none").await;
}

#[tokio::test]
async fn forged_headers_have_no_effect_and_go_no_further() {
    let (taiwan, _japan, mut edge) = start().await;
    let forged = [
        ("x-evenkeel-region", "japan"),
        ("X-Evenkeel-Region", "japan"),
        ("x-evenkeel-fallback", "mars"),
        ("x-evenkeel-decision", "region=mars reason=geo"),
        ("x-evenkeel-hop", "japan"),
        ("x-evenkeel-hop", "taiwan"),
        ("x-evenkeel-hop-secret", "guess"),
        ("x-evenkeel-drain", "600s"),
        ("x-evenkeel-made-up", "1"),
        ("x-envoy-attempt-count", "2"),
        ("x-envoy-max-retries", "9"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-retry-grpc-on", "cancelled"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
        ("x-envoy-upstream-rq-per-try-timeout-ms", "1"),
        ("x-envoy-hedge-on-per-try-timeout", "true"),
    ];
    for (name, value) in forged {
        let reply = edge.send(Request::get().from("TW").path("/one").header(name, value)).await;
        assert_eq!((reply.status, reply.region()), (200, "taiwan"), "{name}: {value}");
        assert_eq!(reply.decision(), "region=taiwan reason=geo", "{name}: {value}");
    }
    let all = forged.iter().fold(Request::get().from("TW").path("/all"), |request, (name, value)| {
        request.header(name, value).header(name, value)
    });
    let reply = edge.send(all).await;
    assert_eq!((reply.status, reply.region()), (200, "taiwan"));
    let received = taiwan.received_at("/all").expect("the request");
    let own: Vec<(String, String)> = received
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-evenkeel-") || name.starts_with("x-envoy-"))
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect();
    let value = |wanted: &str| {
        let values: Vec<&str> =
            own.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect();
        values.join(",")
    };
    assert_eq!(value("x-evenkeel-region"), "taiwan");
    assert_eq!(value("x-evenkeel-fallback"), "japan");
    assert_eq!(value("x-envoy-attempt-count"), "1");
    for (name, shown) in &own {
        // The last two are Envoy's own word, not the client's.
        let ours = [
            "x-evenkeel-region",
            "x-evenkeel-fallback",
            "x-envoy-attempt-count",
            "x-envoy-expected-rq-timeout-ms",
            "x-envoy-external-address",
        ];
        assert!(ours.contains(&name.as_str()), "the region was sent {name}: {shown}");
    }
    assert_serving(&mut edge, "forged headers").await;
}

#[tokio::test]
async fn the_last_of_several_countries_counts() {
    let (_taiwan, _japan, edge) = start().await;
    let reply = edge.send(Request::get().from("TW").from("JP")).await;
    assert_eq!(reply.region(), "japan", "what stands in front adds its own behind a client's");
}

#[tokio::test]
async fn random_bytes_for_names_and_values() {
    let (_taiwan, _japan, mut edge) = start().await;
    // A generator of its own (SplitMix64), so that a failure can be repeated.
    let mut state = 0x5eed_u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let names = [
        "x-country-code",
        "x-continent",
        "cookie",
        "x-evenkeel-hop",
        "x-evenkeel-x",
        "x-envoy-retry-on",
        "x-e",
        "content-type",
    ];
    let mut answered = 0;
    for round in 0..300 {
        let mut bytes = b"GET / HTTP/1.1\r\nhost: a\r\n".to_vec();
        for _ in 0..next() % 8 {
            bytes.extend_from_slice(names[(next() % names.len() as u64) as usize].as_bytes());
            bytes.extend_from_slice(b": ");
            for _ in 0..next() % 40 {
                let byte = (next() % 256) as u8;
                // Envoy itself refuses control characters, except sometimes, to try that too.
                let refused = byte < b' ' || byte == 0x7f;
                let ends = matches!(byte, b'\r' | b'\n');
                bytes.push(if ends || (refused && round % 10 > 0) { b'x' } else { byte });
            }
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        let reply = raw(&edge, &bytes).await;
        let status = reply.map(|reply| reply.status);
        assert!(matches!(status, Ok(200 | 400)), "round {round}: {status:?}");
        answered += usize::from(status == Ok(200));
    }
    assert!(answered > 50, "the filter saw only {answered} of them");
    assert_serving(&mut edge, "random bytes").await;
}
