//! Resilience4j 2.4.0's circuit breaker, case by case, with Evenkeel's deviations.
//!
//! `cNN` is the case's number in the list that the cases were taken from and run against
//! Resilience4j's own classes. Scripts are read left to right:
//!
//! - `S` / `F`: a call that succeeds / fails at once; `s` / `f`: the same, lasting 3 s
//! - `a`: ask for a permit; answers come back as `y` and `n`
//! - `r`: give a permit back (also: an outcome that is ignored)
//! - `+N`: N milliseconds pass
//!
//! A result belongs to the longest held permit, or to a call that did not ask if none is held.
//! Resilience4j's nanosecond is a millisecond here.
//!
//! Cases that do not apply, and why:
//!
//! - c01: Resilience4j's defaults; ours are the configuration's and documented there
//! - c13, c14: refusals of its builder; configuration is checked before it reaches the breaker
//! - c32: the exception of a refusal; here a refusal is `None`, as in c31
//! - c41, c42, c43, c58: exponential waits, not offered
//! - c44: `transitionToOpenStateFor` and `…Until`, not offered
//! - c71, c72, c74, c75: exception types and hooks; the caller says what failed and what is ignored
//! - c77, c78, c79, c83: DISABLED, FORCED_OPEN and METRICS_ONLY, not offered; operators have overrides
//!
//! Of the events, only changes of state exist here; cases test those.

use evenkeel_policy::breaker::{Breaker, Call, Change, Metrics, Permit, State};
use evenkeel_policy::settings::{CircuitBreaker, SlidingWindowType};
use evenkeel_policy::time::{Millis, Time};
use std::collections::VecDeque;

use State::{Closed, HalfOpen, Open};

const DAY: &str = "+86400000";

/// A breaker, its settings and a clock that only the script moves.
struct Rig {
    breaker: Breaker,
    settings: CircuitBreaker,
    now: Time,
    held: VecDeque<Permit>,
    changes: Vec<(State, State)>,
}

impl Rig {
    /// The cases' base configuration, with a case's own changes.
    fn new(change: impl FnOnce(&mut CircuitBreaker)) -> Self {
        let mut settings = CircuitBreaker {
            sliding_window_type: SlidingWindowType::CountBased,
            sliding_window_size: 10,
            minimum_number_of_calls: 10,
            failure_rate_threshold: 50.0,
            slow_call_rate_threshold: 100.0,
            slow_call_duration_threshold: Millis::from_secs(2),
            wait_duration_in_open_state: Millis::from_secs(5),
            permitted_number_of_calls_in_half_open_state: 3,
            max_wait_duration_in_half_open_state: Millis::ZERO,
            automatic_transition_from_open_to_half_open: false,
            permission_timeout: Millis::from_secs(30),
        };
        change(&mut settings);
        Rig {
            breaker: Breaker::default(),
            settings,
            now: Time::ZERO,
            held: VecDeque::new(),
            changes: Vec::new(),
        }
    }

    fn base() -> Self {
        Rig::new(|_| {})
    }

    fn min(calls: u32) -> Self {
        Rig::new(|s| s.minimum_number_of_calls = calls)
    }

    /// A window of five seconds.
    fn timed(min: u32) -> Self {
        Rig::new(|s| {
            s.sliding_window_type = SlidingWindowType::TimeBased;
            s.sliding_window_size = 5;
            s.minimum_number_of_calls = min;
        })
    }

    /// Brought to HALF_OPEN by hand.
    fn half_open(change: impl FnOnce(&mut CircuitBreaker)) -> Self {
        let mut rig = Rig::new(change);
        rig.breaker.force_open(rig.now);
        rig.breaker.force_half_open();
        assert_eq!(rig.state(), HalfOpen);
        rig
    }

    /// Runs a script and returns the answers to its `a`s.
    fn run(&mut self, script: &str) -> String {
        let mut answers = String::new();
        let mut rest = script.chars().peekable();
        while let Some(step) = rest.next() {
            match step {
                ' ' => {}
                'S' => self.record(false, 0),
                'F' => self.record(true, 0),
                's' => self.record(false, 3000),
                'f' => self.record(true, 3000),
                'a' => {
                    let (permit, change) = self.breaker.try_acquire(&self.settings, self.now);
                    self.note(change);
                    answers.push(if permit.is_some() { 'y' } else { 'n' });
                    self.held.extend(permit);
                }
                'r' => {
                    let permit = self.held.pop_front().unwrap_or(self.breaker.permit());
                    self.breaker.release(permit);
                }
                '+' => {
                    let mut ms = 0;
                    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                        ms = ms * 10 + u64::from(digit);
                        rest.next();
                    }
                    self.now = self.now.plus(Millis::new(ms));
                }
                _ => panic!("{step} in {script}"),
            }
        }
        answers
    }

    fn record(&mut self, failed: bool, ms: u64) {
        let permit = self.held.pop_front().unwrap_or(self.breaker.permit());
        self.report(permit, failed, ms);
    }

    fn report(&mut self, permit: Permit, failed: bool, ms: u64) {
        let call = Call { failed, duration: Millis::new(ms) };
        let change = self.breaker.record(&self.settings, self.now, permit, call);
        self.note(change);
    }

    fn tick(&mut self) {
        let change = self.breaker.tick(&self.settings, self.now);
        self.note(change);
    }

    fn note(&mut self, change: Option<Change>) {
        self.changes.extend(change.map(|c| (c.from, c.to)));
    }

    fn state(&self) -> State {
        self.breaker.state()
    }

    fn metrics(&self) -> Metrics {
        self.breaker.metrics(&self.settings, self.now)
    }

    fn buffered(&self) -> u32 {
        self.metrics().buffered
    }

    fn rate(&self) -> f32 {
        self.metrics().failure_rate
    }

    /// Runs a script and returns the state after it.
    fn then(&mut self, script: &str) -> State {
        self.run(script);
        self.state()
    }
}

// Windows and thresholds while closed

#[test]
fn c02_below_the_minimum_there_is_no_rate() {
    let mut rig = Rig::min(5);
    assert_eq!(rig.then("FFFF"), Closed);
    let expected = Metrics {
        buffered: 4,
        failed: 4,
        slow: 0,
        slow_failed: 0,
        failure_rate: -1.0,
        slow_call_rate: -1.0,
        not_permitted: 0,
    };
    assert_eq!(rig.metrics(), expected);
}

#[test]
fn c03_the_minimum_is_enough() {
    let mut rig = Rig::min(5);
    assert_eq!(rig.then("FFFFF"), Open);
    assert_eq!(rig.rate(), 100.0);
    assert_eq!(rig.changes, [(Closed, Open)]);
}

#[test]
fn c04_exactly_the_threshold_opens() {
    let mut rig = Rig::base();
    assert_eq!(rig.then("SFSFSFSFS"), Closed);
    assert_eq!(rig.then("F"), Open);
    assert_eq!(rig.rate(), 50.0);
}

#[test]
fn c05_below_the_threshold_stays_closed() {
    let mut rig = Rig::base();
    assert_eq!(rig.then("FFFFSSSSSS"), Closed);
    assert_eq!(rig.rate(), 40.0);
}

#[test]
fn c06_a_success_can_open() {
    let mut rig = Rig::min(5);
    assert_eq!(rig.then("FFFS"), Closed);
    assert_eq!(rig.then("S"), Open);
    assert_eq!(rig.rate(), 60.0);
}

#[test]
fn c07_a_count_window_bounds_the_minimum() {
    let mut rig = Rig::new(|s| {
        s.sliding_window_size = 5;
        s.minimum_number_of_calls = 100;
    });
    assert_eq!(rig.then("FFFF"), Closed);
    assert_eq!(rig.then("F"), Open);
}

#[test]
fn c08_one_call_can_be_enough() {
    assert_eq!(Rig::min(1).then("F"), Open);
}

#[test]
fn c09_before_the_window_is_full_the_rate_is_of_the_calls_seen() {
    let mut rig = Rig::min(5);
    assert_eq!(rig.then("SSSSSFFFF"), Closed);
    assert_eq!(rig.rate(), 44.444443);
    assert_eq!(rig.then("F"), Open);
    assert_eq!(rig.buffered(), 10);
}

#[test]
fn c10_the_oldest_call_leaves() {
    let mut rig = Rig::new(|s| {
        s.sliding_window_size = 4;
        s.minimum_number_of_calls = 4;
        s.failure_rate_threshold = 75.0;
    });
    for (script, rate) in [("FFSS", 50.0), ("S", 25.0), ("S", 0.0)] {
        assert_eq!(rig.then(script), Closed);
        assert_eq!((rig.rate(), rig.buffered()), (rate, 4), "{script}");
    }
}

#[test]
fn c11_rates_are_32_bit_floats() {
    for (threshold, state) in [(33.3, Open), (33.333332, Open), (33.34, Closed)] {
        let mut rig = Rig::new(|s| {
            s.sliding_window_size = 3;
            s.minimum_number_of_calls = 3;
            s.failure_rate_threshold = threshold;
        });
        assert_eq!(rig.then("FSS"), state, "{threshold}");
        assert_eq!(rig.rate(), 33.333332);
    }
}

#[test]
fn c12_a_threshold_of_100_needs_a_window_of_failures() {
    let mut rig = Rig::new(|s| s.failure_rate_threshold = 100.0);
    assert_eq!(rig.then("SFFFFFFFFF"), Closed);
    assert_eq!(rig.rate(), 90.0);
    assert_eq!(rig.then("F"), Open);
}

#[test]
fn c15_closed_never_limits_concurrency() {
    let mut rig = Rig::base();
    assert_eq!(rig.run(&"a".repeat(1000)), "y".repeat(1000));
    assert!(rig.held.iter().all(|permit| !permit.is_trial() && *permit == rig.breaker.permit()));
}

// Slow calls

#[test]
fn c16_slow_is_strictly_longer() {
    let mut rig = Rig::base();
    rig.record(false, 2000);
    assert_eq!(rig.metrics().slow, 0);
    rig.record(false, 2001);
    assert_eq!(rig.metrics().slow, 1);
}

#[test]
fn c17_slow_calls_alone_open() {
    let mut rig = Rig::new(|s| {
        s.sliding_window_size = 4;
        s.minimum_number_of_calls = 4;
        s.slow_call_rate_threshold = 50.0;
    });
    assert_eq!(rig.then("ssSS"), Open);
    assert_eq!((rig.rate(), rig.metrics().slow_call_rate), (0.0, 50.0));
    assert_eq!(rig.changes, [(Closed, Open)]);
}

#[test]
fn c18_a_slow_failure_counts_as_both() {
    let mut rig = Rig::base();
    rig.run("f");
    let m = rig.metrics();
    assert_eq!((m.buffered, m.failed, m.slow, m.slow_failed), (1, 1, 1, 1));
    rig.run("sF");
    let m = rig.metrics();
    assert_eq!((m.buffered, m.failed, m.slow, m.slow_failed), (3, 2, 2, 1));
}

#[test]
fn c19_both_thresholds_at_once_are_one_change() {
    let mut rig = Rig::new(|s| {
        s.sliding_window_size = 2;
        s.minimum_number_of_calls = 2;
        s.slow_call_rate_threshold = 50.0;
    });
    rig.run("ff");
    assert_eq!(rig.changes, [(Closed, Open)]);
}

#[test]
fn c20_the_default_slow_rate_needs_only_slow_calls() {
    let mut rig = Rig::base();
    assert_eq!(rig.then("Ssssssssss"), Closed);
    assert_eq!(rig.metrics().slow_call_rate, 90.0);
    assert_eq!(rig.then("s"), Open);
}

#[test]
fn c21_half_of_the_minimum_slow() {
    let mut rig = Rig::new(|s| {
        s.sliding_window_size = 4;
        s.minimum_number_of_calls = 2;
        s.slow_call_rate_threshold = 50.0;
        s.failure_rate_threshold = 100.0;
    });
    assert_eq!(rig.then("S"), Closed);
    assert_eq!(rig.then("s"), Open);
}

// Windows of time

#[test]
fn c22_a_time_window_opens_at_its_minimum() {
    let mut rig = Rig::timed(3);
    assert_eq!(rig.then("FF"), Closed);
    assert_eq!(rig.then("F"), Open);
    assert_eq!((rig.buffered(), rig.rate()), (3, 100.0));
}

#[test]
fn c23_a_time_window_does_not_bound_the_minimum() {
    let mut rig = Rig::timed(100);
    assert_eq!(rig.then(&"F".repeat(99)), Closed);
    assert_eq!(rig.then("F"), Open);
}

#[test]
fn c24_calls_leave_when_their_second_is_too_old() {
    let mut rig = Rig::timed(3);
    rig.run("F +4999");
    assert_eq!(rig.buffered(), 1);
    rig.run("+1");
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn c25_buckets_are_whole_seconds() {
    let mut rig = Rig::timed(3);
    rig.run("+900 F +4099");
    assert_eq!(rig.buffered(), 1);
    rig.run("+1");
    assert_eq!(rig.buffered(), 0, "after 4.1 s, as in Resilience4j");
}

#[test]
fn c26_reading_moves_the_window() {
    let mut rig = Rig::timed(3);
    rig.run("SSS");
    assert_eq!(rig.rate(), 0.0);
    rig.run("+5000");
    assert_eq!((rig.rate(), rig.buffered()), (-1.0, 0));
}

#[test]
fn c27_old_failures_do_not_add_up() {
    let mut rig = Rig::timed(3);
    assert_eq!(rig.then("FF +6000 F"), Closed);
    assert_eq!(rig.buffered(), 1);
}

#[test]
fn c28_reading_does_not_decide() {
    let mut rig = Rig::timed(3);
    rig.run("SSSS +3000 FFF");
    assert_eq!(rig.rate(), 42.857143);
    assert_eq!(rig.then("+2000"), Closed);
    rig.tick();
    assert_eq!((rig.rate(), rig.state()), (100.0, Closed));
    assert_eq!(rig.then("S"), Open);
    assert_eq!(rig.rate(), 75.0);
}

#[test]
fn c29_a_long_pause_empties_the_window() {
    let mut rig = Rig::timed(3);
    rig.run("SS +3600000 S");
    assert_eq!(rig.buffered(), 1);
}

#[test]
fn c30_a_clock_that_steps_back_loses_nothing() {
    let mut rig = Rig::timed(3);
    rig.run("+10000 SF");
    rig.now = Time::from_millis(8000);
    assert_eq!(rig.buffered(), 2);
    // Ours: what lies ahead joins the present second, so that it cannot stay for ever.
    rig.run("S +4999");
    assert_eq!(rig.buffered(), 3);
    rig.run("+1");
    assert_eq!(rig.buffered(), 0);
}

// Open

#[test]
fn c31_open_refuses_and_stays_readable() {
    let mut rig = Rig::min(2);
    assert_eq!(rig.run("FFa"), "n");
    let m = rig.metrics();
    assert_eq!((m.not_permitted, m.buffered, m.failure_rate), (1, 2, 100.0));
}

#[test]
fn c33_without_automatic_transition_the_wait_ends_strictly_after() {
    let mut rig = Rig::min(2);
    assert_eq!(rig.run("FF +5000 a +1 a"), "ny");
    assert_eq!(rig.changes, [(Closed, Open), (Open, HalfOpen)]);
}

#[test]
fn c33_with_automatic_transition_it_ends_at_the_wait() {
    // Deviation: Resilience4j's timer runs beside its clock; here a decision at the wait ends it.
    let mut rig = Rig::min(2);
    rig.settings.automatic_transition_from_open_to_half_open = true;
    assert_eq!(rig.run("FF +4999 a +1 a"), "ny");
    assert!(rig.held.iter().all(|permit| permit.is_trial()));
}

#[test]
fn c34_reading_does_not_end_the_wait() {
    let mut rig = Rig::min(2);
    assert_eq!(rig.then(&format!("FF {DAY}")), Open);
    assert!(rig.breaker.trial_available(&rig.settings, rig.now));
    rig.tick();
    assert_eq!(rig.state(), Open, "without automatic transition a tick does not, either");
}

#[test]
fn c35_the_call_that_ends_the_wait_uses_a_permit() {
    let mut rig = Rig::min(2);
    assert_eq!(rig.run(&format!("FF {DAY} aaaa")), "yyyn");
}

#[test]
fn c36_half_open_begins_with_fresh_metrics() {
    let mut rig = Rig::min(2);
    assert_eq!(rig.run(&format!("FFaa {DAY} aaaa")), "nnyyyn");
    let m = rig.metrics();
    assert_eq!((rig.state(), m.buffered, m.failure_rate, m.not_permitted), (HalfOpen, 0, -1.0, 1));
}

#[test]
fn c37_open_records_but_never_decides() {
    // Calls made in spite of the open state (a degraded choice) carry the open state's permit.
    let mut rig = Rig::min(2);
    assert_eq!(rig.then("FF SSSSSSSS"), Open);
    assert_eq!((rig.buffered(), rig.rate()), (10, 20.0));
    assert_eq!(rig.changes, [(Closed, Open)]);
}

#[test]
fn c37_open_ignores_calls_that_began_while_closed() {
    // Deviation: in Resilience4j the row's late results, from calls of the closed state, count.
    let mut rig = Rig::min(2);
    assert_eq!(rig.run("aaaaaaaaaa FF SSSSSSSS"), "y".repeat(10));
    assert_eq!((rig.state(), rig.buffered(), rig.rate()), (Open, 2, 100.0));
}

#[test]
fn c37_open_after_half_open_records_in_the_window_of_the_trials() {
    let mut rig = Rig::half_open(|_| {});
    assert_eq!(rig.then("aFaFaF S"), Open);
    assert_eq!((rig.buffered(), rig.metrics().failed), (3, 2));
}

#[test]
fn c38_automatic_transition_needs_no_call() {
    // Of the row, Resilience4j's own scheduler does not exist here: a tick takes its place.
    let mut rig = Rig::min(2);
    rig.settings.automatic_transition_from_open_to_half_open = true;
    rig.settings.wait_duration_in_open_state = Millis::new(150);
    rig.run("FF +149");
    rig.tick();
    assert_eq!(rig.state(), Open);
    rig.run("+1");
    rig.tick();
    assert_eq!((rig.state(), rig.buffered()), (HalfOpen, 0));
    assert_eq!(rig.changes, [(Closed, Open), (Open, HalfOpen)]);
    assert_eq!(rig.run("aaaa"), "yyyn", "the transition itself used no permit");
}

#[test]
fn c39_automatic_transition_also_happens_at_a_call() {
    let mut rig = Rig::min(2);
    rig.settings.automatic_transition_from_open_to_half_open = true;
    rig.settings.wait_duration_in_open_state = Millis::from_secs(30);
    assert_eq!(rig.run("FF +30001 a"), "y");
    assert_eq!(rig.changes, [(Closed, Open), (Open, HalfOpen)]);
}

#[test]
fn c40_opening_again_restarts_the_wait() {
    let mut rig = Rig::min(2);
    rig.run("FF +3000");
    assert_eq!(rig.breaker.force_open(rig.now), None);
    assert_eq!(rig.run("+3000 a +2001 a"), "ny");
}

#[test]
fn c45_a_release_while_open_does_nothing() {
    let mut rig = Rig::min(2);
    assert_eq!(rig.run("FF rrrr +5001 aaaa"), "yyyn");
}

#[test]
fn c46_a_refusal_is_not_a_failure() {
    let mut rig = Rig::min(2);
    assert_eq!(rig.run("FF aaa"), "nnn");
    assert_eq!((rig.metrics().not_permitted, rig.buffered()), (3, 2));
}

// Half-open

#[test]
fn c47_failed_trials_open_again() {
    let mut rig = Rig::half_open(|_| {});
    assert_eq!(rig.then("aFaF"), HalfOpen);
    assert_eq!(rig.rate(), -1.0);
    assert_eq!(rig.then("aF"), Open);
    assert_eq!((rig.buffered(), rig.rate()), (3, 100.0));
    assert_eq!(rig.changes, [(HalfOpen, Open)]);
}

#[test]
fn c48_good_trials_close_with_an_empty_window() {
    let mut rig = Rig::half_open(|_| {});
    assert_eq!(rig.then("aSaSaS"), Closed);
    assert_eq!((rig.buffered(), rig.rate()), (0, -1.0));
    assert_eq!(rig.changes, [(HalfOpen, Closed)]);
}

#[test]
fn c49_trials_below_the_threshold_close() {
    assert_eq!(Rig::half_open(|_| {}).then("aFaSaS"), Closed);
}

#[test]
fn c50_trials_at_the_threshold_open() {
    let mut rig = Rig::half_open(|s| s.permitted_number_of_calls_in_half_open_state = 4);
    assert_eq!(rig.then("aFaFaS"), HalfOpen);
    assert_eq!(rig.then("aS"), Open);
    assert_eq!(rig.rate(), 50.0);
}

#[test]
fn c51_the_minimum_decides_if_it_is_less_than_the_permits() {
    for (script, state) in [("aSaS", Closed), ("aFaS", Open)] {
        let mut rig = Rig::half_open(|s| {
            s.minimum_number_of_calls = 2;
            s.permitted_number_of_calls_in_half_open_state = 5;
        });
        assert_eq!(rig.then(script), state, "{script}");
    }
}

#[test]
fn c52_all_permits_are_given_though_fewer_results_decide() {
    let mut rig = Rig::half_open(|s| {
        s.minimum_number_of_calls = 3;
        s.permitted_number_of_calls_in_half_open_state = 7;
    });
    assert_eq!(rig.run("aaaaaaaa"), "yyyyyyyn");
    assert_eq!(rig.then("SS"), HalfOpen);
    assert_eq!(rig.then("S"), Closed);
}

#[test]
fn c53_the_permits_bound_the_minimum() {
    let mut rig = Rig::half_open(|s| {
        s.minimum_number_of_calls = 100;
        s.permitted_number_of_calls_in_half_open_state = 1;
    });
    assert_eq!(rig.then("aS"), Closed);
}

#[test]
fn c54_slow_trials_open_again() {
    let mut rig = Rig::half_open(|s| {
        s.permitted_number_of_calls_in_half_open_state = 4;
        s.slow_call_rate_threshold = 75.0;
    });
    assert_eq!(rig.then("asasasaS"), Open);
    assert_eq!((rig.rate(), rig.metrics().slow_call_rate), (0.0, 75.0));
}

#[test]
fn c55_the_half_open_window_is_of_calls_whatever_the_type() {
    let mut rig = Rig::half_open(|s| s.sliding_window_type = SlidingWindowType::TimeBased);
    assert_eq!(rig.then("aF +60000 aF +60000"), HalfOpen);
    assert_eq!(rig.buffered(), 2);
    assert_eq!(rig.then("aS"), Open);
    assert_eq!(rig.buffered(), 3);
}

#[test]
fn c56_trials_that_are_never_reported_come_back() {
    // Deviation: in Resilience4j the breaker is stuck for ever.
    let mut rig = Rig::half_open(|_| {});
    assert_eq!(rig.run("aaa +29999 a"), "yyyn");
    assert!(!rig.breaker.trial_available(&rig.settings, rig.now));
    rig.run("+1");
    assert!(rig.breaker.trial_available(&rig.settings, rig.now));
    assert_eq!(rig.run("aaaa"), "yyyn");
    assert_eq!(rig.then("FFF"), HalfOpen, "the lost trials' own late results are ignored");
    assert_eq!(rig.then("FFF"), Open);
}

#[test]
fn c57_half_open_that_lasts_too_long_opens() {
    // Of the row, only the way to OPEN exists here.
    let mut rig = Rig::half_open(|s| s.max_wait_duration_in_half_open_state = Millis::new(150));
    rig.tick();
    rig.run("+149");
    rig.tick();
    assert_eq!(rig.state(), HalfOpen);
    rig.run("+1");
    assert!(!rig.breaker.trial_available(&rig.settings, rig.now));
    rig.tick();
    assert_eq!(rig.state(), Open);
    assert_eq!(rig.run("+5000 a +1 a"), "ny", "with the whole wait ahead");
}

#[test]
fn c57_a_call_notices_it_as_a_tick_does() {
    let mut rig = Rig::min(2);
    rig.settings.max_wait_duration_in_half_open_state = Millis::new(150);
    assert_eq!(rig.run("FF +5001 a +150 a"), "yn");
    assert_eq!(rig.changes, [(Closed, Open), (Open, HalfOpen), (HalfOpen, Open)]);
}

#[test]
fn c59_leaving_half_open_ends_its_wait() {
    let mut rig = Rig::half_open(|s| s.max_wait_duration_in_half_open_state = Millis::new(200));
    assert_eq!(rig.then("aSaSaS +500"), Closed);
    rig.tick();
    assert_eq!(rig.state(), Closed);
}

#[test]
fn c60_a_failed_trial_round_is_one_change() {
    let mut rig = Rig::half_open(|_| {});
    rig.run("aaaFFF");
    assert_eq!(rig.changes, [(HalfOpen, Open)]);
}

/// Permitted 1, min 2: one call of the closed state is still out, the probe has begun.
fn straggler_and_probe() -> (Rig, Permit, Permit) {
    let mut rig = Rig::min(2);
    rig.settings.permitted_number_of_calls_in_half_open_state = 1;
    assert_eq!(rig.run("aaa FF +5001 a"), "yyyy");
    assert_eq!(rig.state(), HalfOpen);
    let straggler = rig.held.pop_front().unwrap();
    let probe = rig.held.pop_front().unwrap();
    (rig, straggler, probe)
}

#[test]
fn c61_a_stale_failure_does_not_open() {
    // Deviation: in Resilience4j it opens before the probe has answered.
    let (mut rig, straggler, probe) = straggler_and_probe();
    rig.report(straggler, true, 0);
    assert_eq!((rig.state(), rig.buffered()), (HalfOpen, 0));
    rig.report(probe, false, 0);
    assert_eq!(rig.state(), Closed);
}

#[test]
fn c62_a_stale_success_does_not_close() {
    // Deviation: in Resilience4j it closes, and the probe's failure counts in the new window.
    let (mut rig, straggler, probe) = straggler_and_probe();
    rig.report(straggler, false, 0);
    assert_eq!((rig.state(), rig.buffered()), (HalfOpen, 0));
    rig.report(probe, true, 0);
    assert_eq!(rig.state(), Open);
}

#[test]
fn c63_a_late_result_does_not_move_the_open_state() {
    // Deviation: in Resilience4j it is recorded (buffered 3).
    let mut rig = Rig::min(2);
    assert_eq!(rig.then("aaa FF S"), Open);
    assert_eq!(rig.buffered(), 2);
}

#[test]
fn c63_nor_does_a_late_trial() {
    let mut rig = Rig::half_open(|s| s.minimum_number_of_calls = 2);
    assert_eq!(rig.then("aaa FF S"), Open);
    assert_eq!(rig.buffered(), 2);
}

#[test]
fn c64_a_release_gives_back_only_what_was_given() {
    // Deviation: in Resilience4j a release without a permit adds one.
    let mut rig = Rig::half_open(|_| {});
    assert_eq!(rig.run("r aaaaa"), "yyynn");
    let trial = rig.held.pop_front().unwrap();
    rig.breaker.release(trial);
    rig.breaker.release(trial);
    assert_eq!(rig.run("aa"), "yn", "nor does a second release of the same");
    let trial = rig.held.pop_front().unwrap();
    rig.report(trial, true, 0);
    rig.report(trial, true, 0);
    rig.breaker.release(trial);
    assert_eq!(rig.buffered(), 1, "nor counts a second report");
    assert_eq!(rig.run("a"), "n");
}

#[test]
fn c65_a_stale_release_adds_no_permit() {
    // Deviation: in Resilience4j an extra permit leaks.
    let (mut rig, straggler, _probe) = straggler_and_probe();
    rig.breaker.release(straggler);
    assert_eq!(rig.run("a"), "n");
}

#[test]
fn c66_an_ignored_trial_gives_its_permit_back() {
    let mut rig = Rig::half_open(|_| {});
    assert_eq!(rig.run("aaa a r a"), "yyyny");
    assert_eq!((rig.buffered(), rig.metrics().not_permitted), (0, 1));
}

#[test]
fn c67_results_of_one_half_open_state_do_not_reach_the_next() {
    let mut rig = Rig::half_open(|_| {});
    rig.run("aF");
    assert_eq!(rig.breaker.force_open(rig.now), Some(Change { from: HalfOpen, to: Open }));
    assert_eq!(rig.buffered(), 1);
    assert_eq!(rig.run("+5001 a"), "y");
    assert_eq!((rig.state(), rig.buffered()), (HalfOpen, 0));
}

#[test]
fn c68_half_open_again_begins_anew() {
    let mut rig = Rig::half_open(|_| {});
    rig.run("aF");
    assert_eq!(rig.breaker.force_half_open(), None);
    assert_eq!(rig.buffered(), 0);
    assert_eq!(rig.run("aaaa"), "yyyn");
}

#[test]
fn c69_the_first_trial_is_one_change() {
    let mut rig = Rig::base();
    rig.breaker.force_open(rig.now);
    rig.run("+5001 a");
    assert_eq!(rig.changes, [(Open, HalfOpen)]);
}

// What counts

#[test]
fn c70_an_ignored_call_is_not_recorded() {
    let mut rig = Rig::min(1);
    assert_eq!(rig.then("a r"), Closed);
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn c73_a_bad_answer_counts_as_the_caller_says() {
    let mut rig = Rig::min(1);
    assert_eq!(rig.then("S"), Closed);
    assert_eq!(rig.then("F"), Open);
    assert_eq!(rig.rate(), 50.0);
}

#[test]
fn c76_results_without_a_permit_count_in_half_open() {
    // Here: of degraded choices, which record but take no permit.
    let mut rig = Rig::half_open(|s| s.minimum_number_of_calls = 2);
    assert_eq!(rig.then("SS"), Closed);
}

// By hand

#[test]
fn c80_closed_cannot_become_half_open() {
    // Of the pairs, those between our three states; all others are allowed.
    let at = |state| {
        let mut breaker = Breaker::default();
        if state != Closed {
            breaker.force_open(Time::ZERO);
        }
        if state == HalfOpen {
            breaker.force_half_open();
        }
        assert_eq!(breaker.state(), state);
        breaker
    };
    for from in [Closed, HalfOpen, Open] {
        for to in [Closed, HalfOpen, Open] {
            let mut breaker = at(from);
            let change = match to {
                Closed => breaker.reset(),
                HalfOpen => breaker.force_half_open(),
                Open => breaker.force_open(Time::ZERO),
            };
            let allowed = (from, to) != (Closed, HalfOpen);
            assert_eq!(breaker.state(), if allowed { to } else { from });
            assert_eq!(change, (allowed && from != to).then_some(Change { from, to }));
        }
    }
}

#[test]
fn c81_closing_the_closed_clears_it() {
    let mut rig = Rig::base();
    rig.run("SF");
    assert_eq!(rig.breaker.reset(), None);
    assert_eq!((rig.state(), rig.buffered()), (Closed, 0));
}

#[test]
fn c82_reset_closes_and_clears() {
    let mut rig = Rig::min(2);
    rig.run("FFa");
    let generation = rig.breaker.generation();
    assert_eq!(rig.breaker.reset(), Some(Change { from: Open, to: Closed }));
    assert_eq!((rig.buffered(), rig.metrics().not_permitted), (0, 0));
    assert_eq!(rig.breaker.reset(), None);
    assert_ne!(rig.breaker.generation(), generation);
}

#[test]
fn c84_a_breaker_may_begin_open_or_half_open() {
    let mut rig = Rig::base();
    rig.breaker.force_open(rig.now);
    assert_eq!(rig.run("a"), "n");
    rig.run("SF");
    assert_eq!(rig.buffered(), 2, "it records, too");
    rig.breaker.force_half_open();
    assert_eq!(rig.run("a"), "y");
}

#[test]
fn c85_reset_forgets_the_wait() {
    // Deviation: in Resilience4j the first trip's timer ends the second trip's wait.
    let mut rig = Rig::min(2);
    rig.settings.automatic_transition_from_open_to_half_open = true;
    rig.settings.wait_duration_in_open_state = Millis::new(400);
    rig.run("FF +250");
    rig.breaker.reset();
    rig.run("FF +250");
    rig.tick();
    assert_eq!(rig.state(), Open);
    rig.run("+149");
    rig.tick();
    assert_eq!(rig.state(), Open);
    rig.run("+1");
    rig.tick();
    assert_eq!(rig.state(), HalfOpen);
}

// Ours alone

#[test]
fn a_smaller_window_keeps_its_newest_calls() {
    let mut rig = Rig::new(|s| s.failure_rate_threshold = 100.0);
    rig.run("SSSFFFFFFFSSFF");
    rig.settings.sliding_window_size = 5;
    rig.run("S");
    let m = rig.metrics();
    assert_eq!((m.buffered, m.failed, m.failure_rate), (5, 2, 40.0), "SSFF and the new S");
}

#[test]
fn a_larger_window_keeps_its_calls_and_their_order() {
    let mut rig = Rig::new(|s| {
        s.sliding_window_size = 3;
        s.failure_rate_threshold = 100.0;
    });
    rig.run("SSFFS"); // holds F F S, with the ring turned
    rig.settings.sliding_window_size = 4;
    for (script, buffered, failed) in [("S", 4, 2), ("S", 4, 1), ("S", 4, 0)] {
        rig.run(script);
        let m = rig.metrics();
        assert_eq!((m.buffered, m.failed), (buffered, failed));
    }
}

#[test]
fn a_shorter_time_window_drops_its_oldest_seconds() {
    let mut rig = Rig::timed(100);
    rig.run("FF +2000 F +1000 F");
    rig.settings.sliding_window_size = 2;
    rig.run("S");
    assert_eq!((rig.buffered(), rig.metrics().failed), (3, 2));
}

#[test]
fn another_type_of_window_begins_empty() {
    let mut rig = Rig::base();
    rig.run("FFFF");
    rig.settings.sliding_window_type = SlidingWindowType::TimeBased;
    rig.run("S");
    assert_eq!((rig.buffered(), rig.metrics().failed), (1, 0));
    rig.settings.sliding_window_type = SlidingWindowType::CountBased;
    rig.run("F");
    assert_eq!((rig.buffered(), rig.metrics().failed), (1, 1));
}

#[test]
fn fewer_permits_in_the_midst_of_half_open_decide_by_what_is_there() {
    let mut rig = Rig::half_open(|s| s.permitted_number_of_calls_in_half_open_state = 5);
    rig.run("aSaSaS");
    rig.settings.permitted_number_of_calls_in_half_open_state = 2;
    assert_eq!(rig.run("a"), "y");
    assert_eq!(rig.changes, [(HalfOpen, Closed)]);
}

#[test]
fn a_clock_that_steps_back_does_not_prolong_the_wait() {
    let mut rig = Rig::min(2);
    rig.run("+1000000 FF");
    rig.now = Time::from_millis(1000);
    assert_eq!(rig.run("a +5001 a"), "ny");
}

#[test]
fn state_words_and_gauges() {
    let words = [(Closed, "closed", 0), (HalfOpen, "half_open", 1), (Open, "open", 2)];
    for (state, word, gauge) in words {
        assert_eq!((state.as_str(), state.gauge()), (word, gauge));
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{word}\""));
    }
}

#[test]
fn the_stored_form_is_small() {
    let mut rig = Rig::new(|s| {
        s.failure_rate_threshold = 100.0;
        s.slow_call_rate_threshold = 101.0;
    });
    let size = |rig: &Rig| postcard::to_allocvec(&rig.breaker).unwrap().len();
    rig.now = Time::from_millis(1 << 41); // the clock of a machine up for 70 years, or the calendar's
    rig.run("FsFfSsFSSF FSfSFFSSsS");
    assert_eq!(rig.buffered(), 10);
    assert!(size(&rig) <= 16, "closed: {}", size(&rig));
    rig.breaker.force_open(rig.now);
    rig.run("+5001 aaa");
    assert!(size(&rig) <= 48, "half-open, all trials out: {}", size(&rig));
    rig.breaker.reset();
    rig.settings.sliding_window_size = 1000;
    rig.settings.minimum_number_of_calls = 1000;
    rig.run(&"sF".repeat(600));
    assert!(size(&rig) <= 270, "a thousand calls: {}", size(&rig));
}
