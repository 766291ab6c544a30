//! JSON for the AWS command.

use super::Hosted;
use super::checks::{Asked, HealthCheck, Kind};
use super::records::{Answer, RecordSet, Routing};
use evenkeel_policy::dns::Place;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

pub(super) fn write(hosted: &Hosted) -> String {
    let mut references = HashMap::new();
    let checks: Vec<Value> =
        hosted.checks.iter().map(|check| health_check(hosted, check, &mut references)).collect();
    let changes: Vec<Value> = hosted
        .records
        .iter()
        .map(|record| json!({"Action": "UPSERT", "ResourceRecordSet": record_set(hosted, record)}))
        .collect();
    let document = json!({
        "Notes": hosted.notes,
        "HealthChecks": checks,
        "ChangeBatch": {"Comment": format!("evenkeel: {}", hosted.service), "Changes": changes},
    });
    // Only a broken formatter makes this fail.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// Stands for the id that `create-health-check` answers.
fn check_id(name: &str) -> String {
    format!("health-check:{name}")
}

/// Leaves out what is null.
fn object(entries: Value) -> Map<String, Value> {
    match entries {
        Value::Object(entries) => entries.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

fn health_check<'a>(
    hosted: &Hosted,
    check: &'a HealthCheck,
    references: &mut HashMap<&'a str, String>,
) -> Value {
    let mut config = match &check.kind {
        Kind::Asked(asked) => asked_config(asked),
        Kind::Calculated { of, at_least } => object(json!({
            "Type": "CALCULATED",
            "ChildHealthChecks": of.iter().map(|name| check_id(name)).collect::<Vec<_>>(),
            "HealthThreshold": at_least,
        })),
    };
    for (key, set) in [("Inverted", check.inverted), ("Disabled", check.disabled)] {
        if set {
            config.insert(key.to_owned(), true.into());
        }
    }
    let config = Value::Object(config);
    // Another child of the same name has another id: then this is another check too.
    let children = match &check.kind {
        Kind::Calculated { of, .. } => of.iter().filter_map(|name| references.get(name.as_str())).collect(),
        Kind::Asked(_) => Vec::new(),
    };
    let reference = reference(hosted.service, &check.name, &format!("{config} {children:?}"));
    references.insert(&check.name, reference.clone());
    let tags: Vec<Value> =
        check.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    json!({
        "Name": check.name,
        "CreateHealthCheck": {
            "CallerReference": reference,
            "HealthCheckConfig": config,
        },
        "ChangeTags": {
            "ResourceType": "healthcheck",
            "ResourceId": check_id(&check.name),
            "AddTags": tags,
        },
    })
}

fn asked_config(asked: &Asked) -> Map<String, Value> {
    object(json!({
        "Type": asked.kind(),
        "IPAddress": asked.ip,
        "FullyQualifiedDomainName": asked.name,
        "Port": asked.port,
        "ResourcePath": asked.path,
        "SearchString": asked.search,
        "RequestInterval": asked.interval,
        "FailureThreshold": asked.threshold,
        "MeasureLatency": true,
        "EnableSNI": asked.sni(),
    }))
}

/// At most 64 characters; the same for the same check, another for another (FNV-1a).
fn reference(service: &str, name: &str, config: &str) -> String {
    let text = format!("{service} {name} {config}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let short: String = name.chars().take(38).collect();
    format!("evenkeel-{short}-{hash:016x}")
}

fn record_set(hosted: &Hosted, record: &RecordSet) -> Value {
    let mut set = object(json!({
        "Name": format!("{}.", record.name),
        "Type": record.kind.as_str(),
        "SetIdentifier": record.id,
        "HealthCheckId": record.check.as_deref().map(check_id),
    }));
    let routing = match &record.routing {
        Routing::Simple => None,
        Routing::Weighted(weight) => Some(("Weight", json!(weight))),
        Routing::Geolocation(place) => Some(("GeoLocation", location(*place))),
        Routing::Latency(region) => Some(("Region", json!(region))),
        Routing::Failover { primary: true } => Some(("Failover", json!("PRIMARY"))),
        Routing::Failover { primary: false } => Some(("Failover", json!("SECONDARY"))),
        Routing::Multivalue => Some(("MultiValueAnswer", json!(true))),
    };
    set.extend(routing.map(|(key, value)| (key.to_owned(), value)));
    let alias = |zone: &str, name: &str, evaluate: bool| json!({"HostedZoneId": zone, "DNSName": format!("{name}."), "EvaluateTargetHealth": evaluate});
    match &record.answer {
        Answer::Values { ttl, values } => {
            set.insert("TTL".to_owned(), json!(ttl));
            let values: Vec<Value> = values.iter().map(|value| json!({"Value": value})).collect();
            set.insert("ResourceRecords".to_owned(), values.into());
        }
        Answer::Alias { name, evaluate } => {
            let zone = format!("hosted-zone:{}", hosted.zone.origin);
            set.insert("AliasTarget".to_owned(), alias(&zone, name, *evaluate));
        }
        Answer::LoadBalancer { name, zone } => {
            set.insert("AliasTarget".to_owned(), alias(zone, name, false));
        }
    }
    Value::Object(set)
}

fn location(place: Place) -> Value {
    match place {
        Place::Subdivision(part) => {
            json!({"CountryCode": part.country().as_str(), "SubdivisionCode": part.code()})
        }
        Place::Country(country) => json!({"CountryCode": country.as_str()}),
        Place::Continent(continent) => json!({"ContinentCode": continent.as_str()}),
        Place::Default => json!({"CountryCode": "*"}),
    }
}
