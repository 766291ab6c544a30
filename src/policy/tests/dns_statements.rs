//! Route 53's documented behaviour, statement by statement, where it is a matter of choosing.
//!
//! `rNN` is the statement's number:
//!
//! - R1–R8: weights and health; R9–R14: geolocation; R15: latency; R16: failover; R17: multivalue;
//!   R18–R21: aliases; R28: calculated checks: here
//! - R22, R24–R27 (intervals, thresholds, time limits, search strings, what is new, inverted or disabled):
//!   the companion's checks
//! - R23 (healthy by more than 18 % of the checkers): not so here. Voters are few and each stands in a
//!   region, so a majority of the configured votes settles it (`dns_votes.rs`)
//! - R29 (CloudWatch alarms) and R34 (IP-based routing): not offered
//! - R30 (checks run on their own schedule): health comes in as a list of shares; choosing asks nobody
//! - R31, R32 (times to live): the responder's, and what `render route53` writes
//! - R33 (EDNS Client Subnet): the responder's
//!
//! Where Evenkeel differs on purpose:
//!
//! - A share between 0 and 100 is a region on its way back, which Route 53 does not have: it is admitted in
//!   that part of the answers (`dns_properties.rs`).
//! - R14: codes that Route 53 does not take (BV, CX, EH, HM) may be claimed by name.
//! - R18: of a geolocation set behind an alias only the records that serve this client count. "At least
//!   one record is healthy" would lead a client to a dead record past a live one.

mod dns_scene;

use dns_scene::*;
use evenkeel_policy::dns::{Client, Policy, Subdivision, calculated};
use evenkeel_policy::geography::{Continent, Country};
use std::collections::BTreeSet;

const N: u64 = 20_000;

fn sixty_forty() -> evenkeel_policy::dns::Records {
    set(Policy::Weighted, vec![value(0).weight(60).check(0), value(1).weight(40).check(1)])
}

#[test]
fn r01_a_record_gets_its_weights_part_of_the_sum() {
    let found = counts(&sixty_forty(), &NOWHERE, &[100, 100], N);
    assert_part(found[0], N, 0.6);
    let three = set(Policy::Weighted, vec![value(0).weight(1), value(1).weight(2), value(2).weight(7)]);
    for (found, expected) in counts(&three, &NOWHERE, &[], N).into_iter().zip([0.1, 0.2, 0.7]) {
        assert_part(found, N, expected);
    }
}

#[test]
fn r02_weights_of_1_and_255_are_parts_of_256() {
    let records = set(Policy::Weighted, vec![value(0).weight(1), value(1).weight(255)]);
    let n = 200_000;
    assert_part(counts(&records, &NOWHERE, &[], n)[0], n, 1.0 / 256.0);
    // Ours go further than 255; the greatest ones do not overflow.
    let records = set(Policy::Weighted, vec![value(0).weight(u32::MAX); 1000]);
    assert_eq!(only(&records, &NOWHERE, &[]), (0, "weighted"));
}

#[test]
fn r03_weight_0_gets_nothing_while_another_is_usable() {
    let records = set(Policy::Weighted, vec![value(0).weight(0), value(1).weight(1).check(1)]);
    assert_eq!(only(&records, &NOWHERE, &[100, 100]), (1, "weighted"));
}

#[test]
fn r04_all_weights_0_are_equal() {
    let records = set(Policy::Weighted, vec![value(0).weight(0), value(1).weight(0)]);
    assert_part(counts(&records, &NOWHERE, &[], N)[0], N, 0.5);
    assert_eq!(choose(&records, &NOWHERE, &[], 7).reason.as_str(), "weighted");
}

#[test]
fn r05_weight_0_serves_only_when_all_others_are_unhealthy() {
    let members = vec![
        value(0).weight(60).check(0),
        value(1).weight(40).check(1),
        value(2).weight(0).check(2),
        value(3).weight(0).check(3),
    ];
    let records = set(Policy::Weighted, members);
    assert_eq!(only(&records, &NOWHERE, &[0, 100, 100, 100]), (1, "weighted"));
    let found = counts(&records, &NOWHERE, &[0, 0, 100, 100], N);
    assert_eq!(found[..2], [0, 0]);
    assert_part(found[2], N, 0.5);
    assert_eq!(only(&records, &NOWHERE, &[0, 0, 100, 0]), (2, "failover"));
}

#[test]
fn r06_an_unhealthy_record_is_skipped_and_the_rest_renormalised() {
    assert_eq!(only(&sixty_forty(), &NOWHERE, &[0, 100]), (1, "weighted"));
    let members = vec![value(0).weight(60).check(0), value(1).weight(30).check(1), value(2).weight(10)];
    let found = counts(&set(Policy::Weighted, members), &NOWHERE, &[0, 100], N);
    assert_eq!(found[0], 0);
    assert_part(found[1], N, 0.75);
}

#[test]
fn r07_a_record_without_a_check_is_always_healthy() {
    let records = set(Policy::Weighted, vec![value(0).weight(99).check(0), value(1).weight(1)]);
    assert_eq!(only(&records, &NOWHERE, &[0]), (1, "weighted"));
    // So is one whose check nobody knows of.
    assert_part(counts(&sixty_forty(), &NOWHERE, &[], N)[0], N, 0.6);
}

#[test]
fn r08_no_record_healthy_counts_as_all_healthy() {
    assert_part(counts(&sixty_forty(), &NOWHERE, &[0, 0], N)[0], N, 0.6);
    assert_eq!(choose(&sixty_forty(), &NOWHERE, &[0, 0], 7).reason.as_str(), "degraded");
    // A healthy weight of 0 is healthy all the same (R5); without it, weights hold as they stand.
    let members = vec![value(0).weight(1).check(0), value(1).weight(0).check(0)];
    assert_eq!(only(&set(Policy::Weighted, members), &NOWHERE, &[0]), (0, "degraded"));
    for policy in [Policy::Weighted, Policy::Latency, Policy::Failover, Policy::Multivalue] {
        let records = set(policy, vec![value(0).weight(0).check(0), value(1).weight(0).check(0)]);
        let choice = choose(&records, &NOWHERE, &[0], 7);
        assert!(!choice.values.is_empty() && choice.reason.as_str() == "degraded", "{policy:?} {choice:?}");
    }
}

/// A state, its country, its continent and everyone else, of checks 0 to 3.
fn nested_places() -> evenkeel_policy::dns::Records {
    let members = vec![
        value(3).at(&["*"]).check(3),
        value(2).at(&["continent NA"]).check(2),
        value(1).at(&["US"]).check(1),
        value(0).at(&["US-CA"]).check(0),
    ];
    set(Policy::Geolocation, members)
}

fn californian() -> Client {
    Client { subdivision: Subdivision::parse("us-ca"), ..from("US") }
}

#[test]
fn r09_the_smallest_place_wins() {
    let records = nested_places();
    for (client, expected) in [(californian(), 0), (from("US"), 1), (from("CA"), 2), (from("TW"), 3)] {
        assert_eq!(only(&records, &client, &[100; 4]), (expected, "geo"), "{client:?}");
    }
    // Whoever knows the part knows the country.
    let part_alone = Client { subdivision: Subdivision::parse("US-NY"), ..NOWHERE };
    assert_eq!(only(&records, &part_alone, &[100; 4]), (1, "geo"));
    // A member may claim several places: its smallest counts.
    let members = vec![value(0).at(&["*", "TW"]), value(1).at(&["continent AS", "JP"])];
    let records = set(Policy::Geolocation, members);
    for (country, expected) in [("TW", 0), ("JP", 1), ("KR", 1), ("DE", 0)] {
        assert_eq!(only(&records, &from(country), &[]), (expected, "geo"), "{country}");
    }
}

#[test]
fn r10_who_is_nowhere_gets_the_default_or_no_answer() {
    assert_eq!(only(&nested_places(), &NOWHERE, &[100; 4]), (3, "geo"));
    let records = set(Policy::Geolocation, vec![value(0).at(&["TW"]).region(0)]);
    for client in [NOWHERE, from("JP")] {
        let choice = choose(&records, &client, &[], 7);
        assert!(choice.values.is_empty() && choice.region.is_none(), "{choice:?}");
        assert_eq!(choice.reason.as_str(), "no_answer");
    }
    // The same behind an alias: its reason and region say nothing then.
    let nested = vec![
        (Policy::Weighted, vec![alias(1).region(3)]),
        (Policy::Geolocation, vec![value(0).at(&["TW"]).region(0)]),
    ];
    let choice = choose(&sets(nested), &from("JP"), &[], 7);
    assert!(choice.values.is_empty() && choice.region.is_none(), "{choice:?}");
    assert_eq!(choice.reason.as_str(), "no_answer");
}

#[test]
fn r11_a_country_without_its_part_is_not_claimed_by_parts() {
    let members = vec![value(0).at(&["US-CA"]), value(1).at(&["*"])];
    assert_eq!(only(&set(Policy::Geolocation, members), &from("US"), &[]), (1, "geo"));
    let records = set(Policy::Geolocation, vec![value(0).at(&["US-CA"])]);
    assert!(choose(&records, &from("US"), &[], 7).values.is_empty());
}

#[test]
fn r12_an_unhealthy_place_hands_on_to_the_next_larger_one() {
    let records = nested_places();
    for (shares, expected) in [
        ([0, 100, 100, 100], (1, "failover")),
        ([0, 0, 100, 100], (2, "failover")),
        ([0, 0, 0, 100], (3, "failover")),
        ([100, 0, 0, 0], (0, "geo")),
    ] {
        assert_eq!(only(&records, &californian(), &shares), expected, "{shares:?}");
    }
}

#[test]
fn r13_all_unhealthy_answers_with_the_smallest_place() {
    assert_eq!(only(&nested_places(), &californian(), &[0; 4]), (0, "degraded"));
    assert_eq!(only(&nested_places(), &from("CA"), &[0; 4]), (2, "degraded"));
}

#[test]
fn r14_continents_are_route_53s() {
    let records = set(
        Policy::Geolocation,
        ["AF", "AN", "AS", "EU", "NA", "OC", "SA"]
            .iter()
            .zip(0..)
            .map(|(code, at)| value(at).at(&[&format!("continent {code}")]))
            .collect(),
    );
    for (country, expected) in
        [("ZA", 0), ("AQ", 1), ("GE", 2), ("AM", 2), ("AZ", 2), ("TR", 3), ("CY", 3), ("MX", 4), ("NZ", 5)]
    {
        assert_eq!(only(&records, &from(country), &[]), (expected, "geo"), "{country}");
    }
    for country in ["BV", "CX", "EH", "HM"] {
        assert!(choose(&records, &from(country), &[], 7).values.is_empty(), "{country}");
        let by_name = set(Policy::Geolocation, vec![value(0).at(&[country])]);
        assert_eq!(only(&by_name, &from(country), &[]), (0, "geo"));
    }
    // What the database says of the continent goes before the list.
    let told = Client { continent: Some(Continent::Asia), ..from("TR") };
    assert_eq!(only(&records, &told, &[]), (2, "geo"));
}

#[test]
fn r15_the_lowest_latency_then_the_next() {
    let members = (0..3).map(|at| value(at).region(usize::from(at)).check(at)).collect();
    let rows = vec![
        ("*", vec![Some(100), Some(90), None]),
        ("continent AS", vec![Some(40), Some(50), Some(60)]),
        ("TW", vec![None, Some(45), None]),
    ];
    let records = with_latencies(vec![(Policy::Latency, members)], rows);
    for (client, shares, expected) in [
        (from("KR"), [100, 100, 100], (0, "latency")),
        (from("KR"), [0, 100, 100], (1, "failover")),
        (from("KR"), [0, 0, 100], (2, "failover")),
        (from("KR"), [0, 0, 0], (0, "degraded")),
        // Each region by the most specific row that tells of it.
        (from("TW"), [100, 100, 100], (0, "latency")),
        (from("TW"), [0, 100, 100], (1, "failover")),
        (from("DE"), [100, 100, 100], (1, "latency")),
        // A region of which no row tells comes last.
        (NOWHERE, [0, 0, 100], (2, "failover")),
    ] {
        assert_eq!(only(&records, &client, &shares), expected, "{client:?} {shares:?}");
    }
}

#[test]
fn r16_the_primary_then_the_secondary_and_the_primary_if_both_are_down() {
    let members = vec![value(1).check(1), value(0).check(0).primary()];
    let records = set(Policy::Failover, members);
    for (shares, expected) in [
        ([100, 100], (0, "primary")),
        ([100, 0], (0, "primary")),
        ([0, 100], (1, "failover")),
        ([0, 0], (0, "degraded")),
    ] {
        assert_eq!(only(&records, &NOWHERE, &shares), expected, "{shares:?}");
    }
    let unchecked = set(Policy::Failover, vec![value(0).check(0).primary(), value(1)]);
    assert_eq!(only(&unchecked, &NOWHERE, &[0]), (1, "failover"));
}

#[test]
fn r17_up_to_eight_healthy_ones_at_random() {
    let of = |count: u16| set(Policy::Multivalue, (0..count).map(|at| value(at).check(at)).collect());
    let mut shares = [100; 20];
    shares[3] = 0;
    // Eight or fewer healthy ones: all of them, in any order.
    let mut orders = BTreeSet::new();
    for random in numbers(500) {
        let choice = choose(&of(4), &NOWHERE, &shares, random);
        assert_eq!((all(&choice), choice.reason.as_str()), (vec![0, 1, 2], "multivalue"));
        orders.insert(choice.values.iter().map(|value| value.0).collect::<Vec<_>>());
    }
    assert_eq!(orders.len(), 6);
    // More: eight different ones, each as often as any other and in each place.
    let (mut times, mut first) = ([0u64; 20], [0u64; 20]);
    for random in numbers(N) {
        let choice = choose(&of(20), &NOWHERE, &shares, random);
        let values = all(&choice);
        assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), 8, "{values:?}");
        values.iter().for_each(|at| times[usize::from(*at)] += 1);
        first[usize::from(choice.values[0].0)] += 1;
    }
    for at in (0..20).filter(|at| *at != 3) {
        assert_part(times[at], N, 8.0 / 19.0);
        assert_part(first[at], N, 1.0 / 19.0);
    }
    assert_eq!(times[3], 0);
    // None healthy: up to eight of all.
    let choice = choose(&of(20), &NOWHERE, &[0; 20], 7);
    assert_eq!((choice.values.len(), choice.reason.as_str()), (8, "degraded"));
    // No check is healthy.
    let records = set(Policy::Multivalue, vec![value(0), value(1).check(0)]);
    assert_eq!(only(&records, &NOWHERE, &[0]), (0, "multivalue"));
}

/// Two branches of two, chosen by weight; the second branch is chosen only if the first is not.
fn two_branches(first: evenkeel_policy::dns::Member) -> evenkeel_policy::dns::Records {
    sets(vec![
        (Policy::Failover, vec![first.primary(), alias(2)]),
        (Policy::Weighted, vec![value(0).check(0), value(1).check(1)]),
        (Policy::Weighted, vec![value(2).check(2), value(3).check(3)]),
    ])
}

#[test]
fn r18_an_alias_is_healthy_by_one_healthy_record_behind_it() {
    let records = two_branches(alias(1));
    assert_eq!(only(&records, &NOWHERE, &[0, 100, 100, 100]), (1, "weighted"));
    // The whole branch is down: back out and take the next.
    assert_eq!(only(&records, &NOWHERE, &[0, 0, 100, 0]), (2, "failover"));
    // Everything is down: the first branch, and there all count as healthy.
    let found = counts(&records, &NOWHERE, &[0; 4], N);
    assert_part(found[0], N, 0.5);
    assert_eq!(found.len(), 2);
}

/// On purpose otherwise than Route 53: the healthy record does not serve this client.
#[test]
fn r18_a_record_for_other_clients_does_not_make_an_alias_healthy() {
    let records = sets(vec![
        (Policy::Failover, vec![alias(1).primary(), value(2)]),
        (Policy::Geolocation, vec![value(0).at(&["TW"]).check(0), value(1).at(&["JP"]).check(1)]),
    ]);
    assert_eq!(only(&records, &from("TW"), &[0, 100]), (2, "failover"));
    assert_eq!(only(&records, &from("JP"), &[0, 100]), (1, "geo"));
    assert_eq!(only(&records, &from("DE"), &[100, 100]), (2, "failover"));
}

#[test]
fn r19_without_evaluation_the_branch_is_kept_though_all_of_it_is_down() {
    let records = two_branches(alias(1).blind());
    let found = counts(&records, &NOWHERE, &[0, 0, 100, 100], N);
    assert_part(found[0], N, 0.5);
    assert_eq!(found.len(), 2);
    assert_eq!(choose(&records, &NOWHERE, &[0, 0, 100, 100], 7).reason.as_str(), "degraded");
    // An alias of the alias that does evaluate sees a healthy one: "No" ends the question.
    let records = sets(vec![
        (Policy::Failover, vec![alias(1).primary(), value(9)]),
        (Policy::Simple, vec![alias(2).blind()]),
        (Policy::Weighted, vec![value(0).check(0), value(1).check(0)]),
    ]);
    assert!(choose(&records, &NOWHERE, &[0], 7).values[0].0 < 2);
}

#[test]
fn r20_an_alias_with_a_check_needs_both() {
    let records = two_branches(alias(1).check(4));
    let all_up = [100; 5];
    assert!(choose(&records, &NOWHERE, &all_up, 7).values[0].0 < 2);
    for shares in [[100, 100, 100, 0, 0], [0, 0, 100, 0, 100]] {
        assert_eq!(only(&records, &NOWHERE, &shares), (2, "failover"), "{shares:?}");
    }
    // Without evaluation its own check still counts.
    let records = two_branches(alias(1).check(4).blind());
    assert_eq!(only(&records, &NOWHERE, &[100, 100, 100, 0, 0]), (2, "failover"));
}

#[test]
fn r21_a_latency_tree_backs_out_of_a_region_whose_records_are_all_down() {
    let records = with_latencies(
        vec![
            (Policy::Latency, vec![alias(1).region(0), alias(2).region(1)]),
            (Policy::Weighted, vec![value(0).weight(3).check(0), value(1).weight(1).check(1)]),
            (Policy::Weighted, vec![value(2).weight(1).check(2), value(3).weight(1).check(3)]),
        ],
        vec![("US", vec![Some(10), Some(200)]), ("AU", vec![Some(200), Some(10)])],
    );
    let found = counts(&records, &from("US"), &[100; 4], N);
    assert_part(found[0], N, 0.75);
    assert_eq!(found.len(), 2);
    assert_eq!(only(&records, &from("US"), &[0, 100, 100, 100]), (1, "weighted"));
    // Both records of the near region are down: the far one answers, by its own weights.
    let found = counts(&records, &from("US"), &[0, 0, 100, 100], N);
    assert_eq!(found[..2], [0, 0]);
    assert_part(found[2], N, 0.5);
    let choice = choose(&records, &from("US"), &[0, 0, 100, 100], 7);
    assert_eq!((choice.reason.as_str(), choice.region.map(|region| region.index())), ("failover", Some(1)));
    assert_eq!(only(&records, &from("AU"), &[100, 100, 100, 0]), (2, "weighted"));
}

#[test]
fn r28_calculated_is_healthy_by_enough_healthy_children() {
    for (healthy, needed, expected) in [
        (2, 2, true),
        (1, 2, false),
        (3, 2, true),
        // 0: always healthy. More than there are: never.
        (0, 0, true),
        (3, 4, false),
        // AND of 255, OR.
        (255, 255, true),
        (254, 255, false),
        (1, 1, true),
        (0, 1, false),
    ] {
        assert_eq!(calculated::is_healthy(healthy, needed), expected, "{healthy} of {needed}");
    }
}

/// The country's table holds for every code there is.
#[test]
fn a_place_of_any_country_is_found() {
    for continent in ["AF", "AN", "AS", "EU", "NA", "OC", "SA"] {
        let records = set(Policy::Geolocation, vec![value(0).at(&[&format!("continent {continent}")])]);
        let within = Continent::parse(continent.as_bytes()).expect("a continent");
        let listed: BTreeSet<usize> = within.countries().map(Country::index).collect();
        for (a, b) in (b'A'..=b'Z').flat_map(|a| (b'A'..=b'Z').map(move |b| (a, b))) {
            let country = Country::parse(&[a, b]).expect("two letters");
            let answered = !choose(&records, &Client::of(country), &[], 7).values.is_empty();
            assert_eq!(answered, listed.contains(&country.index()), "{country:?}");
        }
    }
}
