//! What one voter knows, and what follows: its own votes, what all votes settle, the regions' shares.
//!
//! Nothing here waits or asks; time comes in as an argument.

use super::judge::{Judge, Next};
use super::probe::Measured;
use super::regions::{Moment, Regions};
use super::said::{Ledger, Said};
use super::setup::{Check, ETCD, Exchange, Kind, Setup};
use crate::edges::Known;
use evenkeel_dns::Standing;
use evenkeel_policy::dns::calculated;
use evenkeel_policy::state::Transition;
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::vote::{Ballot, Ground, Vote};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long an anchor's answer counts: one is asked every 2 s, and has a second to answer.
const ANCHOR_FOR: Millis = Millis::from_secs(4);

/// What one voter knows.
#[derive(Debug)]
pub struct Mind {
    pub(super) setup: Arc<Setup>,
    /// By the check's number.
    pub(super) checks: Vec<State>,
    pub(super) ledger: Ledger,
    pub(super) regions: Regions,
    pub(super) said: Arc<Said>,
    quorum_lost: Option<Time>,
    own_drain: Option<Millis>,
    anchor: Option<Time>,
}

/// What is known of one check.
#[derive(Clone, Debug)]
pub struct State {
    judge: Option<Judge>,
    /// Every edge of this voter's own region calls it unhealthy.
    pub out_by_edges: bool,
    /// The last probe.
    pub measured: Option<Measured>,
    /// What was settled last.
    pub verdict: Vote,
    /// Since when.
    pub since: Time,
}

/// Whether enough voters are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Votes by the configuration.
    pub configured: usize,
    /// Those in force, the own one included.
    pub in_force: usize,
    /// Since when they are fewer than a majority.
    pub lost_since: Option<Time>,
    /// This voter decides alone, since an anchor answers.
    pub alone: bool,
}

/// What came of a look.
#[derive(Debug, Default)]
pub struct News {
    /// The own votes changed.
    pub voted: bool,
    /// Verdicts that changed.
    pub settled: Vec<Settled>,
    /// What that did to the regions, oldest first.
    pub transitions: Vec<Transition>,
    /// What DNS answers by.
    pub standing: Standing,
}

/// A verdict that changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// The check.
    pub check: String,
    /// The verdict now.
    pub verdict: Vote,
    /// How it came about; none: it is made from others.
    pub ground: Option<Ground>,
    /// Who voted how.
    pub votes: Vec<(String, Option<Vote>)>,
}

impl Mind {
    /// Nothing was asked or heard yet.
    pub fn new(setup: Arc<Setup>, at: Moment) -> Self {
        let said = Said {
            voter: setup.voter.clone(),
            config: setup.config().to_owned(),
            sequence: at.unix_ms,
            checks: BTreeMap::new(),
        };
        Mind {
            checks: setup.checks.iter().map(|check| State::new(check, at.now)).collect(),
            ledger: Ledger::default(),
            regions: Regions::new(setup.topology.clone(), at.now),
            said: Arc::new(said),
            quorum_lost: None,
            own_drain: None,
            anchor: None,
            setup,
        }
    }

    /// Takes up other settings, and keeps what is known by name.
    pub fn reconfigure(&mut self, setup: Arc<Setup>, at: Moment) {
        let old = std::mem::replace(&mut self.setup, setup.clone());
        let mut known: BTreeMap<&str, State> = old
            .checks
            .iter()
            .map(|check| check.name.as_str())
            .zip(std::mem::take(&mut self.checks))
            .collect();
        let under = |check: &Check| match known.remove(check.name.as_str()) {
            Some(state) => state.under(check, at.now),
            None => State::new(check, at.now),
        };
        self.checks = setup.checks.iter().map(under).collect();
        self.ledger.retain(|voter| setup.voters.iter().any(|known| known.name == voter));
        if setup.exchange == Exchange::Direct {
            self.ledger.leave_etcd();
        }
        self.regions.reconfigure(setup.topology.clone(), at.now);
    }

    /// Takes in a probe of a check; when the next one is due, if there still is such a check.
    pub fn probed(&mut self, check: &str, mut measured: Measured, now: Time) -> Option<Next> {
        let at = self.setup.check(check)?;
        let (check, state) = (self.setup.checks.get(at)?, self.checks.get_mut(at)?);
        if let (Some(region), Some(drain)) = (check.region(), measured.drain) {
            self.regions.announce(region, drain, now);
        }
        let asked = check.asked()?;
        asked.rules.judge_latency(&mut measured);
        let judge = state.judge.get_or_insert_with(|| Judge::new(asked, now));
        judge.on_probe(&asked.rules, now, &measured);
        state.measured = Some(measured);
        Some(judge.next(&asked.rules))
    }

    /// A voter was asked at `at`, and said this.
    pub fn hear(&mut self, said: Said, at: Time) {
        self.ledger.hear(said, at);
    }

    /// etcd was asked at `at`, and holds these votes.
    pub fn roll(&mut self, votes: Vec<Said>, at: Time) {
        self.ledger.roll(votes, at);
    }

    /// What the edges say: those of this voter's own region that are in force, and whose prober lives.
    pub fn edges(&mut self, edges: &[Known], now: Time) {
        let Some(own) = self.setup.region.map(|id| self.setup.topology.name(id)) else { return };
        let counts = |edge: &&Known| {
            edge.state.local_region.as_deref() == Some(own) && edge.in_force(now) && !edge.state.prober_lost
        };
        let edges: Vec<&Known> = edges.iter().filter(counts).collect();
        for (check, state) in self.setup.checks.iter().zip(&mut self.checks) {
            let unhealthy =
                |edge: &&Known| edge.state.regions.get(&check.name).is_some_and(|region| !region.healthy);
            state.out_by_edges = check.region().is_some() && !edges.is_empty() && edges.iter().all(unhealthy);
        }
    }

    /// What remains of an order to drain this voter's own region, given to this very companion.
    pub fn drain(&mut self, left: Option<Millis>, now: Time) {
        if let (Some(_), None, Some(own)) = (self.own_drain, left, self.setup.region) {
            // What its own readiness said of it went with the order.
            self.regions.announce(own, None, now);
        }
        self.own_drain = left;
    }

    /// Whether it matters if an anchor answers: with two votes, when nobody else is heard.
    pub fn needs_anchor(&self, now: Time) -> bool {
        let alone = |check: &Check| self.setup.configured(check) == 2 && self.others_heard(check, now) == 0;
        !self.setup.anchors.is_empty() && self.setup.checks.iter().any(alone)
    }

    /// An anchor answered, or need not be asked any more.
    pub fn anchored(&mut self, at: Option<Time>) {
        self.anchor = at;
    }

    /// Works out what follows from all that is known.
    pub fn look(&mut self, at: Moment) -> News {
        let now = at.now;
        let mut news = News { voted: self.vote(at.unix_ms), ..News::default() };
        for index in 0..self.checks.len() {
            self.settle(index, now, &mut news);
        }
        let verdicts: Vec<_> = self
            .setup
            .checks
            .iter()
            .zip(&self.checks)
            .filter_map(|(check, state)| Some((check.region()?, state.verdict)))
            .collect();
        let own = self.setup.region.zip(self.own_drain);
        news.transitions = self.regions.look(verdicts, own, at);
        let quorum = self.quorum(now);
        let lost = quorum.in_force < quorum.configured / 2 + 1;
        self.quorum_lost = lost.then(|| self.quorum_lost.unwrap_or(now));
        news.standing = self.standing(now);
        news
    }

    /// Renews the own votes. True if they changed.
    fn vote(&mut self, unix_ms: u64) -> bool {
        let votes = self.setup.checks.iter().zip(&self.checks);
        let checks: BTreeMap<_, _> =
            votes.filter_map(|(check, state)| Some((check.name.clone(), state.own(check)?.into()))).collect();
        let same = self.said.checks == checks && self.said.config == self.setup.config();
        if !same {
            self.said = Arc::new(Said {
                voter: self.setup.voter.clone(),
                config: self.setup.config().to_owned(),
                sequence: unix_ms.max(self.said.sequence + 1),
                checks,
            });
        }
        !same
    }

    fn settle(&mut self, index: usize, now: Time, news: &mut News) {
        let setup = self.setup.clone();
        let Some(check) = setup.checks.get(index) else { return };
        let (verdict, ground) = match &check.kind {
            Kind::Calculated { of, at_least } => {
                let up = |id: &&evenkeel_policy::dns::CheckId| {
                    self.checks.get(usize::from(id.0)).is_some_and(|state| state.verdict == Vote::Up)
                };
                let healthy = calculated::is_healthy(of.iter().filter(up).count(), *at_least);
                (if healthy { Vote::Up } else { Vote::Down }, None)
            }
            Kind::Named(asked) if asked.disabled => (initial(check), None),
            Kind::Named(_) | Kind::Region(..) => match self.ballot(index, now).settled() {
                Some((verdict, ground)) => (verdict, Some(ground)),
                None => return,
            },
        };
        let votes = self.votes(index, now);
        let Some(state) = self.checks.get_mut(index) else { return };
        if state.verdict != verdict {
            (state.verdict, state.since) = (verdict, now);
            news.settled.push(Settled { check: check.name.clone(), verdict, ground, votes });
        }
    }

    /// The votes on a check that can be voted on.
    pub(super) fn ballot(&self, index: usize, now: Time) -> Ballot {
        let Some(check) = self.setup.checks.get(index) else { return Ballot::default() };
        let votes = self.votes(index, now);
        let count = |wanted: Vote| votes.iter().filter(|(_, vote)| *vote == Some(wanted)).count();
        // Who reaches etcd is not cut off, whatever etcd thinks of this check.
        let etcd_is_an_anchor =
            self.ledger.etcd_heard(now) && !(self.setup.etcd_votes && check.region().is_some());
        Ballot {
            configured: self.setup.configured(check),
            up: count(Vote::Up),
            down: count(Vote::Down),
            own: self.checks.get(index).and_then(|state| state.own(check)),
            others_heard: self.others_heard(check, now),
            anchor: etcd_is_an_anchor || self.anchored_at(now),
        }
    }

    /// Who votes how on a check, in configuration order; none: the voter is not heard, or knows nothing.
    pub(super) fn votes(&self, index: usize, now: Time) -> Vec<(String, Option<Vote>)> {
        let (Some(check), Some(state)) = (self.setup.checks.get(index), self.checks.get(index)) else {
            return Vec::new();
        };
        if check.asked().is_none_or(|asked| asked.disabled) {
            return Vec::new();
        }
        let said = |voter: &str| match self.setup.voter == voter {
            true => state.own(check),
            false => self
                .ledger
                .of(voter, now)
                .and_then(|said| said.checks.get(&check.name).copied())
                .map(Vote::from),
        };
        let mut votes: Vec<_> =
            self.setup.voters.iter().map(|voter| (voter.name.clone(), said(&voter.name))).collect();
        if self.setup.etcd_votes && check.region().is_some() {
            votes.push((ETCD.to_owned(), self.ledger.etcd_vote(&check.name, now)));
        }
        votes
    }

    /// How many of the others with a vote on the check are heard, whatever they say.
    fn others_heard(&self, check: &Check, now: Time) -> usize {
        let etcd = self.setup.etcd_votes && check.region().is_some() && self.ledger.etcd_heard(now);
        self.voters_heard(now) + usize::from(etcd)
    }

    fn voters_heard(&self, now: Time) -> usize {
        let others = self.setup.voters.iter().filter(|voter| voter.name != self.setup.voter);
        others.filter(|voter| self.ledger.of(&voter.name, now).is_some()).count()
    }

    fn anchored_at(&self, now: Time) -> bool {
        self.anchor.is_some_and(|at| now.since(at) <= ANCHOR_FOR)
    }

    /// Whether enough voters are heard.
    pub fn quorum(&self, now: Time) -> Quorum {
        let etcd = self.setup.etcd_votes;
        let configured = self.setup.voters.len() + usize::from(etcd);
        let others = self.voters_heard(now) + usize::from(etcd && self.ledger.etcd_heard(now));
        Quorum {
            configured,
            in_force: 1 + others,
            lost_since: self.quorum_lost,
            alone: configured == 2 && others == 0 && self.anchored_at(now),
        }
    }

    /// The check's share, in per cent.
    pub(super) fn share(&self, index: usize) -> u8 {
        let (Some(check), Some(state)) = (self.setup.checks.get(index), self.checks.get(index)) else {
            return 100;
        };
        match check.region() {
            Some(region) => self.regions.share(region),
            None if state.verdict == Vote::Up => 100,
            None => 0,
        }
    }

    fn standing(&self, now: Time) -> Standing {
        Standing {
            shares: (0..self.checks.len()).map(|index| self.share(index)).collect(),
            fresh: self.regions.fresh(self.setup.fresh_for, now),
        }
    }
}

impl State {
    fn new(check: &Check, now: Time) -> Self {
        State {
            judge: check.asked().map(|asked| Judge::new(asked, now)),
            out_by_edges: false,
            measured: None,
            verdict: initial(check),
            since: now,
        }
    }

    /// The same check under other settings; a check of another kind begins anew.
    fn under(self, check: &Check, now: Time) -> Self {
        match (self.judge, check.asked()) {
            (Some(judge), Some(asked)) => State { judge: Some(judge.under(asked, now)), ..self },
            _ => State::new(check, now),
        }
    }

    /// This voter's own vote; none until it knows enough.
    pub(super) fn own(&self, check: &Check) -> Option<Vote> {
        if check.asked()?.disabled {
            return None;
        }
        let probed = self.judge.as_ref().and_then(Judge::vote);
        if self.out_by_edges { Some(Vote::Down) } else { probed }
    }
}

/// What holds before anything is known (R26), and for what is not asked (R27).
fn initial(check: &Check) -> Vote {
    match check.asked() {
        Some(asked) if asked.inverted => Vote::Down,
        _ => Vote::Up,
    }
}

#[cfg(test)]
mod tests;
