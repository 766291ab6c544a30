//! The present moment, for whoever watches: computed from the journal, drawn by `live` or `plain`.

use super::journal::{Log, Region, Standing};
use super::stats::slices;
use evenkeel_chaos::measure::percentile;
use std::time::Duration;

/// The time over which rates are taken.
const WINDOW: Duration = Duration::from_secs(1);

/// One region at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RegionNow {
    pub standing: Standing,
    /// Answers in the last second.
    pub rate: u32,
}

impl RegionNow {
    /// One word for the region's state, as the rules name it.
    pub fn word(&self) -> &'static str {
        match self.standing {
            Standing { healthy: None, .. } => "?",
            standing if standing.is_out() => "OUT",
            Standing { share: Some(100), .. } => "IN",
            Standing { share: Some(0), .. } => "HOLD",
            Standing { share: None, .. } => "?",
            _ => "RAMP",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Now {
    pub at: Duration,
    pub phase: String,
    pub regions: [RegionNow; 2],
    pub failed_gets: usize,
    pub failed_posts: usize,
    pub requests: usize,
    pub in_flight: usize,
    /// Latency of what was answered in the last second: median, 99 %.
    pub latency: [Option<Duration>; 2],
}

/// What the log says about the moment `at`.
pub fn now(log: &Log, at: Duration) -> Now {
    let from = at.saturating_sub(WINDOW);
    let recent = slices(&log.records, from, at, WINDOW).first().copied().unwrap_or_default();
    let mut times: Vec<_> =
        log.records.iter().filter(|r| r.end >= from).map(super::journal::Record::latency).collect();
    let total = slices(&log.records, Duration::ZERO, at, at.max(WINDOW)).first().copied().unwrap_or_default();
    let standing = |region| log.samples.last().map(|sample| sample.of(region)).unwrap_or_default();
    Now {
        at,
        phase: log.phase.clone(),
        regions: Region::ALL
            .map(|region| RegionNow { standing: standing(region), rate: recent.answered[region as usize] }),
        failed_gets: total.failed_get as usize,
        failed_posts: total.failed_post as usize,
        requests: log.records.len(),
        in_flight: log.in_flight,
        latency: [50.0, 99.0].map(|percent| percentile(&mut times, percent)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::{Breaker, Method, Record};
    use super::super::stats::tests::{good, ms, sample};
    use super::*;

    #[test]
    fn rates_are_of_the_last_second_and_failures_of_the_whole_run() {
        let failed = Record { outcome: Ok(503), answered_by: None, method: Method::Post, ..good(100) };
        let mut log = Log { records: vec![failed], phase: "calm".to_owned(), ..Log::default() };
        log.records.extend((3_000..5_000).step_by(10).map(good));
        log.samples.push(sample(4_900, true, Breaker::Closed, 40));
        let now = now(&log, ms(5_000));
        assert_eq!((now.regions[0].rate, now.regions[1].rate), (100, 0));
        assert_eq!((now.failed_gets, now.failed_posts, now.requests), (0, 1, 201));
        assert_eq!(now.latency, [Some(ms(2)), Some(ms(2))]);
        assert_eq!((now.regions[0].word(), now.regions[1].word()), ("RAMP", "IN"));
    }

    #[test]
    fn each_standing_has_its_word() {
        let word = |healthy, breaker, share| {
            let standing = sample(1, healthy, breaker, share).of(Region::Taiwan);
            RegionNow { standing, rate: 0 }.word()
        };
        assert_eq!(word(false, Breaker::Closed, 0), "OUT");
        assert_eq!(word(true, Breaker::Open, 0), "OUT");
        assert_eq!(word(true, Breaker::HalfOpen, 0), "HOLD");
        assert_eq!(word(true, Breaker::Closed, 5), "RAMP");
        assert_eq!(word(true, Breaker::Closed, 100), "IN");
        assert_eq!(RegionNow::default().word(), "?");
    }
}
