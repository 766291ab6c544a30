//! Numbers and times in words that people read.

use crate::experiment::{Every, Kind, Schedule};
use crate::journal::Ms;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use crate::cost::thousands;

const DAY: u64 = 86_400;

/// `0.42 s`, `20.4 s`, `124 s`, `12 min 30 s`.
pub fn seconds(ms: Ms) -> String {
    let s = ms / 1000.0;
    match () {
        () if ms == 0.0 => "0 s".to_owned(),
        () if s.abs() < 9.995 => format!("{s:.2} s"),
        () if s.abs() < 99.95 => format!("{s:.1} s"),
        () if s.abs() < 600.0 => format!("{s:.0} s"),
        () => format!("{} min {} s", (s / 60.0).trunc(), (s % 60.0).abs().trunc()),
    }
}

/// `0.8 ms`, `42 ms`, and from a second on as [`seconds`].
pub fn latency(ms: Ms) -> String {
    match () {
        () if ms < 9.95 => format!("{ms:.1} ms"),
        () if ms < 999.5 => format!("{ms:.0} ms"),
        () => seconds(ms),
    }
}

/// `+0.412 s`, `−20.000 s`.
pub fn offset(ms: Ms) -> String {
    let sign = if ms < 0.0 { '−' } else { '+' };
    format!("{sign}{:.3} s", ms.abs() / 1000.0)
}

/// `0 %`, `0.03 %`, `12.5 %`. What is little is never shown as nothing.
pub fn percent(value: f64) -> String {
    match () {
        () if value == 0.0 => "0 %".to_owned(),
        () if value > 0.0 && value < 0.01 => "< 0.01 %".to_owned(),
        () if value < 10.0 => format!("{value:.2} %"),
        () if value < 100.0 => format!("{value:.1} %"),
        () => format!("{value:.0} %"),
    }
}

/// An availability: all that distinguishes it from 100 %, which 99.999 must not be shown as.
pub fn availability(percent: f64) -> String {
    let digits = if percent == 100.0 { 0 } else { 3 };
    format!("{:.digits$} %", (percent * 1000.0).floor() / 1000.0)
}

/// `1 order`, `1,204 orders`.
pub fn counted(number: u64, one: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{} {one}{many}", thousands(number.into()))
}

/// `4.0 GB`, in powers of 1024.
pub fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / f64::from(1 << 30))
}

/// What a kind of incident is called, in the seed's words where it has them.
pub const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::RegionFailure => "Complete region failure",
        Kind::DatabaseFailure => "Database primary failure",
        Kind::NetworkPartition => "Network partition",
        Kind::CacheFailure => "Cache failure",
        Kind::ApplicationFailure => "Application pod failure",
        Kind::MultiComponentFailure => "Multi-component failure",
        Kind::Degradation => "Prolonged degradation",
        Kind::CrossRegionLatency => "Cross-region latency",
        Kind::DisasterRecovery => "Full disaster-recovery drill",
        Kind::Drill => "Region evacuation drill",
    }
}

/// The wall clock of a run. A beginning that is no time gives offsets alone.
#[derive(Clone, Copy)]
pub struct Wall(Option<SystemTime>);

impl Wall {
    /// From RFC 3339.
    pub fn new(began: &str) -> Self {
        Wall(humantime::parse_rfc3339_weak(began.trim()).ok())
    }

    fn at(self, ms: Ms) -> Option<String> {
        let at = self.0?.checked_add(Duration::try_from_secs_f64(ms / 1000.0).ok()?)?;
        Some(humantime::format_rfc3339_millis(at).to_string())
    }

    /// `02:00:20.412`.
    pub fn time(self, ms: Ms) -> Option<String> {
        Some(self.at(ms)?.get(11..23)?.to_owned())
    }

    /// `2026-11-24`.
    pub fn day(self) -> Option<String> {
        Some(self.at(0.0)?.get(..10)?.to_owned())
    }

    /// `2026-11`.
    pub fn month(self) -> Option<String> {
        Some(self.at(0.0)?.get(..7)?.to_owned())
    }

    /// `2026-11-24 02:00`.
    pub fn minute(self) -> Option<String> {
        Some(self.at(0.0)?.get(..16)?.replace('T', " "))
    }

    /// Seconds since 1970, to put runs in order and on an axis.
    pub fn unix(self) -> Option<f64> {
        Some(self.0?.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
    }

    /// The next date after this at which an experiment is due: `2026-12-07 02:00`.
    pub fn next(self, schedule: &Schedule) -> Option<String> {
        let now = self.0?.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let (hour, minute) = schedule.at.split_once(':')?;
        let at = hour.parse::<u64>().ok()? * 3600 + minute.parse::<u64>().ok()? * 60;
        // A quarter's Monday is at most 98 days and a month's at most 36 days away.
        (0..=100).map(|days| (now / DAY + days) * DAY + at).find_map(|due| {
            // 1970 began on a Thursday.
            let monday = (due / DAY + 3).is_multiple_of(7);
            let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(due)).to_string();
            let month: u64 = text.get(5..7)?.parse().ok()?;
            let day: u64 = text.get(8..10)?.parse().ok()?;
            let nth = (day - 1) / 7 + 1 == u64::from(schedule.monday);
            let quarter = schedule.every == Every::Month || month % 3 == 1;
            (due > now && monday && nth && quarter)
                .then(|| text.get(..16).map(|text| text.replace('T', " ")))?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_exact_as_they_are_of_use() {
        for (ms, text) in [
            (0.0, "0 s"),
            (412.4, "0.41 s"),
            (9_994.0, "9.99 s"),
            (20_412.0, "20.4 s"),
            (124_400.0, "124 s"),
            (750_000.0, "12 min 30 s"),
        ] {
            assert_eq!(seconds(ms), text);
        }
        assert_eq!([0.84, 42.4, 20_412.0].map(latency), ["0.8 ms", "42 ms", "20.4 s"]);
        assert_eq!([412.4, -20_000.0].map(offset), ["+0.412 s", "−20.000 s"]);
    }

    #[test]
    fn a_little_is_not_nothing_and_nearly_all_is_not_all() {
        assert_eq!(
            [0.0, 0.004, 0.034, 12.54, 100.0].map(percent),
            ["0 %", "< 0.01 %", "0.03 %", "12.5 %", "100 %"]
        );
        assert_eq!([100.0, 99.9999, 99.97].map(availability), ["100 %", "99.999 %", "99.970 %"]);
    }

    #[test]
    fn the_wall_clock_is_told_in_utc() {
        let wall = Wall::new("2026-11-24T02:00:00Z");
        assert_eq!(wall.time(20_412.0).as_deref(), Some("02:00:20.412"));
        assert_eq!(wall.day().as_deref(), Some("2026-11-24"));
        assert_eq!(Wall::new("yesterday").time(0.0), None);
        assert_eq!(wall.time(f64::NAN), None);
    }

    #[test]
    fn the_next_date_is_the_calendars() {
        let schedule = |every, monday| Schedule { every, monday, at: "02:00".to_owned() };
        let wall = Wall::new("2026-11-24T12:00:00Z");
        for (every, monday, due) in [
            (Every::Month, 1, "2026-12-07 02:00"),
            (Every::Month, 4, "2026-12-28 02:00"),
            (Every::Quarter, 2, "2027-01-11 02:00"),
        ] {
            assert_eq!(wall.next(&schedule(every, monday)).as_deref(), Some(due));
        }
        // On the day itself, before and after its hour.
        let due = |at| Wall::new(at).next(&schedule(Every::Month, 1));
        assert_eq!(due("2026-12-07T01:59:59Z").as_deref(), Some("2026-12-07 02:00"));
        assert_eq!(due("2026-12-07T02:00:00Z").as_deref(), Some("2027-01-04 02:00"));
        assert_eq!(wall.next(&Schedule { every: Every::Month, monday: 1, at: "late".to_owned() }), None);
    }
}
