//! `evenkeel dns explain` as a person on call uses it.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

#[path = "../../dns/tests/support/mmdb.rs"]
mod mmdb;

const TOPOLOGY: &str = "\
service: shop
regions:
- {name: taiwan, weight: 60, countries: [TW], dns: {a: [192.0.2.10]}}
- {name: japan, weight: 40, countries: [JP], dns: {a: [198.51.100.10], aaaa: [\"2001:db8::10\"]}}
companion: {address: \"127.0.0.1:9902\"}
dns:
  zone: example.com
  nameservers: [{name: ns1.example.com, addresses: [192.0.2.1]}]
  failover_ttl: 15s
  geoip: {database: places.mmdb}
  latencies: [{default: true, to: {taiwan: 40ms, japan: 60ms}}]
  health_checks:
  - {name: orders, tcp: \"orders.example.com:443\"}
  - {name: both, calculated: {of: [taiwan, orders], at_least: 2}}
  records:
  - {name: api}
  - {name: fast, policy: latency}
  - name: asia
    policy: geolocation
    members: [{region: taiwan, continents: [AS]}]
  - name: either
    policy: failover
    members: [{region: taiwan, primary: true, health_check: both}, {id: sorry, a: [203.0.113.80]}]
";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("evenkeel.yaml"), TOPOLOGY).expect("the topology file");
    let networks = [("203.0.113.0/24", "AS", "TW", ""), ("198.18.0.0/16", "EU", "FR", "")];
    mmdb::write(&folder.path().join("places.mmdb"), &networks);
    folder
}

fn explain(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["dns", "explain"])
        .args(arguments)
        .env_remove("EVENKEEL_TOKEN")
        .output()
        .expect("evenkeel runs")
}

fn offline(folder: &Path, arguments: &[&str]) -> Output {
    let file = folder.join("evenkeel.yaml");
    explain(&[arguments, &["--config", file.to_str().expect("UTF-8")]].concat())
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text
}

#[test]
fn a_calm_answer_is_told_in_full() {
    let folder = folder();
    let text = said(&offline(folder.path(), &["api", "--from", "203.0.113.7"]));
    assert_eq!(
        text,
        "Question   api.example.com A, from 203.0.113.7\n\
         Client     in TW, AS, says the database of 203.0.113.0/24\n\
         Answer     api.example.com. 60 IN A 192.0.2.10\n\
         Because    taiwan: that member serves the client's place (geo).\n\
         Looked at  taiwan of api (geolocation): taken: check taiwan is up\n\
         Odds       always 192.0.2.10 (taiwan)\n\
         Kept for   1m\n\
         Holds for  clients of 203.0.113.0/24 alone (EDNS Client Subnet)\n\
         State      supposed: all is well\n"
    );
}

#[test]
fn a_failover_says_who_was_passed_over_and_why_the_answer_is_short_lived() {
    let folder = folder();
    let arguments = ["api.example.com", "--from", "203.0.113.7", "--down", "taiwan", "--fresh"];
    let text = said(&offline(folder.path(), &arguments));
    assert_eq!(
        text,
        "Question   api.example.com A, from 203.0.113.7\n\
         Client     in TW, AS, says the database of 203.0.113.0/24\n\
         Answer     api.example.com. 15 IN A 198.51.100.10\n\
         Because    japan: the one that should be answered is not healthy, or not fully\n\
        \x20            back, so another one is (failover).\n\
         Looked at  taiwan of api (geolocation): passed over: check taiwan is down\n\
        \x20          everyone else of api (geolocation): taken: no check\n\
        \x20          taiwan of api, everyone else (weighted, weight 60): passed over:\n\
        \x20            check taiwan is down\n\
        \x20          japan of api, everyone else (weighted, weight 40): taken: check japan\n\
        \x20            is up\n\
         Odds       always 198.51.100.10 (japan)\n\
         Kept for   15s: lowered, since a failover is fresh (dns.failover_ttl)\n\
         Holds for  clients of 203.0.113.0/24 alone (EDNS Client Subnet)\n\
         State      supposed: taiwan down, both down, all else well; a failover is fresh\n"
    );
}

/// The text in one line, however it was wrapped.
#[track_caller]
fn words(folder: &Path, arguments: &[&str]) -> String {
    said(&offline(folder, arguments)).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_case_has_its_own_words() {
    // (arguments, what must be said)
    let rows: [(&[&str], &[&str]); 13] = [
        (&["api", "--from", "198.18.4.5"], &["in FR, EU", "drawn by weight among the healthy", "(weighted)"]),
        (&["api", "--from", "9.9.9.9"], &["nobody knows where: the database says nothing"]),
        (
            &["api", "--from", "203.0.113.7", "--share", "taiwan=30"],
            &["taiwan is coming back and takes 30 % of its share", "supposed: taiwan at 30 %, all else well"],
        ),
        (
            &["api", "--from", "203.0.113.7", "--down", "taiwan", "--down", "japan"],
            &["(degraded)", "taken all the same", "an answer is better than none"],
        ),
        (&["api", "--from", "203.0.113.7", "--type", "aaaa"], &["NOERROR, and no records", "has no AAAA"]),
        (&["fast", "--from", "9.9.9.9"], &["taiwan of fast (latency, 40 ms away): taken", "(latency)"]),
        (
            &["asia", "--from", "198.18.4.5"],
            &["nobody in it serves this client (no_answer)", "dns.negative_ttl"],
        ),
        (
            &["either", "--from", "9.9.9.9"],
            &["the primary is healthy (primary)", "check both is up", "everyone"],
        ),
        (
            &["either", "--from", "9.9.9.9", "--down", "orders"],
            &[
                "(failover)",
                "check both is down",
                "sorry of either (failover): taken: no check",
                "203.0.113.80",
            ],
        ),
        (&["nobody", "--from", "9.9.9.9"], &["nobody.example.com A", "NXDOMAIN", "no such name"]),
        (
            &["example.net.", "--from", "9.9.9.9"],
            &["example.net A", "REFUSED", "no zone that is answered here"],
        ),
        (&["@", "--from", "9.9.9.9", "--type", "NS"], &["ns1.example.com", "the zone's own record"]),
        (&["ns1", "--from", "::1"], &["192.0.2.1", "from ::1"]),
    ];
    let folder = folder();
    for (arguments, expected) in rows {
        let said = words(folder.path(), arguments);
        for part in expected {
            assert!(said.contains(part), "{arguments:?}: {part:?} is not in {said}");
        }
    }
}

#[test]
fn the_odds_are_those_of_the_weights() {
    let folder = folder();
    let output = offline(folder.path(), &["api", "--from", "198.18.4.5", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&found["name"], &found["rcode"]), (&json!("api.example.com"), &json!("NOERROR")));
    let odds: Vec<(f64, &Value)> = found["odds"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|odds| (odds["percent"].as_f64().expect("a number"), &odds["region"]))
        .collect();
    assert!((odds[0].0 - 60.0).abs() < 2.0 && odds[0].1 == "taiwan", "{odds:?}");
    assert!((odds[1].0 - 40.0).abs() < 2.0 && odds[1].1 == "japan", "{odds:?}");
    let text = words(folder.path(), &["api", "--from", "198.18.4.5"]);
    assert!(text.contains("% 192.0.2.10 (taiwan)") && text.contains("% 198.51.100.10 (japan)"), "{text}");
}

/// Answers one request with this, as a companion's admin listener does; gives back what was asked.
fn companion(status: &'static str, body: String) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a call");
        let mut asked = [0; 4096];
        let length = stream.read(&mut asked).expect("a request");
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).expect("an answer");
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    (address, asked)
}

#[test]
fn a_companion_is_asked_and_its_answer_is_the_one_that_is_told() {
    let folder = folder();
    let arguments = ["api", "--from", "203.0.113.7", "--down", "taiwan", "--json"];
    let explained = String::from_utf8(offline(folder.path(), &arguments).stdout).expect("UTF-8");
    let (address, asked) = companion("200 OK", explained);
    let text = said(&explain(&["@", "--from", "2001:db8::1", "--type", "TXT", "--admin", &address]));
    let asked = asked.join().expect("no panic");
    assert!(
        asked.starts_with("GET /v1/dns/explain?name=%40&type=TXT&from=2001:db8::1 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(text.contains("passed over: check taiwan is down"), "{text}");
    assert!(text.ends_with(&format!("State      the companion at {address}, now\n")), "{text}");
}

#[test]
fn what_is_wrong_is_named() {
    let folder = folder();
    let rows: [(&[&str], &str); 7] = [
        (&["api"], "--from"),
        (&["api", "--from", "nowhere"], "invalid IP address"),
        (&["a b", "--from", "9.9.9.9"], "\"a b\" is not a DNS name"),
        (&["api", "--from", "9.9.9.9", "--down", "mars"], "use one of taiwan, japan, orders, both"),
        (&["api", "--from", "9.9.9.9", "--down", "both"], "is calculated from other checks"),
        (&["api", "--from", "9.9.9.9", "--share", "taiwan=101"], "0 to 100"),
        (&["api", "--from", "9.9.9.9", "--type", "NONSENSE"], "NONSENSE"),
    ];
    for (arguments, said) in rows {
        let output = offline(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    let output = explain(&["api", "--from", "9.9.9.9", "--down", "taiwan"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--config"), "{output:?}");

    let (address, _asked) = companion("200 OK", "{}".to_owned());
    let output = explain(&["api", "--from", "9.9.9.9", "--admin", &address]);
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("not as a companion of this version"),
        "{output:?}"
    );
    let refusal =
        json!({"error": "this companion answers no DNS: give dns in its topology file"}).to_string();
    let (address, _asked) = companion("404 Not Found", refusal);
    let output = explain(&["api", "--from", "9.9.9.9", "--admin", &address]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("answers no DNS"), "{output:?}");

    let file = folder.path().join("evenkeel.yaml");
    std::fs::write(&file, TOPOLOGY.split("dns:\n").next().expect("a beginning")).expect("the file");
    let output = offline(folder.path(), &["api", "--from", "9.9.9.9"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("has no dns section"), "{output:?}");
    std::fs::write(&file, TOPOLOGY.replace("zone: example.com", "zone: \"-\"")).expect("the file");
    let output = offline(folder.path(), &["api", "--from", "9.9.9.9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("evenkeel.yaml: line 7"), "{output:?}");
}
