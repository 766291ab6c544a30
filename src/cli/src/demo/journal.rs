//! What happened in a run, as it happened: each request, each look at Envoy's metrics, each blow.
//!
//! Everything that is shown or judged is computed from these records, and from nothing else.

use evenkeel_chaos::http::NoAnswer;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The demo's two regions, in the topology's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    Taiwan,
    Japan,
}

impl Region {
    pub const ALL: [Region; 2] = [Region::Taiwan, Region::Japan];

    /// The name in the topology, in headers and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Region::Taiwan => "taiwan",
            Region::Japan => "japan",
        }
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Region::Taiwan => "Taiwan",
            Region::Japan => "Japan",
        }
    }

    pub fn from_name(name: &str) -> Option<Region> {
        Region::ALL.into_iter().find(|region| region.name() == name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// Where a request says it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Country {
    Taiwan,
    Japan,
    Germany,
    UnitedStates,
}

impl Country {
    pub fn code(self) -> &'static str {
        match self {
            Country::Taiwan => "TW",
            Country::Japan => "JP",
            Country::Germany => "DE",
            Country::UnitedStates => "US",
        }
    }
}

/// One request of the load, from the client's point of view. Times count from the run's start.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the schedule wanted it sent: what latency counts from.
    pub due: Duration,
    /// When it was really sent.
    pub sent: Duration,
    /// When the answer was complete, or given up.
    pub end: Duration,
    pub method: Method,
    pub country: Country,
    /// The answer's status.
    pub outcome: Result<u16, NoAnswer>,
    /// The region that answered; none if Envoy answered by itself.
    pub answered_by: Option<Region>,
    /// The region that the filter chose first, from its decision header.
    pub first_choice: Option<Region>,
    /// The filter sent it as a half-open trial.
    pub trial: bool,
}

impl Record {
    pub fn latency(&self) -> Duration {
        self.end.saturating_sub(self.due)
    }

    pub fn failed(&self) -> bool {
        !matches!(self.outcome, Ok(status) if (200..300).contains(&status))
    }

    /// Waiting for its answer at that moment.
    pub fn in_flight_at(&self, at: Duration) -> bool {
        self.sent <= at && at < self.end
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    Closed,
    HalfOpen,
    Open,
}

impl fmt::Display for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Breaker::Closed => "closed",
            Breaker::HalfOpen => "half-open",
            Breaker::Open => "open",
        })
    }
}

/// One region as Envoy's metrics show it. None: the metric is not there (yet).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub healthy: Option<bool>,
    pub share: Option<u8>,
    pub breaker: Option<Breaker>,
}

impl Standing {
    /// The filter has noticed that something is wrong with the region.
    pub fn is_out(&self) -> bool {
        self.healthy == Some(false) || self.breaker == Some(Breaker::Open)
    }

    /// Everything as it was before any fault.
    pub fn is_whole(&self) -> bool {
        self.healthy == Some(true) && self.breaker == Some(Breaker::Closed) && self.share == Some(100)
    }
}

/// One look at Envoy's metrics.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When the question left.
    pub asked: Duration,
    /// When the answer was complete: what it shows had happened by then.
    pub at: Duration,
    pub standings: [Standing; 2],
}

impl Sample {
    pub fn of(&self, region: Region) -> Standing {
        self.standings[region as usize]
    }
}

/// What is done to Taiwan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    Kill,
    Restart,
    Freeze,
    Thaw,
}

impl Blow {
    pub fn title(self) -> &'static str {
        match self {
            Blow::Kill => "kill",
            Blow::Restart => "restart",
            Blow::Freeze => "freeze",
            Blow::Thaw => "thaw",
        }
    }
}

/// A blow and the moment it fell.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub at: Duration,
    pub blow: Blow,
}

/// All that was recorded.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// In the order of completion.
    pub records: Vec<Record>,
    pub samples: Vec<Sample>,
    pub marks: Vec<Mark>,
    /// What the script is doing, in words for people.
    pub phase: String,
    /// Requests without an answer so far.
    pub in_flight: usize,
}

/// The log and the clock it is kept by, shared by everything that runs.
pub struct Journal {
    began: Instant,
    /// Older records and samples are forgotten, for a run without an end.
    keep: Option<usize>,
    log: Mutex<Log>,
}

impl Journal {
    /// A journal that begins now. `keep` bounds the records and samples it holds.
    pub fn new(keep: Option<usize>) -> Self {
        Journal { began: Instant::now(), keep, log: Mutex::new(Log::default()) }
    }

    /// Time since the run began.
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// The instant of a time in the run.
    pub fn instant(&self, at: Duration) -> Instant {
        self.began + at
    }

    /// The log, to read or to write; held for moments only. A writer that panicked has at worst
    /// left out a record, so its log is still good.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn sent(&self) {
        self.log().in_flight += 1;
    }

    pub fn ended(&self, record: Record) {
        let mut log = self.log();
        log.in_flight = log.in_flight.saturating_sub(1);
        push(&mut log.records, record, self.keep);
    }

    pub fn sampled(&self, sample: Sample) {
        push(&mut self.log().samples, sample, self.keep);
    }

    pub fn struck(&self, at: Duration, blow: Blow) {
        self.log().marks.push(Mark { at, blow });
    }

    pub fn phase(&self, phase: impl Into<String>) {
        self.log().phase = phase.into();
    }
}

fn push<T>(list: &mut Vec<T>, item: T, keep: Option<usize>) {
    if let Some(keep) = keep.filter(|keep| list.len() >= keep * 2) {
        list.drain(..list.len() - keep);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_journal_forgets_the_oldest() {
        let journal = Journal::new(Some(10));
        for n in 0..1000 {
            let at = Duration::from_millis(n);
            journal.sampled(Sample { asked: at, at, standings: [Standing::default(); 2] });
            assert!(journal.log().samples.len() <= 21);
        }
        let log = journal.log();
        assert!(log.samples.len() >= 10);
        assert_eq!(log.samples.last().unwrap().at, Duration::from_millis(999));
        assert!(log.samples.windows(2).all(|w| w[0].at + Duration::from_millis(1) == w[1].at));
    }
}
