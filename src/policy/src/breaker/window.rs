//! What a breaker remembers of past calls: the last calls, or the calls of the last seconds.
//!
//! Running totals make a record cheap whatever the window's size; they are not stored but counted
//! anew when a window is read back, so stored bytes cannot contradict themselves.

use crate::settings::{CircuitBreaker, SlidingWindowType};
use crate::time::{Millis, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// One call as a window keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub failed: bool,
    pub slow: bool,
}

impl Outcome {
    fn from_bits(bits: u8) -> Self {
        Outcome { failed: bits & 1 != 0, slow: bits & 2 != 0 }
    }

    fn to_bits(self) -> u8 {
        u8::from(self.failed) | u8::from(self.slow) << 1
    }
}

/// How many calls of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub calls: u32,
    pub failed: u32,
    pub slow: u32,
    pub slow_failed: u32,
}

impl Counts {
    fn of(outcome: Outcome) -> Self {
        Counts {
            calls: 1,
            failed: outcome.failed.into(),
            slow: outcome.slow.into(),
            slow_failed: (outcome.failed && outcome.slow).into(),
        }
    }

    fn add(&mut self, other: Counts) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failed = self.failed.saturating_add(other.failed);
        self.slow = self.slow.saturating_add(other.slow);
        self.slow_failed = self.slow_failed.saturating_add(other.slow_failed);
    }

    fn remove(&mut self, other: Counts) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.failed = self.failed.saturating_sub(other.failed);
        self.slow = self.slow.saturating_sub(other.slow);
        self.slow_failed = self.slow_failed.saturating_sub(other.slow_failed);
    }

    /// Of stored counts, the part that can be true: no kind outnumbers the calls.
    fn credible(self) -> Self {
        let (failed, slow) = (self.failed.min(self.calls), self.slow.min(self.calls));
        Counts { failed, slow, slow_failed: self.slow_failed.min(failed).min(slow), ..self }
    }
}

/// A breaker's window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Window {
    Calls(Calls),
    Seconds(Seconds),
}

/// Empty and without a size: it takes the one that applies when the first call is recorded.
impl Default for Window {
    fn default() -> Self {
        Window::Calls(Calls::default())
    }
}

impl Window {
    /// Takes the type and size that the settings ask of the closed state. A smaller window keeps
    /// its newest calls; one of another type begins empty, for the two remember different things.
    pub fn fit(&mut self, settings: &CircuitBreaker) {
        let size = settings.sliding_window_size.max(1);
        match (settings.sliding_window_type, &mut *self) {
            (SlidingWindowType::CountBased, _) => self.fit_calls(size),
            (SlidingWindowType::TimeBased, Window::Seconds(seconds)) => seconds.size = size,
            (SlidingWindowType::TimeBased, Window::Calls(_)) => {
                *self = Window::Seconds(Seconds { size, ..Seconds::default() });
            }
        }
    }

    /// Becomes a window of the last `size` calls: the half-open state's, whatever the type (C55).
    pub fn fit_calls(&mut self, size: u32) {
        if matches!(self, Window::Seconds(_)) {
            *self = Window::default();
        }
        if let Window::Calls(calls) = self {
            calls.fit(size.max(1));
        }
    }

    /// True until the first [`fit`](Self::fit).
    pub fn has_no_size(&self) -> bool {
        matches!(self, Window::Calls(calls) if calls.size == 0)
    }

    /// Adds a call and returns what the window then holds.
    pub fn push(&mut self, now: Time, outcome: Outcome) -> Counts {
        match self {
            Window::Calls(calls) => calls.push(outcome),
            Window::Seconds(seconds) => seconds.push(second_of(now), outcome),
        }
    }

    /// What the window holds at `now`.
    pub fn counts(&self, now: Time) -> Counts {
        match self {
            Window::Calls(calls) => calls.counts,
            Window::Seconds(seconds) => seconds.counts(second_of(now)),
        }
    }

    /// Calls needed before a rate counts: no more than a window of calls can hold (C7), whereas a
    /// window of seconds has no such bound (C23).
    pub fn minimum(&self, configured: u32) -> u32 {
        match self {
            Window::Calls(calls) => configured.min(calls.size).max(1),
            Window::Seconds(_) => configured.max(1),
        }
    }
}

/// The last `size` calls, two bits each, in a ring that grows to its size only as calls come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredCalls")]
pub(super) struct Calls {
    size: u32,
    /// Where the oldest call lies: 0 until the ring is full.
    oldest: u32,
    len: u32,
    bits: Vec<u8>,
    #[serde(skip_serializing)]
    counts: Counts,
}

#[derive(Deserialize)]
struct StoredCalls {
    size: u32,
    oldest: u32,
    len: u32,
    bits: Vec<u8>,
}

impl From<StoredCalls> for Calls {
    fn from(stored: StoredCalls) -> Self {
        let StoredCalls { size, oldest, len, bits } = stored;
        let room = u32::try_from(bits.len()).unwrap_or(u32::MAX).saturating_mul(CALLS_PER_BYTE);
        let len = len.min(size).min(room);
        let oldest = if len == size && oldest < len { oldest } else { 0 };
        let mut calls = Calls { size, oldest, len, bits, counts: Counts::default() };
        for at in 0..len {
            calls.counts.add(Counts::of(calls.get(at)));
        }
        calls
    }
}

const CALLS_PER_BYTE: u32 = 4;

impl Calls {
    fn fit(&mut self, size: u32) {
        if size == self.size {
            return;
        }
        let mut fitted = Calls { size, ..Calls::default() };
        for age in self.len.saturating_sub(size)..self.len {
            fitted.push(self.get(self.oldest.wrapping_add(age).checked_rem(self.len).unwrap_or(0)));
        }
        *self = fitted;
    }

    fn push(&mut self, outcome: Outcome) -> Counts {
        if self.len < self.size {
            self.put(self.len, outcome);
            self.len = self.len.saturating_add(1);
        } else {
            self.counts.remove(Counts::of(self.get(self.oldest)));
            self.put(self.oldest, outcome);
            let next = self.oldest.wrapping_add(1);
            self.oldest = if next < self.len { next } else { 0 };
        }
        self.counts.add(Counts::of(outcome));
        self.counts
    }

    fn get(&self, at: u32) -> Outcome {
        let byte = self.bits.get((at / CALLS_PER_BYTE) as usize).copied().unwrap_or(0);
        Outcome::from_bits(byte >> (at % CALLS_PER_BYTE * 2))
    }

    fn put(&mut self, at: u32, outcome: Outcome) {
        let (index, shift) = ((at / CALLS_PER_BYTE) as usize, at % CALLS_PER_BYTE * 2);
        if index == self.bits.len() {
            self.bits.push(0);
        }
        if let Some(byte) = self.bits.get_mut(index) {
            *byte = *byte & !(0b11 << shift) | outcome.to_bits() << shift;
        }
    }
}

/// The calls of the last `size` seconds, in one bucket for each whole second of the clock that saw
/// a call. So a call leaves up to a second early (C25), as it does in Resilience4j.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "StoredSeconds")]
pub(super) struct Seconds {
    size: u32,
    /// Oldest first, each second at most once.
    buckets: VecDeque<Bucket>,
    #[serde(skip_serializing)]
    total: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    second: u64,
    counts: Counts,
}

#[derive(Deserialize)]
struct StoredSeconds {
    size: u32,
    buckets: VecDeque<Bucket>,
}

impl From<StoredSeconds> for Seconds {
    fn from(stored: StoredSeconds) -> Self {
        let StoredSeconds { size, mut buckets } = stored;
        buckets.make_contiguous().sort_by_key(|bucket| bucket.second);
        let mut total = Counts::default();
        for bucket in &mut buckets {
            bucket.counts = bucket.counts.credible();
            total.add(bucket.counts);
        }
        Seconds { size, buckets, total }
    }
}

impl Seconds {
    fn push(&mut self, second: u64, outcome: Outcome) -> Counts {
        while let Some(old) = self.buckets.front().copied().filter(|b| !in_window(self.size, b, second)) {
            self.total.remove(old.counts);
            self.buckets.pop_front();
        }
        let mut counts = Counts::of(outcome);
        self.total.add(counts);
        // Where the clock stepped back, what seems to lie ahead becomes part of the present second:
        // otherwise it would stay until the clock has caught up.
        while let Some(ahead) = self.buckets.back().copied().filter(|b| b.second >= second) {
            counts.add(ahead.counts);
            self.buckets.pop_back();
        }
        self.buckets.push_back(Bucket { second, counts });
        self.total
    }

    fn counts(&self, second: u64) -> Counts {
        let mut counts = Counts::default();
        for bucket in self.buckets.iter().filter(|bucket| in_window(self.size, bucket, second)) {
            counts.add(bucket.counts);
        }
        counts
    }
}

fn in_window(size: u32, bucket: &Bucket, second: u64) -> bool {
    second.saturating_sub(bucket.second) < u64::from(size.max(1))
}

fn second_of(now: Time) -> u64 {
    now.as_millis() / Millis::from_secs(1).get()
}
