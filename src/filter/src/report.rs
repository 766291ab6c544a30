//! The edge's state, posted to a companion where one is configured.

use crate::edge::Edge;
use crate::host::{Answer, Call, Host, Token};
use evenkeel_policy::engine::Engine;
use evenkeel_policy::replay::{Regions, Transitions};
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::topology::Topology;
use serde::Serialize;

/// Where the companion listens for it.
pub const PATH: &str = "/v1/edge-state";

/// Time between posts when nothing changes.
const EVERY: Millis = Millis::new(5_000);

/// How long a post may take.
const TIMEOUT: Millis = Millis::new(2_000);

/// What this VM has posted.
#[derive(Debug)]
pub struct Reporter {
    edge: String,
    under_way: Option<Token>,
    last_post: Option<Time>,
    /// How many transitions there were at the last post.
    posted: Option<u64>,
    /// How many of them a companion has accepted: what was lost on the way is told again.
    accepted: u64,
    refused: bool,
}

#[derive(Serialize)]
struct EdgeState<'a> {
    /// Which edge this is.
    edge: &'a str,
    /// Grows with every post of this edge: a companion drops what is older than what it has.
    sequence: u64,
    local_region: Option<&'a str>,
    config_hash: &'a str,
    /// All regions' probes are too old at once: what follows is what was last known.
    prober_lost: bool,
    regions: Regions<'a>,
    transitions: Transitions<'a>,
}

impl Reporter {
    /// Nothing posted yet.
    pub fn new(host: &impl Host, topology: &Topology) -> Self {
        let local = topology.local.map(|id| topology.name(id).to_owned());
        let edge = host.node().filter(|node| !node.is_empty()).or(local).unwrap_or_else(|| "edge".to_owned());
        Reporter { edge, under_way: None, last_post: None, posted: None, accepted: 0, refused: false }
    }

    /// Takes in the answer if it was to a post.
    pub(crate) fn on_answer(&mut self, token: Token, answer: &Answer) -> bool {
        if self.under_way != Some(token) {
            return false;
        }
        self.under_way = None;
        let accepted = answer.status.is_some_and(|status| (200..300).contains(&status));
        if !accepted && !self.refused {
            log::warn!("companion: the edge's state was not accepted: status {:?}", answer.status);
        }
        if accepted {
            self.accepted = self.posted.unwrap_or(0);
        }
        self.refused = !accepted;
        true
    }
}

impl<H: Host> Edge<H> {
    /// Posts after a transition and every five seconds.
    pub(crate) fn report_if_due(&mut self, now: Time) {
        let Some(companion) = self.engine.topology().companion.clone() else { return };
        let transitions = self.engine.state().transitions;
        let since = |span: Millis| self.reporter.last_post.is_none_or(|last| now.since(last) >= span);
        let waiting = self.reporter.under_way.is_some() && !since(TIMEOUT.saturating_double());
        let news = self.reporter.posted != Some(transitions);
        if waiting || !(news || since(EVERY)) {
            return;
        }
        let body = body(&self.reporter, &self.engine, self.host.unix_now());
        let headers = [
            (":method", "POST"),
            (":path", PATH),
            (":authority", companion.authority.as_str()),
            ("content-type", "application/json"),
        ];
        let call = Call { cluster: &companion.cluster, headers: &headers, body: &body, timeout: TIMEOUT };
        match self.host.call(&call) {
            Ok(token) => self.reporter.under_way = Some(token),
            Err(problem) if !self.reporter.refused => {
                log::warn!("companion: cluster {} cannot be reached: {problem:?}", companion.cluster);
                self.reporter.refused = true;
            }
            Err(_) => {}
        }
        self.reporter.last_post = Some(now);
        self.reporter.posted = Some(transitions);
    }
}

fn body(reporter: &Reporter, engine: &Engine, unix_now: u64) -> Vec<u8> {
    let (state, topology) = (engine.state(), engine.topology());
    let news = state.transitions.wrapping_sub(reporter.accepted);
    let known = state.recent.len();
    let skip = known.saturating_sub(usize::try_from(news).unwrap_or(known));
    let report = EdgeState {
        edge: &reporter.edge,
        sequence: unix_now,
        local_region: topology.local.map(|id| topology.name(id)),
        config_hash: &topology.hash,
        prober_lost: state.prober_lost,
        regions: Regions(engine),
        transitions: Transitions { engine, changes: state.recent.get(skip..).unwrap_or_default() },
    };
    serde_json::to_vec(&report).unwrap_or_default()
}
