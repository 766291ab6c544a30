//! How much of its normal share a region gets: out, held, ramping, full.

use crate::settings::Failback;
use crate::time::{Millis, Time};
use crate::words::{Cause, Phase};
use serde::{Deserialize, Serialize};

/// A region's standing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Standing {
    /// All of its share.
    #[default]
    Full,
    /// None: something is wrong with it, or it is drained.
    Out {
        /// What.
        cause: Cause,
    },
    /// None yet: the cause is gone since then.
    Hold {
        /// When the cause went.
        since: Time,
        /// What the cause was.
        cause: Cause,
    },
    /// A growing part.
    Ramp(Ramp),
}

/// A ramp: a straight line, moved to the right and down at each step back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    /// Where the line begins, in per cent.
    from: f64,
    /// When it begins; before that the share stands still.
    at: Time,
    /// Under a freeze, how long after its end the line begins.
    frozen: Option<Millis>,
    /// Calls and failures that the gate looks at.
    calls: u32,
    failures: u32,
}

/// What a standing depends on at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Why the region must be out, if it must.
    pub cause: Option<Cause>,
    /// Whether its breaker is closed.
    pub breaker_closed: bool,
    /// Whether another region has all of its share: only then can this one take its time.
    pub another_is_full: bool,
}

/// The share with which a ramp begins, and below which no step back leads, in per cent.
const FIRST_SHARE: f64 = 5.0;

/// Calls that the gate needs.
const GATE_CALLS: u32 = 20;

/// Calls after which the gate forgets half: a long good run must not hide that errors are back.
const GATE_MEMORY: u32 = 1000;

impl Standing {
    /// The share in whole per cent of the region's normal one.
    pub fn share(&self, settings: &Failback, now: Time) -> u8 {
        match self {
            Standing::Full => 100,
            Standing::Out { .. } | Standing::Hold { .. } => 0,
            Standing::Ramp(ramp) => ramp.share(settings, now) as u8,
        }
    }

    /// A ramp that has come this far, 5 to 100 per cent.
    pub fn ramp_at(share: u8, now: Time) -> Self {
        Standing::Ramp(Ramp { from: f64::from(share), ..Ramp::new(now) })
    }

    /// When the share next becomes whole or begins to grow, if nothing goes wrong: the end of the
    /// hold, or of the ramp. None while it is whole, out, or frozen.
    pub fn next_step(&self, settings: &Failback, now: Time) -> Option<Time> {
        match self {
            Standing::Full | Standing::Out { .. } => None,
            Standing::Hold { since, .. } => Some(since.plus(settings.hold)),
            Standing::Ramp(ramp) => ramp.end(settings, now),
        }
    }

    /// The word for it.
    pub fn phase(&self) -> Phase {
        match self {
            Standing::Full => Phase::Full,
            Standing::Out { .. } => Phase::Out,
            Standing::Hold { .. } => Phase::Hold,
            Standing::Ramp(_) => Phase::Ramp,
        }
    }

    /// Why the region does not get all of its share.
    pub fn cause(&self) -> Option<Cause> {
        match self {
            Standing::Full => None,
            Standing::Out { cause } | Standing::Hold { cause, .. } => Some(*cause),
            Standing::Ramp(_) => Some(Cause::Ramp),
        }
    }

    /// Takes at most one step. The new phase and its cause if it took one.
    pub fn step(
        &mut self,
        settings: &Failback,
        now: Time,
        situation: Situation,
    ) -> Option<(Phase, Option<Cause>)> {
        self.forget_the_future(settings, now);
        if let Some(cause) = situation.cause {
            let was_out = matches!(self, Standing::Out { .. });
            *self = Standing::Out { cause };
            return (!was_out).then_some((Phase::Out, Some(cause)));
        }
        let next = match self {
            // Its breaker opened while a freeze held its share; the hold is owed now.
            Standing::Full | Standing::Ramp(_) if !situation.breaker_closed => {
                Standing::Hold { since: now, cause: Cause::BreakerOpen }
            }
            Standing::Full => return None,
            Standing::Out { .. } if situation.breaker_closed && !situation.another_is_full => Standing::Full,
            Standing::Out { cause } => Standing::Hold { since: now, cause: *cause },
            Standing::Hold { .. } if !situation.breaker_closed => return None,
            Standing::Hold { .. } | Standing::Ramp(_) if !situation.another_is_full => Standing::Full,
            Standing::Hold { since, .. } if now.since(*since) >= settings.hold => {
                Standing::Ramp(Ramp::new(now))
            }
            Standing::Ramp(ramp) if ramp.share(settings, now) >= 100.0 => Standing::Full,
            Standing::Hold { .. } | Standing::Ramp(_) => return None,
        };
        *self = next;
        Some((self.phase(), None))
    }

    /// No wait reaches further than the settings let it: a state that another clock left behind
    /// would hold a region back for ever.
    fn forget_the_future(&mut self, settings: &Failback, now: Time) {
        match self {
            Standing::Hold { since, .. } => *since = (*since).min(now),
            Standing::Ramp(ramp) => ramp.at = ramp.at.min(now.plus(settings.hold)),
            Standing::Full | Standing::Out { .. } => {}
        }
    }

    /// Stops the clock of a ramp where it is.
    pub fn freeze(&mut self, settings: &Failback, now: Time) {
        if let Standing::Ramp(ramp) = self
            && ramp.frozen.is_none()
        {
            ramp.from = ramp.line(settings, now);
            ramp.frozen = Some(ramp.at.since(now));
        }
    }

    /// Lets the clock of a ramp go on.
    pub fn thaw(&mut self, now: Time) {
        if let Standing::Ramp(ramp) = self {
            // A step back's stop lasts as long as it had left when the freeze began.
            ramp.at = now.plus(ramp.frozen.take().unwrap_or_default());
        }
    }

    /// Takes in a call's result. True if the gate stepped back.
    pub fn on_call(&mut self, settings: &Failback, now: Time, failed: bool) -> bool {
        match self {
            Standing::Ramp(ramp) => ramp.on_call(settings, now, failed),
            _ => false,
        }
    }
}

impl Ramp {
    fn new(now: Time) -> Self {
        Ramp { from: FIRST_SHARE, at: now, frozen: None, calls: 0, failures: 0 }
    }

    fn line(&self, settings: &Failback, now: Time) -> f64 {
        // A damaged state may hold anything, even a NaN, which no clamp changes.
        let from = if self.from.is_nan() { FIRST_SHARE } else { self.from.clamp(FIRST_SHARE, 100.0) };
        let span = settings.ramp.get();
        if self.frozen.is_some() {
            return from;
        }
        if span == 0 {
            return 100.0;
        }
        // In 64 bits: in 32 the sum can round up to a whole per cent before its time.
        let grown = (100.0 - FIRST_SHARE) * now.since(self.at).get() as f64 / span as f64;
        (from + grown).min(100.0)
    }

    fn share(&self, settings: &Failback, now: Time) -> f64 {
        self.line(settings, now).floor()
    }

    fn end(&self, settings: &Failback, now: Time) -> Option<Time> {
        if self.frozen.is_some() {
            return None;
        }
        let left = (100.0 - self.line(settings, now)) / (100.0 - FIRST_SHARE) * settings.ramp.get() as f64;
        Some(self.at.max(now).plus(Millis::new(left.ceil() as u64)))
    }

    fn on_call(&mut self, settings: &Failback, now: Time, failed: bool) -> bool {
        self.calls = self.calls.saturating_add(1);
        self.failures = self.failures.saturating_add(u32::from(failed));
        let rate = 100.0 * self.failures as f32 / self.calls as f32;
        if self.calls >= GATE_CALLS && rate > settings.max_error_rate {
            let share = self.share(settings, now);
            // Growth that is already stopped must not be stopped for longer by the same errors' tail:
            // the counters begin anew, so a further step back needs twenty further calls.
            let stopped = now.plus(settings.hold);
            *self = Ramp { from: (share / 2.0).max(FIRST_SHARE), at: stopped, ..Ramp::new(now) };
            return true;
        }
        if self.calls >= GATE_MEMORY {
            self.calls /= 2;
            self.failures /= 2;
        }
        false
    }
}

/// How long a region takes from the end of its trouble to its whole share, if nothing goes wrong.
pub fn whole_return(settings: &Failback) -> Millis {
    Millis::new(settings.hold.get().saturating_add(settings.ramp.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Situation = Situation { cause: None, breaker_closed: true, another_is_full: true };

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn out() -> Standing {
        let mut standing = Standing::Full;
        standing.step(&Failback::default(), at(0), Situation { cause: Some(Cause::Unhealthy), ..WELL });
        standing
    }

    /// Steps until nothing changes any more, as the engine does.
    fn settle(standing: &mut Standing, now: Time, situation: Situation) {
        while standing.step(&Failback::default(), now, situation).is_some() {}
    }

    #[test]
    fn the_way_back_is_held_then_ramped() {
        let settings = Failback::default();
        let mut standing = out();
        // (time in seconds after the cause went, share)
        let rows =
            [(0, 0), (29, 0), (30, 5), (31, 5), (34, 6), (210, 52), (389, 99), (390, 100), (9999, 100)];
        for (second, share) in rows {
            settle(&mut standing, at(second * 1000), WELL);
            assert_eq!(standing.share(&settings, at(second * 1000)), share, "at {second} s");
            let next = match share {
                0 => Some(at(30_000)),
                100 => None,
                _ => Some(at(390_000)),
            };
            assert_eq!(standing.next_step(&settings, at(second * 1000)), next, "at {second} s");
        }
    }

    #[test]
    fn an_open_or_half_open_breaker_keeps_the_hold() {
        let mut standing = out();
        settle(&mut standing, at(0), Situation { breaker_closed: false, ..WELL });
        settle(&mut standing, at(99_000), Situation { breaker_closed: false, ..WELL });
        assert_eq!(standing.phase(), Phase::Hold);
        settle(&mut standing, at(99_001), WELL);
        assert_eq!(standing.phase(), Phase::Ramp);
    }

    #[test]
    fn with_no_other_region_at_full_share_there_is_neither_hold_nor_ramp() {
        let mut standing = out();
        settle(&mut standing, at(1), Situation { another_is_full: false, ..WELL });
        assert_eq!(standing, Standing::Full);
        let mut standing = out();
        for second in [0, 30, 60] {
            settle(&mut standing, at(second * 1000), WELL);
        }
        assert_eq!(standing.phase(), Phase::Ramp);
        settle(&mut standing, at(61_000), Situation { another_is_full: false, ..WELL });
        assert_eq!(standing, Standing::Full);
    }

    #[test]
    fn a_new_out_starts_again_at_hold() {
        let mut standing = out();
        for second in [0, 30, 200] {
            settle(&mut standing, at(second * 1000), WELL);
        }
        settle(&mut standing, at(201_000), Situation { cause: Some(Cause::BreakerOpen), ..WELL });
        assert_eq!(standing.share(&Failback::default(), at(201_000)), 0);
        settle(&mut standing, at(202_000), WELL);
        assert_eq!(standing.phase(), Phase::Hold);
    }

    #[test]
    fn errors_halve_the_share_and_stop_its_growth() {
        let settings = Failback::default();
        let mut standing = out();
        for second in [0, 30] {
            settle(&mut standing, at(second * 1000), WELL);
        }
        let now = at(210_000); // 52 per cent
        for call in 0..19 {
            assert!(!standing.on_call(&settings, now, call < 2), "nineteen calls are too few");
        }
        assert!(standing.on_call(&settings, now, false), "2 of 20 is above 5 per cent");
        for (second, share) in [(210, 26), (239, 26), (240, 26), (244, 27), (600, 100)] {
            assert_eq!(standing.share(&settings, at(second * 1000)), share, "at {second} s");
        }
    }

    #[test]
    fn one_failure_in_twenty_is_not_above_five_per_cent() {
        let settings = Failback::default();
        let mut standing = Standing::Ramp(Ramp::new(at(0)));
        assert!((0..20).all(|call| !standing.on_call(&settings, at(0), call == 0)));
    }

    #[test]
    fn no_step_back_leads_below_the_first_share() {
        let settings = Failback::default();
        let mut standing = Standing::Ramp(Ramp::new(at(0)));
        for _ in 0..200 {
            standing.on_call(&settings, at(0), true);
            assert_eq!(standing.share(&settings, at(0)), 5);
        }
    }

    #[test]
    fn a_long_good_run_does_not_hide_returning_errors() {
        let settings = Failback::default();
        let mut standing = Standing::Ramp(Ramp::new(at(0)));
        for _ in 0..1_000_000 {
            assert!(!standing.on_call(&settings, at(0), false));
        }
        let calls_until_step_back = (0..).take_while(|_| !standing.on_call(&settings, at(0), true)).count();
        assert!(calls_until_step_back < 60, "{calls_until_step_back}");
    }

    #[test]
    fn another_clocks_state_holds_nothing_back() {
        let settings = Failback::default();
        let (hold, ramp) = (settings.hold.get(), settings.ramp.get());
        for mut standing in [
            Standing::Hold { since: Time::NEVER, cause: Cause::Drain },
            Standing::Ramp(Ramp::new(Time::NEVER)),
            Standing::Ramp(Ramp { from: f64::NAN, ..Ramp::new(Time::NEVER) }),
        ] {
            settle(&mut standing, at(0), WELL);
            assert!(standing.share(&settings, at(0)) <= 5, "{standing:?}");
            settle(&mut standing, at(hold), WELL);
            settle(&mut standing, at(hold + ramp), WELL);
            assert_eq!(standing, Standing::Full);
        }
    }

    #[test]
    fn the_share_is_the_floor_of_the_line_to_the_last_millisecond() {
        let year = 366 * 24 * 3600 * 1000;
        for ramp in [1, 95, 360_000, 360_001, 12_345_679, year] {
            let settings = Failback { ramp: Millis::new(ramp), ..Failback::default() };
            let standing = Standing::Ramp(Ramp::new(at(0)));
            for share in 5..=100u64 {
                // The first millisecond with this share, and the last one before it.
                let first = ((share - 5) * ramp).div_ceil(95);
                for t in [first.saturating_sub(1), first] {
                    let right = (5 + 95 * t / ramp).min(100);
                    assert_eq!(u64::from(standing.share(&settings, at(t))), right, "{t} of {ramp} ms");
                }
            }
        }
    }

    #[test]
    fn a_freeze_stops_the_ramp_where_it_is() {
        let settings = Failback::default();
        let mut standing = Standing::Ramp(Ramp::new(at(0)));
        standing.freeze(&settings, at(180_000));
        assert_eq!(standing.share(&settings, at(999_000)), 52);
        standing.thaw(at(999_000));
        assert_eq!(standing.share(&settings, at(999_000 + 36_000)), 62);
    }
}
