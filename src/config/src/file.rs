//! `evenkeel.yaml`, field by field.
//!
//! What the filter also knows (routing, health, breaker, failback, …) are `evenkeel-policy`'s own
//! types, so their names, defaults and checks exist once.

use crate::companion::{Alerts, Companion, Components, RegionCompanion};
use crate::database::Database;
use crate::dns::{Dns, Quorum, RegionDns};
use crate::{Business, HostPort, Slo};
use evenkeel_policy::settings::{
    AllUnhealthy, CircuitBreaker, Failback, HealthCheck, OverrideSettings, READINESS_PATH, Routing, weight,
};
use evenkeel_policy::time::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use std::path::PathBuf;

/// The topology file: one file for all regions of a service.
///
/// Required: `service` and `regions[].name`. `render envoy` also needs an address for each region.
/// An unknown field is an error.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The service's name: lower-case letters, digits and hyphens, at most 63. Names the filter's
    /// VM and the manifests.
    pub service: String,
    /// The region that the rendered edge stands in; `render --region` overrules it, so that one
    /// file serves all regions. Default: none.
    #[serde(default)]
    pub local_region: Option<String>,
    /// The regions, in the order that breaks ties. 1 to 32.
    pub regions: Vec<Region>,
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
    /// What happens when no region is eligible. Default: `local`.
    #[serde(default)]
    pub all_unhealthy: AllUnhealthy,
    /// Orders of the operator, each with the time at which it ends by itself. Default: none.
    #[serde(default)]
    pub overrides: Vec<OverrideSettings>,
    /// Methods that are safe to repeat besides RFC 9110's idempotent ones (`GET HEAD OPTIONS TRACE
    /// PUT DELETE`), for example `[POST]` where every POST carries an idempotency key. Default: none.
    #[serde(default)]
    pub safe_methods: Vec<String>,
    /// Peers whose country header counts, as addresses or CIDR blocks. Default: empty, which
    /// means every peer.
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    /// Adds `x-evenkeel-decision` to responses. Default: false.
    #[serde(default)]
    pub debug_header: bool,
    /// The loop guard between the edges of several regions. Default: none.
    #[serde(default)]
    pub hop: Option<HopFile>,
    /// The companion: told this edge's state, and what `evenkeel run` runs. Default: none.
    #[serde(default)]
    pub companion: Option<Companion>,
    /// What a region's readiness depends on.
    #[serde(default)]
    pub components: Components,
    /// The service's PostgreSQL. Default: none, and the companion routes no sessions.
    #[serde(default)]
    pub database: Option<Database>,
    /// What the companion answers for the service's name. Default: none, and it answers no DNS.
    #[serde(default)]
    pub dns: Option<Dns>,
    /// Who votes on whether a region is down, besides the companions.
    #[serde(default)]
    pub quorum: Quorum,
    /// Who is told when something happens. Default: nobody.
    #[serde(default)]
    pub alerts: Alerts,
    /// What the service promises.
    #[serde(default)]
    pub slo: Slo,
    /// What an outage costs. Default: none, and reports put no price on one.
    #[serde(default)]
    pub business: Option<Business>,
    /// The Envoy at this region's ingress.
    #[serde(default)]
    pub edge: Edge,
}

impl File {
    /// Whether this is the region that the rendered edge stands in.
    pub fn is_local(&self, region: &Region) -> bool {
        self.local_region.as_deref() == Some(&region.name)
    }

    /// Whether the region's cluster leads to that region's own edge rather than to its application.
    pub fn leads_to_an_edge(&self, region: &Region) -> bool {
        !self.is_local(region) && (region.edge || region.edge_address.is_some())
    }
}

/// One region.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// The region's name: lower-case letters, digits and hyphens, at most 63.
    pub name: String,
    /// The Envoy cluster that serves the region. Default: the name.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The region's part of weighted traffic, 0 to 1,000,000. 0: only when nothing else is left.
    /// Default: 1.
    #[serde(default = "one", deserialize_with = "weight")]
    pub weight: u32,
    /// ISO 3166-1 alpha-2 codes of the countries this region claims, in any case. Default: none.
    #[serde(default)]
    pub countries: Vec<String>,
    /// Codes of the continents this region claims: `AF AN AS EU NA OC SA`. Default: none.
    #[serde(default)]
    pub continents: Vec<String>,
    /// Where the region's application listens, as `host:port`. A name is resolved by DNS.
    /// Either this or `addresses`.
    #[serde(default)]
    pub address: Option<HostPort>,
    /// The same where there are several.
    #[serde(default)]
    pub addresses: Vec<HostPort>,
    /// True where `address` leads to that region's own edge (another Evenkeel) rather than to its
    /// application: such requests carry the hop mark. Default: false.
    #[serde(default)]
    pub edge: bool,
    /// Where the *other* regions reach this one: its edge, as `host:port`. They send it the hop
    /// mark; the region's own edge goes on using `address`. Default: none, everyone uses `address`.
    #[serde(default)]
    pub edge_address: Option<HostPort>,
    /// Where the region's readiness is asked, where that differs from its address.
    #[serde(default)]
    pub readiness: Readiness,
    /// TLS towards `edge_address`, or towards `address` where no `edge_address` is given.
    /// Default: none, plain HTTP.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// True: HTTP/2 to the region (gRPC needs it). Default: false, HTTP/1.1.
    #[serde(default)]
    pub http2: bool,
    /// What DNS answers for the region.
    #[serde(default)]
    pub dns: RegionDns,
    /// Where it stands in AWS; `render route53` alone asks.
    #[serde(default)]
    pub aws: RegionAws,
    /// What differs in this region's companion.
    #[serde(default)]
    pub companion: RegionCompanion,
}

/// Where a region stands in AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegionAws {
    /// Its AWS region, or the nearest one: Route 53 measures latency to those alone. Required for
    /// `policy: latency` there. Default: none.
    pub region: Option<String>,
    /// The hosted zone of the load balancer that the region's `dns.cname` names (`CanonicalHostedZoneId`
    /// of the load balancer): then Route 53 gets an alias of it, of type A, in place of a CNAME. Default:
    /// none.
    pub load_balancer_zone: Option<String>,
}

impl Region {
    /// The Envoy cluster that serves the region.
    pub fn cluster(&self) -> &str {
        self.cluster.as_deref().unwrap_or(&self.name)
    }

    /// The Envoy cluster that is probed where `readiness.address` is given.
    pub fn readiness_cluster(&self) -> String {
        format!("{}-readiness", self.cluster())
    }
}

/// Where a region's readiness is asked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Readiness {
    /// Where it listens, as `host:port`; it then gets an Envoy cluster of its own. Default: the
    /// region's address.
    pub address: Option<HostPort>,
    /// The probe's path. Default: `/actuator/health/readiness`.
    pub path: String,
    /// The probe's `:authority`. Default: the region's name.
    pub authority: Option<String>,
    /// TLS towards `readiness.address`. Default: none, plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for Readiness {
    fn default() -> Self {
        Readiness { address: None, path: READINESS_PATH.to_owned(), authority: None, tls: None }
    }
}

/// TLS towards a region. The server's certificate is always verified.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The server name sent and expected in the certificate. Default: the address's host name;
    /// required where the address is an IP.
    pub sni: Option<String>,
    /// The file of trusted authorities (PEM) on the edge's machine. Default:
    /// `/etc/ssl/certs/ca-certificates.crt`.
    pub ca: Option<PathBuf>,
}

/// The loop guard's secret. Exactly one of the two.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HopFile {
    /// A file with the secret the edges share, at least 16 characters; white space around it does
    /// not count. Relative to the topology file.
    pub secret_file: Option<PathBuf>,
    /// The secret itself, for demonstrations.
    pub secret: Option<String>,
}

impl std::fmt::Debug for HopFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HopFile {{ secret_file: {:?}, secret: … }}", self.secret_file)
    }
}

/// The Envoy at this region's ingress.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Edge {
    /// Where it listens for requests, as `ip:port`. Default: `0.0.0.0:8080`.
    pub listen: HostPort,
    /// Where its admin interface listens, as `ip:port`. Default: `127.0.0.1:9901`.
    pub admin: HostPort,
    /// How long a connection to a region may take. Default: 250ms.
    pub connect_timeout: Millis,
    /// How long one attempt may take before a method that is safe to repeat goes to the next
    /// region. Default: 2s.
    pub per_try_timeout: Millis,
    /// How long a request may take, the retry included. Default: 15s.
    pub request_timeout: Millis,
    /// How long an idle connection to a region is kept. Keep it below the server's own keep-alive
    /// time (5s is common): a POST that meets a closing connection cannot be repeated. Default: 4s.
    pub idle_timeout: Millis,
    /// Concurrent connections to one region. Default: 65536.
    pub max_connections: u32,
    /// Requests that wait for a connection to one region. Default: 65536.
    pub max_pending_requests: u32,
    /// Concurrent requests to one region. Default: 65536.
    pub max_requests: u32,
    /// Concurrent retries to one region. Envoy's own default is 3; a dead region needs its whole
    /// traffic retried at once. Default: 65536.
    pub max_retries: u32,
    /// The filter's module on the edge's machine. Default: `/etc/evenkeel/evenkeel_filter.wasm`.
    pub module: PathBuf,
    /// Envoy's own country lookup. It overwrites the country header. Default: none.
    pub geoip: Option<Geoip>,
    /// Proxies in front of this edge whose `x-forwarded-for` counts. Default: 0.
    pub trusted_hops: u32,
    /// Puts the filter in a file of its own that is reloaded when it is replaced. Default: none,
    /// the filter stands in the bootstrap.
    pub ecds: Option<Ecds>,
    /// The oldest Envoy that must load the rendering, "1.36" to "1.40". Before 1.39 a retry cannot
    /// choose its cluster anew, so each order of two regions gets an aggregate cluster; before 1.40
    /// the filter's capabilities are listed elsewhere. Default: "1.40".
    pub envoy_version: EnvoyVersion,
}

impl Default for Edge {
    fn default() -> Self {
        Edge {
            listen: HostPort::known("0.0.0.0", 8080),
            admin: HostPort::known("127.0.0.1", 9901),
            connect_timeout: Millis::new(250),
            per_try_timeout: Millis::from_secs(2),
            request_timeout: Millis::from_secs(15),
            idle_timeout: Millis::from_secs(4),
            max_connections: 65_536,
            max_pending_requests: 65_536,
            max_requests: 65_536,
            max_retries: 65_536,
            module: PathBuf::from("/etc/evenkeel/evenkeel_filter.wasm"),
            geoip: None,
            trusted_hops: 0,
            ecds: None,
            envoy_version: EnvoyVersion::default(),
        }
    }
}

/// Envoy's own country lookup.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Geoip {
    /// A MaxMind country or city database (`.mmdb`) on the edge's machine. Reloaded when replaced.
    pub database: PathBuf,
}

/// The filter in a file of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ecds {
    /// The directory on the edge's machine that holds `ecds.yaml`. Replace the file by a rename.
    pub path: PathBuf,
}

/// An Envoy version that the rendering knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
pub enum EnvoyVersion {
    /// The oldest.
    #[schemars(rename = "1.36")]
    V1_36,
    /// The first whose country lookup has its present field names.
    #[schemars(rename = "1.37")]
    V1_37,
    /// As 1.37.
    #[schemars(rename = "1.38")]
    V1_38,
    /// The first whose retries may choose their cluster anew.
    #[schemars(rename = "1.39")]
    V1_39,
    /// The newest that was tried, and the first that restricts the VM rather than the plugin.
    #[default]
    #[schemars(rename = "1.40")]
    V1_40,
}

impl EnvoyVersion {
    /// All, the oldest first.
    pub const ALL: [EnvoyVersion; 5] = [Self::V1_36, Self::V1_37, Self::V1_38, Self::V1_39, Self::V1_40];
}

impl std::str::FromStr for EnvoyVersion {
    type Err = String;

    /// # Errors
    /// One sentence that shows the right forms.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = EnvoyVersion::ALL.into_iter().find(|version| version.to_string() == text);
        found.ok_or_else(|| {
            format!("{text:?} is not known: use \"1.36\", \"1.37\", \"1.38\", \"1.39\" or \"1.40\"")
        })
    }
}

impl<'de> Deserialize<'de> for EnvoyVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = EnvoyVersion;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                // Without quotes YAML makes 1.4 of 1.40.
                f.write_str("a version in quotes, from \"1.36\" to \"1.40\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<EnvoyVersion, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl std::fmt::Display for EnvoyVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            EnvoyVersion::V1_36 => "1.36",
            EnvoyVersion::V1_37 => "1.37",
            EnvoyVersion::V1_38 => "1.38",
            EnvoyVersion::V1_39 => "1.39",
            EnvoyVersion::V1_40 => "1.40",
        })
    }
}

/// The topology file's JSON Schema (draft 2020-12).
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(File).to_value();
    schema["title"] = "evenkeel.yaml".into();
    schema
}

fn one() -> u32 {
    1
}
