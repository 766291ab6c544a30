//! What holds of the circuit breaker whatever happens to it.

use evenkeel_policy::breaker::{Breaker, Call, Change, Permit, State};
use evenkeel_policy::settings::{CircuitBreaker, SlidingWindowType};
use evenkeel_policy::time::{Millis, Time};
use proptest::collection::vec;
use proptest::prelude::*;

/// One thing that can happen to a breaker.
#[derive(Clone, Debug)]
enum Step {
    Acquire,
    /// The n-th permit ever given (modulo their number) is reported, perhaps again.
    Record(usize, bool, u64),
    /// A call that did not ask.
    RecordUnasked(bool, u64),
    Release(usize),
    Tick,
    Pass(u64),
    /// The clock steps back.
    Back(u64),
    ForceOpen,
    ForceHalfOpen,
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    let ms = || prop_oneof![Just(0), 0..50u64, 900..1100u64, 0..20_000u64];
    prop_oneof![
        8 => Just(Step::Acquire),
        8 => (any::<usize>(), any::<bool>(), ms()).prop_map(|(n, failed, ms)| Step::Record(n, failed, ms)),
        4 => (any::<bool>(), ms()).prop_map(|(failed, ms)| Step::RecordUnasked(failed, ms)),
        3 => any::<usize>().prop_map(Step::Release),
        3 => Just(Step::Tick),
        6 => ms().prop_map(Step::Pass),
        1 => (1..5000u64).prop_map(Step::Back),
        1 => Just(Step::ForceOpen),
        1 => Just(Step::ForceHalfOpen),
        1 => Just(Step::Reset),
    ]
}

fn settings() -> impl Strategy<Value = CircuitBreaker> {
    let window = (any::<bool>(), 1..12u32, 1..12u32);
    let rates = (1.0..=100.0f32, 1.0..=100.0f32);
    let waits = (prop_oneof![1 => Just(0), 6 => 1..8000u64], prop_oneof![Just(0), 1..5000u64], 1..5000u64);
    (window, rates, waits, 1..6u32, any::<bool>()).prop_map(|(window, rates, waits, permitted, automatic)| {
        CircuitBreaker {
            sliding_window_type: if window.0 {
                SlidingWindowType::TimeBased
            } else {
                SlidingWindowType::CountBased
            },
            sliding_window_size: window.1,
            minimum_number_of_calls: window.2,
            failure_rate_threshold: rates.0,
            slow_call_rate_threshold: rates.1,
            slow_call_duration_threshold: Millis::from_secs(1),
            wait_duration_in_open_state: Millis::new(waits.0),
            max_wait_duration_in_half_open_state: Millis::new(waits.1),
            permission_timeout: Millis::new(waits.2),
            permitted_number_of_calls_in_half_open_state: permitted,
            automatic_transition_from_open_to_half_open: automatic,
        }
    })
}

/// Never opens, so that a window can be watched for long.
fn watching(kind: SlidingWindowType, size: u32) -> CircuitBreaker {
    CircuitBreaker {
        sliding_window_type: kind,
        sliding_window_size: size,
        minimum_number_of_calls: 1,
        failure_rate_threshold: 101.0,
        slow_call_rate_threshold: 101.0,
        slow_call_duration_threshold: Millis::from_secs(1),
        ..CircuitBreaker::default()
    }
}

fn call(failed: bool, ms: u64) -> Call {
    Call { failed, duration: Millis::new(ms) }
}

/// A breaker with all that was ever given out by it.
#[derive(Clone)]
struct World {
    breaker: Breaker,
    now: Time,
    permits: Vec<Permit>,
}

/// What a step answered: equal answers are equal behaviour.
#[derive(Debug, PartialEq)]
struct Answer {
    permit: Option<Permit>,
    change: Option<Change>,
}

impl World {
    fn new(breaker: Breaker, now: Time) -> Self {
        World { breaker, now, permits: Vec::new() }
    }

    fn nth(&self, n: usize) -> Permit {
        let index = n.checked_rem(self.permits.len());
        index.map_or(self.breaker.permit(), |index| self.permits[index])
    }

    fn take(&mut self, settings: &CircuitBreaker, step: &Step) -> Answer {
        let (mut permit, mut change) = (None, None);
        match *step {
            Step::Acquire => (permit, change) = self.breaker.try_acquire(settings, self.now),
            Step::Record(n, failed, ms) => {
                let permit = self.nth(n);
                change = self.breaker.record(settings, self.now, permit, call(failed, ms));
            }
            Step::RecordUnasked(failed, ms) => {
                let permit = self.breaker.permit();
                change = self.breaker.record(settings, self.now, permit, call(failed, ms));
            }
            Step::Release(n) => self.breaker.release(self.nth(n)),
            Step::Tick => change = self.breaker.tick(settings, self.now),
            Step::Pass(ms) => self.now = self.now.plus(Millis::new(ms)),
            Step::Back(ms) => self.now = Time::from_millis(self.now.as_millis().saturating_sub(ms)),
            Step::ForceOpen => change = self.breaker.force_open(self.now),
            Step::ForceHalfOpen => change = self.breaker.force_half_open(),
            Step::Reset => change = self.breaker.reset(),
        }
        self.permits.extend(permit);
        Answer { permit, change }
    }
}

/// Counts are of one window, none outnumbers another that contains it, and rates follow from them.
fn check_counts(breaker: &Breaker, settings: &CircuitBreaker, now: Time) -> Result<(), TestCaseError> {
    let m = breaker.metrics(settings, now);
    prop_assert!(m.failed <= m.buffered && m.slow <= m.buffered);
    prop_assert!(m.slow_failed <= m.failed.min(m.slow));
    prop_assert!(m.failed + m.slow - m.slow_failed <= m.buffered);
    for rate in [m.failure_rate, m.slow_call_rate] {
        prop_assert!(rate == -1.0 || (0.0..=100.0).contains(&rate), "{rate}");
    }
    Ok(())
}

/// However the breaker stands, if nobody reports anything a call is let through in the end.
fn check_not_stuck(
    mut breaker: Breaker,
    settings: &CircuitBreaker,
    mut now: Time,
) -> Result<(), TestCaseError> {
    let step = settings.wait_duration_in_open_state.get() + settings.permission_timeout.get() + 1;
    for _ in 0..4 {
        breaker.tick(settings, now);
        if breaker.try_acquire(settings, now).0.is_some() {
            return Ok(());
        }
        now = now.plus(Millis::new(step));
    }
    Err(TestCaseError::fail(format!("stuck: {breaker:?}")))
}

proptest! {
    #[test]
    fn a_count_window_is_the_last_calls(
        size in 1..40u32,
        calls in vec((any::<bool>(), any::<bool>(), prop_oneof![30 => Just(None), 1 => (1..40u32).prop_map(Some)]), 1..200),
    ) {
        let mut settings = watching(SlidingWindowType::CountBased, size);
        let mut breaker = Breaker::default();
        let mut model: Vec<(bool, bool)> = Vec::new();
        for (failed, slow, resize) in calls {
            settings.sliding_window_size = resize.unwrap_or(settings.sliding_window_size);
            let permit = breaker.permit();
            breaker.record(&settings, Time::ZERO, permit, call(failed, if slow { 1001 } else { 1000 }));
            model.push((failed, slow));
            let size = settings.sliding_window_size as usize;
            model.drain(..model.len().saturating_sub(size));

            let m = breaker.metrics(&settings, Time::ZERO);
            let count = |f: fn(&(bool, bool)) -> bool| model.iter().filter(|c| f(c)).count() as u32;
            prop_assert_eq!(m.buffered as usize, model.len());
            prop_assert_eq!(m.failed, count(|c| c.0));
            prop_assert_eq!(m.slow, count(|c| c.1));
            prop_assert_eq!(m.slow_failed, count(|c| c.0 && c.1));
            prop_assert_eq!(m.failure_rate, m.failed as f32 * 100.0 / model.len() as f32);
        }
    }

    #[test]
    fn a_time_window_is_the_calls_of_the_last_seconds(
        size in 1..12u64,
        calls in vec((0..4000u64, any::<bool>(), any::<bool>()), 1..200),
    ) {
        let settings = watching(SlidingWindowType::TimeBased, size as u32);
        let mut breaker = Breaker::default();
        let mut now = Time::ZERO;
        let mut model: Vec<(u64, bool, bool)> = Vec::new();
        for (pass, failed, slow) in calls {
            now = now.plus(Millis::new(pass));
            let second = now.as_millis() / 1000;
            let read_ahead = breaker.metrics(&settings, now).buffered as usize;
            model.retain(|c| c.0 + size > second);
            prop_assert_eq!(read_ahead, model.len());

            let permit = breaker.permit();
            breaker.record(&settings, now, permit, call(failed, if slow { 1001 } else { 1000 }));
            model.push((second, failed, slow));
            let m = breaker.metrics(&settings, now);
            let count = |f: fn(&(u64, bool, bool)) -> bool| model.iter().filter(|c| f(c)).count() as u32;
            prop_assert_eq!(m.buffered as usize, model.len());
            prop_assert_eq!(m.failed, count(|c| c.1));
            prop_assert_eq!(m.slow, count(|c| c.2));
            prop_assert_eq!(m.slow_failed, count(|c| c.1 && c.2));
        }
    }

    #[test]
    fn whatever_happens_the_invariants_hold(settings in settings(), steps in vec(step(), 1..200)) {
        let mut world = World::new(Breaker::default(), Time::from_millis(10_000));
        // Trials out: with the time they were given at, until reported, released or timed out.
        let mut out: Vec<(Permit, Time)> = Vec::new();
        for step in &steps {
            let before = world.breaker.clone();
            let offered = before.trial_available(&settings, world.now);
            let target = match *step {
                Step::Record(n, ..) | Step::Release(n) => Some(world.nth(n)),
                _ => None,
            };
            let answer = world.take(&settings, step);
            let after = &world.breaker;

            // A change says what happened, and a new state is a new generation.
            let change = (before.state() != after.state())
                .then_some(Change { from: before.state(), to: after.state() });
            prop_assert_eq!(answer.change, change, "{:?}", step);
            if change.is_some() || matches!(step, Step::Reset) {
                prop_assert_ne!(before.generation(), after.generation());
            }

            // Results of another generation leave no trace.
            if let (Step::Record(..), Some(permit)) = (step, target)
                && permit != before.permit() && !out.iter().any(|(trial, _)| *trial == permit)
            {
                prop_assert_eq!(&before, after, "a stale or repeated result");
            }

            // What is offered is what is given.
            if matches!(step, Step::Acquire) {
                prop_assert_eq!(offered, answer.permit.is_some_and(Permit::is_trial));
                prop_assert_eq!(answer.permit.is_some(), offered || after.state() == State::Closed);
            }

            // Trials out never exceed the permits.
            if before.generation() != after.generation() {
                out.clear();
            }
            if let Some(permit) = target {
                out.retain(|(trial, _)| *trial != permit);
            }
            let timeout = settings.permission_timeout;
            if matches!(step, Step::Acquire | Step::Tick) {
                // The breaker mends a time that lies ahead when it sees it; so does the model.
                out.iter_mut().for_each(|(_, since)| *since = (*since).min(world.now));
                out.retain(|(_, since)| world.now.since(*since) < timeout);
            }
            if let Some(permit) = answer.permit.filter(|permit| permit.is_trial()) {
                out.push((permit, world.now));
            }
            prop_assert!(out.len() <= settings.permitted_number_of_calls_in_half_open_state as usize);

            check_counts(after, &settings, world.now)?;
        }
        check_not_stuck(world.breaker, &settings, world.now)?;
    }

    #[test]
    fn a_stored_breaker_is_the_same_breaker(
        settings in settings(), before in vec(step(), 0..100), after in vec(step(), 0..50),
    ) {
        let mut world = World::new(Breaker::default(), Time::from_millis(10_000));
        for step in &before {
            world.take(&settings, step);
        }
        let bytes = postcard::to_allocvec(&world.breaker).unwrap();
        let text = serde_json::to_string(&world.breaker).unwrap();
        let restored: [Breaker; 2] =
            [postcard::from_bytes(&bytes).unwrap(), serde_json::from_str(&text).unwrap()];
        for breaker in restored {
            prop_assert_eq!(&breaker, &world.breaker);
            let mut original = world.clone();
            let mut copy = World { breaker, ..world.clone() };
            for step in &after {
                prop_assert_eq!(original.take(&settings, step), copy.take(&settings, step));
                prop_assert_eq!(&original.breaker, &copy.breaker);
            }
        }
    }

    #[test]
    fn settings_may_change_at_any_time(
        rounds in vec((settings(), vec(step(), 1..30)), 1..10),
    ) {
        let mut world = World::new(Breaker::default(), Time::from_millis(10_000));
        for (settings, steps) in &rounds {
            for step in steps {
                let offered = world.breaker.trial_available(settings, world.now);
                let answer = world.take(settings, step);
                if matches!(step, Step::Acquire) {
                    prop_assert_eq!(offered, answer.permit.is_some_and(Permit::is_trial));
                }
                check_counts(&world.breaker, settings, world.now)?;
            }
            check_not_stuck(world.breaker.clone(), settings, world.now)?;
        }
    }

    #[test]
    fn foreign_bytes_do_no_harm(
        state in 0..4u8,
        bytes in vec(prop_oneof![4 => 0..8u8, 1 => any::<u8>()], 0..60),
        settings in settings(),
        steps in vec(step(), 0..60),
    ) {
        let bytes = [vec![state], bytes].concat();
        if let Ok((breaker, _)) = postcard::take_from_bytes::<Breaker>(&bytes) {
            harmless(breaker, &settings, &steps)?;
        }
    }

    #[test]
    fn absurd_values_do_no_harm(
        state in prop_oneof![Just("closed"), Just("half_open"), Just("open")],
        numbers in [odd(), odd(), odd(), odd(), odd(), odd()],
        since in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
        bits in vec(any::<u8>(), 0..10),
        buckets in vec((any::<u64>(), odd(), odd(), odd(), odd()), 0..6),
        timed in any::<bool>(),
        settings in settings(),
        steps in vec(step(), 0..60),
    ) {
        let [generation, not_permitted, size, oldest, len, next] = numbers;
        let window = if timed {
            let buckets: Vec<_> = buckets.iter().map(|(second, calls, failed, slow, slow_failed)| {
                serde_json::json!({"second": second, "counts": {
                    "calls": calls, "failed": failed, "slow": slow, "slow_failed": slow_failed}})
            }).collect();
            serde_json::json!({"Seconds": {"size": size, "buckets": buckets}})
        } else {
            serde_json::json!({"Calls": {"size": size, "oldest": oldest, "len": len, "bits": bits}})
        };
        let breaker = serde_json::from_value(serde_json::json!({
            "state": state, "generation": generation, "since": since, "not_permitted": not_permitted,
            "window": window,
            "trials": {"next": next, "held": [{"trial": next, "since": since}, {"trial": 0, "since": 0}]},
        }));
        let breaker: Breaker = breaker.unwrap();
        if !timed {
            let buffered = breaker.metrics(&settings, Time::ZERO).buffered;
            prop_assert!(buffered as usize <= bits.len() * 4, "calls that nothing is stored of");
            prop_assert!(buffered <= size, "more calls than the window holds");
        }
        harmless(breaker, &settings, &steps)?;
    }
}

fn odd() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), Just(1), Just(u32::MAX), 0..50u32, any::<u32>()]
}

/// No panic, nothing stuck, and counts that make sense, from wherever it starts.
fn harmless(breaker: Breaker, settings: &CircuitBreaker, steps: &[Step]) -> Result<(), TestCaseError> {
    let now = Time::from_millis(1_000_000);
    check_not_stuck(breaker.clone(), settings, now)?;
    let mut world = World::new(breaker, now);
    for step in steps {
        world.breaker.trial_available(settings, world.now);
        let m = world.breaker.metrics(settings, world.now);
        prop_assert!(m.failed <= m.buffered && m.slow <= m.buffered);
        world.take(settings, step);
    }
    check_not_stuck(world.breaker, settings, world.now)
}
