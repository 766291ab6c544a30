//! What is remembered between decisions, and how it travels between hosts that share it.
//!
//! In Envoy every worker has its own memory, so the whole state is one small value that any of them
//! may read, change and write back. It is keyed by region names: a configuration that adds, drops or
//! reorders regions keeps what is known of the others.

use crate::breaker::Breaker;
use crate::failback::Standing;
use crate::health::Health;
use crate::region::{MAX_REGIONS, RegionId};
use crate::time::Time;
use crate::topology::Topology;
use crate::words::{Cause, Kind, Phase};
use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

/// What is remembered between decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// One for each region, in configuration order.
    pub regions: Vec<RegionState>,
    /// The region that the latency policy prefers; kept until another is clearly better.
    pub latency_choice: Option<u8>,
    /// Whether a freeze is in force.
    pub frozen: bool,
    /// Whether all regions' probes are too old at once: the prober died, not the world.
    pub prober_lost: bool,
    /// The pin in force, for noticing that it came or went.
    pub pinned: Option<u8>,
    /// How many transitions there were.
    pub transitions: u64,
    /// The last few of them, oldest first.
    pub recent: ArrayVec<Transition, RECENT>,
}

/// How many transitions are kept for those who ask later.
pub const RECENT: usize = 16;

/// What is remembered of one region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionState {
    /// What its probes say.
    pub health: Health,
    /// What its calls say.
    pub breaker: Breaker,
    /// How much of its share it gets.
    pub standing: Standing,
    /// When it became half-open, if it is.
    pub half_open_since: Option<Time>,
    /// Until when its own readiness answer drains it.
    pub drain_until: Option<Time>,
    /// Which drain is in force.
    pub drain: Drain,
}

/// What became of an order to drain a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drain {
    /// There is none.
    #[default]
    None,
    /// It is in force.
    InForce,
    /// It would leave nothing, so it is ignored.
    Refused,
}

/// A change that moves traffic or may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Time,
    /// The region's place in the configuration; none for a freeze.
    pub region: Option<u8>,
    /// Which state changed.
    pub kind: Kind,
    /// From what.
    pub from: Phase,
    /// To what.
    pub to: Phase,
    /// Why.
    pub cause: Option<Cause>,
}

impl Transition {
    /// The region that changed.
    pub fn region(&self) -> Option<RegionId> {
        self.region.and_then(|index| RegionId::new(usize::from(index)))
    }

    /// Whether the region lost all of its share.
    pub fn is_out(&self) -> bool {
        self.kind == Kind::Failback && self.to == Phase::Out
    }
}

impl RegionState {
    /// A region that becomes known now.
    pub fn new(now: Time) -> Self {
        RegionState {
            health: Health::new(now),
            breaker: Breaker::default(),
            standing: Standing::Full,
            half_open_since: None,
            drain_until: None,
            drain: Drain::None,
        }
    }
}

/// The first byte of the written form, before the regions' names and the state; another number is
/// another form.
const VERSION: u8 = 1;

impl State {
    /// The state in which nothing has been seen yet.
    pub fn new(topology: &Topology, now: Time) -> Self {
        State {
            regions: topology.regions.iter().map(|_| RegionState::new(now)).collect(),
            latency_choice: None,
            frozen: false,
            prober_lost: false,
            pinned: None,
            transitions: 0,
            recent: ArrayVec::new(),
        }
    }

    /// The written form, a few hundred bytes.
    pub fn encode(&self, topology: &Topology) -> Vec<u8> {
        let names: Vec<&str> = topology.regions.iter().map(|region| region.name.as_str()).collect();
        // Writing to memory what only holds numbers, lists and names cannot fail; an empty value
        // would be read back as no state at all.
        postcard::to_allocvec(&(VERSION, names, self)).unwrap_or_default()
    }

    /// Reads a written form, which another version or another configuration may have left.
    ///
    /// Regions are matched by name; new ones begin afresh. None if it is not a state of this version.
    pub fn decode(bytes: &[u8], topology: &Topology, now: Time) -> Option<Self> {
        if bytes.first() != Some(&VERSION) {
            return None;
        }
        let (_, names, state) = postcard::from_bytes::<(u8, Vec<&str>, State)>(bytes).ok()?;
        if names.len() != state.regions.len() || names.len() > MAX_REGIONS {
            return None;
        }
        let same = names.len() == topology.regions.len()
            && names.iter().zip(&topology.regions).all(|(name, region)| *name == region.name.as_str());
        Some(if same { state.within(names.len()) } else { state.moved(&names, topology, now) })
    }

    /// Without what speaks of regions that do not exist, as a damaged state may.
    fn within(mut self, regions: usize) -> Self {
        let exists = |index: &u8| usize::from(*index) < regions;
        self.latency_choice = self.latency_choice.filter(exists);
        self.pinned = self.pinned.filter(exists);
        self.recent.retain(|transition| transition.region.as_ref().is_none_or(exists));
        self
    }

    /// The state of another list of regions, for this one.
    fn moved(self, names: &[&str], topology: &Topology, now: Time) -> Self {
        let place = |index: u8| {
            let name = names.get(usize::from(index))?;
            topology.region_id(name).and_then(|id| u8::try_from(id.index()).ok())
        };
        let State { regions, latency_choice, frozen, prober_lost, pinned, transitions, recent } = self;
        let recent = recent
            .into_iter()
            .filter_map(|transition| match transition.region {
                Some(index) => place(index).map(|index| Transition { region: Some(index), ..transition }),
                None => Some(transition),
            })
            .collect();
        let mut known: Vec<(&str, RegionState)> = names.iter().copied().zip(regions).collect();
        let regions = topology
            .regions
            .iter()
            .map(|region| match known.iter().position(|(name, _)| *name == region.name.as_str()) {
                Some(at) => known.swap_remove(at).1,
                None => RegionState::new(now),
            })
            .collect();
        State {
            regions,
            latency_choice: latency_choice.and_then(place),
            frozen,
            prober_lost,
            pinned: pinned.and_then(place),
            transitions,
            recent,
        }
    }

    /// The same knowledge under another topology.
    pub fn under(self, old: &Topology, new: &Topology, now: Time) -> Self {
        let names: Vec<&str> = old.regions.iter().map(|region| region.name.as_str()).collect();
        self.moved(&names, new, now)
    }

    /// Remembers a transition.
    pub fn note(&mut self, transition: Transition) {
        self.transitions = self.transitions.wrapping_add(1);
        if self.recent.is_full() {
            self.recent.remove(0);
        }
        self.recent.push(transition);
    }
}
