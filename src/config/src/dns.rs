//! `dns` and `quorum`: what the companion answers for the service's name, and who votes on a region.

use crate::{DnsName, HostPort};
use evenkeel_policy::time::Millis;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// The zone that the companion answers for. Default: none, and it answers no DNS.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The zone: `example.com`, or a part of it that is delegated to the companions.
    pub zone: DnsName,
    /// Where it listens, UDP and TCP, as `ip:port`. Default: `0.0.0.0:53`.
    #[serde(default = "listen")]
    pub listen: Vec<HostPort>,
    /// The zone's name servers: each region's companion. 1 to 13.
    pub nameservers: Vec<Nameserver>,
    /// The mailbox in the SOA record, with a dot for the @. Default: `hostmaster` in the zone.
    #[serde(default)]
    pub hostmaster: Option<DnsName>,
    /// How long an answer may be kept, in whole seconds, at most 7d. Default: 60s.
    #[serde(default = "minute")]
    pub ttl: Millis,
    /// The same while a failover is fresh, so that clients follow its further course sooner. Default:
    /// none, `ttl` always.
    #[serde(default)]
    pub failover_ttl: Option<Millis>,
    /// How long a failover is fresh, from the last change of any region. Default: 10m.
    #[serde(default = "ten_minutes")]
    pub failover_fresh_for: Millis,
    /// How long "there is no such record" may be kept. Default: 60s.
    #[serde(default = "minute")]
    pub negative_ttl: Millis,
    /// Tells where clients are. Required with geolocation or latency records.
    #[serde(default)]
    pub geoip: Option<DnsGeoip>,
    /// Whether a resolver's word on its client's network (EDNS Client Subnet) counts. Default: true.
    #[serde(default = "yes")]
    pub client_subnet: bool,
    /// Latency from places to regions, for `policy: latency`. Default: none.
    #[serde(default)]
    pub latencies: Vec<LatencyRow>,
    /// How a region is probed for its votes. Default: as `health_check` says, like the edges.
    #[serde(default)]
    pub health_check: Option<RegionCheck>,
    /// More checks that records may name. Each region has one of its own name already.
    #[serde(default)]
    pub health_checks: Vec<NamedCheck>,
    /// What is answered. At least one.
    pub records: Vec<Record>,
    /// How much one network may ask before answers are left out.
    #[serde(default)]
    pub rate_limit: RateLimit,
}

/// A name server of the zone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nameserver {
    /// Its name.
    pub name: DnsName,
    /// Its addresses; required where the name lies in the zone.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// Where clients are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsGeoip {
    /// A MaxMind country or city database (`.mmdb`). Relative to the topology file. Reloaded when
    /// replaced.
    pub database: PathBuf,
}

/// The latency from some places to regions.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyRow {
    /// ISO 3166-1 alpha-2 codes of countries.
    #[serde(default)]
    pub countries: Vec<String>,
    /// Codes of continents: `AF AN AS EU NA OC SA`.
    #[serde(default)]
    pub continents: Vec<String>,
    /// Everywhere else.
    #[serde(default)]
    pub default: bool,
    /// The latency to each region, by its name.
    pub to: BTreeMap<String, Millis>,
}

/// How a region is probed for its votes, in Route 53's terms.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegionCheck {
    /// Time between an answer and the next question, 1s to 10m. Default: 30s.
    pub interval: Millis,
    /// Failures or successes in a row that change its health, 1 to 10. Default: 2.
    pub threshold: u32,
    /// To connect, TLS included. Default: 4s.
    pub connect_timeout: Millis,
    /// From then to the answer's status. Default: 2s.
    pub response_timeout: Millis,
}

impl Default for RegionCheck {
    fn default() -> Self {
        RegionCheck {
            interval: Millis::from_secs(30),
            threshold: 2,
            connect_timeout: Millis::from_secs(4),
            response_timeout: Millis::from_secs(2),
        }
    }
}

/// A health check with a name. Exactly one of `url`, `tcp` and `calculated`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedCheck {
    /// Its name: lower-case letters, digits and hyphens, at most 63; no region's.
    pub name: String,
    /// Asked for, as `http://…` or `https://…`; 2xx and 3xx are healthy. Certificates are not verified:
    /// it asks for health and tells nothing.
    #[serde(default)]
    pub url: Option<String>,
    /// Healthy if a connection comes about, as `host:port`.
    #[serde(default)]
    pub tcp: Option<HostPort>,
    /// Made from other checks.
    #[serde(default)]
    pub calculated: Option<Calculated>,
    /// The answer's first 5,120 bytes must hold this, with its case. Only with `url`; at most 255 bytes.
    #[serde(default)]
    pub search: Option<String>,
    /// Time between an answer and the next question, 1s to 10m. Default: 30s.
    #[serde(default = "thirty_seconds")]
    pub interval: Millis,
    /// Failures or successes in a row that change its health, 1 to 10. Default: 3.
    #[serde(default = "three")]
    pub threshold: u32,
    /// To connect, TLS included. Default: 4s, and 10s with `tcp`.
    #[serde(default)]
    pub connect_timeout: Option<Millis>,
    /// From then to the answer's status. Default: 2s.
    #[serde(default = "two_seconds")]
    pub response_timeout: Millis,
    /// Healthy counts as unhealthy and the other way round. Not with `calculated`. Default: false.
    #[serde(default)]
    pub inverted: bool,
    /// It is not asked and counts as healthy. Not with `calculated`. Default: false.
    #[serde(default)]
    pub disabled: bool,
}

/// Healthy if enough others are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calculated {
    /// The names of checks and regions, at most 255; none that is calculated itself.
    pub of: Vec<String>,
    /// How many of them must be healthy. 0: always healthy.
    pub at_least: usize,
}

/// The records of one name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The name within the zone, `@` for the zone itself.
    pub name: String,
    /// How members are chosen. Default: `simple` with one member; else by `routing.policy`, as the
    /// edges do (`local` is `weighted` here).
    #[serde(default)]
    pub policy: Option<RecordPolicy>,
    /// How long an answer may be kept. Default: `dns.ttl`, and `dns.failover_ttl` while that is in force.
    #[serde(default)]
    pub ttl: Option<Millis>,
    /// What is chosen from. Default: one member for each region, with that region's weight, countries
    /// and continents; clients that no region claims are served by `routing.default`.
    #[serde(default)]
    pub members: Vec<Member>,
}

/// How members are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordPolicy {
    /// The one member, whatever its health.
    Simple,
    /// By weight.
    Weighted,
    /// By the client's place; the most specific one wins.
    Geolocation,
    /// The lowest latency by `dns.latencies`.
    Latency,
    /// The primary, else the secondary.
    Failover,
    /// Up to 8 healthy ones at once.
    Multivalue,
}

/// One member. It answers its own `a`, `aaaa`, `cname` or `txt`, else what its `alias` does, else its
/// region's `regions[].dns`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Member {
    /// Its name in logs and in Route 53 (the set identifier). Default: the region, the alias or its place.
    pub id: Option<String>,
    /// The region it stands for.
    pub region: Option<String>,
    /// IPv4 addresses.
    pub a: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub aaaa: Vec<Ipv6Addr>,
    /// Another name.
    pub cname: Option<DnsName>,
    /// Texts, each of at most 255 bytes.
    pub txt: Vec<String>,
    /// The name of another entry of `records`, within the zone.
    pub alias: Option<String>,
    /// Whether the health of what `alias` leads to counts. Default: true.
    pub evaluate_target_health: Option<bool>,
    /// Its weight, 0 to 1,000,000; 0: only when nothing else is left. Default: the region's, else 1.
    pub weight: Option<u32>,
    /// ISO 3166-1 alpha-2 codes of the countries it serves. Default: the region's, where the member
    /// names no place at all.
    pub countries: Option<Vec<String>>,
    /// Codes of the continents it serves: `AF AN AS EU NA OC SA`. Default: as `countries`.
    pub continents: Option<Vec<String>>,
    /// Parts of countries it serves, as ISO 3166-2 has them: `US-CA`.
    pub subdivisions: Vec<String>,
    /// It serves everyone whom no other member claims.
    pub default: bool,
    /// It is the one answered while it is healthy, under `policy: failover`.
    pub primary: bool,
    /// The check that it depends on: a region's name, one of `health_checks`, or `none`. Default: its
    /// region's.
    pub health_check: Option<String>,
}

/// What a region is reached by from outside: what DNS answers for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegionDns {
    /// Its IPv4 addresses.
    pub a: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub aaaa: Vec<Ipv6Addr>,
    /// In place of addresses, a name (a load balancer's).
    pub cname: Option<DnsName>,
}

/// How much one network (a /24, or a /56 of IPv6) may ask by UDP before answers are left out. What is
/// left out is asked again by TCP, so nobody real is shut out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// Answers in a second. 0: no limit. Default: 1000.
    pub responses_per_second: u32,
    /// Of those above, every so many is answered as truncated, the others not at all. 0: none.
    /// Default: 2.
    pub slip: u32,
    /// Networks that have no limit, as addresses or CIDR blocks: one's own resolvers. Default: none.
    pub exempt: Vec<String>,
}

impl Default for RateLimit {
    fn default() -> Self {
        RateLimit { responses_per_second: 1000, slip: 2, exempt: Vec::new() }
    }
}

/// Who votes on whether a region is down, besides the companions.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quorum {
    /// `evenkeel run --witness` in a third place. Default: none.
    pub witness: Option<Witness>,
    /// Votes are shared through etcd, by leases; without a witness etcd has a vote of its own: it lies in
    /// a third place, and a region whose companion lets its lease lapse is down to it. Default: none,
    /// the voters ask each other.
    pub etcd: Option<Etcd>,
    /// Addresses elsewhere, as `host:port`, that tell a companion which hears nobody whether it is cut
    /// off itself. They count with two votes only.
    pub anchors: Vec<HostPort>,
}

/// A witness.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Where companions reach it, as `host:port`.
    pub address: HostPort,
    /// Where it listens, as `ip:port`. Default: every address, at the port of `address`.
    #[serde(default)]
    pub listen: Option<HostPort>,
}

/// etcd, by its JSON gateway.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Etcd {
    /// Its members, as `http://host:port` or `https://host:port`. At least one.
    pub endpoints: Vec<String>,
    /// Keys begin with this. Default: `/evenkeel`.
    #[serde(default = "prefix")]
    pub prefix: String,
    /// A vote not renewed for so long is gone; 2s to 60s. Default: 5s.
    #[serde(default = "five_seconds")]
    pub lease: Millis,
    /// The user, where etcd asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// A file with the user's password. Relative to the topology file.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The file of trusted authorities (PEM). Default: the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

fn listen() -> Vec<HostPort> {
    vec![HostPort::known("0.0.0.0", 53)]
}
fn minute() -> Millis {
    Millis::from_secs(60)
}
fn ten_minutes() -> Millis {
    Millis::from_secs(600)
}
fn thirty_seconds() -> Millis {
    Millis::from_secs(30)
}
fn five_seconds() -> Millis {
    Millis::from_secs(5)
}
fn two_seconds() -> Millis {
    Millis::from_secs(2)
}
fn three() -> u32 {
    3
}
fn yes() -> bool {
    true
}
fn prefix() -> String {
    "/evenkeel".to_owned()
}
