//! The regions and their settings, validated once.
//!
//! Whoever holds a [`Topology`] need not check a name, a weight, a duration or a header again.

mod checks;

use crate::error::ConfigErrors;
use crate::geography::{Continent, Country};
use crate::locate::path_at;
use crate::region::{RegionId, RegionName};
use crate::settings::{
    AllUnhealthy, CircuitBreaker, Companion, DefaultPolicy, Failback, HealthCheck, Hop, RoutingPolicy,
    Settings,
};
use crate::sticky::Seed;
use ipnet::IpNet;
use std::net::IpAddr;

/// The regions and their settings, validated.
#[derive(Clone, Debug)]
pub struct Topology {
    /// The regions in configuration order. 1 to [`MAX_REGIONS`](crate::region::MAX_REGIONS).
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
        let hash = checks::fingerprint(&settings);
        let regions = checks::regions(&settings.regions, &mut errors);
        let ids = checks::by_name(&regions);
        let local = settings.local_region.as_ref().and_then(|name| {
            let found = ids.get(name.as_str()).copied();
            if found.is_none() && !regions.is_empty() {
                errors.add("local_region", checks::quoted(name), checks::known_regions(&regions));
            }
            found
        });
        let claims = checks::claims(&settings.regions, &mut errors);
        let any_claim = settings.regions.iter().any(|r| !r.countries.is_empty() || !r.continents.is_empty());
        checks::check_health(&settings.health_check, &mut errors);
        checks::check_breaker(&settings.circuit_breaker, &mut errors);
        checks::percent("failback.max_error_rate", settings.failback.max_error_rate, &mut errors);
        let topology = Topology {
            local,
            policy: settings.routing.policy.unwrap_or(if any_claim {
                RoutingPolicy::Geo
            } else {
                RoutingPolicy::Weighted
            }),
            default: settings.routing.default,
            claims,
            country_header: checks::header(
                "routing.country_header",
                &settings.routing.country_header,
                &mut errors,
            ),
            continent_header: settings
                .routing
                .continent_header
                .as_ref()
                .map(|name| checks::header("routing.continent_header", name, &mut errors)),
            sticky: checks::sticky(&settings.routing.sticky, &mut errors),
            seed: Seed::from_text(settings.routing.sticky.seed.as_deref().unwrap_or("")),
            overrides: checks::overrides(&settings.overrides, &ids, &regions, &mut errors),
            safe_methods: checks::methods(&settings.safe_methods, &mut errors),
            trusted_proxies: checks::networks(&settings.trusted_proxies, &mut errors),
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
            checks::cluster("companion.cluster", &companion.cluster, &mut errors);
            checks::authority("companion.authority", &companion.authority, &mut errors);
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
