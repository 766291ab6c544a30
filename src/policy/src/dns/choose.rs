//! From a name's set to the values of one answer, and why.

use super::records::{
    CheckId, MAX_DEPTH, Member, Place, Policy, Records, Set, SetId, Subdivision, Target, ValueId,
};
use crate::geography::{Continent, Country};
use crate::region::RegionId;
use crate::words::DnsReason;
use arrayvec::ArrayVec;

/// The most members of a multivalue answer (R17).
pub const MAX_VALUES: usize = 8;

/// Where the client is, as far as anybody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client {
    /// The part of the country.
    pub subdivision: Option<Subdivision>,
    /// The country.
    pub country: Option<Country>,
    /// The continent, where it does not follow from the country.
    pub continent: Option<Continent>,
}

impl Client {
    /// Someone in this country.
    pub fn of(country: Country) -> Self {
        Client { country: Some(country), ..Client::default() }
    }

    /// The continent that was told, else the country's.
    pub fn continent(&self) -> Option<Continent> {
        self.continent.or_else(|| self.country.and_then(Country::continent))
    }

    /// How specific the place is for this client: 0 is the most; none if it is elsewhere (R9).
    fn specificity(&self, place: &Place) -> Option<u8> {
        match place {
            Place::Subdivision(part) => (self.subdivision == Some(*part)).then_some(0),
            Place::Country(country) => (self.country == Some(*country)).then_some(1),
            Place::Continent(continent) => (self.continent() == Some(*continent)).then_some(2),
            Place::Default => Some(3),
        }
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The values; none means an answer without records (R10).
    pub values: ArrayVec<ValueId, MAX_VALUES>,
    /// The region of the last member on the way that has one, of the first value.
    pub region: Option<RegionId>,
    /// Why.
    pub reason: DnsReason,
}

/// One member that was looked at on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The set.
    pub set: SetId,
    /// The member's place in it.
    pub member: usize,
    /// Its share, in per cent.
    pub share: u8,
    /// Whether the answer goes on through it.
    pub taken: bool,
}

/// Hears every member that was looked at.
pub trait Trace {
    /// One of them, in order.
    fn step(&mut self, step: Step);
}

/// Nobody asks.
impl Trace for () {
    fn step(&mut self, _: Step) {}
}

impl Trace for Vec<Step> {
    fn step(&mut self, step: Step) {
        self.push(step);
    }
}

/// Several draws from one random number (SplitMix64).
#[derive(Clone, Copy, Debug)]
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is above 0. The bias is below 2⁻³² for every sum of weights.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Whether a region with this share is admitted now.
    fn admits(&mut self, share: u8) -> bool {
        share >= 100 || (share > 0 && self.below(100) < u64::from(share))
    }
}

/// What one answer is worked out from.
struct Walk<'a, T> {
    records: &'a Records,
    client: &'a Client,
    shares: &'a [u8],
    draws: Draws,
    trace: &'a mut T,
    choice: Choice,
}

impl Records {
    /// Chooses from the set. `shares` has one value for each check, by [`CheckId`]; a check that is not
    /// there counts as healthy. `random` is a fresh random number.
    pub fn choose<T: Trace>(
        &self,
        set: SetId,
        client: &Client,
        shares: &[u8],
        random: u64,
        trace: &mut T,
    ) -> Choice {
        let choice = Choice { values: ArrayVec::new(), region: None, reason: DnsReason::NoAnswer };
        let mut walk = Walk { records: self, client, shares, draws: Draws(random), trace, choice };
        walk.set(set, MAX_DEPTH);
        walk.choice
    }

    /// The share of a member: its own check's, and where it leads to a set and that counts, that of
    /// the best member there (R18, R20).
    pub fn share(&self, member: &Member, shares: &[u8]) -> u8 {
        self.share_within(member, shares, MAX_DEPTH)
    }

    fn share_within(&self, member: &Member, shares: &[u8], left: usize) -> u8 {
        let own = member
            .check
            .map_or(100, |CheckId(check)| shares.get(usize::from(check)).copied().unwrap_or(100).min(100));
        let Target::Set(next) = member.target else { return own };
        let (true, Some(set), Some(left)) = (member.evaluate_target, self.set(next), left.checked_sub(1))
        else {
            return own;
        };
        let best = set.members.iter().map(|member| self.share_within(member, shares, left)).max();
        own.min(best.unwrap_or(0))
    }

    /// Milliseconds from the client to a region by the most specific row that tells.
    pub fn latency(&self, client: &Client, region: RegionId) -> Option<u32> {
        let rows = self.latencies().rows.iter();
        let told = rows.filter_map(|(place, row)| {
            Some((client.specificity(place)?, row.get(region.index()).copied().flatten()?))
        });
        told.min_by_key(|(specificity, _)| *specificity).map(|(_, ms)| ms)
    }
}

impl<T: Trace> Walk<'_, T> {
    fn set(&mut self, id: SetId, left: usize) {
        let records = self.records;
        let (Some(set), Some(left)) = (records.set(id), left.checked_sub(1)) else { return };
        match set.policy {
            Policy::Simple => self.go_on(id, set, Some(0), DnsReason::Simple, left),
            Policy::Weighted => {
                let (chosen, reason) = self.weighted(set);
                self.go_on(id, set, chosen, reason, left);
            }
            Policy::Geolocation => {
                let client = self.client;
                let place = |member: &Member| {
                    member.places.iter().filter_map(|place| client.specificity(place)).min()
                };
                self.first_of(id, set, |member| place(member).map(u32::from), DnsReason::Geo, left);
            }
            Policy::Latency => {
                let client = self.client;
                let far = |member: &Member| {
                    Some(member.region.and_then(|region| records.latency(client, region)).unwrap_or(u32::MAX))
                };
                self.first_of(id, set, far, DnsReason::Latency, left);
            }
            Policy::Failover => {
                self.first_of(id, set, |member| Some(u32::from(!member.primary)), DnsReason::Primary, left);
            }
            Policy::Multivalue => self.multivalue(id, set, left),
        }
    }

    fn share(&self, member: &Member) -> u8 {
        self.records.share(member, self.shares)
    }

    /// By weight × share; weight 0 only when nothing else is left (R3, R5); all unhealthy count as all
    /// healthy (R8).
    fn weighted(&mut self, set: &Set) -> (Option<usize>, DnsReason) {
        let drawn = |walk: &Self, member: &Member| u64::from(member.weight) * u64::from(walk.share(member));
        if let Some(chosen) = self.draw(set, drawn) {
            return (Some(chosen), DnsReason::Weighted);
        }
        if let Some(chosen) = self.draw(set, |walk, member| u64::from(walk.share(member))) {
            // All weights 0 are equal weights (R4); else those that have one are all unhealthy.
            let equal = set.members.iter().all(|member| member.weight == 0);
            return (Some(chosen), if equal { DnsReason::Weighted } else { DnsReason::Failover });
        }
        let by_weight = self.draw(set, |_, member| u64::from(member.weight));
        (by_weight.or_else(|| self.draw(set, |_, _| 1)), DnsReason::Degraded)
    }

    fn draw(&mut self, set: &Set, weight: impl Fn(&Self, &Member) -> u64) -> Option<usize> {
        let total: u64 = set.members.iter().map(|member| weight(self, member)).sum();
        if total == 0 {
            return None;
        }
        let mut rest = self.draws.below(total);
        set.members.iter().position(|member| {
            let part = weight(self, member);
            let found = rest < part;
            rest = rest.saturating_sub(part);
            found
        })
    }

    /// The first member by `rank`, ties in configuration order, that its share admits; if none is, the
    /// very first (R13, R15, R16). A `rank` of none is no candidate.
    fn first_of(
        &mut self,
        id: SetId,
        set: &Set,
        rank: impl Fn(&Member) -> Option<u32>,
        reason: DnsReason,
        left: usize,
    ) {
        let mut last: Option<(u32, usize)> = None;
        let mut first = None;
        // Members are few: finding the next one each time costs less than sorting on a heap.
        loop {
            let candidates =
                set.members.iter().enumerate().filter_map(|(at, member)| Some((rank(member)?, at)));
            let next = candidates.filter(|candidate| last.is_none_or(|last| *candidate > last)).min();
            let Some((_, at)) = next else { break };
            let Some(member) = set.members.get(at) else { break };
            let share = self.share(member);
            if self.draws.admits(share) {
                let reason = if first.is_none() { reason } else { DnsReason::Failover };
                return self.go_on(id, set, Some(at), reason, left);
            }
            self.trace.step(Step { set: id, member: at, share, taken: false });
            first = first.or(Some(at));
            last = next;
        }
        self.go_on(id, set, first, DnsReason::Degraded, left);
    }

    /// Up to eight healthy ones at random; none healthy: up to eight of all (R17).
    fn multivalue(&mut self, id: SetId, set: &Set, left: usize) {
        let mut pool: Vec<usize> = Vec::with_capacity(set.members.len());
        for (at, member) in set.members.iter().enumerate() {
            let share = self.share(member);
            if self.draws.admits(share) {
                pool.push(at);
            } else {
                self.trace.step(Step { set: id, member: at, share, taken: false });
            }
        }
        let healthy = !pool.is_empty();
        if !healthy {
            pool.extend(0..set.members.len());
        }
        // A Fisher–Yates shuffle of as many as are needed.
        for at in 0..pool.len().min(MAX_VALUES) {
            let rest = (pool.len() - at) as u64;
            let other = at + self.draws.below(rest) as usize;
            pool.swap(at, other);
        }
        for at in pool.into_iter().take(MAX_VALUES) {
            let reason = if healthy { DnsReason::Multivalue } else { DnsReason::Degraded };
            self.go_on(id, set, Some(at), reason, left);
        }
    }

    fn go_on(&mut self, id: SetId, set: &Set, chosen: Option<usize>, reason: DnsReason, left: usize) {
        let Some((at, member)) = chosen.and_then(|at| Some((at, set.members.get(at)?))) else { return };
        let share = self.share(member);
        self.trace.step(Step { set: id, member: at, share, taken: true });
        // The deepest set gives the reason, unless one on the way had to pass somebody over.
        self.choice.reason = self.choice.reason.or(reason);
        match member.target {
            Target::Set(next) => {
                if self.choice.values.is_empty() {
                    self.choice.region = member.region.or(self.choice.region);
                }
                self.set(next, left);
            }
            Target::Value(value) => {
                if self.choice.values.is_empty() {
                    self.choice.region = member.region.or(self.choice.region);
                }
                let _ = self.choice.values.try_push(value);
            }
        }
    }
}
