//! What is rendered for Route 53: the seed's example word for word, AWS's documented shapes for whatever
//! else, and the same in both formats.

use evenkeel_config::{Plan, render};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn plan(yaml: &str) -> Plan {
    Plan::read(yaml.as_bytes(), Path::new("."), None).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
}

fn document(yaml: &str) -> Value {
    let text = render::route53::change_batch(&plan(yaml)).unwrap_or_else(|problems| panic!("{problems}"));
    serde_json::from_str(&text).expect("JSON")
}

fn record_sets(document: &Value) -> Vec<Value> {
    let changes = document["ChangeBatch"]["Changes"].as_array().expect("changes");
    changes.iter().map(|change| change["ResourceRecordSet"].clone()).collect()
}

fn notes(document: &Value) -> String {
    let notes = document["Notes"].as_array().expect("notes").iter();
    notes.map(|note| note.as_str().expect("text")).collect::<Vec<_>>().join("\n")
}

/// Two regions and these records.
fn with_records(records: &str) -> String {
    with(
        "  dns: {a: [192.0.2.10], aaaa: [\"2001:db8::10\"]}\n  aws: {region: ap-east-2}\n",
        "  dns: {a: [198.51.100.10]}\n  aws: {region: ap-northeast-1}\n",
        &format!("  records:\n{records}"),
    )
}

fn with(taiwan: &str, japan: &str, dns: &str) -> String {
    let region = |name: &str, weight: u32, country: &str, more: &str| {
        format!(
            "- name: {name}\n  weight: {weight}\n  countries: [{country}]\n  address: 10.0.0.1:8080\n  \
             readiness: {{address: \"{name}.api.genai-demo.com:443\", authority: {name}.api.genai-demo.com, \
             tls: {{}}}}\n{more}"
        )
    };
    format!(
        "service: shop\nregions:\n{}{}companion: {{address: \"127.0.0.1:9902\"}}\ndns:\n  zone: genai-demo.com\n  \
         nameservers: [{{name: ns.example.net}}]\n  geoip: {{database: x.mmdb}}\n  \
         health_check: {{interval: 30s, threshold: 2}}\n{dns}",
        region("taiwan", 60, "TW", taiwan),
        region("japan", 40, "JP", japan),
    )
}

/// The seed's section on Route 53: its load balancers, its set identifiers, its health checks.
#[test]
fn the_seeds_example_comes_out_as_it_stands_there() {
    let region = |name: &str, aws: &str, zone: &str| {
        format!(
            "  dns: {{cname: {name}-alb.{aws}.elb.amazonaws.com}}\n  \
             aws: {{region: {aws}, load_balancer_zone: {zone}}}\n"
        )
    };
    let yaml = with(
        &region("taiwan", "ap-east-2", "ZTAIWAN"),
        &region("japan", "ap-northeast-1", "ZJAPAN"),
        "  records:
  - name: api
    policy: geolocation
    members:
    - {id: taiwan-geo, region: taiwan, countries: [TW]}
    - {id: japan-geo, region: japan, countries: [JP]}
    - {id: default-weighted, alias: weighted.api, default: true}
  - name: weighted.api
    policy: weighted
    members:
    - {id: taiwan-weighted, region: taiwan, weight: 60}
    - {id: japan-weighted, region: japan, weight: 40}
  - name: api-latency
    policy: latency
    members:
    - {id: taiwan-latency, region: taiwan}
    - {id: japan-latency, region: japan}
",
    );
    let document = document(&yaml);
    let check = |name: &str, title: &str, region: &str| {
        (
            json!({
                "Type": "HTTPS",
                "ResourcePath": "/actuator/health/readiness",
                "FullyQualifiedDomainName": format!("{name}.api.genai-demo.com"),
                "Port": 443,
                "RequestInterval": 30,
                "FailureThreshold": 2,
                "MeasureLatency": true,
                "EnableSNI": true,
            }),
            json!([{"Key": "Name", "Value": title}, {"Key": "Region", "Value": region}]),
        )
    };
    let expected = [
        check("taiwan", "Taiwan Region Health Check", "ap-east-2"),
        check("japan", "Japan Region Health Check", "ap-northeast-1"),
    ];
    let checks = document["HealthChecks"].as_array().expect("checks");
    assert_eq!(checks.len(), 2);
    for (found, (config, tags)) in checks.iter().zip(expected) {
        assert_eq!(found["CreateHealthCheck"]["HealthCheckConfig"], config);
        assert_eq!(found["ChangeTags"]["AddTags"], tags);
    }
    let record = |name: &str, id: &str, region: &str, routing: (&str, Value)| {
        let (aws, zone) =
            if region == "taiwan" { ("ap-east-2", "ZTAIWAN") } else { ("ap-northeast-1", "ZJAPAN") };
        let mut set = json!({
            "Name": format!("{name}.genai-demo.com."),
            "Type": "A",
            "SetIdentifier": id,
            "HealthCheckId": format!("health-check:{region}"),
            "AliasTarget": {
                "HostedZoneId": zone,
                "DNSName": format!("{region}-alb.{aws}.elb.amazonaws.com."),
                "EvaluateTargetHealth": false,
            },
        });
        set[routing.0] = routing.1;
        set
    };
    // A record of both geography and weight, as the seed has it, is none in Route 53: its weights are those
    // of the group that the default leads to.
    let default = json!({
        "Name": "api.genai-demo.com.",
        "Type": "A",
        "SetIdentifier": "default-weighted",
        "GeoLocation": {"CountryCode": "*"},
        "AliasTarget": {
            "HostedZoneId": "hosted-zone:genai-demo.com",
            "DNSName": "weighted.api.genai-demo.com.",
            "EvaluateTargetHealth": true,
        },
    });
    let expected = [
        record("weighted.api", "taiwan-weighted", "taiwan", ("Weight", json!(60))),
        record("weighted.api", "japan-weighted", "japan", ("Weight", json!(40))),
        record("api", "taiwan-geo", "taiwan", ("GeoLocation", json!({"CountryCode": "TW"}))),
        record("api", "japan-geo", "japan", ("GeoLocation", json!({"CountryCode": "JP"}))),
        default,
        record("api-latency", "taiwan-latency", "taiwan", ("Region", json!("ap-east-2"))),
        record("api-latency", "japan-latency", "japan", ("Region", json!("ap-northeast-1"))),
    ];
    assert_eq!(record_sets(&document), expected);
    sound(&document);
    the_same(&document, &yaml);
}

const ROUTING: [&str; 6] =
    ["Weight", "GeoLocation", "Region", "Failover", "MultiValueAnswer", "SetIdentifier"];

/// What AWS's reference demands of a change batch and of health checks.
fn sound(document: &Value) {
    let mut checks = BTreeSet::new();
    for check in document["HealthChecks"].as_array().expect("checks") {
        let name = check["Name"].as_str().expect("a name");
        let id = format!("health-check:{name}");
        let reference = check["CreateHealthCheck"]["CallerReference"].as_str().expect("a reference");
        assert!((1..=64).contains(&reference.len()), "{reference}");
        assert_eq!(check["ChangeTags"]["ResourceId"], id);
        assert_eq!(check["ChangeTags"]["ResourceType"], "healthcheck");
        let config = &check["CreateHealthCheck"]["HealthCheckConfig"];
        let keys: BTreeSet<&str> = config.as_object().expect("a map").keys().map(String::as_str).collect();
        let kind = config["Type"].as_str().expect("a type");
        if kind == "CALCULATED" {
            let children = config["ChildHealthChecks"].as_array().expect("children");
            // Their ids must be known: they come before.
            assert!(children.iter().all(|child| checks.contains(child.as_str().expect("an id"))), "{config}");
            assert!(config["HealthThreshold"].is_u64());
        } else {
            assert!(["HTTP", "HTTPS", "TCP", "HTTP_STR_MATCH", "HTTPS_STR_MATCH"].contains(&kind), "{kind}");
            assert!(keys.contains("IPAddress") || keys.contains("FullyQualifiedDomainName"), "{config}");
            assert_eq!(keys.contains("SearchString"), kind.ends_with("STR_MATCH"), "{config}");
            assert_eq!(keys.contains("EnableSNI"), kind.starts_with("HTTPS"), "{config}");
            assert_eq!(keys.contains("ResourcePath"), kind != "TCP", "{config}");
            assert!([10, 30].contains(&config["RequestInterval"].as_u64().expect("an interval")));
            assert!((1..=10).contains(&config["FailureThreshold"].as_u64().expect("a threshold")));
            assert!((1..=65535).contains(&config["Port"].as_u64().expect("a port")));
        }
        assert!(checks.insert(id));
    }
    let sets = record_sets(document);
    let mut groups: BTreeMap<(String, String), Vec<&Value>> = BTreeMap::new();
    for (at, set) in sets.iter().enumerate() {
        let keys: BTreeSet<&str> = set.as_object().expect("a map").keys().map(String::as_str).collect();
        let text = |key: &str| set[key].as_str().expect("text").to_owned();
        let (name, kind) = (text("Name"), text("Type"));
        assert!(["A", "AAAA", "CNAME", "TXT"].contains(&kind.as_str()));
        assert!(name.ends_with('.'));
        if keys.contains("AliasTarget") {
            assert!(!keys.contains("TTL") && !keys.contains("ResourceRecords"), "{set}");
            let target = &set["AliasTarget"];
            if target["HostedZoneId"].as_str().expect("a zone").starts_with("hosted-zone:") {
                let there =
                    |other: &Value| other["Name"] == target["DNSName"] && other["Type"] == set["Type"];
                assert!(sets[..at].iter().any(there), "leads to what is not there yet: {set}");
            }
        } else {
            assert!(set["TTL"].is_u64() && !set["ResourceRecords"].as_array().expect("values").is_empty());
        }
        let routing = ROUTING.iter().filter(|key| keys.contains(*key)).count();
        assert!(routing == 0 || (routing == 2 && keys.contains("SetIdentifier")), "{set}");
        assert!(routing > 0 || !keys.contains("HealthCheckId"), "{set}");
        assert!(set["Weight"].as_u64().is_none_or(|weight| weight <= 255), "{set}");
        if keys.contains("MultiValueAnswer") {
            assert_eq!(set["ResourceRecords"].as_array().map(Vec::len), Some(1), "{set}");
            assert!(kind != "CNAME");
        }
        if let Some(check) = set["HealthCheckId"].as_str() {
            assert!(checks.contains(check), "{check}");
        }
        let safe = set["HealthCheckId"].is_string() || set["AliasTarget"]["EvaluateTargetHealth"] == true;
        assert!(set["Failover"] != "PRIMARY" || safe, "{set}");
        groups.entry((name, kind)).or_default().push(set);
    }
    for ((name, kind), group) in &groups {
        let way = |set: &Value| ROUTING[..5].iter().position(|key| !set[key].is_null());
        assert!(group.iter().all(|set| way(set) == way(group[0])), "{name} {kind}: mixed policies");
        assert!(group.len() == 1 || way(group[0]).is_some(), "{name} {kind}: two simple records");
        let ids: BTreeSet<String> = group.iter().map(|set| set["SetIdentifier"].to_string()).collect();
        assert_eq!(ids.len(), group.len(), "{name} {kind}: a set identifier twice");
        for key in ["GeoLocation", "Region", "Failover"] {
            let all: Vec<_> = group.iter().filter(|set| !set[key].is_null()).collect();
            let different: BTreeSet<String> = all.iter().map(|set| set[key].to_string()).collect();
            assert_eq!(all.len(), different.len(), "{name} {kind}: the same {key} twice");
        }
        let ttls: BTreeSet<u64> = group.iter().filter_map(|set| set["TTL"].as_u64()).collect();
        assert!(ttls.len() <= 1, "{name} {kind}: {ttls:?}");
        let others = groups.keys().filter(|(other, _)| other == name).count();
        assert!(kind != "CNAME" || (others == 1 && name.as_str() != "genai-demo.com."), "{name}");
    }
}

/// Terraform's file, read back, says the same as the JSON.
fn the_same(document: &Value, yaml: &str) {
    let text = render::route53::terraform(&plan(yaml)).expect("it was rendered as JSON");
    let body: Value = hcl::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let resources = |kind: &str| body["resource"][kind].as_object().cloned().unwrap_or_default();
    let from_words = |check: &Value| {
        let words = check.as_str().expect("a reference");
        let name = words.strip_prefix("${aws_route53_health_check.").and_then(|w| w.strip_suffix(".id}"));
        Value::from(format!("health-check:{}", name.expect("a health check's id")))
    };
    let mut checks = Vec::new();
    for (name, check) in resources("aws_route53_health_check") {
        let mut config = json!({});
        for (ours, theirs) in [
            ("type", "Type"),
            ("ip_address", "IPAddress"),
            ("fqdn", "FullyQualifiedDomainName"),
            ("port", "Port"),
            ("resource_path", "ResourcePath"),
            ("search_string", "SearchString"),
            ("request_interval", "RequestInterval"),
            ("failure_threshold", "FailureThreshold"),
            ("measure_latency", "MeasureLatency"),
            ("enable_sni", "EnableSNI"),
            ("invert_healthcheck", "Inverted"),
            ("disabled", "Disabled"),
            ("child_health_threshold", "HealthThreshold"),
        ] {
            if !check[ours].is_null() {
                config[theirs] = check[ours].clone();
            }
        }
        if let Some(children) = check["child_healthchecks"].as_array() {
            config["ChildHealthChecks"] = children.iter().map(from_words).collect();
        }
        checks.push((name, config.to_string(), check["tags"].to_string()));
    }
    let mut expected: Vec<_> = Vec::new();
    for check in document["HealthChecks"].as_array().expect("checks") {
        let tags = check["ChangeTags"]["AddTags"].as_array().expect("tags").iter();
        let tags: serde_json::Map<String, Value> =
            tags.map(|tag| (tag["Key"].as_str().expect("a key").to_owned(), tag["Value"].clone())).collect();
        let config = check["CreateHealthCheck"]["HealthCheckConfig"].to_string();
        expected.push((
            check["Name"].as_str().expect("a name").to_owned(),
            config,
            Value::Object(tags).to_string(),
        ));
    }
    checks.sort();
    expected.sort();
    assert_eq!(checks, expected);

    let zone = "${data.aws_route53_zone.zone.zone_id}";
    let mut records = BTreeSet::new();
    let all = resources("aws_route53_record");
    for record in all.values() {
        assert_eq!(record["zone_id"], zone);
        let mut set =
            json!({"Name": format!("{}.", record["name"].as_str().expect("a name")), "Type": record["type"]});
        for (ours, theirs) in [("ttl", "TTL"), ("set_identifier", "SetIdentifier")] {
            if !record[ours].is_null() {
                set[theirs] = record[ours].clone();
            }
        }
        if !record["health_check_id"].is_null() {
            set["HealthCheckId"] = from_words(&record["health_check_id"]);
        }
        if let Some(values) = record["records"].as_array() {
            // The provider quotes texts itself.
            let value = |value: &Value| match (record["type"].as_str(), value.as_str()) {
                (Some("TXT"), Some(text)) => json!({"Value": format!("\"{text}\"")}),
                _ => json!({"Value": value}),
            };
            set["ResourceRecords"] = values.iter().map(value).collect();
        }
        if let Some(alias) = record["alias"].as_object() {
            let own = alias["zone_id"] == zone;
            set["AliasTarget"] = json!({
                "HostedZoneId": if own { "hosted-zone:genai-demo.com".into() } else { alias["zone_id"].clone() },
                "DNSName": format!("{}.", alias["name"].as_str().expect("a name")),
                "EvaluateTargetHealth": alias["evaluate_target_health"],
            });
            // Terraform makes what an alias leads to before the alias.
            let before = record["depends_on"].as_array().cloned().unwrap_or_default();
            let before = before.iter().map(|target| {
                let name = target.as_str().and_then(|t| t.strip_prefix("${aws_route53_record."));
                all[name.and_then(|name| name.strip_suffix('}')).expect("a record")]["name"].clone()
            });
            let before: BTreeSet<String> = before.map(|name| name.to_string()).collect();
            assert_eq!(before.contains(&alias["name"].to_string()), own, "{record}");
        }
        for (block, ours, theirs) in [
            ("weighted_routing_policy", "weight", "Weight"),
            ("latency_routing_policy", "region", "Region"),
            ("failover_routing_policy", "type", "Failover"),
        ] {
            if !record[block].is_null() {
                set[theirs] = record[block][ours].clone();
            }
        }
        if let Some(place) = record["geolocation_routing_policy"].as_object() {
            let word = |key: &str| match key {
                "continent" => "ContinentCode",
                "country" => "CountryCode",
                _ => "SubdivisionCode",
            };
            set["GeoLocation"] =
                place.iter().map(|(key, code)| (word(key).to_owned(), code.clone())).collect();
        }
        if !record["multivalue_answer_routing_policy"].is_null() {
            set["MultiValueAnswer"] = record["multivalue_answer_routing_policy"].clone();
        }
        records.insert(set.to_string());
    }
    let expected: BTreeSet<String> = record_sets(document).iter().map(Value::to_string).collect();
    assert_eq!(records, expected);
    for note in document["Notes"].as_array().expect("notes") {
        assert!(text.contains(&format!("# Note: {}\n", note.as_str().expect("text"))), "{note}");
    }
}

#[test]
fn whatever_there_is_has_awss_shape_and_is_the_same_in_both_formats() {
    let yaml = with_records(
        "  - {name: api}
  - {name: latency, policy: latency}
  - {name: all, policy: multivalue}
  - {name: first, policy: failover, members: [{region: japan, primary: true}, {region: taiwan}]}
  - name: many
    policy: failover
    members: [{id: one, a: [192.0.2.1], health_check: web}, {id: two, a: [192.0.2.2], health_check: web}, {region: taiwan, primary: true}, {id: three, a: [192.0.2.3], health_check: web}, {id: then, a: [192.0.2.4]}, {id: five, a: [192.0.2.5]}]
  - name: places
    policy: geolocation
    ttl: 30s
    members:
    - {id: here, region: taiwan, countries: [TW, HK], continents: [AS], subdivisions: [US-CA]}
    - {alias: api, evaluate_target_health: false, default: true, health_check: most}
  - name: several
    policy: multivalue
    members: [{id: blue, a: [192.0.2.20, 192.0.2.21], health_check: web}, {id: green, a: [192.0.2.22]}]
  - {name: plain, members: [{alias: places}]}
  - {name: elsewhere, policy: weighted, members: [{id: a, cname: a.example.net}, {id: b, cname: b.example.net, weight: 0}]}
  - {name: again, members: [{alias: elsewhere}]}
  - {name: \"@\", members: [{txt: [\"v=spf1 -all\", \"a \\\"quoted\\\" ${word}\"]}]}
  health_checks:
  - {name: web, url: \"http://web.example.com:8080/health?deep=1\", search: \"UP ${x}\", interval: 10s, inverted: true}
  - {name: mail, tcp: \"192.0.2.25:25\", disabled: true}
  - {name: most, calculated: {of: [taiwan, web, mail], at_least: 2}}
",
    );
    let document = document(&yaml);
    sound(&document);
    the_same(&document, &yaml);
    let sets = record_sets(&document);
    let of = |name: &str, kind: &str| {
        let name = format!("{name}genai-demo.com.");
        let found = sets.iter().filter(|set| set["Name"] == name.as_str() && set["Type"] == kind);
        found.map(|set| set["SetIdentifier"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("api.", "A"), ["taiwan", "japan", "everyone else"]);
    assert_eq!(of("_others.api.", "A"), ["taiwan", "japan"]);
    assert_eq!(of("_others.api.", "AAAA"), ["taiwan"]);
    assert_eq!(of("many.", "A"), ["taiwan", "then"]);
    assert_eq!(of("_then.many.", "A"), ["one", "then"]);
    assert_eq!(of("_then._then._then.many.", "A"), ["three", "then"]);
    assert_eq!(of("places.", "A"), ["here-TW", "here-HK", "here-AS", "here-US-CA", "api"]);
    assert_eq!(of("several.", "A"), ["blue-1", "blue-2", "green"]);
    assert_eq!(of("plain.", "A"), ["-"]);
    assert_eq!(of("again.", "CNAME"), ["-"]);
    assert_eq!(of("", "TXT"), ["-"]);
}

/// Notes on what these records and checks become.
#[track_caller]
fn noted(yaml: &str, expected: &[&str]) {
    let document = document(yaml);
    sound(&document);
    the_same(&document, yaml);
    for part in expected {
        let notes = notes(&document);
        assert!(notes.contains(part), "no {part:?} in:\n{notes}");
    }
}

#[test]
fn what_means_less_in_route_53_is_noted() {
    let plain = with_records("  - {name: api, policy: weighted}\n");
    noted(&plain, &["failback:", "nameservers, hostmaster, negative_ttl"]);
    noted(&plain, &["api.genai-demo.com: japan has no AAAA"]);
    let settings = plain.replace(
        "  records:",
        "  failover_ttl: 15s\n  latencies: [{default: true, to: {taiwan: 1ms}}]\n  records:",
    );
    noted(&settings, &["dns.failover_ttl: 15s", "dns.latencies"]);
    let checks = plain.replace(
        "{interval: 30s, threshold: 2}",
        "{interval: 15s, threshold: 2, connect_timeout: 1s, response_timeout: 3s}",
    );
    noted(
        &checks,
        &[
            "dns.health_check.interval: 15s: Route 53 asks every 10s or 30s: 10s here",
            "dns.health_check.connect_timeout: 1s: it is 4s in Route 53",
            "dns.health_check.response_timeout: 3s: it is 2s in Route 53",
        ],
    );
    let edges = plain.replace("  health_check: {interval: 30s, threshold: 2}\n", "");
    let edges = edges.replace("companion:", "health_check: {interval: 5s, unhealthy_threshold: 12, healthy_threshold: 3, max_age: 2m}\ncompanion:");
    noted(
        &edges,
        &[
            "dns.health_check is not given",
            "health_check.interval: 5s: Route 53 asks every 10s or 30s: 10s here",
            "health_check.unhealthy_threshold: 12: Route 53 has 1 to 10: 10 here",
            "health_check.healthy_threshold: 3",
        ],
    );
    let elsewhere = plain.replace("address: \"japan.api.genai-demo.com:443\"", "address: \"10.2.0.5:8443\"");
    let elsewhere = elsewhere
        .replace("japan.api.genai-demo.com, tls: {}", "japan.api.genai-demo.com, tls: {sni: x.example.com}");
    noted(&elsewhere, &["regions[1].readiness: Route 53 asks japan.api.genai-demo.com at port 8443"]);
    let weights = plain.replace("weight: 60", "weight: 900000").replace("weight: 40", "weight: 1");
    noted(
        &weights,
        &["weights end at 255 in Route 53, so they are scaled: taiwan 900000 is 255, japan 1 is 1"],
    );
    let lost = "  - {name: x, members: [{region: taiwan}]}\n  - {name: y, policy: failover, members: [{alias: x, primary: true}, {region: japan}]}\n";
    noted(
        &with_records(lost),
        &["x.genai-demo.com: a simple record has no check in Route 53: give taiwan to the alias"],
    );
    let several = "  - {name: x, policy: multivalue, members: [{id: a, a: [192.0.2.1, 192.0.2.2]}]}\n";
    noted(&with_records(several), &["x.genai-demo.com: Route 53 answers up to 8 addresses"]);
    let behind = "  - {name: x, policy: failover, members: [{region: taiwan, primary: true}, {id: b, a: [192.0.2.1]}, {id: c, a: [192.0.2.2]}]}\n";
    noted(&with_records(behind), &["x.genai-demo.com: c is never answered"]);
}

/// What cannot be rendered names its field, its value and the remedy, in either format.
#[track_caller]
fn refused(yaml: &str, field: &str, remedy: &str) {
    let plan = plan(yaml);
    let problems = render::route53::change_batch(&plan).expect_err("it was rendered");
    assert_eq!(render::route53::terraform(&plan).expect_err("it was rendered"), problems);
    let found = problems
        .0
        .iter()
        .any(|problem| problem.error.field == field && problem.error.remedy.contains(remedy));
    assert!(found, "no {field}: …{remedy}… in:\n{problems}");
}

#[test]
fn what_route_53_cannot_do_is_refused() {
    let record = |text: &str| with_records(&format!("  - {text}\n"));
    for (yaml, field, remedy) in [
        (
            record(
                "{name: x, policy: failover, members: [{region: taiwan, primary: true}, {cname: a.example.net}]}",
            ),
            "dns.records[0].members",
            "a cname stands alone",
        ),
        (
            record("{name: \"@\", members: [{cname: a.example.net}]}"),
            "dns.records[0].members",
            "cannot have a cname",
        ),
        (
            record("{name: x, policy: geolocation, members: [{region: taiwan, subdivisions: [JP-13]}]}"),
            "dns.records[0].members[0].subdivisions",
            "parts of the US alone",
        ),
        (
            record("{name: x, policy: geolocation, members: [{region: taiwan, countries: [BV]}]}"),
            "dns.records[0].members[0].countries",
            "does not know it",
        ),
        (
            record("{name: x, policy: latency, members: [{id: a, a: [192.0.2.1]}, {region: japan}]}"),
            "dns.records[0].members[0].region",
            "name the region",
        ),
        (
            record(
                "{name: x, policy: multivalue, members: [{cname: a.example.net}, {cname: b.example.net, id: b}]}",
            ),
            "dns.records[0].members[0]",
            "addresses alone",
        ),
        (
            record(
                "{name: x, policy: multivalue, members: [{alias: y}]}\n  - {name: y, members: [{a: [192.0.2.1]}]}",
            ),
            "dns.records[0].members[0]",
            "addresses alone",
        ),
        (
            record(
                "{name: x, policy: failover, members: [{a: [192.0.2.1], primary: true}, {region: japan}]}",
            ),
            "dns.records[0].members[0].health_check",
            "give the primary a health check",
        ),
        (
            record("{name: api}\n  - {name: _others.api, members: [{a: [192.0.2.1]}]}"),
            "dns.records[1].name",
            "the rendering needs it for api.genai-demo.com",
        ),
        (
            record("{name: x, policy: latency}").replace("aws: {region: ap-east-2}", "aws: {}"),
            "regions[0].aws.region",
            "nearest",
        ),
        (
            record("{name: x, policy: latency}").replace("region: ap-east-2", "region: ap-northeast-1"),
            "regions[1].aws.region",
            "another member of x.genai-demo.com",
        ),
        (
            record(
                "{name: x, members: [{a: [192.0.2.1]}]}\n  health_checks: [{name: mail, tcp: \"10.0.0.1:25\"}]",
            ),
            "dns.health_checks[0].tcp",
            "from outside",
        ),
        (
            record("{name: api}").replace(
                "\"japan.api.genai-demo.com:443\", authority: japan.api.genai-demo.com, tls: {}",
                "\"10.0.0.1:80\"",
            ),
            "regions[1].readiness.authority",
            "the whole world",
        ),
        (
            record("{name: api}")
                .replace("authority: japan.api.genai-demo.com", &format!("path: /{}", "x".repeat(255))),
            "regions[1].readiness.path",
            "at most 255 bytes",
        ),
    ] {
        refused(&yaml, field, remedy);
    }
    let none = "service: shop\nregions: [{name: taiwan}]\n";
    refused(none, "dns", "give this section");
}

/// A check that asks something else is another one; one that asks the same is the same.
#[test]
fn a_caller_reference_follows_from_what_is_asked() {
    let references = |yaml: &str| {
        let document = document(yaml);
        let checks = document["HealthChecks"].as_array().expect("checks").iter();
        checks.map(|check| check["CreateHealthCheck"]["CallerReference"].to_string()).collect::<Vec<_>>()
    };
    let yaml = with_records(
        "  - {name: api}\n  health_checks: [{name: both, calculated: {of: [taiwan], at_least: 1}}]\n",
    );
    let before = references(&yaml);
    assert_eq!(before, references(&yaml.replace("weight: 60", "weight: 50")));
    let after = references(&yaml.replace("taiwan.api", "taiwan2.api"));
    assert_eq!(before[1], after[1]);
    // The calculated one has another child now.
    assert!(before[0] != after[0] && before[2] != after[2], "{before:?} {after:?}");
}
