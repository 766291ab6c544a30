//! The rules at work: observations in, transitions and decisions out.
//!
//! An [`Engine`] is one topology with one state. Where several workers share the state, each has an
//! engine of its own, adopts what the others wrote, and writes back what it changed.

use crate::breaker::{self, Call, Permit};
use crate::decision::{Decision, Request, decide};
use crate::failback::Situation;
use crate::health::Probe;
use crate::overrides::{Directive, InForce, Override};
use crate::region::{Order, RegionId, RegionSet};
use crate::state::{Drain, State, Transition};
use crate::time::{Millis, Time};
use crate::topology::Topology;
use crate::view::View;
use crate::words::{Cause, Kind, Outcome, Phase, Reason};

/// One topology with one state.
#[derive(Clone, Debug)]
pub struct Engine {
    topology: Topology,
    state: State,
    view: View,
    /// Orders from the configuration and from commands, on this engine's clock.
    orders: Vec<Override>,
    /// What changed since the host last asked.
    changes: Vec<Transition>,
}

/// What came of one attempt at a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// The region tried.
    pub region: RegionId,
    /// The permit, for the first region of the order.
    pub permit: Option<Permit>,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took.
    pub duration: Millis,
}

impl Engine {
    /// An engine that has seen nothing yet.
    pub fn new(topology: Topology, now: Time) -> Self {
        let state = State::new(&topology, now);
        Engine::with_state(topology, state, now)
    }

    /// An engine that goes on from a known state of the same topology.
    pub fn with_state(topology: Topology, state: State, now: Time) -> Self {
        let mut engine =
            Engine { topology, state, view: View::default(), orders: Vec::new(), changes: Vec::new() };
        engine.refresh(now);
        engine
    }

    /// The topology.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the state means for choosing.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Goes on from a state that another engine of this topology reached.
    pub fn adopt(&mut self, state: State, now: Time) {
        self.state = state;
        self.refresh(now);
    }

    /// Takes up another topology and keeps what is known of the regions that stay.
    pub fn reconfigure(&mut self, topology: Topology, now: Time) {
        let state = std::mem::replace(&mut self.state, State::new(&topology, now));
        self.state = state.under(&self.topology, &topology, now);
        self.topology = topology;
        self.orders.clear();
        self.refresh(now);
    }

    /// Puts the configuration's own orders on this engine's clock. `unix_now` is the same moment in
    /// milliseconds since 1970 UTC. Replaces all orders.
    pub fn order_from_configuration(&mut self, now: Time, unix_now: u64) {
        self.orders.clear();
        for configured in &self.topology.overrides {
            let left = configured.until_unix_ms.saturating_sub(unix_now);
            if left > 0 {
                let until = now.plus(Millis::new(left));
                self.orders.push(Override { order: configured.order, until });
            }
        }
    }

    /// Adds an order.
    pub fn order(&mut self, order: Override) {
        self.orders.push(order);
    }

    /// The orders in force: from the configuration, from commands, and from regions' own readiness
    /// answers.
    pub fn orders(&self, now: Time) -> impl Iterator<Item = Override> {
        let announced = self.topology.ids().zip(&self.state.regions).filter_map(|(region, known)| {
            let order = Directive::Drain { region, force: false };
            Some(Override { order, until: known.drain_until? })
        });
        self.orders.iter().copied().chain(announced).filter(move |order| now < order.until)
    }

    /// What changed since this was last asked, oldest first.
    pub fn take_changes(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.changes)
    }

    /// Lets time pass: expiry, staleness, half-open breakers, holds and ramps.
    pub fn tick(&mut self, now: Time) {
        self.expire(now);
        let orders = self.in_force(now);
        self.tick_breakers(now);
        self.judge_staleness(now);
        self.note_pin_and_freeze(now, &orders);
        let drains = self.accepted_drains(&orders);
        self.note_drains(now, &orders, drains);
        self.prefer_the_nearest();
        if !orders.frozen {
            self.step_standings(now, drains);
        }
        self.refresh_with(&orders, now);
    }

    /// Takes in a completed probe.
    pub fn on_probe(&mut self, now: Time, id: RegionId, probe: &Probe) {
        let Some(region) = self.state.regions.get_mut(id.index()) else { return };
        let was = health_phase(region.health.is_healthy());
        if region.health.on_probe(&self.topology.health_check, now, probe) {
            let (to, cause) = (health_phase(region.health.is_healthy()), region.health.cause());
            self.note(now, Some(id), Kind::Health, was, to, cause);
        }
        if let Some(region) = self.state.regions.get_mut(id.index()) {
            // An unanswered probe says nothing of a drain; an answer without the header ends it.
            match probe.drain {
                Some(left) => region.drain_until = Some(now.plus(left)),
                None if probe.result == crate::health::ProbeResult::Ok => region.drain_until = None,
                None => {}
            }
        }
        self.tick(now);
    }

    /// Decides and takes the breaker's permission of the first region.
    pub fn route(&mut self, now: Time, request: &Request, random: f64) -> (Decision, Option<Permit>) {
        // A trial that finds its permit gone decides once more; a region has at most one such turn.
        for _ in 0..=self.topology.regions.len() {
            let decision = decide(&self.topology, &self.view, request, random);
            let Some(first) = decision.first() else { return (decision, None) };
            if decision.reason != Reason::Trial {
                return (decision, self.permit(first));
            }
            if let Some(permit) = self.acquire_trial(now, first) {
                return (decision, Some(permit));
            }
        }
        let plain = Request { safe: false, ..*request };
        let decision = decide(&self.topology, &self.view, &plain, random);
        let permit = decision.first().and_then(|first| self.permit(first));
        (decision, permit)
    }

    /// The permit of a call that does not test a recovering region.
    pub fn permit(&self, region: RegionId) -> Option<Permit> {
        self.state.regions.get(region.index()).map(|known| known.breaker.permit())
    }

    /// Takes one of the few permits of a half-open region.
    pub fn acquire_trial(&mut self, now: Time, id: RegionId) -> Option<Permit> {
        let region = self.state.regions.get_mut(id.index())?;
        let cause = region.standing.cause();
        let (permit, change) = region.breaker.try_acquire(&self.topology.circuit_breaker, now);
        self.note_breaker(now, id, change, cause);
        if change.is_some() {
            // The call that ends the open state ends the cause with it.
            self.tick(now);
        } else {
            self.refresh(now);
        }
        permit
    }

    /// Takes in what came of one attempt.
    pub fn report(&mut self, now: Time, attempt: &Attempt) {
        let Some(region) = self.state.regions.get_mut(attempt.region.index()) else { return };
        let closed = region.breaker.state() == breaker::State::Closed;
        let permit = match attempt.permit {
            Some(permit) => permit,
            // Not the first region of its order: it counts only while the breaker is closed.
            None if closed => region.breaker.permit(),
            None => return,
        };
        if attempt.outcome == Outcome::Ignored {
            region.breaker.release(permit);
            return;
        }
        let call = Call { failed: attempt.outcome.is_failure(), duration: attempt.duration };
        let change = region.breaker.record(&self.topology.circuit_breaker, now, permit, call);
        let stepped_back =
            !self.state.frozen && region.standing.on_call(&self.topology.failback, now, call.failed);
        if stepped_back {
            self.note(
                now,
                Some(attempt.region),
                Kind::Failback,
                Phase::Ramp,
                Phase::StepBack,
                Some(Cause::Ramp),
            );
        }
        if change.is_some() || stepped_back || permit.is_trial() {
            self.note_breaker(now, attempt.region, change, Some(Cause::BreakerOpen));
            self.tick(now);
        }
    }

    /// The region that takes over from another: first in the order of fallback.
    pub fn takes_over(&self, from: RegionId) -> Option<RegionId> {
        self.view.fallback.iter().copied().find(|id| *id != from)
    }

    fn in_force(&self, now: Time) -> InForce {
        InForce::at(now, self.orders(now))
    }

    fn expire(&mut self, now: Time) {
        self.orders.retain(|order| now < order.until);
        for region in &mut self.state.regions {
            region.drain_until = region.drain_until.filter(|until| now < *until);
        }
    }

    fn tick_breakers(&mut self, now: Time) {
        for id in self.topology.ids() {
            let Some(region) = self.state.regions.get_mut(id.index()) else { continue };
            let change = region.breaker.tick(&self.topology.circuit_breaker, now);
            self.note_breaker(now, id, change, None);
        }
    }

    /// A region whose probes stopped is stale, unless all stopped at once: then the prober died, not
    /// the world, and the state holds.
    fn judge_staleness(&mut self, now: Time) {
        let settings = &self.topology.health_check;
        let stale = |known: &crate::state::RegionState| known.health.is_stale(settings, now);
        let was_lost = self.state.prober_lost;
        self.state.prober_lost = self.state.regions.iter().all(stale);
        if self.state.prober_lost {
            return;
        }
        if was_lost {
            // One answer came; the others' are on their way.
            for region in &mut self.state.regions {
                region.health.watch_anew(now);
            }
        }
        for id in self.topology.ids() {
            let Some(region) = self.state.regions.get_mut(id.index()) else { continue };
            if region.health.is_stale(&self.topology.health_check, now) && region.health.on_stale() {
                self.note(now, Some(id), Kind::Health, Phase::Healthy, Phase::Unhealthy, Some(Cause::Stale));
            }
        }
    }

    fn note_pin_and_freeze(&mut self, now: Time, orders: &InForce) {
        if orders.frozen != self.state.frozen {
            let (from, to) =
                if orders.frozen { (Phase::None, Phase::Frozen) } else { (Phase::Frozen, Phase::None) };
            self.note(now, None, Kind::Override, from, to, None);
            self.state.frozen = orders.frozen;
            for region in &mut self.state.regions {
                if orders.frozen {
                    region.standing.freeze(&self.topology.failback, now);
                } else {
                    region.standing.thaw(now);
                }
            }
        }
        let pin = orders.pin.and_then(|id| u8::try_from(id.index()).ok());
        if pin != self.state.pinned {
            let id = |index: Option<u8>| index.and_then(|index| RegionId::new(usize::from(index)));
            if let Some(old) = id(self.state.pinned) {
                self.note(now, Some(old), Kind::Override, Phase::Pinned, Phase::None, Some(Cause::Pin));
            }
            if let Some(new) = id(pin) {
                self.note(now, Some(new), Kind::Override, Phase::None, Phase::Pinned, Some(Cause::Pin));
            }
            self.state.pinned = pin;
        }
    }

    /// The drains that leave at least one region, or are forced. Of several that cannot all be, the
    /// one in force already stays, then the first in configuration order.
    fn accepted_drains(&self, orders: &InForce) -> RegionSet {
        let mut accepted = RegionSet::EMPTY;
        for id in self.topology.ids().filter(|id| orders.drains(*id) && orders.forces(*id)) {
            accepted.insert(id);
        }
        let in_force = |id: &RegionId| {
            self.state.regions.get(id.index()).is_some_and(|region| region.drain == Drain::InForce)
        };
        let (old, new) =
            (self.topology.ids().filter(in_force), self.topology.ids().filter(|id| !in_force(id)));
        for id in old.chain(new).filter(|id| orders.drains(*id) && !orders.forces(*id)) {
            let leaves_one = self
                .topology
                .ids()
                .any(|other| other != id && !accepted.contains(other) && self.takes_everything(other));
            if leaves_one {
                accepted.insert(id);
            }
        }
        accepted
    }

    /// Whether the region could serve all requests: a half-open one takes only trials.
    fn takes_everything(&self, id: RegionId) -> bool {
        self.fault(id).is_none()
            && self
                .state
                .regions
                .get(id.index())
                .is_some_and(|region| region.breaker.state() == breaker::State::Closed)
    }

    fn note_drains(&mut self, now: Time, orders: &InForce, accepted: RegionSet) {
        if orders.frozen {
            return;
        }
        for id in self.topology.ids() {
            let next = match (orders.drains(id), accepted.contains(id)) {
                (false, _) => Drain::None,
                (true, true) => Drain::InForce,
                (true, false) => Drain::Refused,
            };
            let Some(region) = self.state.regions.get_mut(id.index()) else { continue };
            let was = std::mem::replace(&mut region.drain, next);
            if was != next {
                self.note(
                    now,
                    Some(id),
                    Kind::Override,
                    drain_phase(was),
                    drain_phase(next),
                    Some(Cause::Drain),
                );
            }
        }
    }

    /// What is wrong with a region, drains apart.
    fn fault(&self, id: RegionId) -> Option<Cause> {
        let region = self.state.regions.get(id.index())?;
        region
            .health
            .cause()
            .or((region.breaker.state() == breaker::State::Open).then_some(Cause::BreakerOpen))
    }

    /// Every region takes the steps that are due. Who goes out goes first: the others' steps may
    /// follow from it. These all look at the same moment: two regions that recover together both
    /// come back whole, since neither had the other to lean on.
    fn step_standings(&mut self, now: Time, drains: RegionSet) {
        let cause =
            |engine: &Self, id: RegionId| engine.fault(id).or(drains.contains(id).then_some(Cause::Drain));
        for id in self.topology.ids() {
            if let Some(cause) = cause(self, id) {
                self.step_standing(now, id, Some(cause), false);
            }
        }
        // Hold, ramp, full: no region takes more steps than these at one moment.
        for _ in 0..3 {
            let mut whole = RegionSet::EMPTY;
            for (id, region) in self.topology.ids().zip(&self.state.regions) {
                // A half-open region is nothing to lean on.
                if region.standing == crate::failback::Standing::Full && self.takes_everything(id) {
                    whole.insert(id);
                }
            }
            let mut moved = false;
            for id in self.topology.ids().filter(|id| cause(self, *id).is_none()).collect::<Order>() {
                let another_is_full = self.topology.ids().any(|other| other != id && whole.contains(other));
                moved |= self.step_standing(now, id, None, another_is_full);
            }
            if !moved {
                break;
            }
        }
    }

    /// One region's next step, if one is due.
    fn step_standing(
        &mut self,
        now: Time,
        id: RegionId,
        cause: Option<Cause>,
        another_is_full: bool,
    ) -> bool {
        let Some(region) = self.state.regions.get_mut(id.index()) else { return false };
        let breaker_closed = region.breaker.state() == breaker::State::Closed;
        let was = region.standing.phase();
        let situation = Situation { cause, breaker_closed, another_is_full };
        let step = region.standing.step(&self.topology.failback, now, situation);
        if let Some((to, cause)) = step {
            self.note(now, Some(id), Kind::Failback, was, to, cause);
        }
        step.is_some()
    }

    /// The latency policy's choice: it moves only to a region that is 20 % and 10 ms better, so that
    /// two regions alike do not toss the traffic to and fro.
    fn prefer_the_nearest(&mut self) {
        const BETTER_BY: f32 = 0.8;
        const BETTER_BY_MS: f32 = 10.0;
        let latency = |id: RegionId| {
            let known = self.state.regions.get(id.index())?;
            self.fault(id).is_none().then(|| known.health.latency_ms()).flatten()
        };
        let mut best: Option<(f32, RegionId)> = None;
        // The local region first: it keeps a tie.
        for id in self.topology.local.into_iter().chain(self.topology.ids()) {
            if let Some(ms) = latency(id)
                && best.is_none_or(|(lowest, _)| ms < lowest)
            {
                best = Some((ms, id));
            }
        }
        let Some((lowest, candidate)) = best else { return };
        let present = self.state.latency_choice.and_then(|index| RegionId::new(usize::from(index)));
        let keep =
            present.and_then(latency).is_some_and(|ms| lowest > ms * BETTER_BY || lowest > ms - BETTER_BY_MS);
        if !keep {
            self.state.latency_choice = u8::try_from(candidate.index()).ok();
        }
    }

    fn note_breaker(
        &mut self,
        now: Time,
        id: RegionId,
        change: Option<breaker::Change>,
        cause: Option<Cause>,
    ) {
        let Some(change) = change else { return };
        if let Some(region) = self.state.regions.get_mut(id.index()) {
            region.half_open_since = (change.to == breaker::State::HalfOpen).then_some(now);
        }
        let cause = (change.to == breaker::State::Open).then_some(cause).flatten();
        self.note(now, Some(id), Kind::Breaker, breaker_phase(change.from), breaker_phase(change.to), cause);
    }

    fn note(
        &mut self,
        at: Time,
        id: Option<RegionId>,
        kind: Kind,
        from: Phase,
        to: Phase,
        cause: Option<Cause>,
    ) {
        let region = id.and_then(|id| u8::try_from(id.index()).ok());
        let transition = Transition { at, region, kind, from, to, cause };
        self.state.note(transition);
        self.changes.push(transition);
    }

    fn refresh(&mut self, now: Time) {
        let orders = self.in_force(now);
        self.refresh_with(&orders, now);
    }

    fn refresh_with(&mut self, orders: &InForce, now: Time) {
        self.view = View::new(&self.topology, &self.state, orders, now);
    }
}

fn health_phase(healthy: bool) -> Phase {
    if healthy { Phase::Healthy } else { Phase::Unhealthy }
}

fn breaker_phase(state: breaker::State) -> Phase {
    match state {
        breaker::State::Closed => Phase::Closed,
        breaker::State::HalfOpen => Phase::HalfOpen,
        breaker::State::Open => Phase::Open,
    }
}

fn drain_phase(drain: Drain) -> Phase {
    match drain {
        Drain::None => Phase::None,
        Drain::InForce => Phase::Drained,
        Drain::Refused => Phase::DrainRefused,
    }
}
