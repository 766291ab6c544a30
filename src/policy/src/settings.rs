//! The settings as people write them: the plugin configuration's JSON, field by field.
//!
//! These types only describe the format and its defaults. What a configuration may say is
//! checked once, in [`crate::topology`]; nothing else in the project re-checks it.

use crate::time::Millis;
use serde::{Deserialize, Deserializer, Serialize, de};

/// The plugin configuration: what the filter accepts as its Envoy plugin configuration.
///
/// Only `regions[].name` and `regions[].cluster` are required. An unknown field is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The region this edge stands in. Preferred by `local`, by ties and by `all_unhealthy: local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_region: Option<String>,
    /// The regions, in the order that breaks ties. 1 to 32.
    pub regions: Vec<RegionSettings>,
    /// How a request's region is chosen.
    #[serde(default)]
    pub routing: Routing,
    /// How a region's health is found by probes.
    #[serde(default)]
    pub health_check: HealthCheck,
    /// When live traffic alone takes a region out.
    #[serde(default)]
    pub circuit_breaker: CircuitBreaker,
    /// How a recovered region gets its traffic back.
    #[serde(default)]
    pub failback: Failback,
    /// What happens when no region is eligible.
    #[serde(default)]
    pub all_unhealthy: AllUnhealthy,
    /// Orders of the operator, each with the time at which it ends by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<OverrideSettings>,
    /// Methods that are safe to repeat besides RFC 9110's idempotent ones, for example `["POST"]`
    /// where every POST carries an idempotency key. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub safe_methods: Vec<String>,
    /// Peers whose country header counts, as addresses or CIDR blocks. Empty (the default): the
    /// header counts from every peer, so something in front must set or remove it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<String>,
    /// Adds `x-evenkeel-decision` to responses. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub debug_header: bool,
    /// The loop guard between the edges of several regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<Hop>,
    /// The companion that is told this edge's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub companion: Option<Companion>,
}

/// One region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegionSettings {
    /// The region's name: lower-case letters, digits and hyphens, at most 63.
    pub name: String,
    /// The Envoy cluster that serves the region.
    pub cluster: String,
    /// The region's part of weighted traffic, 0 to 1,000,000. 0: only when nothing else is left. Default: 1.
    #[serde(default = "one", deserialize_with = "weight")]
    pub weight: u32,
    /// ISO 3166-1 alpha-2 codes of the countries this region claims, in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<String>,
    /// Codes of the continents this region claims: `AF AN AS EU NA OC SA`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub continents: Vec<String>,
    /// True where `cluster` leads to that region's own edge (another Evenkeel), not to its
    /// application: such requests are marked so that they are not sent round again. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub edge: bool,
    /// Where the region's readiness is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<RegionHealth>,
}

/// Where a region's readiness is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegionHealth {
    /// The Envoy cluster to probe. Default: the region's `cluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The probe's `:authority`. Default: the region's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The probe's path. Default: `/actuator/health/readiness`.
    #[serde(default = "readiness_path")]
    pub path: String,
}

/// How a request's region is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// Default: `geo` if any region claims a country or continent, else `weighted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<RoutingPolicy>,
    /// What serves the countries that no region claims. Default: `weighted`.
    #[serde(default)]
    pub default: DefaultPolicy,
    /// The request header that carries the client's country. Default: `x-country-code`.
    #[serde(default = "country_header")]
    pub country_header: String,
    /// The request header that carries the client's continent. Default: none; the continent
    /// follows from the country.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continent_header: Option<String>,
    /// Which key keeps its region.
    #[serde(default)]
    pub sticky: Sticky,
}

impl Default for Routing {
    fn default() -> Self {
        Routing {
            policy: None,
            default: DefaultPolicy::default(),
            country_header: country_header(),
            continent_header: None,
            sticky: Sticky::default(),
        }
    }
}

/// How a request's region is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RoutingPolicy {
    /// By the client's country, then continent, then `routing.default`.
    Geo,
    /// By weight.
    Weighted,
    /// By the moving average of probe latency.
    Latency,
    /// The local region first.
    Local,
}

/// What serves the countries that no region claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DefaultPolicy {
    /// By weight.
    #[default]
    Weighted,
    /// By the moving average of probe latency.
    Latency,
    /// The local region first.
    Local,
}

/// Which key keeps its region while that region is eligible.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// Where the key comes from. Default: `none`.
    #[serde(default)]
    pub source: StickySource,
    /// The header's or cookie's name; required for those two, not allowed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seeds the hash so that clients cannot aim their keys; the same on every edge. Treat it as a
    /// secret. Default: a fixed seed, and `check` warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

/// Where the sticky key comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StickySource {
    /// No key: each request is chosen by itself.
    #[default]
    None,
    /// The client's address as Envoy knows it.
    ClientIp,
    /// A request header.
    Header,
    /// A cookie.
    Cookie,
}

/// How a region's health is found by probes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheck {
    /// Time between probes of a settled region. Default: 5s.
    pub interval: Millis,
    /// How long a probe may take before it counts as unanswered. Default: 3s.
    pub timeout: Millis,
    /// A region whose last completed probe is older than this is unhealthy (`stale`). Default: 10s.
    pub max_age: Millis,
    /// An answer that takes this long or longer is a failed probe. Default: 1s.
    pub max_latency: Millis,
    /// Failed probes in a row that make a region unhealthy. Default: 2.
    pub unhealthy_threshold: u32,
    /// Good probes in a row that make a region healthy again. Default: 2.
    pub healthy_threshold: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        HealthCheck {
            interval: Millis::from_secs(5),
            timeout: Millis::from_secs(3),
            max_age: Millis::from_secs(10),
            max_latency: Millis::from_secs(1),
            unhealthy_threshold: 2,
            healthy_threshold: 2,
        }
    }
}

/// When live traffic alone takes a region out. Names and meaning are Resilience4j's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct CircuitBreaker {
    /// `count_based`: the last calls; `time_based`: the calls of the last seconds. Default: `count_based`.
    pub sliding_window_type: SlidingWindowType,
    /// Calls (1 to 1000) or seconds (1 to 300). Default: 10.
    pub sliding_window_size: u32,
    /// Calls needed before a rate counts. Default: 5.
    pub minimum_number_of_calls: u32,
    /// Per cent of failed calls at or above which the breaker opens. Default: 50.
    pub failure_rate_threshold: f32,
    /// Per cent of slow calls at or above which the breaker opens. Default: 100.
    pub slow_call_rate_threshold: f32,
    /// A call that takes longer than this is slow. Default: 60s.
    pub slow_call_duration_threshold: Millis,
    /// How long the breaker stays open. Default: 30s.
    pub wait_duration_in_open_state: Millis,
    /// Trial calls in the half-open state, 1 to 100. Default: 3.
    pub permitted_number_of_calls_in_half_open_state: u32,
    /// Opens again if the half-open state lasts longer than this; `0s` (the default): never.
    pub max_wait_duration_in_half_open_state: Millis,
    /// Becomes half-open by itself after the wait, rather than at the next call. Default: true.
    pub automatic_transition_from_open_to_half_open: bool,
    /// A trial that is never reported gives its permit back after this. Default: 30s.
    pub permission_timeout: Millis,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        CircuitBreaker {
            sliding_window_type: SlidingWindowType::CountBased,
            sliding_window_size: 10,
            minimum_number_of_calls: 5,
            failure_rate_threshold: 50.0,
            slow_call_rate_threshold: 100.0,
            slow_call_duration_threshold: Millis::from_secs(60),
            wait_duration_in_open_state: Millis::from_secs(30),
            permitted_number_of_calls_in_half_open_state: 3,
            max_wait_duration_in_half_open_state: Millis::ZERO,
            automatic_transition_from_open_to_half_open: true,
            permission_timeout: Millis::from_secs(30),
        }
    }
}

/// What the breaker's window is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SlidingWindowType {
    /// The last `sliding_window_size` calls.
    #[default]
    CountBased,
    /// The calls of the last `sliding_window_size` seconds.
    TimeBased,
}

/// How a recovered region gets its traffic back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Failback {
    /// How long a region must stay well before it gets anything; `0s`: not at all. Default: 30s.
    pub hold: Millis,
    /// How long its share grows from 5 to 100 per cent; `0s`: at once. Default: 6m.
    pub ramp: Millis,
    /// Per cent of failed calls above which the ramp steps back. Default: 5.
    pub max_error_rate: f32,
}

impl Default for Failback {
    fn default() -> Self {
        Failback { hold: Millis::from_secs(30), ramp: Millis::from_secs(360), max_error_rate: 5.0 }
    }
}

/// What happens when no region is eligible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AllUnhealthy {
    /// The local region gets the request (`any` where none is set).
    #[default]
    Local,
    /// The weights alone decide.
    Any,
    /// 503 at once.
    Reject,
}

/// An order of the operator. Exactly one of `drain`, `pin` and `freeze`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OverrideSettings {
    /// The region that gets no requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
    /// The region that gets all requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// True: eligibility and shares stay as they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub freeze: bool,
    /// When the order ends by itself, as RFC 3339 in UTC: `2026-01-31T18:00:00Z`.
    pub until: String,
    /// Drains even the last eligible region. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub force: bool,
}

/// The loop guard between the edges of several regions.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// The secret the edges share, at least 16 characters. Never printed.
    pub secret: String,
}

impl std::fmt::Debug for Hop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hop { secret: … }")
    }
}

/// The companion that is told this edge's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Companion {
    /// The Envoy cluster that leads to it.
    pub cluster: String,
    /// The `:authority` of the posts. Default: `companion`.
    #[serde(default = "companion_authority")]
    pub authority: String,
}

/// The seed's readiness path.
pub const READINESS_PATH: &str = "/actuator/health/readiness";

/// The largest weight a region may have.
pub const MAX_WEIGHT: u32 = 1_000_000;

fn one() -> u32 {
    1
}
fn is_false(value: &bool) -> bool {
    !*value
}
fn readiness_path() -> String {
    READINESS_PATH.to_owned()
}
fn country_header() -> String {
    "x-country-code".to_owned()
}
fn companion_authority() -> String {
    "companion".to_owned()
}

/// Reads a weight, so that `-1` and `1.5` are answered in the words of this field.
pub fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    number.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= MAX_WEIGHT).ok_or_else(|| {
        de::Error::custom(format!("{number} is not a weight: use a whole number from 0 to {MAX_WEIGHT}"))
    })
}
