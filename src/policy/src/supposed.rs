//! A region's standing as someone outside sees it, put into a state.
//!
//! For those who ask "what would happen": `evenkeel explain` supposes what a person says or what an
//! edge's metrics show. Nothing that decides about live traffic comes here.

use crate::breaker::{self, Breaker};
use crate::failback::Standing;
use crate::health::Health;
use crate::region::RegionId;
use crate::state::State;
use crate::time::Time;
use crate::words::Cause;

/// What is supposed of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supposed {
    /// Why it is unhealthy, if it is.
    pub unhealthy: Option<Cause>,
    /// Its breaker's state.
    pub breaker: breaker::State,
    /// Per cent of its normal share that it gets; what is above 100 counts as 100.
    pub share: u8,
}

impl State {
    /// Supposes this of a region, as if it had just come about. A share of 0 that neither health nor
    /// breaker explains is a hold after a drain.
    pub fn suppose(&mut self, id: RegionId, supposed: Supposed, now: Time) {
        let Some(region) = self.regions.get_mut(id.index()) else { return };
        region.health = Health::supposed(supposed.unhealthy, now);
        region.breaker = Breaker::default();
        region.half_open_since = None;
        if supposed.breaker != breaker::State::Closed {
            region.breaker.force_open(now);
        }
        if supposed.breaker == breaker::State::HalfOpen {
            region.breaker.force_half_open();
            region.half_open_since = Some(now);
        }
        let open = (supposed.breaker == breaker::State::Open).then_some(Cause::BreakerOpen);
        let half_open = (supposed.breaker == breaker::State::HalfOpen).then_some(Cause::BreakerOpen);
        region.standing = match (supposed.share, supposed.unhealthy.or(open)) {
            (100.., _) => Standing::Full,
            (0, Some(cause)) => Standing::Out { cause },
            (0, None) => Standing::Hold { since: now, cause: half_open.unwrap_or(Cause::Drain) },
            (share, _) => Standing::ramp_at(share, now),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::topology::Topology;

    #[test]
    fn a_view_shows_what_was_supposed() {
        let json = br#"{"regions": [{"name": "a", "cluster": "a"}, {"name": "b", "cluster": "b"}]}"#;
        let topology = Topology::from_json(json).expect("valid");
        let (now, id) = (Time::from_millis(5), RegionId::FIRST);
        let rows = [
            (None, breaker::State::Closed, 100, None),
            (None, breaker::State::Closed, 37, Some(Cause::Ramp)),
            (None, breaker::State::HalfOpen, 0, Some(Cause::BreakerOpen)),
            (None, breaker::State::Open, 0, Some(Cause::BreakerOpen)),
            (Some(Cause::Stale), breaker::State::Closed, 0, Some(Cause::Stale)),
            // Under a freeze an unhealthy region keeps its share.
            (Some(Cause::Unhealthy), breaker::State::Open, 100, None),
        ];
        for (unhealthy, breaker, share, cause) in rows {
            let mut state = State::new(&topology, now);
            state.suppose(id, Supposed { unhealthy, breaker, share }, now);
            assert_eq!(state.regions[0].health.cause(), unhealthy);
            assert_eq!(state.regions[0].breaker.state(), breaker);
            let engine = Engine::with_state(topology.clone(), state, now);
            assert_eq!((engine.view().share(id), engine.view().regions[0].cause), (share, cause));
            assert_eq!(engine.view().trials.contains(id), breaker == breaker::State::HalfOpen);
        }
    }
}
