//! What the reader says of a topology file: every fault at once, each with field, value and place.

use evenkeel_config::{File, Plan};
use std::path::Path;

fn faults(yaml: impl AsRef<[u8]>) -> Vec<String> {
    match Plan::read(yaml.as_ref(), Path::new("/nowhere"), None) {
        Ok(plan) => panic!("it was taken: {:?}", plan.file),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

/// One fault that begins and contains what it should.
#[track_caller]
fn one(yaml: impl AsRef<[u8]>, parts: &[&str]) {
    let faults = faults(yaml);
    assert_eq!(faults.len(), 1, "{faults:#?}");
    for part in parts {
        assert!(faults[0].contains(part), "no {part:?} in {}", faults[0]);
    }
}

const TWO: &str = "service: shop\nregions:\n- {name: taiwan, address: \"10.0.0.1:80\"}\n- {name: japan, address: \"10.0.0.2:80\"}\n";

fn two_and(more: &str) -> String {
    format!("{TWO}{more}")
}

#[test]
fn the_shortest_file_gets_the_seeds_defaults() {
    let plan = Plan::read(TWO.as_bytes(), Path::new("."), Some("japan")).unwrap();
    let File { edge, health_check, .. } = &plan.file;
    assert_eq!(edge.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(edge.per_try_timeout.get(), 2000);
    assert_eq!(health_check.interval.get(), 5000);
    assert_eq!(plan.settings.local_region.as_deref(), Some("japan"));
    assert_eq!(plan.settings.regions[0].cluster, "taiwan");
}

#[test]
fn yaml_keeps_a_country_a_country() {
    let yaml = TWO.replace("name: japan,", "name: japan, countries: [NO, yes],");
    one(yaml, &["regions[1].countries[1]: \"yes\""]);
    let yaml = TWO.replace("name: japan,", "name: japan, countries: [NO, JP],");
    let plan = Plan::read(yaml.as_bytes(), Path::new("."), None).unwrap();
    assert_eq!(plan.file.regions[1].countries, ["NO", "JP"]);
}

#[test]
fn faults_of_form_are_found_all_at_once_with_their_places() {
    let yaml = "\
serwice: shop
regions:
- name: taiwan
  weight: -1
  address: 10.0.0.1
- name: 5
  countries: [JP, 81]
- adress: \"10.0.0.1:80\"
health_check:
  interval: 5
  timeout: soon
edge:
  max_retries: many
  geoip: {}
  envoy_version: 1.40
databases: {}
";
    let faults = faults(yaml);
    let expected = [
        "line 1, column 1: serwice: there is no such field",
        "service: is missing",
        "line 4, column 3: regions[0].weight:",
        "line 5, column 3: regions[0].address:",
        "line 6, column 3: regions[1].name: 5: must be",
        "line 7, column 19: regions[1].countries[1]: 81: must be",
        "line 8, column 3: regions[2].adress: there is no such field",
        "line 8, column 3: regions[2].name: is missing",
        "line 10, column 3: health_check.interval: 5: must be a duration with its unit",
        "line 11, column 3: health_check.timeout:",
        "line 13, column 3: edge.max_retries: \"many\": must be a whole number",
        "edge.geoip.database: is missing",
        "line 15, column 3: edge.envoy_version: 1.4: must be a version in quotes",
        "line 16, column 1: databases: there is no such field",
    ];
    for part in expected {
        assert!(faults.iter().any(|fault| fault.contains(part)), "no {part:?} in {faults:#?}");
    }
    assert_eq!(faults.len(), expected.len(), "{faults:#?}");
}

#[test]
fn faults_of_content_are_found_all_at_once_with_their_places() {
    let yaml = "\
service: Shop
local_region: korea
regions:
- {name: taiwan, cluster: a, address: \"10.0.0.1:80\", addresses: [\"10.0.0.2:80\"]}
- {name: taiwan, cluster: a, countries: [XXX], tls: {}, address: \"10.0.0.2:80\"}
- {name: japan, readiness: {tls: {}, path: ready}}
edge:
  listen: edge.example.com:80
  connect_timeout: 3s
  per_try_timeout: 0s
  max_retries: 0
  trusted_hops: 300
circuit_breaker:
  failure_rate_threshold: 101
";
    let faults = faults(yaml);
    for part in [
        "line 1, column 1: service: \"Shop\": ",
        "line 2, column 1: local_region: \"korea\": ",
        "regions[0].addresses: give either",
        "line 5, column 4: regions[1].name: \"taiwan\": ",
        "regions[1].cluster: \"a\": regions[0].cluster has",
        "regions[1].countries",
        "regions[1].tls.sni: name the server",
        "regions[2].readiness.tls: give readiness.address",
        "regions[2].readiness.path",
        "line 8, column 3: edge.listen: edge.example.com:80: listen on an IP",
        "line 9, column 3: edge.connect_timeout: 3s: at most edge.per_try_timeout",
        "line 10, column 3: edge.per_try_timeout: 0s: give a time above 0",
        "edge.max_retries: 0: at least 1",
        "edge.trusted_hops: 300: 0 to 255",
        "line 14, column 3: circuit_breaker.failure_rate_threshold: 101",
    ] {
        assert!(faults.iter().any(|fault| fault.contains(part)), "no {part:?} in {faults:#?}");
    }
}

#[test]
fn what_is_no_topology_file_is_said_to_be_none() {
    one("", &["is not a mapping"]);
    one("- a\n", &["is not a mapping"]);
    one("just text", &["is not a mapping"]);
    one("service: [\n", &["line "]);
    one("service: a\n\tregions: []\n", &["tab"]);
    one(b"service: shop\nregions:\n- name: \xff\n", &["line 3, column 9", "UTF-8"]);
    one(two_and("service: again\n"), &["line 5", "duplicate", "service"]);
    one(two_and("---\nservice: other\n"), &["document"]);
    one(format!("{TWO}# {}\n", "x".repeat(300_000)), &["at most 262144"]);
    one(format!("service: {}{}\n", "[".repeat(5000), "]".repeat(5000)), &["line 1"]);
}

#[test]
fn an_alias_bomb_is_refused_quickly() {
    let mut yaml = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(",");
        yaml += &format!("a{i}: &a{i} [{refs}]\n");
    }
    let began = std::time::Instant::now();
    assert_eq!(faults(&yaml).len(), 1);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_shown() {
    let folder = std::env::temp_dir().join(format!("evenkeel-secret-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("hop"), " a secret of many letters\n").unwrap();
    let yaml = two_and("local_region: japan\nhop: {secret_file: hop}\n");
    let plan = Plan::read(yaml.as_bytes(), &folder, None).unwrap();
    assert_eq!(plan.settings.hop.as_ref().unwrap().secret, "a secret of many letters");
    assert!(!format!("{plan:?}").contains("many letters"));
    std::fs::remove_dir_all(&folder).unwrap();

    one(&yaml, &["hop.secret_file: /nowhere/hop: cannot be read"]);
    one(two_and("local_region: japan\nhop: {}\n"), &["hop: give either secret_file or secret"]);
    one(two_and("local_region: japan\nhop: {secret: abc, secret_file: b}\n"), &["hop: give either"]);
    for secret in ["1234567", "short-one", "[a-list]"] {
        let faults = faults(two_and(&format!("local_region: japan\nhop: {{secret: {secret}}}\n")));
        assert!(faults.len() == 1 && faults[0].contains("hop.secret"), "{faults:?}");
        assert!(!faults[0].contains(secret.trim_matches(['[', ']'])), "{faults:?}");
    }
}

#[test]
fn one_file_serves_all_regions() {
    let yaml = "service: shop\nhop: {secret: 0123456789abcdef}\nregions:\n\
                - {name: taiwan, address: \"10.0.0.1:80\", edge_address: \"tw.example.com:443\", tls: {}}\n\
                - {name: japan, address: \"10.1.0.1:80\", edge_address: \"jp.example.com:443\", tls: {}}\n";
    for (local, edges) in [("taiwan", [false, true]), ("japan", [true, false])] {
        let plan = Plan::read(yaml.as_bytes(), Path::new("."), Some(local)).unwrap();
        let found: Vec<bool> = plan.settings.regions.iter().map(|r| r.edge).collect();
        assert_eq!(found, edges);
        let warned = plan.warnings.iter().any(|w| w.contains("readiness.address: not set"));
        assert!(warned, "{:?}", plan.warnings);
    }
    let own = "service: shop\nlocal_region: a\nregions:\n- {name: a, address: \"10.0.0.1:80\", edge: true}\n";
    one(own, &["regions[0].edge: true: region a would call its own edge"]);
    one(TWO.to_owned() + "local_region: mars\n", &["local_region: \"mars\""]);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let yaml = two_and("edge: {admin: \"0.0.0.0:9901\", request_timeout: 3s}\n")
        .replace(", address: \"10.0.0.2:80\"", "");
    let warnings = Plan::read(yaml.as_bytes(), Path::new("."), None).unwrap().warnings;
    for part in ["edge.admin: 0.0.0.0:9901", "edge.request_timeout: 3s", "regions[1].address: not set"] {
        assert!(warnings.iter().any(|w| w.contains(part)), "no {part:?} in {warnings:#?}");
    }
}

#[test]
fn the_schema_names_every_field_with_its_meaning() {
    let schema = evenkeel_config::schema();
    fn walk(node: &serde_json::Value, path: &str, bare: &mut Vec<String>) {
        if let Some(properties) = node.get("properties").and_then(|p| p.as_object()) {
            for (name, field) in properties {
                let at = format!("{path}.{name}");
                if field.get("description").is_none() {
                    bare.push(at.clone());
                }
                walk(field, &at, bare);
            }
        }
        for (name, definition) in node.get("$defs").and_then(|d| d.as_object()).into_iter().flatten() {
            walk(definition, name, bare);
        }
    }
    let mut bare = Vec::new();
    walk(&schema, "file", &mut bare);
    assert!(bare.is_empty(), "{bare:?}");
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["service", "regions"]));
}

#[test]
fn what_an_outage_costs_is_read_exactly() {
    let read = |business: &str| {
        let plan = Plan::read(two_and(&format!("business: {business}\n")).as_bytes(), Path::new("."), None);
        plan.unwrap().file.business.unwrap()
    };
    let seed = read("{orders_per_minute: 60, order_value: 85}");
    assert_eq!((seed.order_value.to_string(), seed.currency.as_str()), ("85".to_owned(), "USD"));
    let small = read("{orders_per_minute: 0.125, order_value: \"19.90\", currency: JPY}");
    assert_eq!(small.orders_per_minute.thousandths(), 125);
    assert_eq!(small.order_value.thousandths(), 19_900);
    assert!(Plan::read(TWO.as_bytes(), Path::new("."), None).unwrap().file.business.is_none());
}

#[test]
fn what_cannot_be_a_price_is_refused() {
    let with = |business: &str| two_and(&format!("business: {business}\n"));
    one(with("{order_value: 85}"), &["business.orders_per_minute: is missing"]);
    one(with("{orders_per_minute: 0, order_value: 85}"), &["business.orders_per_minute: 0: give", "above 0"]);
    one(with("{orders_per_minute: 60, order_value: 2000000}"), &["business.order_value: 2000000: give"]);
    for value in ["-1", "8.1234", "1e30", "eighty", "true"] {
        one(with(&format!("{{orders_per_minute: 60, order_value: {value}}}")), &["business.order_value"]);
    }
    for currency in ["usd", "US", "\"$\"", "EURO", "\"<b>\""] {
        let file = with(&format!("{{orders_per_minute: 60, order_value: 85, currency: {currency}}}"));
        one(file, &["business.currency", "ISO 4217"]);
    }
}
