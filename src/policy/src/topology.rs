//! The regions and their settings, validated once.
//!
//! Whoever holds a [`Topology`] need not check a name, a weight, a duration or a header again.

use crate::error::ConfigErrors;
use crate::geography::{Continent, Country};
use crate::locate::path_at;
use crate::region::{MAX_REGIONS, RegionId, RegionName};
use crate::settings::{
    AllUnhealthy, CircuitBreaker, Companion, DefaultPolicy, Failback, HealthCheck, Hop, OverrideSettings,
    READINESS_PATH, RegionHealth, RegionSettings, RoutingPolicy, Settings, SlidingWindowType, Sticky,
    StickySource,
};
use crate::sticky::Seed;
use crate::time::Millis;
use ipnet::IpNet;
use std::collections::HashMap;
use std::net::IpAddr;

/// The regions and their settings, validated.
#[derive(Clone, Debug)]
pub struct Topology {
    /// The regions in configuration order. 1 to [`MAX_REGIONS`].
    pub regions: Vec<Region>,
    /// The region this edge stands in.
    pub local: Option<RegionId>,
    /// How a request's region is chosen.
    pub policy: RoutingPolicy,
    /// What serves the countries that no region claims.
    pub default: DefaultPolicy,
    /// Which region claims which country or continent.
    pub claims: Claims,
    /// The request header with the country, in lower case.
    pub country_header: String,
    /// The request header with the continent, in lower case.
    pub continent_header: Option<String>,
    /// Where the sticky key comes from.
    pub sticky: StickyKey,
    /// Seeds the hash of sticky keys.
    pub seed: Seed,
    /// How health is found by probes.
    pub health_check: HealthCheck,
    /// When live traffic takes a region out.
    pub circuit_breaker: CircuitBreaker,
    /// How a region gets its traffic back.
    pub failback: Failback,
    /// What happens when no region is eligible.
    pub all_unhealthy: AllUnhealthy,
    /// The operator's orders that the configuration carries.
    pub overrides: Vec<ConfiguredOverride>,
    /// Methods safe to repeat besides RFC 9110's idempotent ones.
    pub safe_methods: Vec<http::Method>,
    /// Peers whose country header counts; empty: every peer's.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether responses say why.
    pub debug_header: bool,
    /// The loop guard's secret.
    pub hop: Option<Hop>,
    /// The companion to tell.
    pub companion: Option<Companion>,
    /// A stable fingerprint of the whole configuration, 16 hex digits.
    pub hash: String,
}

/// One region.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its name.
    pub name: RegionName,
    /// The Envoy cluster that serves it.
    pub cluster: String,
    /// Its part of weighted traffic.
    pub weight: u32,
    /// Whether `cluster` leads to that region's own edge.
    pub edge: bool,
    /// The Envoy cluster to probe.
    pub health_cluster: String,
    /// The probe's `:authority`.
    pub health_authority: String,
    /// The probe's path.
    pub health_path: String,
}

/// Where a sticky key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StickyKey {
    /// No key.
    None,
    /// The client's address.
    ClientIp,
    /// The header of this name, in lower case.
    Header(String),
    /// The cookie of this name.
    Cookie(String),
}

/// An order of the operator with its absolute end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfiguredOverride {
    /// What is ordered.
    pub order: crate::overrides::Directive,
    /// When it ends, in milliseconds since 1970 UTC.
    pub until_unix_ms: u64,
}

/// Which region claims which country or continent: a look-up costs the same however many there are.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    countries: Vec<Option<RegionId>>,
    continents: [Option<RegionId>; Continent::COUNT],
    /// For each country, who claims the continent it lies in. Worked out once: looking a country's
    /// continent up takes longer than all the rest of a decision.
    by_continent: Vec<Option<RegionId>>,
}

impl Claims {
    /// The region that claims the country itself.
    pub fn country(&self, country: Country) -> Option<RegionId> {
        self.countries.get(country.index()).copied().flatten()
    }

    /// The region that claims the country, else the one that claims the continent.
    ///
    /// A `continent` of none means: the one the country lies in.
    pub fn region(&self, country: Option<Country>, continent: Option<Continent>) -> Option<RegionId> {
        let look_up = |table: &[Option<RegionId>]| table.get(country.map(Country::index)?).copied().flatten();
        look_up(&self.countries).or_else(|| match continent {
            Some(continent) => self.continents.get(continent.index()).copied().flatten(),
            None => look_up(&self.by_continent),
        })
    }

    /// A continent's claim is a claim on each of its countries, if nothing more is known.
    fn claim_continent(&mut self, continent: Continent, region: RegionId) {
        if let Some(slot) = self.continents.get_mut(continent.index()) {
            *slot = Some(region);
        }
        self.by_continent.resize(Country::CODES, None);
        for country in continent.countries() {
            if let Some(slot) = self.by_continent.get_mut(country.index()) {
                *slot = Some(region);
            }
        }
    }
}

impl Topology {
    /// Reads and checks the plugin configuration's JSON.
    ///
    /// # Errors
    /// The first fault of form (unknown field, wrong type) with its path, or all faults of content.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigErrors> {
        let settings: Settings = serde_json::from_slice(json).map_err(|error| {
            let path = match path_at(
                json,
                error.line(),
                error.column(),
                error.to_string().starts_with("missing field"),
            ) {
                path if path.is_empty() => "configuration".to_owned(),
                path => path,
            };
            ConfigErrors::single(path, error.to_string())
        })?;
        Self::from_settings(settings)
    }

    /// Checks settings that were read already.
    ///
    /// # Errors
    /// All faults, each with its field, its value and what would be right.
    pub fn from_settings(settings: Settings) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let hash = fingerprint(&settings);
        let regions = regions(&settings.regions, &mut errors);
        let ids = by_name(&regions);
        let local = settings.local_region.as_ref().and_then(|name| {
            let found = ids.get(name.as_str()).copied();
            if found.is_none() && !regions.is_empty() {
                errors.add("local_region", quoted(name), known_regions(&regions));
            }
            found
        });
        let claims = claims(&settings.regions, &mut errors);
        let any_claim = settings.regions.iter().any(|r| !r.countries.is_empty() || !r.continents.is_empty());
        check_health(&settings.health_check, &mut errors);
        check_breaker(&settings.circuit_breaker, &mut errors);
        percent("failback.max_error_rate", settings.failback.max_error_rate, &mut errors);
        let topology = Topology {
            local,
            policy: settings.routing.policy.unwrap_or(if any_claim {
                RoutingPolicy::Geo
            } else {
                RoutingPolicy::Weighted
            }),
            default: settings.routing.default,
            claims,
            country_header: header("routing.country_header", &settings.routing.country_header, &mut errors),
            continent_header: settings
                .routing
                .continent_header
                .as_ref()
                .map(|name| header("routing.continent_header", name, &mut errors)),
            sticky: sticky(&settings.routing.sticky, &mut errors),
            seed: Seed::from_text(settings.routing.sticky.seed.as_deref().unwrap_or("")),
            overrides: overrides(&settings.overrides, &ids, &regions, &mut errors),
            safe_methods: methods(&settings.safe_methods, &mut errors),
            trusted_proxies: networks(&settings.trusted_proxies, &mut errors),
            regions,
            health_check: settings.health_check,
            circuit_breaker: settings.circuit_breaker,
            failback: settings.failback,
            all_unhealthy: settings.all_unhealthy,
            debug_header: settings.debug_header,
            hop: settings.hop,
            companion: settings.companion,
            hash,
        };
        if topology.hop.as_ref().is_some_and(|hop| hop.secret.len() < 16) {
            errors.add("hop.secret", "", "use at least 16 characters, the same on every edge");
        }
        if topology.hop.is_some() && topology.local.is_none() {
            errors.add("local_region", "", "name this edge's own region: the loop guard needs it");
        }
        if let Some(companion) = &topology.companion {
            cluster("companion.cluster", &companion.cluster, &mut errors);
            authority("companion.authority", &companion.authority, &mut errors);
        }
        errors.into_result(topology)
    }

    /// The region of this name.
    pub fn region_id(&self, name: &str) -> Option<RegionId> {
        self.regions.iter().position(|r| r.name.as_str() == name).and_then(RegionId::new)
    }

    /// The region at this place.
    pub fn region(&self, id: RegionId) -> Option<&Region> {
        self.regions.get(id.index())
    }

    /// The region's name; a dash for an id of another topology.
    pub fn name(&self, id: RegionId) -> &str {
        self.region(id).map_or("-", |r| r.name.as_str())
    }

    /// Every region's id, in configuration order.
    pub fn ids(&self) -> impl Iterator<Item = RegionId> + Clone + use<> {
        (0..self.regions.len()).filter_map(RegionId::new)
    }

    /// Whether a request with this method may be sent twice.
    pub fn is_safe(&self, method: &[u8]) -> bool {
        matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
            || self.safe_methods.iter().any(|m| m.as_str().as_bytes() == method)
    }

    /// Whether the country header of a request from this peer counts.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        self.trusted_proxies.is_empty()
            || peer.is_some_and(|peer| {
                let peer = peer.to_canonical();
                self.trusted_proxies.iter().any(|network| network.contains(&peer))
            })
    }

    /// What is allowed but probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.regions.len() == 1 {
            warnings.push("regions: only one: there is nothing to fail over to".to_owned());
        }
        if self.regions.len() > 1 && self.regions.iter().all(|r| r.weight == 0) {
            warnings.push("regions[].weight: all are 0, which counts as all equal".to_owned());
        }
        if self.local.is_none() && self.all_unhealthy == AllUnhealthy::Local {
            warnings.push("local_region: not set, so all_unhealthy: local behaves as any".to_owned());
        }
        if self.local.is_none() && self.policy == RoutingPolicy::Local {
            warnings.push("local_region: not set, so the policy local takes the first region".to_owned());
        }
        if self.policy == RoutingPolicy::Geo && self.trusted_proxies.is_empty() {
            warnings.push(format!(
                "trusted_proxies: empty, so every client's {} header counts: let geoip or a proxy in front \
                 write it, or list that proxy here",
                self.country_header
            ));
        }
        if self.sticky != StickyKey::None && self.seed == Seed::from_text("") {
            warnings.push(
                "routing.sticky.seed: not set, so clients can compute which region a key leads to".to_owned(),
            );
        }
        if self.health_check.max_latency > self.health_check.timeout {
            warnings.push("health_check.max_latency: above timeout, so it never matters".to_owned());
        }
        if self.regions.iter().any(|r| r.edge) && self.hop.is_none() {
            warnings.push("hop: not set, so two edges may send a request round in a circle".to_owned());
        }
        warnings
    }
}

fn regions(list: &[RegionSettings], errors: &mut ConfigErrors) -> Vec<Region> {
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

fn claims(list: &[RegionSettings], errors: &mut ConfigErrors) -> Claims {
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

fn check_health(health: &HealthCheck, errors: &mut ConfigErrors) {
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

fn check_breaker(breaker: &CircuitBreaker, errors: &mut ConfigErrors) {
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

fn sticky(sticky: &Sticky, errors: &mut ConfigErrors) -> StickyKey {
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

fn overrides(
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

fn methods(list: &[String], errors: &mut ConfigErrors) -> Vec<http::Method> {
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

fn networks(list: &[String], errors: &mut ConfigErrors) -> Vec<IpNet> {
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

fn cluster(field: &str, name: &str, errors: &mut ConfigErrors) {
    // The name becomes a header's value in Envoy's route, so it must be able to be one.
    if name.is_empty() || name.len() > 255 || http::HeaderValue::from_str(name).is_err() {
        errors.add(field, quoted(name), "use the name of an Envoy cluster, 1 to 255 visible characters");
    }
}

fn authority(field: &str, name: &str, errors: &mut ConfigErrors) {
    if name.parse::<http::uri::Authority>().is_err() {
        errors.add(field, quoted(name), "use a host name, with :PORT if needed");
    }
}

fn header(field: &str, name: &str, errors: &mut ConfigErrors) -> String {
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

fn percent(field: &str, value: f32, errors: &mut ConfigErrors) {
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

fn quoted(text: &str) -> String {
    // A megabyte of rubbish in a field must not become a megabyte of log.
    let short: String = text.chars().take(80).collect();
    format!("{short:?}{}", if short.len() < text.len() { "…" } else { "" })
}

fn known_regions(regions: &[Region]) -> String {
    let names: Vec<&str> = regions.iter().map(|r| r.name.as_str()).collect();
    format!("no region has this name: use one of {}", names.join(", "))
}

fn by_name(regions: &[Region]) -> HashMap<String, RegionId> {
    regions
        .iter()
        .enumerate()
        .filter_map(|(index, region)| Some((region.name.as_str().to_owned(), RegionId::new(index)?)))
        .collect()
}

fn fingerprint(settings: &Settings) -> String {
    let text = serde_json::to_vec(settings).unwrap_or_default();
    format!("{:016x}", Seed::from_text("evenkeel configuration").digest(&text))
}
