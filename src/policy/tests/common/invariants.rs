//! What holds of every decision and every state.

use evenkeel_policy::breaker;
use evenkeel_policy::decision::{Decision, Hop, Refusal, Request};
use evenkeel_policy::engine::Engine;
use evenkeel_policy::region::RegionId;
use evenkeel_policy::settings::AllUnhealthy;
use evenkeel_policy::state::Drain;
use evenkeel_policy::time::Time;
use evenkeel_policy::view::View;
use evenkeel_policy::words::{Phase, Reason};

/// A decision that was taken on this view.
pub fn decision(engine: &Engine, view: &View, request: &Request, decision: &Decision) {
    let topology = engine.topology();
    let known = |id: &RegionId| id.index() < topology.regions.len();
    assert!(decision.order.iter().all(known), "a region that does not exist: {decision:?}");
    let mut seen = decision.order.to_vec();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), decision.order.len(), "a region twice: {decision:?}");
    let nothing_left = view.regions.iter().all(|region| region.share == 0);

    match decision.refusal() {
        None => assert_ne!(decision.reason, Reason::Rejected),
        Some(Refusal::Loop) => assert_eq!(request.hop, Hop::Here),
        Some(Refusal::NoRegion) => {
            assert!(nothing_left && topology.all_unhealthy == AllUnhealthy::Reject, "{decision:?}");
        }
    }
    let Some((first, fallback)) = decision.order.split_first() else { return };
    match decision.reason {
        Reason::Hop => return assert_eq!((request.hop, fallback.len()), (Hop::Elsewhere, 0)),
        Reason::Degraded => {
            assert!(nothing_left, "degraded though a region has a share: {decision:?}");
            return assert!(fallback.is_empty());
        }
        Reason::Trial => assert!(request.safe && view.trials.contains(*first), "{decision:?}"),
        _ => assert!(view.share(*first) > 0, "a region without a share: {decision:?}"),
    }
    assert!(fallback.iter().all(|id| view.share(*id) > 0), "an ineligible fallback: {decision:?}");
    assert!(fallback.iter().all(|id| !view.trials.contains(*id)), "a trial as fallback: {decision:?}");
    let weights: Vec<u64> = fallback.iter().filter_map(|id| view.region(*id)).map(|r| r.drawn).collect();
    assert!(weights.is_sorted_by(|a, b| a >= b), "not by effective weight: {decision:?}");

    let weight = |id: RegionId| topology.region(id).map_or(0, |region| region.weight);
    if matches!(decision.reason, Reason::Weighted | Reason::Sticky) && weight(*first) == 0 {
        let left = topology.ids().filter(|id| view.share(*id) > 0);
        assert!(left.clone().all(|id| weight(id) == 0), "weight 0 while another is left: {decision:?}");
    }
    if let Some(pin) = view.pin.filter(|pin| view.share(*pin) > 0) {
        assert_eq!(*first, pin, "a pinned region with a share gets everything");
    }
}

/// An engine's state after time passed over it.
pub fn state(engine: &Engine, now: Time, damaged: bool) {
    let (topology, view, state) = (engine.topology(), engine.view(), engine.state());
    assert_eq!(view.regions.len(), topology.regions.len());
    assert_eq!(state.regions.len(), topology.regions.len());
    for (id, region) in topology.ids().zip(&state.regions) {
        let share = view.share(id);
        match region.standing.phase() {
            Phase::Full => assert_eq!(share, 100),
            Phase::Ramp => assert!((5..=100).contains(&share), "{share}"),
            _ => assert_eq!(share, 0),
        }
        assert_eq!(share, region.standing.share(&topology.failback, now).min(100));
        assert_eq!(view.fallback.contains(&id), share > 0);
    }
    if state.frozen || damaged {
        return;
    }
    for region in &state.regions {
        let open = region.breaker.state() == breaker::State::Open;
        let must_be_out = !region.health.is_healthy() || open || region.drain == Drain::InForce;
        assert_eq!(region.standing.phase() == Phase::Out, must_be_out, "{region:?}");
        let half_open = region.breaker.state() == breaker::State::HalfOpen;
        assert!(!half_open || matches!(region.standing.phase(), Phase::Hold | Phase::Out), "{region:?}");
    }
    // Hold and ramp apply only while another region is at 100, or while trials are under way.
    let full = state.regions.iter().any(|region| region.standing.phase() == Phase::Full);
    let waits = state.regions.iter().any(|region| {
        matches!(region.standing.phase(), Phase::Hold | Phase::Ramp)
            && region.breaker.state() == breaker::State::Closed
    });
    assert!(full || !waits, "a region waits though none has all of its share");
}
