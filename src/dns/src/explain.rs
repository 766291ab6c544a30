//! What would be answered, and why: for people.

use crate::answer::{Ask, Outcome};
use crate::counts::Transport;
use crate::places::Places;
use crate::reply;
use crate::request::Request;
use crate::responder::{State, offline};
use crate::table::wire;
use crate::{Settings, Standing};
use domain::base::iana::{Class, Rtype};
use domain::base::{Message, MessageBuilder, ParsedName};
use domain::rdata::AllRecordData;
use evenkeel_config::DnsName;
use evenkeel_policy::dns::{Client, Policy};
use evenkeel_policy::geography::Continent;
use evenkeel_policy::words::DnsReason;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::IpAddr;

/// How often is drawn to tell how often each answer comes.
const DRAWS: u64 = 10_000;

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

/// What would be answered by a responder with these settings, and why. It needs no running one.
///
/// # Errors
/// What is wrong with the settings or the question, and the remedy.
pub fn explain(
    settings: &Settings,
    places: Option<&Places>,
    standing: &Standing,
    name: &str,
    record_type: &str,
    from: IpAddr,
) -> Result<Explanation, String> {
    explain_state(&offline(settings, places.cloned(), standing)?, name, record_type, from)
}

/// The same by a responder's state of this moment. It asks the very function that answers live queries.
pub(crate) fn explain_state(
    state: &State,
    name: &str,
    record_type: &str,
    from: IpAddr,
) -> Result<Explanation, String> {
    let name: DnsName = name.parse()?;
    let rtype: Rtype = record_type.to_ascii_uppercase().parse().map_err(|_| {
        format!("\"{record_type}\" is no type of records: use A, AAAA, CNAME, TXT, NS, SOA or ANY")
    })?;
    let mut question = MessageBuilder::new_vec().question();
    question.push((wire(&name)?, rtype, Class::IN)).map_err(|error| error.to_string())?;
    let question = question.finish();
    let request = Request::read(&question, false).ok_or("the question cannot be asked")?;
    let mut reply = Vec::new();
    let mut ask = |random: u64| {
        let ask = Ask { state, client: from, transport: Transport::Tcp, random, slip: false };
        let outcome = reply::write(&ask, &request, &mut reply)?;
        Some((outcome, std::mem::take(&mut reply)))
    };
    let (outcome, bytes) = ask(rand::random()).ok_or("the answer cannot be written")?;
    let records = records(&bytes);

    let mut drawn: HashMap<Vec<u8>, (Option<String>, u64)> = HashMap::new();
    for draw in 0..DRAWS {
        let Some((outcome, bytes)) = ask(draw.wrapping_mul(u64::MAX / DRAWS)) else { continue };
        drawn.entry(bytes).or_insert_with(|| (region(state, &outcome), 0)).1 += 1;
    }
    let whereabouts = state.places.as_ref().map(|places| places.find(from).client).unwrap_or_default();
    // What no record answers is the zone's own, or nothing.
    let own = if records.is_empty() { DnsReason::NoAnswer } else { DnsReason::Simple };
    let reason = outcome.hops.iter().map(|hop| hop.reason).reduce(DnsReason::or);
    let negative_ttl = state.table.negative_ttl;
    Ok(Explanation {
        name: name.to_string(),
        record_type: rtype.to_string(),
        from,
        place: place(state, &whereabouts, from),
        rcode: outcome.rcode.to_string(),
        ttl: records.iter().map(|record| record.ttl).min().unwrap_or(negative_ttl),
        answer: records.iter().map(Record::to_string).collect(),
        region: region(state, &outcome),
        reason: reason.unwrap_or(own).to_string(),
        ttl_lowered: outcome.hops.iter().any(|hop| hop.ttl_lowered),
        scope: outcome.scope,
        steps: steps(state, &outcome, &whereabouts),
        odds: odds(drawn),
    })
}

/// A record as `dig` prints it.
struct Record {
    owner: String,
    ttl: u32,
    rtype: Rtype,
    data: String,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.\t{}\tIN\t{}\t{}", self.owner, self.ttl, self.rtype, self.data)
    }
}

/// The answer section.
fn records(reply: &[u8]) -> Vec<Record> {
    let Ok(message) = Message::from_octets(reply) else { return Vec::new() };
    let Ok(answers) = message.answer() else { return Vec::new() };
    let records = answers.limit_to::<AllRecordData<_, ParsedName<_>>>();
    let record = |record: domain::base::Record<ParsedName<_>, AllRecordData<_, _>>| Record {
        owner: record.owner().to_string(),
        ttl: record.ttl().as_secs(),
        rtype: record.rtype(),
        data: record.data().to_string(),
    };
    records.filter_map(Result::ok).map(record).collect()
}

/// The last one on the way that has a region.
fn region(state: &State, outcome: &Outcome) -> Option<String> {
    let region = outcome.hops.iter().rev().find_map(|hop| hop.region)?;
    state.table.regions.get(region.index()).cloned()
}

fn place(state: &State, client: &Client, from: IpAddr) -> ClientPlace {
    ClientPlace {
        country: client.country.map(|country| country.as_str().to_owned()),
        continent: client.continent().map(|continent| code(continent).to_owned()),
        subdivision: client.subdivision.map(|part| part.to_string()),
        network: state.places.as_ref().and_then(|places| places.network(from)),
        database: state.places.is_some(),
    }
}

const fn code(continent: Continent) -> &'static str {
    match continent {
        Continent::Africa => "AF",
        Continent::Antarctica => "AN",
        Continent::Asia => "AS",
        Continent::Europe => "EU",
        Continent::NorthAmerica => "NA",
        Continent::Oceania => "OC",
        Continent::SouthAmerica => "SA",
    }
}

/// Every member that was looked at. Each record chooses as it did: by the same number, in the same state.
fn steps(state: &State, outcome: &Outcome, client: &Client) -> Vec<Step> {
    let zone = &state.table.zone;
    let mut steps = Vec::new();
    for hop in &outcome.hops {
        let mut looked_at = Vec::new();
        zone.records.choose(hop.set, client, &state.standing.shares, hop.random, &mut looked_at);
        steps.extend(looked_at.into_iter().filter_map(|step| {
            let (set, labels) = (zone.records.set(step.set)?, zone.labels(step.set)?);
            let member = set.members.get(step.member)?;
            let latency = || zone.records.latency(client, member.region?);
            Some(Step {
                set: labels.set.clone(),
                policy: set.policy.as_str().to_owned(),
                member: labels.members.get(step.member)?.clone(),
                weight: (set.policy == Policy::Weighted).then_some(member.weight),
                latency_ms: (set.policy == Policy::Latency).then(latency).flatten(),
                check: member
                    .check
                    .and_then(|check| zone.checks.get(usize::from(check.0)))
                    .map(|check| check.name.clone()),
                share: step.share,
                taken: step.taken,
            })
        }));
    }
    steps
}

/// Answers with the same records in another order are the same.
fn odds(drawn: HashMap<Vec<u8>, (Option<String>, u64)>) -> Vec<Odds> {
    let total: u64 = drawn.values().map(|(_, count)| count).sum();
    let mut merged: HashMap<(Vec<String>, Option<String>), u64> = HashMap::new();
    for (reply, (region, count)) in drawn {
        let mut answer: Vec<String> = records(&reply).into_iter().map(|record| record.data).collect();
        answer.sort();
        *merged.entry((answer, region)).or_default() += count;
    }
    let percent = |count: u64| (count as f64 * 1000.0 / total.max(1) as f64).round() / 10.0;
    let mut odds: Vec<Odds> = merged
        .into_iter()
        .map(|((answer, region), count)| Odds { answer, region, percent: percent(count) })
        .collect();
    odds.sort_by(|a, b| b.percent.total_cmp(&a.percent).then_with(|| a.answer.cmp(&b.answer)));
    odds
}
