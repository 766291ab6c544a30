//! Which sets are taken, and what is known of them.

mod dns_scene;

use dns_scene::*;
use evenkeel_policy::dns::records::{Fault, MAX_DEPTH, MAX_WIDTH};
use evenkeel_policy::dns::{Latencies, Member, Policy, Records, Set, SetId, Subdivision};

fn try_sets(members: Vec<Vec<Member>>) -> Result<Records, Fault> {
    let sets = members.into_iter().map(|members| Set { policy: Policy::Weighted, members }).collect();
    Records::try_new(sets, Latencies::default())
}

fn chain(length: u16) -> Vec<Vec<Member>> {
    let next = |at: u16| if at + 1 < length { alias(at + 1) } else { value(0) };
    (0..length).map(|at| vec![next(at)]).collect()
}

#[test]
fn what_leads_nowhere_is_refused() {
    assert_eq!(try_sets(vec![vec![]]).err(), Some(Fault::Empty(SetId(0))));
    assert_eq!(try_sets(vec![vec![alias(1)], vec![]]).err(), Some(Fault::Empty(SetId(1))));
    assert_eq!(try_sets(vec![vec![value(0), alias(7)]]).err(), Some(Fault::Missing(SetId(0))));
    assert!(try_sets(vec![]).is_ok());
}

#[test]
fn what_leads_to_itself_is_refused() {
    assert_eq!(try_sets(vec![vec![alias(0)]]).err(), Some(Fault::Deep(SetId(0))));
    assert!(matches!(try_sets(vec![vec![alias(1)], vec![alias(0), value(0)]]), Err(Fault::Deep(_))));
    // The fault lies in the loop, not in what leads to it.
    let lasso = vec![vec![alias(1)], vec![alias(2)], vec![value(0), alias(2)]];
    assert_eq!(try_sets(lasso).err(), Some(Fault::Deep(SetId(2))));
}

#[test]
fn the_depth_is_bounded_in_whichever_order_sets_come() {
    let deepest = MAX_DEPTH as u16;
    assert_eq!(only(&try_sets(chain(deepest)).expect("deep enough"), &NOWHERE, &[]), (0, "weighted"));
    assert!(matches!(try_sets(chain(deepest + 1)), Err(Fault::Deep(_))));
    // From the end: each set is measured before the one that leads to it.
    let backwards = |length: u16| {
        (0..length).map(|at| vec![if at == 0 { value(0) } else { alias(at - 1) }]).collect::<Vec<_>>()
    };
    assert!(try_sets(backwards(deepest)).is_ok());
    assert!(matches!(try_sets(backwards(deepest + 1)), Err(Fault::Deep(_))));
}

/// Eight sets of ten aliases each would take 10⁸ looks for one answer, and as many to find that out.
#[test]
fn the_width_is_bounded() {
    let fan = |ways: usize, depth: u16| {
        let next = |at: u16| if at + 1 < depth { alias(at + 1) } else { value(0) };
        (0..depth).map(|at| vec![next(at); ways]).collect::<Vec<_>>()
    };
    assert!(matches!(try_sets(fan(10, 8)), Err(Fault::Wide(_))));
    assert!(matches!(try_sets(fan(60_000, 8)), Err(Fault::Wide(_))));
    assert!(try_sets(fan(10, 3)).is_ok());
    assert!(try_sets(vec![vec![value(0); MAX_WIDTH]]).is_ok());
    assert!(matches!(try_sets(vec![vec![value(0); MAX_WIDTH + 1]]), Err(Fault::Wide(_))));
}

/// Numbers of sets have 16 bits: every set that can be named is checked.
#[test]
fn the_last_set_is_checked_too() {
    let mut sets = vec![vec![value(0)]; 65_536];
    sets[65_535] = vec![alias(65_535)];
    assert_eq!(try_sets(sets).err(), Some(Fault::Deep(SetId(65_535))));
}

#[test]
fn an_answer_depends_on_the_place_by_any_set_on_the_way() {
    let below = |policy| sets(vec![(Policy::Failover, vec![value(0), alias(1)]), (policy, vec![value(1)])]);
    for (policy, expected) in [
        (Policy::Geolocation, true),
        (Policy::Latency, true),
        (Policy::Weighted, false),
        (Policy::Multivalue, false),
        (Policy::Simple, false),
    ] {
        assert_eq!(below(policy).depends_on_place(SetId(0)), expected, "{policy:?}");
        assert_eq!(below(policy).depends_on_place(SetId(1)), expected, "{policy:?}");
    }
    assert!(!below(Policy::Simple).depends_on_place(SetId(9)));
}

#[test]
fn parts_of_countries_are_iso_3166_2() {
    for (text, shown) in [("us-ca", "US-CA"), ("JP-13", "JP-13"), ("GB-LND", "GB-LND")] {
        assert_eq!(Subdivision::parse(text).expect(text).to_string(), shown);
    }
    assert_ne!(Subdivision::parse("US-CA"), Subdivision::parse("CA-CA"));
    for text in ["", "US", "US-", "USA-CA", "US-CALI", "US-C A", "U1-CA", "US_CA"] {
        assert_eq!(Subdivision::parse(text), None, "{text}");
    }
}
