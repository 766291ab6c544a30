//! Every way to get a configuration wrong: the error names the field, the value and the remedy.
#![cfg(not(target_arch = "wasm32"))]

use evenkeel_policy::topology::Topology;
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "local_region": "taiwan",
        "regions": [
            {"name": "taiwan", "cluster": "taiwan", "countries": ["TW"], "continents": ["OC"]},
            {"name": "japan", "cluster": "japan"}]})
}

/// What is said of the good configuration with one value at one place (a JSON pointer) changed.
fn said(place: &str, value: Value) -> String {
    let mut config = good();
    let (parent, key) = place.rsplit_once('/').expect("a pointer");
    let mut at = &mut config;
    for step in parent.split('/').skip(1) {
        at = match at {
            Value::Array(list) => &mut list[step.parse::<usize>().expect("an index")],
            other => &mut other[step],
        };
    }
    match at {
        Value::Array(list) if key == "-" => list.push(value),
        Value::Array(list) => list[key.parse::<usize>().expect("an index")] = value,
        other => other[key] = value,
    }
    Topology::from_json(config.to_string().as_bytes()).expect_err(place).to_string()
}

#[test]
fn the_error_names_field_value_and_remedy() {
    let override_of = |more: Value| {
        let mut one = json!({"until": "2026-01-31T18:00:00Z"});
        one.as_object_mut().expect("an object").append(&mut more.as_object().expect("an object").clone());
        json!([one])
    };
    // (place, value put there, what the error must hold: field, value, remedy)
    let rows: Vec<(&str, Value, [&str; 3])> = vec![
        // unknown fields and wrong types: the path and what is known there
        ("/regoins", json!([]), ["regoins", "`regoins`", "expected one of `local_region`"]),
        ("/regions/0/wieght", json!(1), ["regions[0].wieght", "`wieght`", "`weight`"]),
        ("/regions/1/health", json!({"port": 80}), ["regions[1].health.port", "`port`", "`authority`"]),
        ("/routing", json!({"polcy": "geo"}), ["routing.polcy", "`polcy`", "`policy`"]),
        ("/routing", json!({"policy": "nearest"}), ["routing.policy", "`nearest`", "`latency`"]),
        ("/routing", json!({"default": "geo"}), ["routing.default", "`geo`", "`weighted`"]),
        (
            "/routing",
            json!({"sticky": {"source": "path"}}),
            ["routing.sticky.source", "`path`", "`client_ip`"],
        ),
        (
            "/health_check",
            json!({"intervall": "5s"}),
            ["health_check.intervall", "`intervall`", "`interval`"],
        ),
        ("/circuit_breaker", json!({"size": 5}), ["circuit_breaker.size", "`size`", "`sliding_window_size`"]),
        ("/failback", json!({"hold_time": "5s"}), ["failback.hold_time", "`hold_time`", "`hold`"]),
        ("/all_unhealthy", json!("panic"), ["all_unhealthy", "`panic`", "`reject`"]),
        ("/debug_header", json!("yes"), ["debug_header", "\"yes\"", "a boolean"]),
        ("/regions", json!({}), ["regions", "map", "a sequence"]),
        // regions
        ("/regions", json!([]), ["regions", "0 regions", "list 1 to 32"]),
        ("/regions/1/name", json!("taiwan"), ["regions[1].name", "\"taiwan\"", "use each once"]),
        ("/regions/1/name", json!("Japan"), ["regions[1].name", "\"Japan\"", "lower-case letters"]),
        ("/regions/1/name", json!(""), ["regions[1].name", "\"\"", "1 to 63"]),
        ("/regions/1/cluster", json!(""), ["regions[1].cluster", "\"\"", "an Envoy cluster"]),
        ("/regions/1/cluster", json!("a\nb"), ["regions[1].cluster", "\"a\\nb\"", "an Envoy cluster"]),
        ("/regions/1/weight", json!(-1), ["regions[1].weight", "-1 is not a weight", "from 0 to 1000000"]),
        ("/regions/1/weight", json!(1.5), ["regions[1].weight", "1.5 is not a weight", "a whole number"]),
        ("/regions/1/weight", json!(1_000_001), ["regions[1].weight", "1000001", "from 0 to 1000000"]),
        ("/regions/1/countries", json!(["Japan"]), ["regions[1].countries[0]", "\"Japan\"", "two letters"]),
        (
            "/regions/1/countries",
            json!(["JP", "tw"]),
            ["regions[1].countries[1]", "\"tw\"", "\"taiwan\" claims it"],
        ),
        ("/regions/1/continents", json!(["Asia"]), ["regions[1].continents[0]", "\"Asia\"", "AF AN AS EU"]),
        (
            "/regions/1/continents",
            json!(["oc"]),
            ["regions[1].continents[0]", "\"oc\"", "\"taiwan\" claims it"],
        ),
        (
            "/regions/1/health",
            json!({"cluster": ""}),
            ["regions[1].health.cluster", "\"\"", "an Envoy cluster"],
        ),
        (
            "/regions/1/health",
            json!({"authority": "a b"}),
            ["regions[1].health.authority", "\"a b\"", "host name"],
        ),
        (
            "/regions/1/health",
            json!({"path": "ready"}),
            ["regions[1].health.path", "\"ready\"", "begins with /"],
        ),
        ("/local_region", json!("mars"), ["local_region", "\"mars\"", "use one of taiwan, japan"]),
        // durations and numbers
        ("/health_check", json!({"interval": "0s"}), ["health_check.interval", "0s", "above zero"]),
        (
            "/health_check",
            json!({"timeout": "-3s"}),
            ["health_check.timeout", "\"-3s\"", "a number and a unit"],
        ),
        ("/health_check", json!({"timeout": 3}), ["health_check.timeout", "`3`", "a duration with its unit"]),
        ("/health_check", json!({"max_latency": "0ms"}), ["health_check.max_latency", "0s", "above zero"]),
        (
            "/health_check",
            json!({"max_age": "5s"}),
            ["health_check.max_age", "5s", "more than interval (5s)"],
        ),
        ("/health_check", json!({"max_age": "2y"}), ["health_check.max_age", "\"2y\"", "shorter duration"]),
        (
            "/health_check",
            json!({"healthy_threshold": 0}),
            ["health_check.healthy_threshold", "0", "1 to 100"],
        ),
        (
            "/health_check",
            json!({"unhealthy_threshold": 101}),
            ["health_check.unhealthy_threshold", "101", "1 to 100"],
        ),
        (
            "/circuit_breaker",
            json!({"sliding_window_size": 0}),
            ["circuit_breaker.sliding_window_size", "0", "1 to 1000 calls"],
        ),
        (
            "/circuit_breaker",
            json!({"sliding_window_size": 301, "sliding_window_type": "time_based"}),
            ["circuit_breaker.sliding_window_size", "301", "1 to 300 seconds"],
        ),
        (
            "/circuit_breaker",
            json!({"minimum_number_of_calls": 0}),
            ["circuit_breaker.minimum_number_of_calls", "0", "use 1 to"],
        ),
        (
            "/circuit_breaker",
            json!({"failure_rate_threshold": 0}),
            ["circuit_breaker.failure_rate_threshold", "0", "above 0, up to 100"],
        ),
        (
            "/circuit_breaker",
            json!({"slow_call_rate_threshold": 100.5}),
            ["circuit_breaker.slow_call_rate_threshold", "100.5", "up to 100"],
        ),
        (
            "/circuit_breaker",
            json!({"slow_call_duration_threshold": "0s"}),
            ["circuit_breaker.slow_call_duration_threshold", "0s", "above zero"],
        ),
        (
            "/circuit_breaker",
            json!({"wait_duration_in_open_state": "0s"}),
            ["circuit_breaker.wait_duration_in_open_state", "0s", "above zero"],
        ),
        (
            "/circuit_breaker",
            json!({"permission_timeout": "0s"}),
            ["circuit_breaker.permission_timeout", "0s", "above zero"],
        ),
        (
            "/circuit_breaker",
            json!({"permitted_number_of_calls_in_half_open_state": 0}),
            ["circuit_breaker.permitted_number_of_calls_in_half_open_state", "0", "1 to 100"],
        ),
        ("/failback", json!({"max_error_rate": -5}), ["failback.max_error_rate", "-5", "above 0"]),
        ("/failback", json!({"hold": "-30s"}), ["failback.hold", "\"-30s\"", "a number and a unit"]),
        // routing
        (
            "/routing",
            json!({"country_header": "a b"}),
            ["routing.country_header", "\"a b\"", "a header's name"],
        ),
        (
            "/routing",
            json!({"country_header": "X-Evenkeel-Country"}),
            ["routing.country_header", "X-Evenkeel-Country", "use another name"],
        ),
        (
            "/routing",
            json!({"continent_header": ""}),
            ["routing.continent_header", "\"\"", "a header's name"],
        ),
        (
            "/routing",
            json!({"sticky": {"source": "header"}}),
            ["routing.sticky.name", "", "name the header or cookie"],
        ),
        (
            "/routing",
            json!({"sticky": {"source": "cookie", "name": "a;b"}}),
            ["routing.sticky.name", "\"a;b\"", "a cookie's name"],
        ),
        (
            "/routing",
            json!({"sticky": {"source": "client_ip", "name": "x"}}),
            ["routing.sticky.name", "\"x\"", "remove it"],
        ),
        // the rest
        (
            "/overrides",
            override_of(json!({"drain": "mars"})),
            ["overrides[0].drain", "\"mars\"", "use one of taiwan, japan"],
        ),
        (
            "/overrides",
            override_of(json!({"pin": "mars"})),
            ["overrides[0].pin", "\"mars\"", "use one of taiwan, japan"],
        ),
        ("/overrides", override_of(json!({})), ["overrides[0]", "", "exactly one of drain"]),
        (
            "/overrides",
            override_of(json!({"pin": "japan", "freeze": true})),
            ["overrides[0]", "", "exactly one of drain"],
        ),
        (
            "/overrides",
            json!([{"freeze": true, "until": "noon"}]),
            ["overrides[0].until", "\"noon\"", "RFC 3339"],
        ),
        ("/overrides", json!([{"freeze": true}]), ["overrides[0]", "`until`", "missing field"]),
        (
            "/overrides",
            override_of(json!({"drain": "japan", "ttl": "1h"})),
            ["overrides[0].ttl", "`ttl`", "`until`"],
        ),
        ("/safe_methods", json!(["post"]), ["safe_methods[0]", "\"post\"", "upper case"]),
        ("/safe_methods", json!(["CONNECT"]), ["safe_methods[0]", "\"CONNECT\"", "other than CONNECT"]),
        ("/trusted_proxies", json!(["10.0.0.0/33"]), ["trusted_proxies[0]", "\"10.0.0.0/33\"", "CIDR"]),
        ("/hop", json!({"secret": "short"}), ["hop.secret", "", "at least 16 characters"]),
        ("/companion", json!({"cluster": ""}), ["companion.cluster", "\"\"", "an Envoy cluster"]),
        (
            "/companion",
            json!({"cluster": "c", "authority": "/"}),
            ["companion.authority", "\"/\"", "host name"],
        ),
    ];
    let mut faults = Vec::new();
    for (place, value, parts) in rows {
        let error = said(place, value.clone());
        let fine =
            error.starts_with(&format!("{}: ", parts[0])) && parts.iter().all(|part| error.contains(part));
        if !fine || error.lines().count() != 1 {
            faults.push(format!("{place} = {value}\n  says  {error}\n  wants {parts:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn all_faults_of_content_are_told_at_once() {
    let mut config = good();
    config["local_region"] = json!("mars");
    config["health_check"] = json!({"interval": "0s"});
    config["regions"][1]["name"] = json!("taiwan");
    let error = Topology::from_json(config.to_string().as_bytes()).expect_err("three faults");
    let fields: Vec<&str> = error.0.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["regions[1].name", "local_region", "health_check.interval"]);
}

#[test]
fn a_secret_is_in_no_error() {
    for place in ["/hop", "/routing"] {
        let secret = "tiny-secret";
        let value = if place == "/hop" {
            json!({"secret": secret})
        } else {
            json!({"sticky": {"seed": secret, "x": 1}})
        };
        assert!(!said(place, value).contains(secret));
    }
}

#[test]
fn too_many_regions_and_rubbish_are_refused() {
    let regions: Vec<Value> =
        (0..33).map(|index| json!({"name": format!("r{index}"), "cluster": "c"})).collect();
    let error = said("/regions", json!(regions));
    assert!(error.contains("33 regions: list 1 to 32"), "{error}");
    for rubbish in [&b""[..], b"\xff\xfe", b"[]", b"{\"regions\": [", b"null"] {
        let error = Topology::from_json(rubbish).expect_err("no configuration").to_string();
        assert!(!error.is_empty() && error.len() < 300, "{error}");
    }
    // A megabyte in a field is not a megabyte of log.
    assert!(said("/local_region", json!("x".repeat(1 << 20))).len() < 300);
}
