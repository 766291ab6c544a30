//! The circuit breaker: when live traffic alone takes a region out, and how it comes back.
//!
//! Resilience4j's semantics (2.4.0), case by case in `tests/breaker_cases.rs`. What is different
//! is so on purpose, and mends what its users run into:
//!
//! - Every permit carries the **generation** it was given in. The result of a call that began in an
//!   earlier state is ignored; there, a straggler can open or close the half-open state.
//! - A trial's permit comes back **at most once**; there, each release adds one.
//! - A trial that is never reported gives its permit back after `permission_timeout`; there, lost
//!   trials block the half-open state for ever.
//! - `reset` forgets the waits that were running; there, their timers fire into the next state.
//! - Without timers, a wait with automatic transition ends at the first tick or decision at or
//!   after it. Without automatic transition it ends strictly after, as there.
//!
//! The settings are an argument, not a part: they may change under a live breaker, which adapts at
//! the next record or tick. Any stored state is safe to load: at worst the breaker starts a wait anew.

mod trials;
mod window;

use crate::settings::CircuitBreaker;
use crate::time::{Millis, Time};
use serde::{Deserialize, Serialize};
use trials::Trials;
use window::{Counts, Outcome, Window};

/// What the breaker lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Every call.
    #[default]
    Closed,
    /// A few trial calls, whose results decide.
    HalfOpen,
    /// No call.
    Open,
}

impl State {
    /// The word for logs, replay and transitions: `closed`, `half_open` or `open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::HalfOpen => "half_open",
            State::Open => "open",
        }
    }

    /// The value of `evenkeel_breaker_state`: 0 closed, 1 half-open, 2 open.
    pub const fn gauge(self) -> u64 {
        match self {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        }
    }
}

/// The leave to make one call, to be handed back with [`Breaker::record`] or [`Breaker::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    generation: u32,
    trial: Option<u32>,
}

impl Permit {
    /// True if the call is one of the half-open state's trials.
    pub const fn is_trial(self) -> bool {
        self.trial.is_some()
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// True if it counts as a failure.
    pub failed: bool,
    /// How long it took; slow if longer than `slow_call_duration_threshold`.
    pub duration: Millis,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The state that ended.
    pub from: State,
    /// The state that began; never the same.
    pub to: State,
}

/// What the present window says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Calls in the window.
    pub buffered: u32,
    /// Of these, failed.
    pub failed: u32,
    /// Of these, slow.
    pub slow: u32,
    /// Of these, both slow and failed.
    pub slow_failed: u32,
    /// Failed calls in per cent; -1 while there are too few calls.
    pub failure_rate: f32,
    /// Slow calls in per cent; -1 while there are too few calls.
    pub slow_call_rate: f32,
    /// Calls turned away since the window began.
    pub not_permitted: u32,
}

/// One region's circuit breaker. By default closed and empty.
///
/// Workers share it in serialised form: a dozen bytes and two bits for each call of the window, or
/// some ten bytes for each second of a time-based one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breaker {
    state: State,
    generation: u32,
    /// When the open or half-open state began; zero while closed, where nothing waits.
    since: Time,
    not_permitted: u32,
    window: Window,
    trials: Trials,
}

impl Breaker {
    /// The present state. Reading it changes nothing, even when a wait is over.
    pub fn state(&self) -> State {
        self.state
    }

    /// When the open state's wait ends; none in the other states.
    pub fn trials_begin(&self, settings: &CircuitBreaker) -> Option<Time> {
        (self.state == State::Open).then(|| self.since.plus(settings.wait_duration_in_open_state))
    }

    /// A number that changes with every change of state and every reset.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The permit of a call that is made now without asking. While closed it is what
    /// [`try_acquire`](Self::try_acquire) gives; otherwise its result is recorded in the present
    /// state, but it holds none of the half-open state's permits.
    pub fn permit(&self) -> Permit {
        Permit { generation: self.generation, trial: None }
    }

    /// Lets time act: the automatic end of the open state, trials that were never reported, and the
    /// longest wait in the half-open state.
    pub fn tick(&mut self, settings: &CircuitBreaker, now: Time) -> Option<Change> {
        // A start that lies ahead (a clock that stepped back) would make the wait endless.
        self.since = self.since.min(now);
        match self.state {
            State::Closed => None,
            State::Open if settings.automatic_transition_from_open_to_half_open => {
                if self.wait_is_over(settings, now) { self.enter(State::HalfOpen, now) } else { None }
            }
            State::Open => None,
            State::HalfOpen if self.lasts_too_long(settings, now) => self.enter(State::Open, now),
            State::HalfOpen => {
                self.trials.expire(now, settings.permission_timeout);
                // Changed settings may make the results at hand enough, with no permit left to
                // bring another one.
                self.window.fit_calls(permitted(settings));
                self.decide(settings, now, self.window.counts(now))
            }
        }
    }

    /// Whether [`try_acquire`](Self::try_acquire) would give a trial's permit now.
    pub fn trial_available(&self, settings: &CircuitBreaker, now: Time) -> bool {
        match self.state {
            State::Closed => false,
            State::Open => self.wait_is_over(settings, now),
            State::HalfOpen => {
                !self.lasts_too_long(settings, now)
                    && self.window.counts(now).calls < enough_trials(settings)
                    && self.free_trials(settings, now) > 0
            }
        }
    }

    /// Asks for leave to make a call. The call that ends the open state is the first trial.
    pub fn try_acquire(&mut self, settings: &CircuitBreaker, now: Time) -> (Option<Permit>, Option<Change>) {
        if self.state == State::Closed {
            return (Some(self.permit()), None);
        }
        let mut change = self.tick(settings, now);
        if change.is_none() && self.state == State::Open && self.wait_is_over(settings, now) {
            change = self.enter(State::HalfOpen, now);
        }
        let permit = match self.state {
            State::Closed => Some(self.permit()),
            State::HalfOpen if self.free_trials(settings, now) > 0 => {
                let trial = self.trials.give(now);
                Some(Permit { trial: Some(trial), ..self.permit() })
            }
            State::HalfOpen | State::Open => {
                self.not_permitted = self.not_permitted.saturating_add(1);
                None
            }
        };
        (permit, change)
    }

    /// Gives a permit back without a result: the call's outcome is to be ignored.
    pub fn release(&mut self, permit: Permit) {
        if let Some(trial) = permit.trial
            && permit.generation == self.generation
        {
            self.trials.take_back(trial);
        }
    }

    /// Records how a call ended. Ignored if its permit is of another generation, or of a trial that
    /// was reported before or has timed out. In the open state it is recorded and decides nothing.
    pub fn record(
        &mut self,
        settings: &CircuitBreaker,
        now: Time,
        permit: Permit,
        call: Call,
    ) -> Option<Change> {
        if permit.generation != self.generation {
            return None;
        }
        if let Some(trial) = permit.trial
            && !self.trials.take_back(trial)
        {
            return None;
        }
        let outcome =
            Outcome { failed: call.failed, slow: call.duration > settings.slow_call_duration_threshold };
        match self.state {
            State::Closed => {
                self.window.fit(settings);
                let counts = self.window.push(now, outcome);
                let enough = self.window.minimum(settings.minimum_number_of_calls);
                if counts.calls >= enough && trips(settings, counts) {
                    self.enter(State::Open, now)
                } else {
                    None
                }
            }
            State::HalfOpen => {
                self.window.fit_calls(permitted(settings));
                let counts = self.window.push(now, outcome);
                self.decide(settings, now, counts)
            }
            State::Open => {
                // The window is the one that tripped; only a breaker that began open has none yet.
                if self.window.has_no_size() {
                    self.window.fit(settings);
                }
                self.window.push(now, outcome);
                None
            }
        }
    }

    /// Closes the breaker and forgets everything, running waits included.
    pub fn reset(&mut self) -> Option<Change> {
        self.enter(State::Closed, Time::ZERO)
    }

    /// Opens the breaker by hand. If it is open, its wait begins anew.
    pub fn force_open(&mut self, now: Time) -> Option<Change> {
        self.enter(State::Open, now)
    }

    /// Makes an open breaker half-open by hand; a half-open one begins anew. A closed breaker stays
    /// as it is: Resilience4j forbids that transition.
    pub fn force_half_open(&mut self) -> Option<Change> {
        match self.state {
            State::Closed => None,
            // The state begins when time is next heard of.
            State::HalfOpen | State::Open => self.enter(State::HalfOpen, Time::from_millis(u64::MAX)),
        }
    }

    /// What the present window says at `now`. Reading decides nothing.
    pub fn metrics(&self, settings: &CircuitBreaker, now: Time) -> Metrics {
        let counts = self.window.counts(now);
        let enough = counts.calls >= self.window.minimum(settings.minimum_number_of_calls);
        let rate = |part| if enough { per_cent(part, counts.calls) } else { -1.0 };
        Metrics {
            buffered: counts.calls,
            failed: counts.failed,
            slow: counts.slow,
            slow_failed: counts.slow_failed,
            failure_rate: rate(counts.failed),
            slow_call_rate: rate(counts.slow),
            not_permitted: self.not_permitted,
        }
    }

    fn wait_is_over(&self, settings: &CircuitBreaker, now: Time) -> bool {
        let waited = now.since(self.since);
        if settings.automatic_transition_from_open_to_half_open {
            waited >= settings.wait_duration_in_open_state
        } else {
            waited > settings.wait_duration_in_open_state
        }
    }

    fn lasts_too_long(&self, settings: &CircuitBreaker, now: Time) -> bool {
        let longest = settings.max_wait_duration_in_half_open_state;
        longest > Millis::ZERO && now.since(self.since) >= longest
    }

    /// Permits left to give. A result uses its permit up: it stays in the window until the state
    /// ends. The results that decide are never more than the permits, so one is always left, or out
    /// and bound to come back, until the decision.
    fn free_trials(&self, settings: &CircuitBreaker, now: Time) -> u32 {
        permitted(settings)
            .saturating_sub(self.window.counts(now).calls)
            .saturating_sub(self.trials.out(now, settings.permission_timeout))
    }

    /// Ends the half-open state once there are results enough.
    fn decide(&mut self, settings: &CircuitBreaker, now: Time, counts: Counts) -> Option<Change> {
        if counts.calls < enough_trials(settings) {
            None
        } else if trips(settings, counts) {
            self.enter(State::Open, now)
        } else {
            self.enter(State::Closed, Time::ZERO)
        }
    }

    /// Every state begins here. The open state keeps the window that led to it readable.
    fn enter(&mut self, to: State, since: Time) -> Option<Change> {
        let from = std::mem::replace(&mut self.state, to);
        self.generation = self.generation.wrapping_add(1);
        self.since = since;
        self.trials = Trials::default();
        if to != State::Open {
            self.window = Window::default();
            self.not_permitted = 0;
        }
        (from != to).then_some(Change { from, to })
    }
}

fn permitted(settings: &CircuitBreaker) -> u32 {
    settings.permitted_number_of_calls_in_half_open_state.max(1)
}

/// The results that decide the half-open state: the minimum number of calls, if that is less than
/// the permits (C51; upstream's words say otherwise in places, its code does this).
fn enough_trials(settings: &CircuitBreaker) -> u32 {
    settings.minimum_number_of_calls.min(permitted(settings)).max(1)
}

fn trips(settings: &CircuitBreaker, counts: Counts) -> bool {
    per_cent(counts.failed, counts.calls) >= settings.failure_rate_threshold
        || per_cent(counts.slow, counts.calls) >= settings.slow_call_rate_threshold
}

/// In 32 bits and in this order of operations, so that borders fall where Resilience4j's do (C11).
fn per_cent(part: u32, whole: u32) -> f32 {
    part as f32 * 100.0 / whole as f32
}
