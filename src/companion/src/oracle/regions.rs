//! From settled verdicts to shares, by the edges' own rules: hold, ramp, drain, pin and freeze.

use evenkeel_policy::engine::Engine;
use evenkeel_policy::health::{Probe, ProbeResult};
use evenkeel_policy::overrides::{Directive, Override};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::settings::HealthCheck;
use evenkeel_policy::state::Transition;
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::topology::Topology;
use evenkeel_policy::vote::Vote;
use evenkeel_policy::words::Cause;
use std::collections::BTreeMap;

/// What the regions' verdicts mean for their shares.
#[derive(Clone, Debug)]
pub struct Regions {
    engine: Engine,
    /// Until when each region's own readiness answer drains it.
    announced: BTreeMap<RegionId, Time>,
    /// The shares as they were last worked out.
    shares: Vec<u8>,
    /// When one last came to or left 0.
    moved: Option<Time>,
}

/// The time of one look, on the clock that goes forward and on people's.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The one that only goes forward.
    pub now: Time,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

impl Regions {
    /// All are whole.
    pub fn new(topology: Topology, now: Time) -> Self {
        let engine = Engine::new(settled(topology), now);
        let shares = vec![100; engine.topology().regions.len()];
        Regions { engine, announced: BTreeMap::new(), shares, moved: None }
    }

    /// Takes up another topology, and keeps what is known by name.
    pub fn reconfigure(&mut self, topology: Topology, now: Time) {
        let old = self.engine.topology().clone();
        self.engine.reconfigure(settled(topology), now);
        let new = self.engine.topology();
        let before = |id: RegionId| old.region_id(new.name(id));
        let share = |id| before(id).and_then(|id| self.shares.get(id.index()).copied()).unwrap_or(100);
        self.shares = new.ids().map(share).collect();
        let until = |id| before(id).and_then(|old| Some((id, *self.announced.get(&old)?)));
        self.announced = new.ids().filter_map(until).collect();
    }

    /// What a region's readiness answer says of a drain.
    pub fn announce(&mut self, id: RegionId, drain: Option<Millis>, now: Time) {
        match drain {
            Some(left) => _ = self.announced.insert(id, now.plus(left)),
            None => _ = self.announced.remove(&id),
        }
    }

    /// Takes in the verdicts, by region, and lets time pass. `own` is an order to drain this voter's own
    /// region. What changed, oldest first.
    pub fn look(
        &mut self,
        verdicts: impl IntoIterator<Item = (RegionId, Vote)>,
        own: Option<(RegionId, Millis)>,
        at: Moment,
    ) -> Vec<Transition> {
        let now = at.now;
        self.engine.order_from_configuration(now, at.unix_ms);
        self.announced.retain(|_, until| now < *until);
        let announced = self.announced.iter().map(|(id, until)| (*id, *until));
        for (region, until) in announced.chain(own.map(|(id, left)| (id, now.plus(left)))) {
            self.engine.order(Override { order: Directive::Drain { region, force: false }, until });
        }
        for (id, vote) in verdicts {
            let known = self.engine.state().regions.get(id.index());
            if known.is_some_and(|known| known.health.is_healthy() != (vote == Vote::Up)) {
                let result = if vote == Vote::Up { ProbeResult::Ok } else { ProbeResult::Failed };
                self.engine.on_probe(now, id, &Probe { result, latency: Millis::ZERO, drain: None });
            }
        }
        self.engine.tick(now);
        let view = self.engine.view();
        let pinned = view.pin.filter(|pin| view.share(*pin) > 0);
        let share = |id: RegionId| match pinned {
            Some(pin) if pin != id => 0,
            _ => view.share(id),
        };
        let shares: Vec<u8> = self.engine.topology().ids().map(share).collect();
        if shares.iter().zip(&self.shares).any(|(new, old)| (*new == 0) != (*old == 0)) {
            self.moved = Some(now);
        }
        self.shares = shares;
        self.engine.take_changes()
    }

    /// The region's share, in per cent.
    pub fn share(&self, id: RegionId) -> u8 {
        self.shares.get(id.index()).copied().unwrap_or(100)
    }

    /// Why it is not whole.
    pub fn cause(&self, id: RegionId) -> Option<Cause> {
        let view = self.engine.view();
        let region = view.region(id)?;
        match view.pin {
            Some(pin) if pin != id && region.share > 0 && self.share(id) == 0 => Some(Cause::Pin),
            _ => region.cause,
        }
    }

    /// Whether a region went out of the answers, or came back, within this time.
    pub fn fresh(&self, within: Millis, now: Time) -> bool {
        self.moved.is_some_and(|moved| now.since(moved) < within)
    }

    /// The region that takes over from another; its name, or `none`.
    pub fn takes_over(&self, from: RegionId) -> &str {
        self.engine.takes_over(from).map_or("none", |id| self.engine.topology().name(id))
    }

    /// The region's name.
    pub fn name(&self, id: RegionId) -> &str {
        self.engine.topology().name(id)
    }
}

/// Verdicts are settled already: each counts at once and never grows stale.
fn settled(topology: Topology) -> Topology {
    let forever = Millis::new(u64::MAX);
    let health_check = HealthCheck {
        unhealthy_threshold: 1,
        healthy_threshold: 1,
        max_age: forever,
        max_latency: forever,
        ..topology.health_check
    };
    Topology { health_check, ..topology }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(more: &str) -> Topology {
        let text = format!(
            r#"{{"regions": [{{"name": "taiwan", "cluster": "a"}}, {{"name": "japan", "cluster": "b"}}],
            "failback": {{"hold": "30s", "ramp": "6m"}}{more}}}"#
        );
        Topology::from_json(text.as_bytes()).unwrap()
    }

    fn id(index: usize) -> RegionId {
        RegionId::new(index).unwrap()
    }

    fn at(seconds: u64) -> Moment {
        Moment { now: Time::from_millis(seconds * 1000), unix_ms: 1_700_000_000_000 + seconds * 1000 }
    }

    fn looked(regions: &mut Regions, japan: Vote, own: Option<Millis>, seconds: u64) -> (u8, u8) {
        let own = own.map(|left| (id(0), left));
        regions.look([(id(0), Vote::Up), (id(1), japan)], own, at(seconds));
        (regions.share(id(0)), regions.share(id(1)))
    }

    #[test]
    fn a_settled_verdict_counts_at_once_and_the_way_back_is_held_and_ramped() {
        let mut regions = Regions::new(topology(""), at(0).now);
        assert_eq!(looked(&mut regions, Vote::Up, None, 1), (100, 100));
        assert!(!regions.fresh(Millis::from_secs(600), at(1).now), "the start is no failover");
        let changes = { regions.look([(id(0), Vote::Up), (id(1), Vote::Down)], None, at(2)) };
        assert!(changes.iter().any(|change| change.is_out() && change.cause == Some(Cause::Unhealthy)));
        assert_eq!((regions.share(id(1)), regions.cause(id(1))), (0, Some(Cause::Unhealthy)));
        assert_eq!(regions.takes_over(id(1)), "taiwan");
        assert!(regions.fresh(Millis::from_secs(600), at(601).now));
        assert!(!regions.fresh(Millis::from_secs(600), at(602).now));
        for (second, share) in [(1000, 0), (1029, 0), (1030, 5), (1210, 52), (1390, 100)] {
            assert_eq!(looked(&mut regions, Vote::Up, None, second), (100, share), "at {second} s");
        }
        assert!(regions.fresh(Millis::from_secs(600), at(1629).now), "it came back at 1030 s");
    }

    #[test]
    fn an_own_drain_ends_when_its_order_does() {
        let mut regions = Regions::new(topology(""), at(0).now);
        assert_eq!(looked(&mut regions, Vote::Up, Some(Millis::from_secs(600)), 1), (0, 100));
        assert_eq!(regions.cause(id(0)), Some(Cause::Drain));
        assert_eq!(looked(&mut regions, Vote::Up, None, 2), (0, 100), "the hold follows");
        assert_eq!(looked(&mut regions, Vote::Up, None, 32), (5, 100));
    }

    #[test]
    fn an_announced_drain_lasts_as_long_as_it_said_and_gives_way_to_the_last_region() {
        let mut regions = Regions::new(topology(""), at(0).now);
        regions.announce(id(1), Some(Millis::from_secs(60)), at(1).now);
        assert_eq!(looked(&mut regions, Vote::Up, None, 1), (100, 0));
        assert_eq!(looked(&mut regions, Vote::Up, None, 60), (100, 0));
        looked(&mut regions, Vote::Up, None, 61);
        assert_eq!(looked(&mut regions, Vote::Up, None, 91), (100, 5));
        regions.announce(id(1), Some(Millis::from_secs(60)), at(100).now);
        regions.look([(id(0), Vote::Down), (id(1), Vote::Up)], None, at(100));
        assert_eq!((regions.share(id(0)), regions.share(id(1))), (0, 100), "a drain never leaves nothing");
    }

    #[test]
    fn a_pin_takes_the_others_out_while_the_pinned_region_is_in() {
        let pin = r#", "overrides": [{"pin": "japan", "until": "2023-11-14T22:23:20Z"}]"#;
        let mut regions = Regions::new(topology(pin), at(0).now);
        assert_eq!(looked(&mut regions, Vote::Up, None, 1), (0, 100));
        assert_eq!(regions.cause(id(0)), Some(Cause::Pin));
        assert_eq!(looked(&mut regions, Vote::Down, None, 2), (100, 0), "a pin to a dead region falls back");
        let mut regions = Regions::new(topology(pin), at(0).now);
        assert_eq!(looked(&mut regions, Vote::Up, None, 599), (0, 100));
        assert_eq!(
            looked(&mut regions, Vote::Up, None, 600),
            (100, 100),
            "it ends by itself, without a hold"
        );
    }

    #[test]
    fn a_freeze_holds_the_shares() {
        let freeze = r#", "overrides": [{"freeze": true, "until": "2023-11-14T22:23:20Z"}]"#;
        let mut regions = Regions::new(topology(freeze), at(0).now);
        looked(&mut regions, Vote::Up, None, 1);
        assert_eq!(looked(&mut regions, Vote::Down, None, 2), (100, 100));
        assert_eq!(looked(&mut regions, Vote::Down, None, 600), (100, 0));
    }

    #[test]
    fn another_topology_keeps_what_is_known_by_name() {
        let mut regions = Regions::new(topology(""), at(0).now);
        looked(&mut regions, Vote::Down, None, 1);
        let other = br#"{"regions": [{"name": "japan", "cluster": "b"}, {"name": "korea", "cluster": "c"}, {"name": "taiwan", "cluster": "a"}]}"#;
        regions.reconfigure(Topology::from_json(other).unwrap(), at(2).now);
        let verdicts = [(id(0), Vote::Down), (id(1), Vote::Up), (id(2), Vote::Up)];
        assert!(regions.look(verdicts, None, at(2)).is_empty(), "nothing changed by it");
        assert_eq!([0, 1, 2].map(|index| regions.share(id(index))), [0, 100, 100]);
    }
}
