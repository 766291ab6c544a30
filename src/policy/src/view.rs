//! What the state means for choosing, worked out once and not for every request.

use crate::failback;
use crate::overrides::InForce;
use crate::region::{MAX_REGIONS, Order, RegionId, RegionSet};
use crate::state::State;
use crate::time::Time;
use crate::topology::Topology;
use crate::words::Cause;
use arrayvec::ArrayVec;

/// What the state means for choosing at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// One for each region, in configuration order.
    pub regions: ArrayVec<RegionView, MAX_REGIONS>,
    /// Regions with a share above 0, by effective weight, ties in configuration order.
    pub fallback: Order,
    /// Half-open regions with a free permit.
    pub trials: RegionSet,
    /// A half-open region that its own traffic does not test, so any safe request may.
    pub forgotten: Option<RegionId>,
    /// The region an operator pinned.
    pub pin: Option<RegionId>,
    /// The region with the lowest latency.
    pub nearest: Option<RegionId>,
}

/// What the state means for one region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionView {
    /// Per cent of its normal share that it gets.
    pub share: u8,
    /// Weight × share, for the draw; 0 for what the draw must not find.
    pub drawn: u64,
    /// Its part in the draw of trials: that of a full share.
    pub trial_drawn: u64,
    /// Its part in the rendezvous of keys, where the share does not matter.
    pub rank: u32,
    /// Its name's hash under the seed.
    pub hash: u64,
    /// Why it does not get its full share.
    pub cause: Option<Cause>,
}

impl View {
    /// Works it out.
    pub fn new(topology: &Topology, state: &State, orders: &InForce, now: Time) -> Self {
        let mut view = View {
            pin: orders.pin,
            nearest: state.latency_choice.and_then(|index| RegionId::new(usize::from(index))),
            ..View::default()
        };
        let all_zero = topology.regions.iter().all(|region| region.weight == 0);
        for (id, (region, known)) in topology.ids().zip(topology.regions.iter().zip(&state.regions)) {
            let share = known.standing.share(&topology.failback, now);
            let ready =
                known.health.is_healthy() && known.drain != crate::state::Drain::InForce && !state.frozen;
            if share == 0 && ready && known.breaker.trial_available(&topology.circuit_breaker, now) {
                view.trials.insert(id);
                let waited = known.half_open_since.map(|since| now.since(since));
                if waited.is_some_and(|waited| waited > patience(topology)) && view.forgotten.is_none() {
                    view.forgotten = Some(id);
                }
            }
            let rank = if all_zero { 1 } else { region.weight };
            view.regions.push(RegionView {
                share,
                drawn: u64::from(rank) * u64::from(share),
                trial_drawn: u64::from(rank) * 100,
                rank,
                hash: topology.seed.digest(region.name.as_str().as_bytes()),
                cause: known.standing.cause(),
            });
        }
        view.weigh_what_is_left();
        let mut order: ArrayVec<(u64, RegionId), MAX_REGIONS> = ArrayVec::new();
        for (region, id) in view.regions.iter().zip(topology.ids()) {
            if region.share > 0 {
                order.push((region.drawn, id));
            }
        }
        // A stable sort: ties stay in configuration order.
        order.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        view.fallback = order.into_iter().map(|(_, id)| id).collect();
        view
    }

    /// Weight 0 means only when nothing else is left: then those regions count as equal.
    fn weigh_what_is_left(&mut self) {
        if self.regions.iter().all(|region| region.drawn == 0) {
            for region in &mut self.regions {
                region.drawn = u64::from(region.share);
            }
        }
    }

    /// The region at this place.
    pub fn region(&self, id: RegionId) -> Option<&RegionView> {
        self.regions.get(id.index())
    }

    /// Its share, in per cent.
    pub fn share(&self, id: RegionId) -> u8 {
        self.region(id).map_or(0, |region| region.share)
    }
}

/// How long a half-open region waits for trials from its own traffic: as long as a whole return
/// would have taken. Without an end to this, a region that no request prefers would stay half-open
/// for ever, and so would never be a fallback again.
fn patience(topology: &Topology) -> crate::time::Millis {
    failback::whole_return(&topology.failback)
}
