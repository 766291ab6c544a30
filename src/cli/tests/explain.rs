//! `evenkeel explain` as a person on call uses it.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn explain(config: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .arg("explain")
        .arg("--config")
        .arg(golden(config))
        .args(arguments)
        .output()
        .expect("evenkeel runs")
}

/// The text in one line, however it was wrapped.
fn words(config: &str, arguments: &[&str]) -> String {
    let output = explain(config, arguments);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn answer(config: &str, arguments: &[&str]) -> Value {
    let output = explain(config, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn it_says_where_why_and_what_then() {
    // (configuration, arguments, what must be said)
    let rows: [(&str, &[&str], &[&str]); 9] = [
        (
            "geo.json",
            &["--country", "jp"],
            &["goes to japan", "claims the country JP", "goes to taiwan, once"],
        ),
        ("geo.json", &["--country", "KR"], &["goes to japan", "claims the client's continent"]),
        (
            "dies-by-probes.json",
            &["--country", "TW", "--down", "taiwan", "--method", "post"],
            &[
                "POST goes to japan",
                "but its probes fail",
                "Back after 2 good probes",
                "30s of hold and 6m of ramp",
            ],
        ),
        (
            "dies-by-probes.json",
            &["--country", "TW", "--method", "POST"],
            &["nothing was sent, it goes to japan", "never sent twice"],
        ),
        (
            "dies-by-breaker.json",
            &["--country", "TW", "--breaker-open", "taiwan"],
            &["goes to japan", "live calls to it failed", "Trials begin in 30s"],
        ),
        (
            "dies-by-breaker.json",
            &["--country", "TW", "--half-open", "taiwan"],
            &[
                "goes to taiwan",
                "one of the few calls that test it",
                "when 3 of them have ended",
                "ends in 30s",
            ],
        ),
        (
            "failback.json",
            &["--country", "TW", "--share", "taiwan=43"],
            &["57.0 % japan (failover), 43.0 % taiwan (geo)", "takes 43 % of its share", "all of it in 57s"],
        ),
        (
            "drains.json",
            &["--country", "JP", "--drain", "japan", "--drain", "taiwan"],
            &[
                "drain japan (ignored: nothing would be left), for another 10m",
                "drain taiwan, for another 10m",
            ],
        ),
        (
            "both-down-reject.json",
            &["--down", "taiwan", "--down", "japan"],
            &["refused with 503", "is reject"],
        ),
    ];
    for (config, arguments, expected) in rows {
        let said = words(config, arguments);
        for part in expected {
            assert!(said.contains(part), "{arguments:?}: {part:?} is not in {said}");
        }
    }
}

#[test]
fn the_decision_is_the_one_that_replay_shows() {
    let events = golden("dies-by-probes.events.jsonl");
    let found =
        answer("dies-by-probes.json", &["--country", "TW", "--state-from", events.to_str().expect("UTF-8")]);
    // The trace ends with this very request.
    let expected = std::fs::read_to_string(golden("dies-by-probes.expected.jsonl")).expect("a file");
    let last: Value = serde_json::from_str(expected.lines().last().expect("lines")).expect("JSON");
    for key in ["order", "reason", "from", "cause"] {
        assert_eq!(found["decision"][key], last["decision"][key], "{key}");
    }
    assert_eq!(found["regions"][0]["standing"], "hold");
    let says = found["regions"][0]["says"].as_str().expect("text");
    assert!(says.contains("its ramp begins in 30s"), "{says}");
}

/// Answers one request with this page, as Envoy's admin interface does.
fn admin(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a call");
        let mut asked = [0; 4096];
        let length = stream.read(&mut asked).expect("a request");
        assert!(asked[..length].starts_with(b"GET /stats/prometheus?filter=evenkeel HTTP/1.1\r\n"));
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", page.len());
        stream.write_all((head + &page).as_bytes()).expect("an answer");
    });
    format!("http://{address}")
}

#[test]
fn a_live_edge_is_read_and_what_it_does_not_tell_is_said() {
    let page = "evenkeel_region_healthy{region=\"taiwan\"} 1\nevenkeel_region_healthy{region=\"japan\"} 0\n\
                evenkeel_region_share{region=\"taiwan\"} 37\nevenkeel_region_share{region=\"japan\"} 0\n\
                evenkeel_breaker_state{region=\"taiwan\"} 0\nevenkeel_breaker_state{region=\"japan\"} 2\n\
                evenkeel_config_info{hash=\"0000000000000000\"} 1\n";
    let found = answer("geo.json", &["--country", "JP", "--envoy-admin", &admin(page.to_owned())]);
    assert_eq!(found["decision"]["order"], json!(["taiwan"]));
    assert_eq!(found["decision"]["cause"], "unhealthy");
    assert_eq!(found["regions"][0]["share"], 37);
    assert_eq!(found["regions"][1]["breaker"], "open");
    let unknown = found["unknown"].to_string();
    assert!(unknown.contains("another configuration (0000000000000000)"), "{unknown}");
    assert!(unknown.contains("how much of a hold"), "{unknown}");

    let output = explain("geo.json", &["--envoy-admin", &admin("server.uptime 1\n".to_owned())]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no evenkeel_region_* metrics"), "{output:?}");
}

#[test]
fn what_is_wrong_is_named() {
    let rows: [(&[&str], i32, &str); 6] = [
        (&["--country", "Japan"], 2, "two letters"),
        (&["--random", "1"], 2, "up to but not including 1"),
        (&["--share", "taiwan=4"], 2, "5 to 100"),
        (&["--down", "mars"], 2, "use one of taiwan, japan"),
        (&["--envoy-admin", "nowhere"], 2, "HOST:PORT"),
        (&["--state-from", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")], 1, "line 1: column"),
    ];
    for (arguments, code, said) in rows {
        let output = explain("geo.json", arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}
