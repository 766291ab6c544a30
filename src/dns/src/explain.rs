//! What would be answered, and why: for people.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One question's answer in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name, without the last dot.
    pub name: String,
    /// The type: `A`, `AAAA`, …
    pub record_type: String,
    /// The client's address.
    pub from: IpAddr,
    /// Where that is.
    pub place: ClientPlace,
    /// `NOERROR`, `NXDOMAIN` or `REFUSED`.
    pub rcode: String,
    /// The answer's records as `dig` prints them, of one draw.
    pub answer: Vec<String>,
    /// The region answered.
    pub region: Option<String>,
    /// Why, in the words that metrics have ([`evenkeel_policy::words::DnsReason`]).
    pub reason: String,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// Why that is not the configured one: a fresh failover.
    pub ttl_lowered: bool,
    /// The network for which the answer holds (EDNS Client Subnet's scope); 0: for everyone.
    pub scope: u8,
    /// What was looked at, in order.
    pub steps: Vec<Step>,
    /// How often each answer comes, the most frequent first; one entry where it is always the same.
    pub odds: Vec<Odds>,
}

/// Where a client is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientPlace {
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// `AF AN AS EU NA OC SA`.
    pub continent: Option<String>,
    /// ISO 3166-2.
    pub subdivision: Option<String>,
    /// The network that the database tells of.
    pub network: Option<String>,
    /// Whether there is a database at all.
    pub database: bool,
}

/// One member that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The set's name.
    pub set: String,
    /// Its policy.
    pub policy: String,
    /// The member's name.
    pub member: String,
    /// Its weight, where that matters.
    pub weight: Option<u32>,
    /// Milliseconds to it from the client, where that matters.
    pub latency_ms: Option<u32>,
    /// Its health check's name; none: it has none.
    pub check: Option<String>,
    /// Its share, in per cent; 0 is unhealthy.
    pub share: u8,
    /// Whether the answer went on through it.
    pub taken: bool,
}

/// One of several answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Odds {
    /// The answer's data, like `192.0.2.1`.
    pub answer: Vec<String>,
    /// Its region.
    pub region: Option<String>,
    /// How often, in per cent.
    pub percent: f64,
}
