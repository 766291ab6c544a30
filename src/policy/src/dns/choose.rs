//! From a name's set to the values of one answer, and why.

use super::client::Client;
use super::draws::Draws;
use super::records::{CheckId, Member, Policy, Records, Set, SetId, Target, ValueId};
use crate::region::RegionId;
use crate::words::DnsReason;
use arrayvec::ArrayVec;

/// The most members of a multivalue answer (R17).
pub const MAX_VALUES: usize = 8;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The values; none means an answer without records (R10).
    pub values: ArrayVec<ValueId, MAX_VALUES>,
    /// The region of the last member that has one on the way to the first value.
    pub region: Option<RegionId>,
    /// Why: by the deepest set on the way to the first value, unless a record was passed over.
    pub reason: DnsReason,
}

/// One member that was looked at on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The set.
    pub set: SetId,
    /// The member's place in it.
    pub member: usize,
    /// Its share for this client, in per cent.
    pub share: u8,
    /// Whether the answer goes on through it.
    pub taken: bool,
}

/// Hears every member that was looked at. One that was passed over and is taken in the end, because
/// nothing better was found, is heard twice.
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

/// A member in its set, and its share for the client.
#[derive(Clone, Copy)]
struct Found<'a> {
    set: SetId,
    at: usize,
    member: &'a Member,
    share: u8,
}

impl Found<'_> {
    fn step(&self, taken: bool) -> Step {
        Step { set: self.set, member: self.at, share: self.share, taken }
    }
}

/// What one answer is worked out from. It ends because [`Records`] has no loops.
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
    /// there counts as healthy. `random` is a fresh random number; all else equal, the same one gives the
    /// same choice.
    pub fn choose<T: Trace>(
        &self,
        set: SetId,
        client: &Client,
        shares: &[u8],
        random: u64,
        trace: &mut T,
    ) -> Choice {
        let choice = Choice { values: ArrayVec::new(), region: None, reason: DnsReason::NoAnswer };
        let mut walk = Walk { records: self, client, shares, draws: Draws::new(random), trace, choice };
        walk.set(set, None);
        if walk.choice.values.is_empty() {
            walk.choice.reason = DnsReason::NoAnswer;
        }
        walk.choice
    }

    /// The share of a member: its own check's, and where it leads to a set and that counts, that of
    /// the best member there (R18, R20).
    pub fn share(&self, member: &Member, shares: &[u8]) -> u8 {
        self.share_of(member, shares, None)
    }

    /// The same for one client: geolocation records that do not serve it do not help it.
    pub fn share_for(&self, member: &Member, client: &Client, shares: &[u8]) -> u8 {
        self.share_of(member, shares, Some(client))
    }

    fn share_of(&self, member: &Member, shares: &[u8], client: Option<&Client>) -> u8 {
        let own = member
            .check
            .map_or(100, |CheckId(check)| shares.get(usize::from(check)).copied().unwrap_or(100).min(100));
        let Target::Set(next) = member.target else { return own };
        let (true, Some(set)) = (member.evaluate_target && own > 0, self.set(next)) else { return own };
        let mut best = 0;
        for member in set.members.iter().take(if set.policy == Policy::Simple { 1 } else { usize::MAX }) {
            let serves = match (set.policy, client) {
                (Policy::Geolocation, Some(client)) => client.claimed_by(member).is_some(),
                _ => true,
            };
            if serves {
                best = self.share_of(member, shares, client).max(best);
            }
            if best >= own {
                return own;
            }
        }
        best
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

impl<'a, T: Trace> Walk<'a, T> {
    /// `region`: the last one on the way here.
    fn set(&mut self, id: SetId, region: Option<RegionId>) {
        let (records, client) = (self.records, self.client);
        let Some(set) = records.set(id) else { return };
        match set.policy {
            Policy::Simple => {
                if let Some(only) = self.members(id, set).next() {
                    self.go_on(only, DnsReason::Simple, region);
                }
            }
            Policy::Weighted => self.weighted(id, set, region),
            Policy::Geolocation => {
                let place = |member: &Member| client.claimed_by(member).map(u32::from);
                self.first_of(id, set, place, DnsReason::Geo, region);
            }
            Policy::Latency => {
                let far = |member: &Member| {
                    Some(member.region.and_then(|region| records.latency(client, region)).unwrap_or(u32::MAX))
                };
                self.first_of(id, set, far, DnsReason::Latency, region);
            }
            Policy::Failover => {
                let place = |member: &Member| Some(u32::from(!member.primary));
                self.first_of(id, set, place, DnsReason::Primary, region);
            }
            Policy::Multivalue => self.multivalue(id, set, region),
        }
    }

    fn members(&self, id: SetId, set: &'a Set) -> impl Iterator<Item = Found<'a>> + use<'a, T> {
        let (records, client, shares) = (self.records, self.client, self.shares);
        let members = set.members.iter().enumerate();
        members.map(move |(at, member)| Found {
            set: id,
            at,
            member,
            share: records.share_for(member, client, shares),
        })
    }

    /// By weight × share; weight 0 only when nothing else is left (R3, R5); all unhealthy count as all
    /// healthy (R8).
    fn weighted(&mut self, id: SetId, set: &'a Set, region: Option<RegionId>) {
        let by_both = |found: &Found| u64::from(found.member.weight) * u64::from(found.share);
        let by_share = |found: &Found| u64::from(found.share);
        let by_weight = |found: &Found| u64::from(found.member.weight);
        // All weights 0 are equal weights (R4); where some are not, those are all unhealthy.
        let equal = set.members.iter().all(|member| member.weight == 0);
        let (chosen, reason) = if let Some(chosen) = self.draw(id, set, by_both) {
            (Some(chosen), DnsReason::Weighted)
        } else if let Some(chosen) = self.draw(id, set, by_share) {
            (Some(chosen), if equal { DnsReason::Weighted } else { DnsReason::Failover })
        } else {
            let chosen = self.draw(id, set, by_weight);
            (chosen.or_else(|| self.draw(id, set, |_| 1)), DnsReason::Degraded)
        };
        let Some(chosen) = chosen else { return };
        for found in self.members(id, set).filter(|found| found.at != chosen.at) {
            self.trace.step(found.step(false));
        }
        self.go_on(chosen, reason, region);
    }

    /// One member, each as often as `weight` says; none if all weigh 0. Cumulative in configuration
    /// order, as at the edge.
    fn draw(&mut self, id: SetId, set: &'a Set, weight: impl Fn(&Found) -> u64) -> Option<Found<'a>> {
        let parts = self.members(id, set).map(|found| weight(&found));
        let total = parts.fold(0, u64::saturating_add);
        let mut rest = (total > 0).then(|| self.draws.below(total))?;
        self.members(id, set).find(|found| {
            let part = weight(found);
            let reached = rest < part;
            rest = rest.saturating_sub(part);
            reached
        })
    }

    /// The first member by `rank`, ties in configuration order, that its share admits. If no share does,
    /// the first that has one at all; if none has, the very first (R13, R16). A `rank` of none is no
    /// candidate.
    fn first_of(
        &mut self,
        id: SetId,
        set: &'a Set,
        rank: impl Fn(&Member) -> Option<u32>,
        reason: DnsReason,
        region: Option<RegionId>,
    ) {
        let mut last: Option<(u32, usize)> = None;
        let mut passed: Option<(Found<'a>, DnsReason)> = None;
        // Members are few: finding the next one each time costs less than sorting on a heap.
        loop {
            let ranked = set.members.iter().enumerate().filter_map(|(at, member)| Some((rank(member)?, at)));
            let next = ranked.filter(|candidate| last.is_none_or(|last| *candidate > last)).min();
            let Some((at, member)) = next.and_then(|(_, at)| Some((at, set.members.get(at)?))) else { break };
            let share = self.records.share_for(member, self.client, self.shares);
            let found = Found { set: id, at, member, share };
            let why = if last.is_none() { reason } else { DnsReason::Failover };
            if self.draws.admits(share) {
                return self.go_on(found, why, region);
            }
            self.trace.step(found.step(false));
            if passed.is_none_or(|(passed, _)| passed.share == 0 && share > 0) {
                passed = Some((found, if share > 0 { why } else { DnsReason::Degraded }));
            }
            last = next;
        }
        if let Some((found, why)) = passed {
            self.go_on(found, why, region);
        }
    }

    /// Up to eight healthy ones at random, in random order; none healthy: up to eight of all (R17).
    fn multivalue(&mut self, id: SetId, set: &'a Set, region: Option<RegionId>) {
        let mut sample = self.sample(id, set, Draws::admits);
        if sample.is_empty() {
            sample = self.sample(id, set, |_, share| share > 0);
        }
        let reason = if sample.is_empty() { DnsReason::Degraded } else { DnsReason::Multivalue };
        if sample.is_empty() {
            sample = self.sample(id, set, |_, _| true);
        }
        for found in self.members(id, set) {
            if sample.iter().all(|taken| taken.at != found.at) {
                self.trace.step(found.step(false));
            }
        }
        for found in sample {
            self.go_on(found, reason, region);
        }
    }

    /// As many of the eligible members as an answer holds, all subsets and orders alike.
    fn sample(
        &mut self,
        id: SetId,
        set: &'a Set,
        mut eligible: impl FnMut(&mut Draws, u8) -> bool,
    ) -> ArrayVec<Found<'a>, MAX_VALUES> {
        let mut sample = ArrayVec::new();
        let mut seen = 0;
        for found in self.members(id, set) {
            if !eligible(&mut self.draws, found.share) {
                continue;
            }
            seen += 1;
            // A reservoir: the n-th stays with a chance of 8/n, in the place of any of them.
            if let Err(full) = sample.try_push(found)
                && let Some(place) = sample.get_mut(self.draws.place_below(seen))
            {
                *place = full.element();
            }
        }
        // It leaves the first eight where they came: a Fisher–Yates shuffle does not.
        for at in (1..sample.len()).rev() {
            sample.swap(at, self.draws.place_below(at + 1));
        }
        sample
    }

    fn go_on(&mut self, found: Found, reason: DnsReason, region: Option<RegionId>) {
        self.trace.step(found.step(true));
        let region = found.member.region.or(region);
        let first = self.choice.values.is_empty();
        // Later values say something only if a record was passed over for them.
        if first || matches!(reason, DnsReason::Failover | DnsReason::Degraded) {
            self.choice.reason = self.choice.reason.or(reason);
        }
        match found.member.target {
            Target::Set(next) => self.set(next, region),
            Target::Value(value) => {
                if first {
                    self.choice.region = region;
                }
                // Several ways may lead to the same value; an answer has each once.
                if !self.choice.values.contains(&value) {
                    let _ = self.choice.values.try_push(value);
                }
            }
        }
    }
}
