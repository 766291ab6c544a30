//! Figures from the journal: percentiles, counts over slices of time, moves of the gauges.

use super::journal::{Country, Log, Method, Record, Region, Standing};
use std::time::Duration;

/// Requests of one slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slice {
    /// Answers by each region, in the order of [`Region::ALL`], failed ones included.
    pub answered: [u32; 2],
    pub failed_get: u32,
    pub failed_post: u32,
    /// Requests with country TW that were answered, and those of them that Taiwan answered.
    pub tw: u32,
    pub tw_by_taiwan: u32,
    pub longest_get: Duration,
}

impl Slice {
    pub fn requests(&self) -> u32 {
        self.answered[0] + self.answered[1]
    }

    pub fn failed(&self) -> u32 {
        self.failed_get + self.failed_post
    }

    fn add(&mut self, record: &Record) {
        if let Some(region) = record.answered_by {
            self.answered[region as usize] += 1;
            if record.country == Country::Taiwan {
                self.tw += 1;
                self.tw_by_taiwan += u32::from(region == Region::Taiwan);
            }
        }
        match record.method {
            Method::Get => {
                self.failed_get += u32::from(record.failed());
                self.longest_get = self.longest_get.max(record.latency());
            }
            Method::Post => self.failed_post += u32::from(record.failed()),
        }
    }
}

/// The requests due in `[from, to)`, cut into slices of `width`; the last may be cut short.
pub fn slices(records: &[Record], from: Duration, to: Duration, width: Duration) -> Vec<Slice> {
    let count = to.saturating_sub(from).as_nanos().div_ceil(width.as_nanos().max(1)) as usize;
    let mut slices = vec![Slice::default(); count];
    for record in records.iter().filter(|r| r.due >= from && r.due < to) {
        let index = ((record.due - from).as_nanos() / width.as_nanos().max(1)) as usize;
        if let Some(slice) = slices.get_mut(index) {
            slice.add(record);
        }
    }
    slices
}

/// A gauge of a region that moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    pub at: Duration,
    pub region: Region,
    pub before: Standing,
    pub after: Standing,
}

/// Every change of health or breaker, and of share to or from 0 and 100 (a ramp's steps are left
/// out), in order of time.
pub fn moves(log: &Log) -> Vec<Move> {
    let end = |share: Option<u8>| share.map(|share| (share == 0, share == 100));
    let mut moves = Vec::new();
    for region in Region::ALL {
        let mut samples = log.samples.iter().map(|sample| (sample.at, sample.of(region)));
        let Some((_, mut before)) = samples.next() else { continue };
        for (at, after) in samples {
            let moved = before.healthy != after.healthy
                || before.breaker != after.breaker
                || end(before.share) != end(after.share);
            if moved {
                moves.push(Move { at, region, before, after });
            }
            before = after;
        }
    }
    moves.sort_by_key(|m| m.at);
    moves
}

/// The move in words: `Taiwan: breaker closed → open, share 100 → 0 %`.
pub fn describe(m: &Move) -> String {
    fn word<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
    }
    let health = |healthy: Option<bool>| word(healthy.map(|h| if h { "healthy" } else { "unhealthy" }));
    let mut parts = Vec::new();
    if m.before.healthy != m.after.healthy {
        parts.push(health(m.after.healthy));
    }
    if m.before.breaker != m.after.breaker {
        parts.push(format!("breaker {} → {}", word(m.before.breaker), word(m.after.breaker)));
    }
    if m.before.share != m.after.share {
        parts.push(format!("share {} → {} %", word(m.before.share), word(m.after.share)));
    }
    format!("{}: {}", m.region.title(), parts.join(", "))
}

#[cfg(test)]
pub mod tests {
    use super::super::journal::{Breaker, Sample};
    use super::*;
    use evenkeel_chaos::http::NoAnswer;

    pub const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A GET from Taiwan that Taiwan answered in 2 ms.
    pub fn good(due: u64) -> Record {
        Record {
            due: ms(due),
            sent: ms(due),
            end: ms(due + 2),
            method: Method::Get,
            country: Country::Taiwan,
            outcome: Ok(200),
            answered_by: Some(Region::Taiwan),
            first_choice: Some(Region::Taiwan),
            trial: false,
        }
    }

    pub fn sample(at: u64, healthy: bool, breaker: Breaker, share: u8) -> Sample {
        let whole = Standing { healthy: Some(true), breaker: Some(Breaker::Closed), share: Some(100) };
        let taiwan = Standing { healthy: Some(healthy), breaker: Some(breaker), share: Some(share) };
        Sample { asked: ms(at - 1), at: ms(at), standings: [taiwan, whole] }
    }

    #[test]
    fn slices_count_by_the_time_due() {
        let lost =
            Record { outcome: Err(NoAnswer::Timeout), answered_by: None, end: ms(5_999), ..good(1_499) };
        let post = Record { method: Method::Post, outcome: Ok(503), answered_by: None, ..good(1_500) };
        let moved = Record { answered_by: Some(Region::Japan), ..good(1_999) };
        let records = [good(999), good(1_000), lost, post, moved, good(2_200)];
        let slices = slices(&records, ms(1_000), ms(2_200), ms(500));
        assert_eq!(slices.len(), 3);
        assert_eq!((slices[0].requests(), slices[0].failed_get, slices[0].failed_post), (1, 1, 0));
        assert_eq!(slices[0].longest_get, ms(4_500));
        assert_eq!((slices[1].answered, slices[1].failed_get, slices[1].failed_post), ([0, 1], 0, 1));
        assert_eq!((slices[1].tw, slices[1].tw_by_taiwan), (1, 0));
        assert_eq!(slices[2], Slice::default());
    }

    #[test]
    fn moves_leave_out_the_steps_of_a_ramp() {
        let log = Log {
            samples: vec![
                sample(100, true, Breaker::Closed, 100),
                sample(200, true, Breaker::Closed, 100),
                sample(300, true, Breaker::Open, 0),
                sample(400, false, Breaker::Open, 0),
                sample(500, true, Breaker::Closed, 5),
                sample(600, true, Breaker::Closed, 50),
                sample(700, true, Breaker::Closed, 100),
            ],
            ..Log::default()
        };
        let moves: Vec<String> = moves(&log).iter().map(describe).collect();
        assert_eq!(
            moves,
            [
                "Taiwan: breaker closed → open, share 100 → 0 %",
                "Taiwan: unhealthy",
                "Taiwan: healthy, breaker open → closed, share 0 → 5 %",
                "Taiwan: share 50 → 100 %",
            ]
        );
    }
}
