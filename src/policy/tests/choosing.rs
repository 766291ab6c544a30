//! What holds of choosing whatever the weights, shares and keys.
#![cfg(not(target_arch = "wasm32"))]

use evenkeel_policy::decision::{Decision, Request, decide};
use evenkeel_policy::engine::Engine;
use evenkeel_policy::region::RegionId;
use evenkeel_policy::state::{RegionState, State};
use evenkeel_policy::supposed::Supposed;
use evenkeel_policy::time::Time;
use evenkeel_policy::topology::Topology;
use evenkeel_policy::words::{Cause, Reason};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

fn topology(weights: &[u32]) -> Topology {
    let names: Vec<String> = (0..weights.len()).map(|index| format!("r{index}")).collect();
    named(&names, weights)
}

fn named(names: &[String], weights: &[u32]) -> Topology {
    let regions: Vec<_> = names
        .iter()
        .zip(weights)
        .map(|(name, weight)| json!({"name": name, "cluster": name, "weight": weight}))
        .collect();
    let config = json!({"regions": regions, "routing": {"sticky": {"source": "client_ip", "seed": "s"}}});
    Topology::from_json(config.to_string().as_bytes()).expect("valid")
}

/// An engine whose regions have these shares; 0 is out.
fn with_shares(topology: Topology, shares: &[u8]) -> Engine {
    let mut state = State::new(&topology, Time::ZERO);
    for (id, share) in topology.ids().zip(shares) {
        let unhealthy = (*share == 0).then_some(Cause::Unhealthy);
        state.suppose(id, Supposed { unhealthy, breaker: Default::default(), share: *share }, Time::ZERO);
    }
    Engine::with_state(topology, state, Time::ZERO)
}

fn ask(engine: &Engine, key: Option<u64>, random: f64) -> Decision {
    let request = Request { key, safe: true, ..Request::default() };
    decide(engine.topology(), engine.view(), &request, random)
}

fn share() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(100), 5..=100u8]
}

const KEYS: u64 = 400;

fn keys() -> impl Iterator<Item = u64> {
    (0..KEYS).map(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// u = k/n falls exactly where the cumulative weights say, at every border too.
    #[test]
    fn weighted_proportions_are_exact(regions in vec((0..50u32, share()), 1..9)) {
        let (weights, shares): (Vec<u32>, Vec<u8>) = regions.into_iter().unzip();
        let engine = with_shares(topology(&weights), &shares);
        let eligible = |index: usize| shares[index] > 0;
        let all_zero = weights.iter().all(|weight| *weight == 0);
        let weight = |index: usize| if all_zero { 1 } else { u64::from(weights[index]) };
        let mut parts: Vec<u64> = (0..weights.len()).map(|i| weight(i) * u64::from(shares[i])).collect();
        if parts.iter().all(|part| *part == 0) {
            // Weight 0 only when nothing else is left: then those that are left count as equal.
            parts = shares.iter().map(|share| u64::from(*share)).collect();
        }
        let total: u64 = parts.iter().sum();
        prop_assume!(total > 0);
        let mut counts = vec![0u64; parts.len()];
        for k in 0..total {
            let decision = ask(&engine, None, k as f64 / total as f64);
            prop_assert_eq!(decision.reason, Reason::Weighted);
            counts[decision.first().expect("a region").index()] += 1;
        }
        prop_assert_eq!(&counts, &parts);
        prop_assert!((0..parts.len()).all(|index| counts[index] == 0 || eligible(index)));
    }

    /// A region's loss moves only its own keys, and its return brings back the very same.
    #[test]
    fn a_loss_moves_only_the_regions_own_keys(weights in vec(1..50u32, 2..9), lost in any::<prop::sample::Index>()) {
        let lost = RegionId::new(lost.index(weights.len())).expect("few");
        let whole = with_shares(topology(&weights), &vec![100; weights.len()]);
        let mut shares = vec![100; weights.len()];
        shares[lost.index()] = 0;
        let without = with_shares(topology(&weights), &shares);
        for key in keys() {
            let (before, after) = (ask(&whole, Some(key), 0.0), ask(&without, Some(key), 0.0));
            prop_assert_eq!(before.reason, Reason::Sticky);
            if before.first() == Some(lost) {
                prop_assert_eq!((after.from, after.cause), (Some(lost), Some(Cause::Unhealthy)));
                prop_assert_ne!(after.first(), Some(lost));
            } else {
                prop_assert_eq!(after.first(), before.first());
            }
        }
    }

    /// The ramp admits keys for good as it grows, about as many as its share says; a step back sends
    /// the last admitted away first, which is the same sentence read backwards.
    #[test]
    fn a_ramp_admits_and_sends_away_in_one_order(weights in vec(1..50u32, 2..6), steps in vec(5..=100u8, 2..8)) {
        let mut shares = vec![100; weights.len()];
        let mut steps = steps;
        steps.sort_unstable();
        let own: Vec<u64> = {
            let whole = with_shares(topology(&weights), &shares);
            keys().filter(|key| ask(&whole, Some(*key), 0.0).first() == Some(RegionId::FIRST)).collect()
        };
        let mut before: Vec<u64> = Vec::new();
        for step in steps {
            shares[0] = step;
            let engine = with_shares(topology(&weights), &shares);
            let admitted: Vec<u64> =
                own.iter().copied().filter(|key| ask(&engine, Some(*key), 0.0).first() == Some(RegionId::FIRST)).collect();
            prop_assert!(before.iter().all(|key| admitted.contains(key)), "a key was sent away by growth");
            let expected = own.len() as f64 * f64::from(step) / 100.0;
            let tolerance = 4.0 * (own.len() as f64 * 0.25).sqrt() + 1.0;
            prop_assert!((admitted.len() as f64 - expected).abs() <= tolerance, "{} of {}", admitted.len(), own.len());
            before = admitted;
        }
    }

    /// What is known of a region follows its name through any change of the list.
    #[test]
    fn state_follows_names(
        old in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        new in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        lengths in (1..=6usize, 1..=8usize),
        shares in vec(share(), 6),
    ) {
        let names = |list: &[usize]| list.iter().map(|n| format!("r{n}")).collect::<Vec<_>>();
        let (old, new) = (names(&old[..lengths.0]), names(&new[..lengths.1]));
        let (before, after) = (named(&old, &vec![1; old.len()]), named(&new, &vec![1; new.len()]));
        let engine = with_shares(before.clone(), &shares);
        let written = engine.state().encode(&before);
        prop_assert_eq!(State::decode(&written, &before, Time::ZERO), Some(engine.state().clone()));
        let later = Time::from_millis(9);
        let moved = State::decode(&written, &after, later).expect("a state of this form");
        let fresh = RegionState::new(later);
        for (name, region) in new.iter().zip(&moved.regions) {
            match before.region_id(name) {
                Some(id) => prop_assert_eq!(region, &engine.state().regions[id.index()]),
                None => prop_assert_eq!(region, &fresh),
            }
        }
    }

    #[test]
    fn foreign_bytes_are_a_state_or_none(bytes in vec(any::<u8>(), 0..300), first in 0..3u8) {
        let topology = topology(&[1, 2, 3]);
        let bytes = [vec![first], bytes].concat();
        if let Some(state) = State::decode(&bytes, &topology, Time::ZERO) {
            prop_assert_eq!(first, 1);
            prop_assert_eq!(state.regions.len(), 3);
            let engine = Engine::with_state(topology, state, Time::ZERO);
            let _ = ask(&engine, Some(1), 0.5);
        }
    }
}

/// A stored choice of a region that does not exist would send everybody to the next one.
#[test]
fn a_foreign_latency_choice_is_none() {
    let topology = topology(&[1, 2]);
    let mut state = State::new(&topology, Time::ZERO);
    (state.latency_choice, state.pinned) = (Some(2), Some(31));
    let read = State::decode(&state.encode(&topology), &topology, Time::ZERO).expect("a state of this form");
    assert_eq!((read.latency_choice, read.pinned), (None, None));
}
