//! Operator orders: drain a region, pin to a region, freeze. Each ends by itself.

use crate::region::{RegionId, RegionSet};
use crate::time::Time;

/// What an operator orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// The region gets no requests.
    Drain {
        /// Which.
        region: RegionId,
        /// Even if nothing would be left.
        force: bool,
    },
    /// The region gets all requests while it is eligible.
    Pin {
        /// Which.
        region: RegionId,
    },
    /// Eligibility and shares stay as they are.
    Freeze,
}

/// An order with its end on the caller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// What is ordered.
    pub order: Directive,
    /// It is in force before this point.
    pub until: Time,
}

/// The orders in force at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// Whether shares are held.
    pub frozen: bool,
    /// The region that gets everything.
    pub pin: Option<RegionId>,
    /// Regions to drain where that leaves something.
    pub drains: RegionSet,
    /// Regions to drain in any case.
    pub forced: RegionSet,
}

impl InForce {
    /// What is in force at `now`. Of several pins the last one counts.
    ///
    /// Freeze stands above pin and pin above drain: under a freeze no pin moves traffic, and the
    /// pinned region is not drained.
    pub fn at(now: Time, orders: impl Iterator<Item = Override>) -> Self {
        let mut found = InForce::default();
        let mut drained = [RegionSet::EMPTY; 2];
        for order in orders.filter(|order| now < order.until) {
            match order.order {
                Directive::Freeze => found.frozen = true,
                Directive::Pin { region } => found.pin = Some(region),
                Directive::Drain { region, force } => {
                    let [asked, forced] = &mut drained;
                    asked.insert(region);
                    if force {
                        forced.insert(region);
                    }
                }
            }
        }
        [found.drains, found.forced] = drained;
        if found.frozen {
            found.pin = None;
        }
        found
    }

    /// Whether the region is to be drained.
    pub fn drains(&self, region: RegionId) -> bool {
        self.drains.contains(region) && self.pin != Some(region)
    }

    /// Whether the region is to be drained even if nothing is left.
    pub fn forces(&self, region: RegionId) -> bool {
        self.forced.contains(region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(index: usize) -> RegionId {
        RegionId::new(index).expect("few")
    }

    #[test]
    fn orders_end_by_themselves() {
        let orders = [
            Override {
                order: Directive::Drain { region: region(0), force: false },
                until: Time::from_millis(10),
            },
            Override { order: Directive::Pin { region: region(1) }, until: Time::from_millis(20) },
        ];
        let at = |ms| InForce::at(Time::from_millis(ms), orders.iter().copied());
        assert!(at(9).drains(region(0)) && at(9).pin == Some(region(1)));
        assert!(!at(10).drains(region(0)) && at(19).pin == Some(region(1)));
        assert_eq!(at(20), InForce::default());
    }

    #[test]
    fn freeze_stands_above_pin_and_pin_above_drain() {
        let end = Time::from_millis(10);
        let drain = Override { order: Directive::Drain { region: region(0), force: true }, until: end };
        let pin = Override { order: Directive::Pin { region: region(0) }, until: end };
        let freeze = Override { order: Directive::Freeze, until: end };
        let both = InForce::at(Time::ZERO, [drain, pin].into_iter());
        assert!(!both.drains(region(0)));
        let all = InForce::at(Time::ZERO, [drain, pin, freeze].into_iter());
        assert!(all.frozen && all.pin.is_none());
    }
}
