//! What a configuration may say, field by field.

use super::{Claims, ConfiguredOverride, Region, StickyKey};
use crate::error::ConfigErrors;
use crate::geography::{Continent, Country};
use crate::region::{MAX_REGIONS, RegionId, RegionName};
use crate::settings::{
    CircuitBreaker, HealthCheck, OverrideSettings, READINESS_PATH, RegionHealth, RegionSettings, Settings,
    SlidingWindowType, Sticky, StickySource,
};
use crate::sticky::Seed;
use crate::time::Millis;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

pub(super) fn regions(list: &[RegionSettings], errors: &mut ConfigErrors) -> Vec<Region> {
    if list.is_empty() || list.len() > MAX_REGIONS {
        errors.add("regions", format!("{} regions", list.len()), format!("list 1 to {MAX_REGIONS}"));
    }
    let mut regions: Vec<Region> = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate().take(MAX_REGIONS) {
        let at = |field: &str| format!("regions[{index}].{field}");
        let name = match RegionName::try_new(&item.name) {
            Ok(name) => name,
            Err(remedy) => {
                errors.add(at("name"), quoted(&item.name), remedy);
                continue;
            }
        };
        if regions.iter().any(|r| r.name == name) {
            errors.add(at("name"), quoted(&item.name), "another region has this name: use each once");
        }
        cluster(&at("cluster"), &item.cluster, errors);
        let health = item.health.clone().unwrap_or(RegionHealth {
            cluster: None,
            authority: None,
            path: READINESS_PATH.to_owned(),
        });
        let health_cluster = health.cluster.unwrap_or_else(|| item.cluster.clone());
        if health_cluster != item.cluster {
            cluster(&at("health.cluster"), &health_cluster, errors);
        }
        let health_authority = health.authority.unwrap_or_else(|| item.name.clone());
        authority(&at("health.authority"), &health_authority, errors);
        if !health.path.starts_with('/') || health.path.parse::<http::uri::PathAndQuery>().is_err() {
            errors.add(at("health.path"), quoted(&health.path), "use a path that begins with /");
        }
        regions.push(Region {
            name,
            cluster: item.cluster.clone(),
            weight: item.weight,
            edge: item.edge,
            health_cluster,
            health_authority,
            health_path: health.path,
        });
    }
    regions
}

pub(super) fn claims(list: &[RegionSettings], errors: &mut ConfigErrors) -> Claims {
    let mut claims = Claims { countries: vec![None; Country::CODES], ..Claims::default() };
    let name = |id: RegionId| list.get(id.index()).map_or("", |r| r.name.as_str());
    for (index, region) in list.iter().enumerate() {
        let Some(id) = RegionId::new(index) else { break };
        for (place, code) in region.countries.iter().enumerate() {
            let field = format!("regions[{index}].countries[{place}]");
            let Some(country) = Country::parse(code.as_bytes()) else {
                errors.add(field, quoted(code), "use an ISO 3166-1 code of two letters, like \"TW\"");
                continue;
            };
            if let Some(slot) = claims.countries.get_mut(country.index()) {
                match slot {
                    Some(other) if *other != id => errors.add(
                        field,
                        quoted(code),
                        format!("region \"{}\" claims it already: leave it to one", name(*other)),
                    ),
                    _ => *slot = Some(id),
                }
            }
        }
        for (place, code) in region.continents.iter().enumerate() {
            let field = format!("regions[{index}].continents[{place}]");
            let Some(continent) = Continent::parse(code.as_bytes()) else {
                errors.add(field, quoted(code), "use one of AF AN AS EU NA OC SA");
                continue;
            };
            match claims.continents.get(continent.index()).copied().flatten() {
                Some(other) if other != id => errors.add(
                    field,
                    quoted(code),
                    format!("region \"{}\" claims it already: leave it to one", name(other)),
                ),
                _ => claims.claim_continent(continent, id),
            }
        }
    }
    claims
}

pub(super) fn check_health(health: &HealthCheck, errors: &mut ConfigErrors) {
    for (field, value) in [
        ("health_check.interval", health.interval),
        ("health_check.timeout", health.timeout),
        ("health_check.max_age", health.max_age),
        ("health_check.max_latency", health.max_latency),
    ] {
        positive(field, value, errors);
    }
    if health.max_age <= health.interval {
        errors.add(
            "health_check.max_age",
            health.max_age,
            format!("use more than interval ({}), or every region is stale between probes", health.interval),
        );
    }
    count("health_check.unhealthy_threshold", health.unhealthy_threshold, 1, 100, errors);
    count("health_check.healthy_threshold", health.healthy_threshold, 1, 100, errors);
}

pub(super) fn check_breaker(breaker: &CircuitBreaker, errors: &mut ConfigErrors) {
    let (most, unit) = match breaker.sliding_window_type {
        SlidingWindowType::CountBased => (1000, "calls"),
        SlidingWindowType::TimeBased => (300, "seconds"),
    };
    if !(1..=most).contains(&breaker.sliding_window_size) {
        errors.add(
            "circuit_breaker.sliding_window_size",
            breaker.sliding_window_size,
            format!("use 1 to {most} {unit}"),
        );
    }
    count("circuit_breaker.minimum_number_of_calls", breaker.minimum_number_of_calls, 1, 1_000_000, errors);
    count(
        "circuit_breaker.permitted_number_of_calls_in_half_open_state",
        breaker.permitted_number_of_calls_in_half_open_state,
        1,
        100,
        errors,
    );
    percent("circuit_breaker.failure_rate_threshold", breaker.failure_rate_threshold, errors);
    percent("circuit_breaker.slow_call_rate_threshold", breaker.slow_call_rate_threshold, errors);
    positive("circuit_breaker.slow_call_duration_threshold", breaker.slow_call_duration_threshold, errors);
    positive("circuit_breaker.wait_duration_in_open_state", breaker.wait_duration_in_open_state, errors);
    positive("circuit_breaker.permission_timeout", breaker.permission_timeout, errors);
}

pub(super) fn sticky(sticky: &Sticky, errors: &mut ConfigErrors) -> StickyKey {
    const NAME: &str = "routing.sticky.name";
    match (sticky.source, &sticky.name) {
        (StickySource::Header, Some(name)) => StickyKey::Header(header(NAME, name, errors)),
        (StickySource::Cookie, Some(name)) => {
            // RFC 6265: a cookie's name is a token, as a header's is.
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                errors.add(NAME, quoted(name), "use a cookie's name, like \"session\"");
            }
            StickyKey::Cookie(name.clone())
        }
        (StickySource::Header | StickySource::Cookie, None) => {
            errors.add(NAME, "", "name the header or cookie that carries the key");
            StickyKey::None
        }
        (StickySource::None | StickySource::ClientIp, Some(name)) => {
            errors.add(NAME, quoted(name), "only the sources header and cookie take a name: remove it");
            StickyKey::None
        }
        (StickySource::ClientIp, None) => StickyKey::ClientIp,
        (StickySource::None, None) => StickyKey::None,
    }
}

pub(super) fn overrides(
    list: &[OverrideSettings],
    ids: &HashMap<String, RegionId>,
    regions: &[Region],
    errors: &mut ConfigErrors,
) -> Vec<ConfiguredOverride> {
    use crate::overrides::Directive;
    let mut found = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let at = |field: &str| format!("overrides[{index}].{field}");
        let mut region = |field: &str, name: &String| {
            let id = ids.get(name.as_str()).copied();
            if id.is_none() {
                errors.add(at(field), quoted(name), known_regions(regions));
            }
            id
        };
        let order = match (&item.drain, &item.pin, item.freeze) {
            (Some(name), None, false) => {
                region("drain", name).map(|region| Directive::Drain { region, force: item.force })
            }
            (None, Some(name), false) => region("pin", name).map(|region| Directive::Pin { region }),
            (None, None, true) => Some(Directive::Freeze),
            _ => {
                errors.add(
                    format!("overrides[{index}]"),
                    "",
                    "say exactly one of drain: REGION, pin: REGION and freeze: true",
                );
                None
            }
        };
        let until = humantime::parse_rfc3339(&item.until)
            .ok()
            .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
            .and_then(|since| u64::try_from(since.as_millis()).ok());
        if until.is_none() {
            errors.add(
                at("until"),
                quoted(&item.until),
                "use RFC 3339 in UTC, like \"2026-01-31T18:00:00Z\"",
            );
        }
        if let (Some(order), Some(until_unix_ms)) = (order, until) {
            found.push(ConfiguredOverride { order, until_unix_ms });
        }
    }
    found
}

pub(super) fn methods(list: &[String], errors: &mut ConfigErrors) -> Vec<http::Method> {
    let mut found = Vec::new();
    for (index, name) in list.iter().enumerate() {
        match http::Method::from_bytes(name.as_bytes()) {
            Ok(method) if *name == name.to_ascii_uppercase() && method != http::Method::CONNECT => {
                found.push(method);
            }
            _ => errors.add(
                format!("safe_methods[{index}]"),
                quoted(name),
                "use an HTTP method in upper case other than CONNECT, like \"POST\"",
            ),
        }
    }
    found
}

pub(super) fn networks(list: &[String], errors: &mut ConfigErrors) -> Vec<IpNet> {
    let mut found = Vec::new();
    for (index, text) in list.iter().enumerate() {
        match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => found.push(network),
            Err(_) => errors.add(
                format!("trusted_proxies[{index}]"),
                quoted(text),
                "use an address or a CIDR block, like \"10.0.0.0/8\"",
            ),
        }
    }
    found
}

pub(super) fn cluster(field: &str, name: &str, errors: &mut ConfigErrors) {
    // The name becomes a header's value in Envoy's route, so it must be able to be one.
    if name.is_empty() || name.len() > 255 || http::HeaderValue::from_str(name).is_err() {
        errors.add(field, quoted(name), "use the name of an Envoy cluster, 1 to 255 visible characters");
    }
}

pub(super) fn authority(field: &str, name: &str, errors: &mut ConfigErrors) {
    if name.parse::<http::uri::Authority>().is_err() {
        errors.add(field, quoted(name), "use a host name, with :PORT if needed");
    }
}

pub(super) fn header(field: &str, name: &str, errors: &mut ConfigErrors) -> String {
    match http::HeaderName::from_bytes(name.as_bytes()) {
        Ok(valid) if !valid.as_str().starts_with("x-evenkeel-") => valid.as_str().to_owned(),
        Ok(_) => {
            errors.add(field, quoted(name), "x-evenkeel-* is removed from every request: use another name");
            name.to_owned()
        }
        Err(_) => {
            errors.add(field, quoted(name), "use a header's name, like \"x-country-code\"");
            name.to_owned()
        }
    }
}

fn positive(field: &str, value: Millis, errors: &mut ConfigErrors) {
    if value == Millis::ZERO {
        errors.add(field, value, "use a duration above zero");
    }
}

pub(super) fn percent(field: &str, value: f32, errors: &mut ConfigErrors) {
    // A NaN is in no range, so it is refused here too.
    if !(value > 0.0 && value <= 100.0) {
        errors.add(field, value, "use a percentage above 0, up to 100");
    }
}

fn count(field: &str, value: u32, least: u32, most: u32, errors: &mut ConfigErrors) {
    if !(least..=most).contains(&value) {
        errors.add(field, value, format!("use {least} to {most}"));
    }
}

pub(super) fn quoted(text: &str) -> String {
    // A megabyte of rubbish in a field must not become a megabyte of log.
    let short: String = text.chars().take(80).collect();
    format!("{short:?}{}", if short.len() < text.len() { "…" } else { "" })
}

pub(super) fn known_regions(regions: &[Region]) -> String {
    let names: Vec<&str> = regions.iter().map(|r| r.name.as_str()).collect();
    format!("no region has this name: use one of {}", names.join(", "))
}

pub(super) fn by_name(regions: &[Region]) -> HashMap<String, RegionId> {
    regions
        .iter()
        .enumerate()
        .filter_map(|(index, region)| Some((region.name.as_str().to_owned(), RegionId::new(index)?)))
        .collect()
}

pub(super) fn fingerprint(settings: &Settings) -> String {
    let text = serde_json::to_vec(settings).unwrap_or_default();
    format!("{:016x}", Seed::from_text("evenkeel configuration").digest(&text))
}
