//! One request's order of regions, with the reason.
//!
//! Precedence: hop mark, override, then the policy. Nothing here remembers anything and nothing
//! allocates: a decision is a function of the request, the [`View`], and one draw.

use crate::geography::{Continent, Country};
use crate::region::{MAX_REGIONS, Order, RegionId};
use crate::settings::{AllUnhealthy, DefaultPolicy, RoutingPolicy};
use crate::sticky;
use crate::topology::Topology;
use crate::view::View;
use crate::words::{Cause, Reason};
use arrayvec::ArrayVec;

/// What a decision needs to know of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Request {
    /// The client's country, if it is known and trusted.
    pub country: Option<Country>,
    /// The client's continent, where it is known apart from the country.
    pub continent: Option<Continent>,
    /// The digest of its sticky key under the topology's seed.
    pub key: Option<u64>,
    /// Whether it may be sent twice.
    pub safe: bool,
    /// What its hop mark says.
    pub hop: Hop,
}

/// What a request's hop mark says, once its secret was found right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hop {
    /// It has none.
    #[default]
    None,
    /// Another region's edge decided already.
    Elsewhere,
    /// This region's own edge sent it: it came round in a circle.
    Here,
}

/// Where a request may go, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The regions to try, best first. Empty: refused.
    pub order: Order,
    /// Why.
    pub reason: Reason,
    /// The region that should have had it.
    pub from: Option<RegionId>,
    /// Why that one does not.
    pub cause: Option<Cause>,
}

/// How a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No region is eligible: 503.
    NoRegion,
    /// It came round in a circle: 508.
    Loop,
}

impl Decision {
    /// The first choice; none for a refused request.
    pub fn first(&self) -> Option<RegionId> {
        self.order.first().copied()
    }

    /// How the request is refused, if it is.
    pub fn refusal(&self) -> Option<Refusal> {
        match (self.order.is_empty(), self.reason) {
            (false, _) => None,
            (true, Reason::Hop) => Some(Refusal::Loop),
            (true, _) => Some(Refusal::NoRegion),
        }
    }

    fn new(order: Order, reason: Reason) -> Self {
        Decision { order, reason, from: None, cause: None }
    }

    fn instead_of(mut self, from: RegionId, cause: Option<Cause>) -> Self {
        self.from = Some(from);
        self.cause = cause;
        self
    }
}

/// Decides. `random` in [0, 1) is the draw of a request without a sticky key.
pub fn decide(topology: &Topology, view: &View, request: &Request, random: f64) -> Decision {
    Choice { topology, view, request, random }.decide()
}

/// Draws that one key makes must not depend on each other.
const PREFERENCE: u64 = 0;
const ADMISSION: u64 = 1;

struct Choice<'a> {
    topology: &'a Topology,
    view: &'a View,
    request: &'a Request,
    random: f64,
}

impl Choice<'_> {
    fn decide(&self) -> Decision {
        match self.request.hop {
            Hop::None => {}
            Hop::Here => return Decision::new(Order::new(), Reason::Hop),
            Hop::Elsewhere => {
                return Decision::new([self.home()].into_iter().collect(), Reason::Hop);
            }
        }
        if let Some(pin) = self.view.pin {
            return self.pinned(pin);
        }
        if let Some(region) = self.view.forgotten
            && self.tries(region)
            && !self.view.fallback.is_empty()
        {
            return self.led_by(region, Reason::Trial);
        }
        match self.topology.policy {
            RoutingPolicy::Geo => {
                match self.topology.claims.region(self.request.country, self.request.continent) {
                    Some(region) => self.preferred(region, Reason::Geo),
                    None => match self.topology.default {
                        DefaultPolicy::Weighted => self.weighted(),
                        DefaultPolicy::Latency => self.latency(),
                        DefaultPolicy::Local => self.local(),
                    },
                }
            }
            RoutingPolicy::Weighted => self.weighted(),
            RoutingPolicy::Latency => self.latency(),
            RoutingPolicy::Local => self.local(),
        }
    }

    fn pinned(&self, pin: RegionId) -> Decision {
        if self.tries(pin) {
            // A pin does not lift the limit on trials: the call takes one of the permits.
            self.led_by(pin, Reason::Trial)
        } else if self.view.share(pin) > 0 {
            self.led_by(pin, Reason::Override)
        } else {
            self.next_after(pin)
        }
    }

    fn latency(&self) -> Decision {
        self.preferred(self.view.nearest.unwrap_or(self.home()), Reason::Latency)
    }

    fn local(&self) -> Decision {
        self.preferred(self.home(), Reason::Local)
    }

    fn home(&self) -> RegionId {
        self.topology.local.unwrap_or(RegionId::FIRST)
    }

    /// One region should have the request, as far as its share goes.
    fn preferred(&self, region: RegionId, reason: Reason) -> Decision {
        if self.tries(region) {
            self.led_by(region, Reason::Trial)
        } else if self.admits(region) {
            self.led_by(region, reason)
        } else {
            self.next_after(region)
        }
    }

    fn weighted(&self) -> Decision {
        match self.request.key {
            Some(key) => self.rendezvous(key),
            None => self.drawn(),
        }
    }

    /// Cumulative in configuration order against the draw.
    fn drawn(&self) -> Decision {
        let parts =
            self.view.regions.iter().zip(self.topology.ids()).map(|(region, id)| {
                if self.tries(id) { (region.trial_drawn, id) } else { (region.drawn, id) }
            });
        match pick(parts, self.random) {
            Some(id) if self.tries(id) => self.led_by(id, Reason::Trial),
            Some(id) => self.led_by(id, Reason::Weighted),
            None => self.next_after_none(),
        }
    }

    /// The key ranks the regions by its own scores and takes the first that admits it.
    fn rendezvous(&self, key: u64) -> Decision {
        let mut scores = self.scores(key);
        let Some(own) = best(&scores) else { return self.next_after_none() };
        while let Some(region) = best(&scores) {
            if self.tries(region) {
                return self.led_by(region, Reason::Trial);
            }
            if self.admits(region) {
                return match region == own {
                    true => self.led_by(region, Reason::Sticky),
                    false => self.led_by(region, Reason::Failover).instead_of(own, self.why_not(own)),
                };
            }
            scores.retain(|(_, id)| *id != region);
        }
        self.next_after(own)
    }

    /// The key's score for each region, in configuration order; a region of weight 0 has none.
    fn scores(&self, key: u64) -> Scores {
        self.view
            .regions
            .iter()
            .zip(self.topology.ids())
            .filter(|(region, _)| region.rank > 0)
            .map(|(region, id)| {
                let draw = sticky::draw(key, region.hash, PREFERENCE);
                (sticky::score(draw, f64::from(region.rank)), id)
            })
            .collect()
    }

    /// Whether the request may test this half-open region.
    fn tries(&self, region: RegionId) -> bool {
        self.request.safe && self.view.trials.contains(region)
    }

    /// Whether the region's share lets this request in.
    fn admits(&self, region: RegionId) -> bool {
        let Some(found) = self.view.region(region) else { return false };
        match found.share {
            0 => false,
            100.. => true,
            share => {
                let draw = match self.request.key {
                    Some(key) => sticky::draw(key, found.hash, ADMISSION),
                    None => self.random,
                };
                draw < f64::from(share) / 100.0
            }
        }
    }

    /// This region first, then the others in the order of fallback.
    fn led_by(&self, first: RegionId, reason: Reason) -> Decision {
        let mut order = Order::new();
        order.push(first);
        order.extend(self.view.fallback.iter().copied().filter(|id| *id != first));
        Decision::new(order, reason)
    }

    /// The preferred region does not get it: the next one does.
    fn next_after(&self, from: RegionId) -> Decision {
        let cause = self.why_not(from);
        match self.view.fallback.iter().copied().find(|id| *id != from) {
            Some(next) => self.led_by(next, Reason::Failover).instead_of(from, cause),
            // A ramping region that is the only one left takes everything.
            None if self.view.share(from) > 0 => self.led_by(from, Reason::Failover),
            None => self.next_after_none().instead_of(from, cause),
        }
    }

    fn why_not(&self, region: RegionId) -> Option<Cause> {
        self.view.region(region).and_then(|found| found.cause)
    }

    /// No region has a share: a trial if there is one, else what `all_unhealthy` says.
    fn next_after_none(&self) -> Decision {
        if let Some(region) = self.topology.ids().find(|id| self.tries(*id)) {
            return self.led_by(region, Reason::Trial);
        }
        let to = match (self.topology.all_unhealthy, self.topology.local) {
            (AllUnhealthy::Reject, _) => return Decision::new(Order::new(), Reason::Rejected),
            (AllUnhealthy::Local, Some(local)) => Some(local),
            (AllUnhealthy::Local, None) | (AllUnhealthy::Any, _) => match self.request.key {
                Some(key) => best(&self.scores(key)),
                None => pick(
                    self.view.regions.iter().zip(self.topology.ids()).map(|(r, id)| (u64::from(r.rank), id)),
                    self.random,
                ),
            },
        };
        Decision::new(to.into_iter().collect(), Reason::Degraded)
    }
}

/// What a key's rendezvous with the regions came to.
type Scores = ArrayVec<(f64, RegionId), MAX_REGIONS>;

/// The region with the highest score; a tie goes to the first.
fn best(scores: &Scores) -> Option<RegionId> {
    let mut best: Option<(f64, RegionId)> = None;
    for (score, id) in scores {
        if best.is_none_or(|(highest, _)| *score > highest) {
            best = Some((*score, *id));
        }
    }
    best.map(|(_, id)| id)
}

/// The part of the whole in which the draw falls. None if all parts are 0.
fn pick(parts: impl Iterator<Item = (u64, RegionId)> + Clone, random: f64) -> Option<RegionId> {
    let total: u64 = parts.clone().map(|(part, _)| part).sum();
    let mut reached = 0;
    let mut last = None;
    for (part, id) in parts {
        if part == 0 {
            continue;
        }
        reached += part;
        last = Some(id);
        // Compared as a quotient: the draw times the total can round to the wrong side of a border.
        if random < reached as f64 / total as f64 {
            break;
        }
    }
    last
}
