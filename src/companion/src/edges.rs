//! What each edge last said of the regions: posted to `/v1/edge-state` (`rules.md`, edge to companion).

use evenkeel_policy::region::{MAX_REGIONS, RegionName};
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::words::{Cause, Kind, Phase};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The largest post. 32 regions with the longest names and 16 transitions fill a sixth of it.
pub const MAX_BYTES: usize = 64 * 1024;

/// A state older than this is ignored (`rules.md`); an edge posts every 5 s.
pub const MAX_AGE: Millis = Millis::from_secs(15);

/// An edge that has been silent so long is taken to be gone for good, and forgotten.
const FORGET: Millis = Millis::from_secs(3600);

/// The most edges that are remembered. With 32 regions of the longest names each, they fill 1 MB.
pub const MAX_EDGES: usize = 128;

/// The filter keeps 16 transitions; a post never holds more.
const MAX_TRANSITIONS: usize = 64;

/// One edge's post, as the filter writes it. Fields that this version does not know are passed over,
/// so that edges may be newer than their companion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeState {
    /// Which edge this is: Envoy's node id, else its region.
    pub edge: String,
    /// Grows with every post of this edge.
    pub sequence: u64,
    /// The region it stands in.
    pub local_region: Option<String>,
    /// Names its configuration.
    pub config_hash: String,
    /// All its probes are too old at once: what follows is what was last known.
    pub prober_lost: bool,
    /// The regions as it sees them.
    pub regions: BTreeMap<String, RegionState>,
    /// What changed since its last accepted post, the oldest first.
    pub transitions: Vec<Transition>,
}

/// A region as one edge sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionState {
    /// What its probes say.
    pub healthy: bool,
    /// What its calls say.
    pub breaker: Breaker,
    /// Per cent of its normal share that it gets.
    pub share: u8,
}

/// A breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breaker {
    /// Calls pass.
    Closed,
    /// A few calls test the region.
    HalfOpen,
    /// Calls are kept away.
    Open,
}

impl Breaker {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Breaker::Closed => "closed",
            Breaker::HalfOpen => "half-open",
            Breaker::Open => "open",
        }
    }
}

/// A change of one region's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The region; none where the change is about all of them.
    pub region: Option<String>,
    /// Which state.
    pub kind: Kind,
    /// Before.
    pub from: Phase,
    /// After.
    pub to: Phase,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl EdgeState {
    /// Reads a post.
    ///
    /// # Errors
    /// One sentence that names the field and what would be right.
    pub fn read(bytes: &[u8]) -> Result<EdgeState, String> {
        if bytes.len() > MAX_BYTES {
            return Err(format!("the body is {} bytes long: at most {MAX_BYTES} are read", bytes.len()));
        }
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let state: EdgeState = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            match path.as_str() {
                "." => format!("the body is no edge state: {}", error.inner()),
                _ => format!("{path}: {}", error.inner()),
            }
        })?;
        deserializer.end().map_err(|error| format!("the body goes on after the edge state: {error}"))?;
        state.check().map(|()| state)
    }

    fn check(&self) -> Result<(), String> {
        let shown = |b: u8| (b' '..=b'~').contains(&b);
        if !(1..=253).contains(&self.edge.len()) || !self.edge.bytes().all(shown) {
            return Err("edge: use 1 to 253 printable characters".to_owned());
        }
        if self.config_hash.len() > 64 || !self.config_hash.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err("config_hash: use at most 64 letters and digits".to_owned());
        }
        if self.regions.len() > MAX_REGIONS {
            return Err(format!("regions: {} of them: at most {MAX_REGIONS}", self.regions.len()));
        }
        if self.transitions.len() > MAX_TRANSITIONS {
            return Err(format!(
                "transitions: {} of them: at most {MAX_TRANSITIONS}",
                self.transitions.len()
            ));
        }
        let named = self.transitions.iter().filter_map(|transition| transition.region.as_ref());
        for name in self.regions.keys().chain(self.local_region.as_ref()).chain(named) {
            RegionName::try_new(name).map_err(|remedy| format!("regions: {name:?}: {remedy}"))?;
        }
        if let Some((name, region)) = self.regions.iter().find(|(_, region)| region.share > 100) {
            return Err(format!("regions.{name}.share: {}: use 0 to 100", region.share));
        }
        Ok(())
    }

    /// Whether no region gets traffic from this edge by the rules (`all_unhealthy` decides there).
    pub fn nothing_eligible(&self) -> bool {
        !self.regions.is_empty() && self.regions.values().all(|region| region.share == 0)
    }
}

/// Why a post was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not newer than what is known.
    Old {
        /// The known one's sequence.
        known: u64,
    },
    /// Too many edges post.
    Full,
}

/// All edges that have posted.
#[derive(Debug, Default)]
pub struct Edges(Mutex<BTreeMap<String, Known>>);

/// What is known of one edge.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its last post.
    pub state: EdgeState,
    /// When that came.
    pub at: Time,
    /// Why each region that is out went out, by the transitions that were told.
    pub causes: BTreeMap<String, Cause>,
}

impl Known {
    /// Whether the state still counts.
    pub fn in_force(&self, now: Time) -> bool {
        now.since(self.at) <= MAX_AGE
    }
}

impl Edges {
    /// Takes in a post, and gives back its transitions as they are news.
    ///
    /// # Errors
    /// If it is not newer than the state in force, or too many edges are known.
    pub fn take(&self, state: EdgeState, now: Time) -> Result<Vec<Transition>, Refused> {
        let mut edges = self.lock();
        edges.retain(|_, known| now.since(known.at) < FORGET);
        let mut causes = BTreeMap::new();
        match edges.get(&state.edge) {
            // Sequences are wall-clock times: after a clock was put back an edge must not be refused
            // for longer than its old state counts.
            Some(known) if known.in_force(now) && known.state.sequence >= state.sequence => {
                return Err(Refused::Old { known: known.state.sequence });
            }
            Some(known) => causes = known.causes.clone(),
            None if edges.len() >= MAX_EDGES => {
                let silent = edges.iter().filter(|(_, known)| !known.in_force(now));
                let oldest = silent.min_by_key(|(_, known)| known.at).map(|(name, _)| name.clone());
                edges.remove(&oldest.ok_or(Refused::Full)?);
            }
            None => {}
        }
        for transition in &state.transitions {
            let (Some(region), Some(cause)) = (&transition.region, transition.cause) else { continue };
            // The share follows from failback and orders; what health and breakers say only hints at it.
            match transition.kind {
                Kind::Failback | Kind::Override => _ = causes.insert(region.clone(), cause),
                Kind::Health | Kind::Breaker => _ = causes.entry(region.clone()).or_insert(cause),
            }
        }
        causes.retain(|region, _| state.regions.get(region).is_some_and(|region| region.share < 100));
        let transitions = state.transitions.clone();
        edges.insert(state.edge.clone(), Known { state, at: now, causes });
        Ok(transitions)
    }

    /// All that are known, by name.
    pub fn all(&self, now: Time) -> Vec<Known> {
        self.lock().values().filter(|known| now.since(known.at) < FORGET).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn post(edge: &str, sequence: u64) -> EdgeState {
        EdgeState {
            edge: edge.to_owned(),
            sequence,
            local_region: Some("taiwan".to_owned()),
            config_hash: "abc".to_owned(),
            prober_lost: false,
            regions: BTreeMap::from([(
                "taiwan".to_owned(),
                RegionState { healthy: true, breaker: Breaker::Closed, share: 100 },
            )]),
            transitions: Vec::new(),
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn sequences_must_grow_while_the_state_counts() {
        let edges = Edges::default();
        edges.take(post("a", 10), at(1)).unwrap();
        assert_eq!(edges.take(post("a", 10), at(2)), Err(Refused::Old { known: 10 }));
        assert_eq!(edges.take(post("a", 9), at(16)), Err(Refused::Old { known: 10 }));
        // The edge's clock was put back: once the old state has lost its force, so has its sequence.
        edges.take(post("a", 3), at(17)).unwrap();
        assert_eq!(edges.all(at(17))[0].state.sequence, 3);
        assert!(edges.all(at(17))[0].in_force(at(32)) && !edges.all(at(17))[0].in_force(at(33)));
    }

    #[test]
    fn memory_is_bounded_and_live_edges_are_never_pushed_out() {
        let edges = Edges::default();
        for index in 0..MAX_EDGES {
            edges.take(post(&format!("e{index}"), 1), at(1)).unwrap();
        }
        assert_eq!(edges.take(post("one-more", 1), at(2)), Err(Refused::Full));
        edges.take(post("e5", 2), at(20)).unwrap();
        edges.take(post("one-more", 1), at(20)).unwrap();
        assert_eq!(edges.all(at(20)).len(), MAX_EDGES);
        assert!(edges.all(at(20)).iter().any(|known| known.state.edge == "e5"));
        assert!(edges.all(at(3700)).is_empty());
    }

    #[test]
    fn faults_are_told_by_their_fields() {
        let good = serde_json::to_value(post("a", 1)).unwrap();
        let cases: &[(&str, serde_json::Value, &str)] = &[
            ("edge", 5.into(), "edge: "),
            ("edge", "".into(), "edge: use 1 to 253"),
            ("sequence", "x".into(), "sequence: "),
            ("prober_lost", 1.into(), "prober_lost: "),
            ("config_hash", "<script>".into(), "config_hash: "),
            (
                "regions",
                serde_json::json!({"taiwan": {"healthy": true, "breaker": "ajar", "share": 1}}),
                "breaker",
            ),
            (
                "regions",
                serde_json::json!({"taiwan": {"healthy": true, "breaker": "open", "share": 101}}),
                "share: 101",
            ),
            (
                "regions",
                serde_json::json!({"<b>": {"healthy": true, "breaker": "open", "share": 1}}),
                "\"<b>\"",
            ),
            (
                "transitions",
                serde_json::json!([{"region": "a", "kind": "mood", "from": "full", "to": "out"}]),
                "kind",
            ),
        ];
        for (field, value, part) in cases {
            let mut body = good.clone();
            body[field] = value.clone();
            let error = EdgeState::read(body.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(part), "{field}: no {part:?} in {error}");
        }
        assert!(EdgeState::read(b"").unwrap_err().contains("no edge state"));
        assert!(EdgeState::read(&[b' '; MAX_BYTES + 1]).unwrap_err().contains("at most 65536"));
        let twice = format!("{good}{good}");
        assert!(EdgeState::read(twice.as_bytes()).unwrap_err().contains("goes on"));
        let mut newer = good;
        newer["shoe_size"] = 43.into();
        assert_eq!(EdgeState::read(newer.to_string().as_bytes()), Ok(post("a", 1)));
    }

    /// The filter writes its report with these very serializers (`filter/src/report.rs`).
    #[test]
    fn what_the_filter_writes_is_read_word_for_word() {
        use evenkeel_policy::engine::Engine;
        use evenkeel_policy::health::{Probe, ProbeResult};
        use evenkeel_policy::region::RegionId;
        use evenkeel_policy::replay::{Regions, Transitions};
        use evenkeel_policy::topology::Topology;
        let topology = br#"{"local_region": "a", "regions": [{"name": "a", "cluster": "a"}, {"name": "b", "cluster": "b"}]}"#;
        let mut engine = Engine::new(Topology::from_json(topology).unwrap(), at(0));
        for second in 1..=2 {
            let probe = Probe { result: ProbeResult::Failed, latency: Millis::new(5), drain: None };
            engine.on_probe(at(second), RegionId::new(1).unwrap(), &probe);
            engine.tick(at(second));
        }
        let changes = &engine.state().recent;
        assert!(changes.len() >= 2, "{changes:?}");
        let post = serde_json::json!({
            "edge": "edge-1",
            "sequence": 1_764_000_000_000_u64,
            "local_region": "a",
            "config_hash": engine.topology().hash,
            "prober_lost": false,
            "regions": Regions(&engine),
            "transitions": Transitions { engine: &engine, changes },
        });
        let state = EdgeState::read(post.to_string().as_bytes()).unwrap();
        assert_eq!(state.regions["b"], RegionState { healthy: false, breaker: Breaker::Closed, share: 0 });
        assert_eq!(state.transitions.len(), changes.len());
        assert!(
            state
                .transitions
                .iter()
                .any(|told| told.to == Phase::Out && told.cause == Some(Cause::Unhealthy))
        );
        assert_eq!(serde_json::to_value(&state).unwrap(), post);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_with_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Err(reason) = EdgeState::read(&bytes) {
                prop_assert!(!reason.is_empty());
            }
        }
    }
}
