//! What the oracle tells people: log lines, counts, and everything it knows at one moment.

use super::Oracle;
use super::mind::{Mind, News, Settled};
use super::said::Word;
use super::setup::{Check, ETCD, Exchange, Kind};
use crate::clock;
use crate::status::{CheckKind, CheckStatus, Voter, Votes};
use evenkeel_policy::state::Transition;
use evenkeel_policy::time::Time;
use evenkeel_policy::vote::{Ground, Vote};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use std::time::Duration;

type Labels = Vec<(&'static str, String)>;

/// Tells these from the names that an edge's page has too: there they speak of what that edge does.
const LAYER: (&str, &str) = ("layer", "dns");

/// What is counted where it happens.
#[derive(Debug, Default)]
pub struct Counters {
    /// Probes of this voter's own, by region (or check) and result.
    pub probes: Family<Labels, Counter>,
    /// Regions that went out of the answers.
    pub failovers: Family<Labels, Counter>,
}

impl Counters {
    pub(super) fn probed(&self, mind: &Mind, name: &str) {
        let Some(at) = mind.setup.check(name) else { return };
        let (Some(check), Some(state)) = (mind.setup.checks.get(at), mind.checks.get(at)) else { return };
        let Some(measured) = &state.measured else { return };
        let result = if measured.error.is_none() { "ok" } else { "failed" };
        let of = if check.region().is_some() { "region" } else { "check" };
        let labels = vec![(of, name.to_owned()), layer(), ("result", result.to_owned())];
        self.probes.get_or_create(&labels).inc();
    }

    pub(super) fn moved(&self, mind: &Mind, news: &News) {
        for transition in news.transitions.iter().filter(|transition| transition.is_out()) {
            let Some(from) = transition.region() else { continue };
            let cause = transition.cause.map_or("none", |cause| cause.as_str());
            let labels = vec![
                ("from", mind.regions.name(from).to_owned()),
                ("to", mind.regions.takes_over(from).to_owned()),
                ("cause", cause.to_owned()),
                layer(),
            ];
            self.failovers.get_or_create(&labels).inc();
        }
    }
}

/// The label by which a metric that edges have too is told apart.
pub fn layer() -> (&'static str, String) {
    (LAYER.0, LAYER.1.to_owned())
}

/// One line for each change.
pub(super) fn log(mind: &Mind, news: &News) {
    if news.voted {
        let votes: Vec<String> =
            mind.said.checks.iter().map(|(check, vote)| format!("{check}={}", vote.as_str())).collect();
        tracing::info!(voter = mind.said.voter, votes = votes.join(" "), "this voter's votes changed");
    }
    for settled in &news.settled {
        settled.log();
    }
    for transition in &news.transitions {
        log_transition(mind, transition);
    }
}

impl Settled {
    fn log(&self) {
        let verdict = Word::from(self.verdict).as_str();
        let ground = match self.ground {
            None => "calculated",
            Some(Ground::Majority) => "majority",
            Some(Ground::Alone) => "alone, by an anchor",
        };
        let votes = in_words(&self.votes);
        let check = &self.check;
        match self.verdict {
            Vote::Down => tracing::warn!(check, verdict, ground, votes, "health check settled"),
            Vote::Up => tracing::info!(check, verdict, ground, votes, "health check settled"),
        }
    }
}

fn log_transition(mind: &Mind, transition: &Transition) {
    let region = transition.region().map_or("all", |id| mind.regions.name(id));
    let (kind, from, to) = (transition.kind.as_str(), transition.from.as_str(), transition.to.as_str());
    let cause = transition.cause.map(|cause| cause.as_str());
    tracing::info!(layer = LAYER.1, region, kind, from, to, cause, "DNS' transition");
}

/// `taiwan=down witness=down japan=unheard`.
fn in_words(votes: &[(String, Option<Vote>)]) -> String {
    let word = |vote: &Option<Vote>| vote.map_or("unheard", |vote| Word::from(vote).as_str());
    let words: Vec<String> = votes.iter().map(|(voter, vote)| format!("{voter}={}", word(vote))).collect();
    words.join(" ")
}

impl Oracle {
    /// The voters at this moment.
    pub fn votes(&self) -> Votes {
        let mind = self.mind();
        let now = clock::now();
        let quorum = mind.quorum(now);
        let silence = self.silence();
        let setup = &mind.setup;
        let by_etcd = matches!(setup.exchange, Exchange::Etcd(_));
        let voter = |name: &String| {
            let own = *name == setup.voter;
            let said = if own { Some(&*mind.said) } else { mind.ledger.of(name, now) };
            let error = match silence.get(name) {
                _ if own => None,
                None if by_etcd && said.is_none() => Some("it has no lease in etcd".to_owned()),
                reason => reason.cloned(),
            };
            Voter {
                name: name.clone(),
                own,
                heard: said.is_some(),
                age_ms: if own { Some(0) } else { mind.ledger.age(name, now).map(|age| age.get()) },
                same_config: said.filter(|_| !own).map(|said| said.config == setup.config()),
                error,
            }
        };
        let mut voters: Vec<Voter> = setup.voters.iter().map(|known| voter(&known.name)).collect();
        if by_etcd {
            voters.push(Voter {
                name: ETCD.to_owned(),
                own: false,
                heard: mind.ledger.etcd_heard(now),
                age_ms: mind.ledger.etcd_age(now).map(|age| age.get()),
                same_config: None,
                error: silence.get(ETCD).cloned(),
            });
        }
        Votes {
            exchange: setup.exchange.as_str().to_owned(),
            configured: quorum.configured,
            in_force: quorum.in_force,
            lost_ms: quorum.lost_since.map(|since| now.since(since).get()),
            alone: quorum.alone,
            voters,
        }
    }

    /// The checks at this moment, in configuration order.
    pub fn checks(&self) -> Vec<CheckStatus> {
        let mind = self.mind();
        let now = clock::now();
        (0..mind.checks.len()).filter_map(|index| mind.check_status(index, now)).collect()
    }
}

impl Mind {
    fn check_status(&self, index: usize, now: Time) -> Option<CheckStatus> {
        let (check, state) = (self.setup.checks.get(index)?, self.checks.get(index)?);
        let votes = self.votes(index, now);
        let count = |wanted: Vote| votes.iter().filter(|(_, vote)| *vote == Some(wanted)).count();
        let (up, down) = (count(Vote::Up), count(Vote::Down));
        let measured = state.measured.as_ref();
        let region = check.region();
        let share = self.share(index);
        Some(CheckStatus {
            name: check.name.clone(),
            kind: kind(check),
            up: state.verdict == Vote::Up,
            since_ms: now.since(state.since).get(),
            share,
            cause: region.and_then(|id| self.regions.cause(id)).filter(|_| share < 100),
            healthy_percent: (up + down > 0).then(|| 100.0 * up as f64 / (up + down) as f64),
            votes: votes.into_iter().filter_map(|(voter, vote)| Some((voter, vote? == Vote::Up))).collect(),
            connect_ms: measured.and_then(|measured| measured.connect).map(ms),
            tls_ms: measured.and_then(|measured| measured.tls).map(ms),
            first_byte_ms: measured.and_then(|measured| measured.first_byte).map(ms),
            error: measured.and_then(|measured| measured.error.clone()).or_else(|| unasked(check)),
            out_by_edges: state.out_by_edges,
        })
    }
}

fn kind(check: &Check) -> CheckKind {
    match &check.kind {
        Kind::Region(..) => CheckKind::Region,
        Kind::Named(asked) if asked.disabled => CheckKind::Disabled,
        Kind::Named(_) => CheckKind::Asked,
        Kind::Calculated { .. } => CheckKind::Calculated,
    }
}

fn unasked(check: &Check) -> Option<String> {
    let unasked = check.asked().is_some_and(|asked| asked.question.is_none() && !asked.disabled);
    unasked.then(|| "no address to ask is configured".to_owned())
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}
