//! Observations in, a [`View`] out.

use super::lag::Head;
use super::{Lsn, NodeView, Role, Timeline, View, Writer};
use crate::time::{Millis, Time};

/// How patient the rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Failed probes in a row that make a node unreachable.
    pub unhealthy_threshold: u32,
    /// Good probes in a row that make it reachable again.
    pub healthy_threshold: u32,
    /// Between two probes of a node.
    pub interval: Millis,
    /// The same while no writer is known.
    pub interval_without_writer: Millis,
    /// A replica further behind than this answers no reads.
    pub max_replica_lag: Millis,
    /// The same in bytes.
    pub max_replica_lag_bytes: Option<u64>,
}

/// What a node answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it says it is.
    pub role: Role,
    /// The timeline it is on.
    pub timeline: Timeline,
    /// How far its log is written (writer) or replayed (replica).
    pub lsn: Lsn,
    /// How far a replica's log was received.
    pub received: Option<Lsn>,
    /// How old the last replayed transaction is.
    pub replay_age: Option<Millis>,
    /// A replica's lag as the engine itself tells it, where it does (Aurora); it counts before the
    /// rules' own reckoning.
    pub lag: Option<Millis>,
}

/// What one probe of a node found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It answered.
    Sample(Sample),
    /// It has not answered for a while, and still may: nothing is concluded from that, but if it is
    /// the writer the other nodes are looked at more often.
    Late,
    /// It did not answer in time.
    TimedOut,
    /// The connection was refused or broke, or it gave an answer that cannot be used: the reason in
    /// words.
    Lost(String),
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another writer, or none, or two.
    Writer {
        /// Before.
        from: Writer,
        /// Now.
        to: Writer,
    },
    /// A node became reachable or unreachable.
    Reachable {
        /// Its place in the configuration.
        node: usize,
        /// Whether it is.
        reachable: bool,
    },
    /// A node claims to write on a timeline below the highest that was seen. Told once for as long as
    /// it does.
    Stale {
        /// Its place in the configuration.
        node: usize,
        /// What it claims.
        timeline: Timeline,
    },
}

/// What is remembered of a node beside its [`NodeView`].
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Failed probes in a row.
    failures: u32,
    /// Good probes in a row.
    successes: u32,
    /// Answers in a row that said it writes, all on one timeline.
    claims: u32,
    /// Its claim to write counts.
    accepted: bool,
    /// It was told of as stale on this timeline.
    stale: Option<Timeline>,
}

/// The rules at work on one database.
#[derive(Clone, Debug)]
pub struct Cluster {
    rules: Rules,
    view: View,
    standings: Vec<Standing>,
    /// The last writer and its timeline, unless it has said since that it is a replica.
    last_writer: Option<(usize, Timeline)>,
    head: Head,
    /// The writer is late with an answer.
    doubt: bool,
}

impl Cluster {
    /// A database of so many nodes, of which nothing is known but the highest timeline ever seen.
    pub fn new(rules: Rules, nodes: usize, highest_timeline: Timeline, now: Time) -> Self {
        let view = View {
            nodes: vec![unknown(now); nodes],
            writer: Writer::None,
            generation: 0,
            highest_timeline,
            writer_since: now,
        };
        Cluster {
            rules,
            view,
            standings: vec![Standing::default(); nodes],
            last_writer: None,
            head: Head::default(),
            doubt: false,
        }
    }

    /// What is known now.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The rules in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes up what a probe found. What it tells of a node that is not there is ignored.
    pub fn on_probe(&mut self, now: Time, node: usize, observation: Observation) -> Vec<Event> {
        let mut events = Vec::new();
        match observation {
            Observation::Sample(sample) => self.answered(now, node, sample, &mut events),
            Observation::Late => self.doubt |= self.view.writer() == Some(node),
            Observation::TimedOut => {
                let threshold = self.rules.unhealthy_threshold;
                let failures = self.failed(node);
                self.doubt |= self.view.writer() == Some(node);
                if failures >= threshold {
                    self.unreachable(now, node, "no answer in time".to_owned(), &mut events);
                }
            }
            Observation::Lost(reason) => {
                self.failed(node);
                self.unreachable(now, node, reason, &mut events);
            }
        }
        self.settle(now, &mut events);
        events
    }

    /// Takes up a timeline that was seen before this process began: nothing below it writes.
    pub fn remember(&mut self, now: Time, timeline: Timeline) -> Vec<Event> {
        let mut events = Vec::new();
        // Nobody tells of it now, so nobody's claim counts for it.
        self.raise(None, timeline, &mut events);
        self.settle(now, &mut events);
        events
    }

    /// Takes a node out of use: reads go elsewhere. A writer stays the writer, since no other node can
    /// take its writes.
    pub fn drain(&mut self, node: usize) {
        self.set_drained(node, true);
    }

    /// Takes it back into use.
    pub fn undrain(&mut self, node: usize) {
        self.set_drained(node, false);
    }

    /// How long to wait before the node's next probe. While a writer is known, a node that does not
    /// answer is asked less and less often, down to once a second.
    pub fn pause(&self, node: usize) -> Millis {
        if self.doubt || self.view.writer().is_none() {
            return self.rules.interval_without_writer;
        }
        let seen = self.view.nodes.get(node).is_some_and(|node| node.reachable);
        let failures = self.standings.get(node).map_or(0, |standing| standing.failures);
        let mut pause = self.rules.interval;
        if !seen {
            for _ in 1..failures.min(8) {
                pause = pause.saturating_double();
            }
        }
        pause.min(Millis::from_secs(1).max(self.rules.interval))
    }

    /// Goes on with other rules and other nodes. For each new node in order, `from` names the place it
    /// had before; none for one that was not there.
    pub fn reshape(&mut self, now: Time, rules: Rules, from: &[Option<usize>]) -> Vec<Event> {
        let place = |old: usize| from.iter().position(|from| *from == Some(old));
        let kept = |from: &Option<usize>| from.and_then(|old| self.view.nodes.get(old)).cloned();
        let nodes = from.iter().map(|from| kept(from).unwrap_or_else(|| unknown(now))).collect();
        let standing = |from: &Option<usize>| from.and_then(|old| self.standings.get(old)).copied();
        self.standings = from.iter().map(|from| standing(from).unwrap_or_default()).collect();
        self.view.nodes = nodes;
        self.last_writer = self.last_writer.and_then(|(old, timeline)| Some((place(old)?, timeline)));
        self.rules = rules;
        let mut events = Vec::new();
        self.settle(now, &mut events);
        events
    }

    fn answered(&mut self, now: Time, place: usize, sample: Sample, events: &mut Vec<Event>) {
        if place < self.standings.len() {
            self.raise(Some(place), sample.timeline, events);
        }
        let highest = self.view.highest_timeline;
        let last = self.last_writer == Some((place, sample.timeline));
        let threshold = self.rules.healthy_threshold;
        let (Some(node), Some(standing)) = (self.view.nodes.get_mut(place), self.standings.get_mut(place))
        else {
            return;
        };
        if self.view.writer == (Writer::Known { node: place, timeline: sample.timeline }) {
            self.doubt = false;
        }
        let first = node.role.is_none();
        standing.failures = 0;
        standing.successes = standing.successes.saturating_add(1);
        let mut trusted = first || standing.successes >= threshold;
        match sample.role {
            Role::Replica => {
                (standing.claims, standing.accepted, standing.stale) = (0, false, None);
                self.head.advance(now, sample.timeline, sample.lsn.max(sample.received.unwrap_or_default()));
                let (bytes, lag) = self.head.lag(now, &sample);
                (node.lag_bytes, node.lag) = (bytes, sample.lag.or(lag));
            }
            Role::Writer if sample.timeline < highest => {
                (standing.claims, standing.accepted) = (0, false);
                (node.lag_bytes, node.lag) = (None, None);
                if standing.stale.replace(sample.timeline) != Some(sample.timeline) {
                    events.push(Event::Stale { node: place, timeline: sample.timeline });
                }
            }
            Role::Writer => {
                standing.stale = None;
                standing.claims = standing.claims.saturating_add(1);
                // It is accepted already if its timeline is new.
                standing.accepted |= last || standing.claims >= threshold;
                trusted |= standing.accepted;
                (node.lag_bytes, node.lag) = (None, None);
                self.head.advance(now, sample.timeline, sample.lsn);
            }
        }
        if last && sample.role == Role::Replica {
            self.last_writer = None;
        }
        if node.role != Some(sample.role) {
            node.since = now;
        }
        node.role = Some(sample.role);
        node.timeline = Some(sample.timeline);
        node.lsn = Some(sample.lsn);
        node.sampled_at = Some(now);
        if trusted {
            node.error = None;
        }
        if trusted && !node.reachable {
            (node.reachable, node.since) = (true, now);
            events.push(Event::Reachable { node: place, reachable: true });
        }
    }

    /// A timeline above all others ends the claims of those below it, whoever told of it; if it was a
    /// writer, its own claim counts at once.
    fn raise(&mut self, teller: Option<usize>, timeline: Timeline, events: &mut Vec<Event>) {
        if timeline <= self.view.highest_timeline {
            return;
        }
        self.view.highest_timeline = timeline;
        for (place, (standing, node)) in self.standings.iter_mut().zip(&self.view.nodes).enumerate() {
            (standing.claims, standing.accepted) = (0, Some(place) == teller);
            if let (true, Some(Role::Writer), Some(old)) =
                (Some(place) != teller && node.reachable, node.role, node.timeline)
                && standing.stale.replace(old) != Some(old)
            {
                events.push(Event::Stale { node: place, timeline: old });
            }
        }
    }

    fn failed(&mut self, node: usize) -> u32 {
        let Some(standing) = self.standings.get_mut(node) else { return 0 };
        standing.successes = 0;
        standing.failures = standing.failures.saturating_add(1);
        standing.failures
    }

    fn unreachable(&mut self, now: Time, place: usize, reason: String, events: &mut Vec<Event>) {
        let (Some(node), Some(standing)) = (self.view.nodes.get_mut(place), self.standings.get_mut(place))
        else {
            return;
        };
        (standing.claims, standing.accepted, standing.stale) = (0, false, None);
        node.error = Some(reason);
        if node.reachable {
            (node.reachable, node.since) = (false, now);
            events.push(Event::Reachable { node: place, reachable: false });
        }
    }

    /// Works out the writer from the claims that count.
    fn settle(&mut self, now: Time, events: &mut Vec<Event>) {
        let timeline = self.view.highest_timeline;
        let mut claims = self.standings.iter().enumerate().filter(|(_, standing)| standing.accepted);
        let writer = match (claims.next(), claims.next()) {
            (None, _) => Writer::None,
            (Some((node, _)), None) => Writer::Known { node, timeline },
            (Some((one, _)), Some((other, _))) => Writer::Conflict { nodes: (one, other), timeline },
        };
        if writer == self.view.writer {
            return;
        }
        if let Writer::Known { node, timeline } = writer {
            if self.last_writer != Some((node, timeline)) {
                let lsn = self.view.nodes.get(node).and_then(|node| node.lsn).unwrap_or_default();
                self.head.restart(now, timeline, lsn);
            }
            self.last_writer = Some((node, timeline));
        }
        events.push(Event::Writer { from: self.view.writer, to: writer });
        self.view.writer = writer;
        self.view.generation = self.view.generation.saturating_add(1);
        self.view.writer_since = now;
    }

    fn set_drained(&mut self, node: usize, drained: bool) {
        if let Some(node) = self.view.nodes.get_mut(node) {
            node.drained = drained;
        }
    }
}

fn unknown(now: Time) -> NodeView {
    NodeView {
        reachable: false,
        role: None,
        timeline: None,
        lsn: None,
        lag_bytes: None,
        lag: None,
        sampled_at: None,
        since: now,
        error: None,
        drained: false,
    }
}

#[cfg(test)]
mod tests;
