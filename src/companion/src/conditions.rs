//! What is wrong now, by what is known: the input of the alerts. No rule for moving traffic is here.

use crate::alerts::{Condition, Kind, Severity};
use crate::edges::Known;
use crate::peers::Peer;
use crate::readiness::{Readiness, Seen, Status};
use crate::status::{CheckKind, CheckStatus};
use crate::{clock, oracle, status};
use evenkeel_config::companion::LagAlert;
use evenkeel_policy::database::{Role, View, Writer};
use evenkeel_policy::time::{Millis, Time};
use std::collections::{BTreeMap, BTreeSet};

/// A switchover is without a writer for 40 to 160 ms, which is no alarm (`facts/postgres.md`).
const NO_WRITER_AFTER: Millis = Millis::from_secs(1);

/// Voters need a moment to hear of each other when they begin.
const QUORUM_LOST_AFTER: Millis = oracle::MAX_AGE;

/// The part of the conditions that needs a memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// Checks in a row in which a component was down.
    down: BTreeMap<String, u32>,
    lag: BTreeMap<usize, LagWatch>,
}

/// One node's lag over whole periods.
#[derive(Debug, Default)]
struct LagWatch {
    began: Option<Time>,
    sum: u64,
    samples: u64,
    /// Periods in a row whose average was above.
    above: u32,
    last_average: u64,
}

impl Memory {
    /// Takes in a round of checks.
    pub fn checked(&mut self, readiness: &Readiness) {
        self.down.retain(|name, _| readiness.components.contains_key(name));
        for (name, component) in &readiness.components {
            let count = self.down.entry(name.clone()).or_default();
            *count = if component.status == Status::Down { count.saturating_add(1) } else { 0 };
        }
    }

    /// Takes in a sample of every replica's lag.
    pub fn lag_sampled(&mut self, view: &View, rule: &LagAlert, now: Time) {
        for (index, node) in view.nodes.iter().enumerate() {
            let watch = self.lag.entry(index).or_default();
            let replica = node.role == Some(Role::Replica);
            if !replica {
                *watch = LagWatch::default();
                continue;
            }
            // A node that cannot be reached says nothing of its lag: the count stays where it is.
            let Some(lag) = node.lag.filter(|_| node.reachable) else { continue };
            watch.add(lag, rule, now);
        }
    }
}

impl LagWatch {
    fn add(&mut self, lag: Millis, rule: &LagAlert, now: Time) {
        let began = *self.began.get_or_insert(now);
        self.sum = self.sum.saturating_add(lag.get());
        self.samples += 1;
        if now.since(began) >= rule.period {
            self.last_average = self.sum / self.samples;
            self.above = if self.last_average > rule.above.get() { self.above.saturating_add(1) } else { 0 };
            (self.began, self.sum, self.samples) = (Some(now), 0, 0);
        }
    }
}

/// What the conditions are made from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The region this companion stands in.
    pub region: &'a str,
    /// What edges said.
    pub edges: &'a [Known],
    /// The other companions.
    pub peers: &'a [Peer],
    /// Who votes on what DNS answers.
    pub votes: Option<&'a status::Votes>,
    /// What DNS' answers depend on.
    pub checks: &'a [CheckStatus],
    /// The last round of checks.
    pub readiness: Option<&'a Readiness>,
    /// Rounds in a row that make a component down.
    pub unhealthy_threshold: u32,
    /// The database.
    pub seen: Option<&'a Seen>,
    /// The nodes' names.
    pub nodes: &'a [String],
    /// When lag is an alert.
    pub lag: &'a LagAlert,
    /// The topology file.
    pub config: &'a status::Config,
    /// Now.
    pub now: Time,
}

/// Everything that is wrong.
pub fn conditions(facts: &Facts<'_>, memory: &Memory) -> Vec<Condition> {
    let mut found = Found(Vec::new());
    edges(facts, &mut found);
    for peer in facts.peers.iter().filter(|peer| peer.silent()) {
        let why = peer.error.as_deref().unwrap_or("no answer");
        let summary = format!(
            "The companion of {} at {} does not answer ({why}): its region is not watched from there",
            peer.region, peer.address
        );
        found.add(Kind::CompanionSilent, Severity::Critical, &peer.region, summary);
    }
    dns(facts, &mut found);
    components(facts, memory, &mut found);
    if let Some(seen) = facts.seen {
        database(facts, seen, memory, &mut found);
    }
    if let Some(error) = &facts.config.error {
        let summary = format!(
            "{} was changed and cannot be used, so the one before stays in force: {error}",
            facts.config.file
        );
        found.add(Kind::ConfigReloadFailed, Severity::Warning, "", summary);
    }
    found.0
}

struct Found(Vec<Condition>);

impl Found {
    fn add(&mut self, kind: Kind, severity: Severity, key: &str, summary: String) {
        self.0.push(Condition { key: key.to_owned(), kind, severity, summary });
    }
}

fn edges(facts: &Facts<'_>, found: &mut Found) {
    let mut out: BTreeMap<&str, (BTreeSet<&str>, Option<&str>)> = BTreeMap::new();
    for edge in facts.edges {
        let name = edge.state.edge.as_str();
        if !edge.in_force(facts.now) {
            let silent = clock::span(facts.now.since(edge.at));
            let summary = format!(
                "Edge {name} has been silent for more than 15s (now {silent}): its state is not known"
            );
            found.add(Kind::EdgeSilent, Severity::Critical, name, summary);
            continue;
        }
        if edge.state.prober_lost {
            let summary = format!(
                "Edge {name} has lost its prober: no region's probe is fresh, and it goes on with what it knew"
            );
            found.add(Kind::ProberLost, Severity::Critical, name, summary);
        }
        if edge.state.nothing_eligible() {
            let summary =
                format!("Edge {name} finds no region eligible: all_unhealthy decides where its requests go");
            found.add(Kind::AllRegionsUnhealthy, Severity::Critical, name, summary);
        }
        for (region, state) in edge.state.regions.iter().filter(|(_, state)| state.share == 0) {
            let entry = out.entry(region).or_default();
            entry.0.insert(name);
            let cause = edge.causes.get(region).map(|cause| cause.as_str());
            let cause = cause.or((!state.healthy).then_some("unhealthy"));
            entry.1 = entry.1.or(cause);
        }
    }
    for (region, (edges, cause)) in out {
        let cause = cause.map(|cause| format!(", cause {cause}")).unwrap_or_default();
        let list = listed(&edges);
        let summary = format!("failover: region {region} gets no traffic from {list}{cause}");
        found.add(Kind::Failover, Severity::Critical, region, summary);
    }
}

fn listed(edges: &BTreeSet<&str>) -> String {
    let mut edges = edges.iter();
    let first = edges.next().copied().unwrap_or_default();
    match edges.len() {
        0 => format!("edge {first}"),
        more => format!("edge {first} and {more} more"),
    }
}

fn dns(facts: &Facts<'_>, found: &mut Found) {
    for check in facts.checks.iter().filter(|check| check.kind == CheckKind::Region && check.share == 0) {
        let cause = check.cause.map(|cause| format!(", cause {}", cause.as_str())).unwrap_or_default();
        let word = |(voter, up): (&String, &bool)| format!("{voter} {}", if *up { "up" } else { "down" });
        let votes: Vec<String> = check.votes.iter().map(word).collect();
        let votes = if votes.is_empty() { "no votes".to_owned() } else { votes.join(", ") };
        let summary = format!("failover: DNS answers nobody with region {}{cause} ({votes})", check.name);
        found.add(Kind::DnsFailover, Severity::Critical, &check.name, summary);
    }
    let Some(votes) = facts.votes else { return };
    if votes.lost_ms.is_some_and(|lost| lost >= QUORUM_LOST_AFTER.get()) {
        let silent: Vec<&str> =
            votes.voters.iter().filter(|voter| !voter.heard).map(|voter| voter.name.as_str()).collect();
        let so = match votes.alone {
            true => "an anchor answers, so this one decides alone",
            false => "DNS goes on with what it knew",
        };
        let summary = format!(
            "{} of {} voters are heard, and {} settle something: {so}. Not heard: {}",
            votes.in_force,
            votes.configured,
            votes.majority(),
            silent.join(", ")
        );
        found.add(Kind::QuorumLost, Severity::Critical, "", summary);
    }
}

fn components(facts: &Facts<'_>, memory: &Memory, found: &mut Found) {
    let Some(readiness) = facts.readiness else { return };
    for (name, component) in &readiness.components {
        if memory.down.get(name).is_none_or(|count| *count < facts.unhealthy_threshold) {
            continue;
        }
        let why = component.error.as_deref().unwrap_or("no reason known");
        let (severity, so) = match component.required {
            true => (Severity::Critical, "so the region is not ready"),
            false => (Severity::Warning, "which the region does without"),
        };
        let summary = format!("Component {name} of region {} is down ({why}), {so}", facts.region);
        found.add(Kind::ComponentDown, severity, name, summary);
    }
}

fn database(facts: &Facts<'_>, seen: &Seen, memory: &Memory, found: &mut Found) {
    let name = |index: usize| facts.nodes.get(index).map_or("?", String::as_str);
    let Seen { view, now } = seen;
    match view.writer {
        Writer::Known { .. } => {}
        Writer::None if now.since(view.writer_since) < NO_WRITER_AFTER => {}
        Writer::None => {
            found.add(Kind::NoWriter, Severity::Critical, "", "No database node accepts writes".to_owned());
        }
        Writer::Conflict { nodes: (one, other), timeline } => {
            let summary = format!(
                "Two database nodes claim to be the writer on timeline {timeline}: {} and {}. Neither gets a write",
                name(one),
                name(other)
            );
            found.add(Kind::TwoWriters, Severity::Critical, "", summary);
        }
    }
    for (index, node) in view.nodes.iter().enumerate() {
        let timeline = node.timeline.unwrap_or(view.highest_timeline);
        if node.reachable && node.role == Some(Role::Writer) && timeline < view.highest_timeline {
            let summary = format!(
                "Database node {} claims to be the writer on timeline {timeline}, but {} was seen already: it gets no write. \
                 Rebuild it as a replica",
                name(index),
                view.highest_timeline
            );
            found.add(Kind::StaleWriter, Severity::Critical, name(index), summary);
        }
        if let Some(watch) = memory.lag.get(&index).filter(|watch| watch.above >= facts.lag.periods) {
            let summary = format!(
                "Database node {} replays {} behind, above {} for {} periods of {}",
                name(index),
                clock::span(Millis::new(watch.last_average)),
                facts.lag.above,
                watch.above,
                facts.lag.period
            );
            found.add(Kind::ReplicationLag, Severity::Warning, name(index), summary);
        }
    }
}
