//! Sets to choose from, written short.
#![allow(dead_code)]

use evenkeel_policy::dns::{
    CheckId, Choice, Client, Latencies, Member, Place, Policy, Records, Set, SetId, Subdivision, Target,
    ValueId,
};
use evenkeel_policy::geography::{Continent, Country};
use evenkeel_policy::region::RegionId;

pub fn value(at: u16) -> Member {
    Member::new(Target::Value(ValueId(at)))
}

pub fn alias(set: u16) -> Member {
    Member::new(Target::Set(SetId(set)))
}

/// What a member may have besides, in the order of a sentence.
pub trait With: Sized {
    fn check(self, check: u16) -> Self;
    fn weight(self, weight: u32) -> Self;
    fn at(self, places: &[&str]) -> Self;
    fn region(self, region: usize) -> Self;
    fn primary(self) -> Self;
    fn blind(self) -> Self;
}

impl With for Member {
    fn check(self, check: u16) -> Self {
        Member { check: Some(CheckId(check)), ..self }
    }
    fn weight(self, weight: u32) -> Self {
        Member { weight, ..self }
    }
    fn at(self, places: &[&str]) -> Self {
        Member { places: places.iter().map(|text| place(text)).collect(), ..self }
    }
    fn region(self, region: usize) -> Self {
        Member { region: RegionId::new(region), ..self }
    }
    fn primary(self) -> Self {
        Member { primary: true, ..self }
    }
    /// EvaluateTargetHealth: No.
    fn blind(self) -> Self {
        Member { evaluate_target: false, ..self }
    }
}

/// `US-CA`, `US`, `continent NA` or `*`.
pub fn place(text: &str) -> Place {
    if let Some(code) = text.strip_prefix("continent ") {
        return Place::Continent(Continent::parse(code.as_bytes()).expect("a continent"));
    }
    match text {
        "*" => Place::Default,
        text if text.contains('-') => Place::Subdivision(Subdivision::parse(text).expect("a part")),
        text => Place::Country(Country::parse(text.as_bytes()).expect("a country")),
    }
}

pub fn from(country: &str) -> Client {
    Client::of(Country::parse(country.as_bytes()).expect("a country"))
}

/// Somebody of whom nothing is known.
pub const NOWHERE: Client = Client { subdivision: None, country: None, continent: None };

/// The first set is where answers begin.
pub fn sets(sets: Vec<(Policy, Vec<Member>)>) -> Records {
    with_latencies(sets, Vec::new())
}

pub fn with_latencies(sets: Vec<(Policy, Vec<Member>)>, rows: Vec<(&str, Vec<Option<u32>>)>) -> Records {
    let sets = sets.into_iter().map(|(policy, members)| Set { policy, members }).collect();
    let rows = rows.into_iter().map(|(text, row)| (place(text), row)).collect();
    Records::try_new(sets, Latencies { rows }).expect("sound sets")
}

pub fn set(policy: Policy, members: Vec<Member>) -> Records {
    sets(vec![(policy, members)])
}

pub fn choose(records: &Records, client: &Client, shares: &[u8], random: u64) -> Choice {
    records.choose(SetId(0), client, shares, random, &mut ())
}

/// Random numbers that are the same in every run, and no two alike.
pub fn numbers(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) ^ 0x0005_eed0_f0d9)
}

/// How often each value comes first.
pub fn counts(records: &Records, client: &Client, shares: &[u8], draws: u64) -> Vec<u64> {
    let mut counts = Vec::new();
    for random in numbers(draws) {
        let first = choose(records, client, shares, random).values[0];
        let at = usize::from(first.0);
        counts.resize(counts.len().max(at + 1), 0);
        counts[at] += 1;
    }
    counts
}

/// Whether a part of `count` draws is what it should be, within four standard deviations.
#[track_caller]
pub fn assert_part(found: u64, count: u64, expected: f64) {
    let part = found as f64 / count as f64;
    let bound = 4.0 * (expected * (1.0 - expected) / count as f64).sqrt();
    assert!((part - expected).abs() <= bound, "{part} is not {expected} ± {bound}");
}

/// The one value that is answered, whatever the draw.
#[track_caller]
pub fn only(records: &Records, client: &Client, shares: &[u8]) -> (u16, &'static str) {
    let mut all: Vec<_> = numbers(200).map(|random| choose(records, client, shares, random)).collect();
    all.dedup();
    let [choice] = &all[..] else { panic!("{} different answers: {all:?}", all.len()) };
    assert_eq!(choice.values.len(), 1, "{choice:?}");
    (choice.values[0].0, choice.reason.as_str())
}

/// The values of one answer, in numeric order.
pub fn all(choice: &Choice) -> Vec<u16> {
    let mut values: Vec<u16> = choice.values.iter().map(|value| value.0).collect();
    values.sort_unstable();
    values
}
