//! What holds of DNS answers whatever the sets, shares and clients.
#![cfg(not(target_arch = "wasm32"))]

mod dns_scene;

use dns_scene::*;
use evenkeel_policy::dns::choose::MAX_VALUES;
use evenkeel_policy::dns::{
    Client, Latencies, Member, Place, Policy, Records, Set, SetId, Step, Subdivision, Target, ValueId,
};
use evenkeel_policy::geography::{Continent, Country};
use evenkeel_policy::words::DnsReason;
use proptest::collection::vec;
use proptest::prelude::*;

const CHECKS: usize = 6;
const N: u64 = 4_000;

fn places() -> impl Strategy<Value = Place> {
    let some = ["TW", "JP", "US", "US-CA", "US-NY", "continent AS", "continent NA", "*"];
    proptest::sample::select(some.map(place).to_vec())
}

fn clients() -> impl Strategy<Value = Client> {
    let country = proptest::sample::select(vec!["TW", "JP", "US", "CA", "DE"]);
    let told = (proptest::option::of(country), any::<bool>(), proptest::option::of(Just("AS")));
    told.prop_map(|(country, california, continent)| {
        let country = country.and_then(|code| Country::parse(code.as_bytes()));
        let us = country.is_some_and(|country| country.as_str() == "US");
        Client {
            subdivision: (us && california).then(|| Subdivision::parse("US-CA")).flatten(),
            country,
            continent: continent.filter(|_| country.is_none()).and_then(|c| Continent::parse(c.as_bytes())),
        }
    })
}

fn policies() -> impl Strategy<Value = Policy> {
    use Policy::{Failover, Geolocation, Latency, Multivalue, Weighted};
    proptest::sample::select(vec![Weighted, Geolocation, Latency, Failover, Multivalue])
}

fn share() -> impl Strategy<Value = u8> {
    prop_oneof![Just(0), Just(100), 5..=100u8]
}

fn shares() -> impl Strategy<Value = Vec<u8>> {
    vec(share(), CHECKS)
}

/// Members whose targets are filled in when it is known where the set stands.
fn members() -> impl Strategy<Value = Vec<(Member, prop::sample::Index, bool)>> {
    let member = (
        proptest::option::weighted(0.8, 0..CHECKS as u16),
        0..4u32,
        vec(places(), 1..3),
        proptest::option::of(0..4usize),
        any::<bool>(),
        any::<prop::sample::Index>(),
        proptest::bool::weighted(0.4),
    );
    let member = member.prop_map(|(check, weight, places, region, primary, to, alias)| {
        let plain = Member { weight, places, primary, ..value(0) };
        let plain = region.map_or(plain.clone(), |region| plain.region(region));
        (check.map_or(plain.clone(), |check| plain.check(check)), to, alias)
    });
    vec(member, 1..5)
}

/// Up to five sets, each leading only to later ones; every member that is no alias has its own value.
fn forests() -> impl Strategy<Value = Records> {
    vec((policies(), members()), 1..6).prop_map(|drafts| {
        let count = drafts.len();
        let mut values = 0;
        let mut finish = |at: usize, (member, to, is_alias): (Member, prop::sample::Index, bool)| {
            let target = if is_alias && at + 1 < count {
                Target::Set(SetId((at + 1 + to.index(count - at - 1)) as u16))
            } else {
                values += 1;
                Target::Value(ValueId(values))
            };
            Member { target, ..member }
        };
        let sets = drafts.into_iter().enumerate().map(|(at, (policy, members))| Set {
            policy,
            members: members.into_iter().map(|draft| finish(at, draft)).collect(),
        });
        let rows = vec![
            (place("*"), vec![Some(100), Some(90), Some(80), None]),
            (place("continent AS"), vec![Some(10), Some(20), None, None]),
        ];
        Records::try_new(sets.collect(), Latencies { rows }).expect("later sets only")
    })
}

/// The values below a set that this client may be answered, each with whether all checks on the way
/// to it let anything through.
fn reachable(
    records: &Records,
    id: SetId,
    client: &Client,
    shares: &[u8],
    healthy: bool,
) -> Vec<(ValueId, bool)> {
    let set = records.set(id).expect("a set");
    let mut found = Vec::new();
    for member in &set.members {
        // Told apart from what is under test: a set with this one member answers this client or not.
        let serves = set.policy != Policy::Geolocation || {
            let one = Set {
                policy: set.policy,
                members: vec![Member { target: value(0).target, ..member.clone() }],
            };
            let one = Records::try_new(vec![one], Latencies::default()).expect("one set");
            !choose(&one, client, &[], 0).values.is_empty()
        };
        if !serves {
            continue;
        }
        let up = healthy && member.check.is_none_or(|check| shares[usize::from(check.0)] > 0);
        match member.target {
            Target::Value(value) => found.push((value, up)),
            Target::Set(next) => found.extend(reachable(records, next, client, shares, up)),
        }
    }
    found
}

fn has_geolocation(records: &Records, id: SetId) -> bool {
    let set = records.set(id).expect("a set");
    set.policy == Policy::Geolocation
        || set.members.iter().any(|member| match member.target {
            Target::Set(next) => has_geolocation(records, next),
            Target::Value(_) => false,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// While anything healthy may be answered to this client, nothing unhealthy is, and the reason is
    /// "degraded" exactly when there is nothing healthy. (All aliases evaluate their targets here.)
    #[test]
    fn nothing_unhealthy_while_something_healthy_serves(
        records in forests(), client in clients(), shares in shares(), random in any::<u64>(),
    ) {
        let choice = choose(&records, &client, &shares, random);
        let reachable = reachable(&records, SetId(0), &client, &shares, true);
        let healthy: Vec<ValueId> = reachable.iter().filter(|(_, up)| *up).map(|(value, _)| *value).collect();
        if healthy.is_empty() {
            prop_assert!(matches!(choice.reason, DnsReason::Degraded | DnsReason::NoAnswer), "{choice:?}");
        } else {
            prop_assert!(!choice.values.is_empty());
            prop_assert!(choice.values.iter().all(|value| healthy.contains(value)), "{choice:?} {healthy:?}");
            prop_assert!(!matches!(choice.reason, DnsReason::Degraded | DnsReason::NoAnswer), "{choice:?}");
        }
        prop_assert!(choice.values.iter().all(|value| reachable.iter().any(|(one, _)| one == value)));
    }

    #[test]
    fn there_is_always_an_answer_unless_geolocation_has_no_candidate(
        records in forests(), client in clients(), shares in shares(), random in any::<u64>(),
    ) {
        let choice = choose(&records, &client, &shares, random);
        prop_assert!(!choice.values.is_empty() || has_geolocation(&records, SetId(0)));
        prop_assert_eq!(choice.values.is_empty(), choice.reason == DnsReason::NoAnswer);
        let mut values = all(&choice);
        values.dedup();
        prop_assert_eq!(values.len(), choice.values.len(), "a value twice");
    }

    /// The same inputs give the same choice, whether anybody listens or not; and what is heard is the way
    /// that was taken.
    #[test]
    fn a_choice_is_a_function_of_its_inputs(
        records in forests(), client in clients(), shares in shares(), random in any::<u64>(),
    ) {
        let mut heard: Vec<Step> = Vec::new();
        let choice = choose(&records, &client, &shares, random);
        prop_assert_eq!(&choice, &choose(&records.clone(), &client, &shares, random));
        prop_assert_eq!(&choice, &records.choose(SetId(0), &client, &shares, random, &mut heard));
        for step in &heard {
            let member = &records.set(step.set).expect("a set").members[step.member];
            prop_assert_eq!(step.share, records.share_for(member, &client, &shares));
            prop_assert!(step.share <= records.share(member, &shares));
        }
        let taken = heard.iter().filter(|step| step.taken);
        let ends = taken.filter_map(|step| match records.set(step.set)?.members[step.member].target {
            Target::Value(value) => Some(value),
            Target::Set(_) => None,
        });
        // Several ways may lead to one value, and to more of them than an answer holds.
        let mut values: Vec<ValueId> = Vec::new();
        ends.for_each(|value| {
            if !values.contains(&value) && values.len() < MAX_VALUES {
                values.push(value);
            }
        });
        prop_assert_eq!(&values[..], &choice.values[..]);
    }

    #[test]
    fn all_unhealthy_answers_the_smallest_place(
        claims in vec(places(), 1..6), client in clients(), random in any::<u64>(),
    ) {
        let members: Vec<Member> = claims
            .iter()
            .zip(0..)
            .map(|(claim, at)| Member { places: vec![*claim], ..value(at).check(0) })
            .collect();
        let records = set(Policy::Geolocation, members);
        let choice = choose(&records, &client, &[0], random);
        // The first of the smallest is what a healthy world answers too.
        prop_assert_eq!(&choice.values, &choose(&records, &client, &[100], random).values);
        let size = |claim: &Place| match claim {
            Place::Subdivision(part) => (client.subdivision == Some(*part)).then_some(0),
            Place::Country(country) => (client.country == Some(*country)).then_some(1),
            Place::Continent(continent) => (client.continent() == Some(*continent)).then_some(2),
            Place::Default => Some(3),
        };
        let smallest = claims.iter().zip(0..).filter_map(|(claim, at)| Some((size(claim)?, at))).min();
        prop_assert_eq!(choice.values.first().map(|value| value.0), smallest.map(|(_, at)| at));
    }

    /// A region's share moves its own clients alone: everyone else's answer stays as it is.
    #[test]
    fn a_share_moves_only_the_regions_own_clients(
        before in share(), after in share(), random in any::<u64>(), client in clients(),
    ) {
        let members = vec![
            value(0).at(&["TW"]).check(0),
            value(1).at(&["JP"]).check(1),
            value(2).at(&["*"]).check(2),
        ];
        let records = set(Policy::Geolocation, members);
        prop_assume!(client != from("TW"));
        let others = |share: u8| choose(&records, &client, &[share, 100, 100], random);
        prop_assert_eq!(others(before), others(after));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is out, the rest share what there is by their weights and shares.
    #[test]
    fn weights_renormalise(weights in vec(1..50u32, 2..6), up in vec(share(), 6)) {
        let members = weights.iter().zip(0..).map(|(weight, at)| value(at).weight(*weight).check(at)).collect();
        let records = set(Policy::Weighted, members);
        let parts: Vec<f64> = weights.iter().zip(&up).map(|(w, s)| f64::from(*w) * f64::from(*s)).collect();
        let total: f64 = parts.iter().sum();
        prop_assume!(total > 0.0);
        let mut found = counts(&records, &NOWHERE, &up, N);
        found.resize(parts.len(), 0);
        for (found, part) in found.into_iter().zip(parts) {
            // Wider than 4 sigma, since some 200 are looked at, and by 10 draws, since the rarest are
            // no normal distribution.
            let expected = part / total;
            let bound = 5.0 * (expected * (1.0 - expected) / N as f64).sqrt() + 10.0 / N as f64;
            prop_assert!((found as f64 / N as f64 - expected).abs() <= bound, "{found} of {N}, not {expected}");
        }
    }
}

/// A region that comes back gets that part of what it is the first choice for.
#[test]
fn a_share_is_admitted_in_that_part_of_the_answers() {
    let members = || vec![value(0).check(0).primary().at(&["TW"]), value(1).at(&["*"])];
    for ramping in 1..100u8 {
        let part = f64::from(ramping) / 100.0;
        for policy in [Policy::Failover, Policy::Geolocation, Policy::Latency] {
            let found = counts(&set(policy, members()), &from("TW"), &[ramping], N);
            assert_part(found[0], N, part);
        }
        let several = set(Policy::Multivalue, members());
        let both = |random: &u64| choose(&several, &NOWHERE, &[ramping], *random).values.len() == 2;
        assert_part(numbers(N).filter(both).count() as u64, N, part);
    }
}

/// With nothing better at hand a region on its way back gets everything, and nobody is passed over.
#[test]
fn a_ramping_region_alone_is_no_failover() {
    let members = || vec![value(0).check(0).primary().at(&["TW"]), value(1).check(1).at(&["*"])];
    for policy in [Policy::Failover, Policy::Geolocation, Policy::Latency, Policy::Weighted] {
        let (value, reason) = only(&set(policy, members()), &from("TW"), &[5, 0]);
        assert_eq!(value, 0, "{policy:?}");
        assert!(["primary", "geo", "latency", "weighted"].contains(&reason), "{policy:?} {reason}");
        let (value, reason) = only(&set(policy, members()), &from("TW"), &[0, 5]);
        let expected = if policy == Policy::Weighted { "weighted" } else { "failover" };
        assert_eq!((value, reason), (1, expected), "{policy:?}");
    }
    assert_eq!(only(&set(Policy::Multivalue, members()), &NOWHERE, &[5, 0]), (0, "multivalue"));
}

/// The reason is the deepest set's, unless a record was passed over on the way; a single record behind
/// an alias has nothing to say.
#[test]
fn the_reason_tells_what_mattered() {
    let below = |policy| vec![(policy, vec![value(0).check(0), value(1).check(1).primary()])];
    let tree = |first: Policy, then: Vec<(Policy, Vec<Member>)>| {
        let top = vec![alias(1).at(&["TW"]).check(2).primary(), value(9).at(&["*"])];
        sets([vec![(first, top)], then].concat())
    };
    for (first, then, shares, expected) in [
        (Policy::Geolocation, below(Policy::Failover), [100, 100, 100], "primary"),
        (Policy::Geolocation, below(Policy::Failover), [100, 0, 100], "failover"),
        (Policy::Geolocation, below(Policy::Weighted), [100, 0, 100], "weighted"),
        (Policy::Geolocation, vec![(Policy::Simple, vec![value(0).check(0)])], [100, 100, 100], "geo"),
        (Policy::Failover, vec![(Policy::Simple, vec![value(0)])], [100, 100, 0], "failover"),
        (Policy::Geolocation, below(Policy::Multivalue), [100, 100, 100], "multivalue"),
    ] {
        let choice = choose(&tree(first, then), &from("TW"), &shares, 7);
        assert_eq!(choice.reason.as_str(), expected, "{first:?} {shares:?}");
    }
    // Reason and region are the first value's, also where later ones come by other ways.
    let records = sets(vec![
        (Policy::Multivalue, vec![alias(1).region(0), alias(2).region(1)]),
        (Policy::Weighted, vec![value(0)]),
        (Policy::Latency, vec![value(1)]),
    ]);
    for random in numbers(50) {
        let choice = choose(&records, &NOWHERE, &[], random);
        let expected = if choice.values[0].0 == 0 { ("weighted", 0) } else { ("latency", 1) };
        let region = choice.region.expect("a region").index();
        assert_eq!((choice.reason.as_str(), region), expected);
    }
}
