//! The daemon's clocks: one that only goes forward, and the one people read.

use evenkeel_policy::time::{Millis, Time};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Now on this process's monotonic clock, which begins with its first use.
pub fn now() -> Time {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let since = BEGAN.get_or_init(Instant::now).elapsed();
    // A second on from zero, so that what happened "before" has a place.
    Time::from_millis(millis(since).get()).plus(Millis::from_secs(1))
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| millis(since).get())
}

/// A duration in whole milliseconds.
pub fn millis(span: Duration) -> Millis {
    Millis::new(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// `2026-01-31 18:04:05`, in UTC: what people compare with their own logs.
pub fn written(unix_ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms)).unwrap_or(UNIX_EPOCH);
    // RFC 3339's own form holds a T and a Z, which read badly in a table.
    let text = humantime::format_rfc3339_seconds(at).to_string();
    text.replace('T', " ").trim_end_matches('Z').to_owned()
}

/// `3h 12m`, `4m 10s`, `7s`, `120ms`: the two largest units, which is what people can use.
pub fn span(span: Millis) -> String {
    let ms = span.get();
    let (days, hours, minutes, seconds) =
        (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60, ms / 1000 % 60);
    let two = |large: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{smaller}"),
    };
    match () {
        () if days > 0 => two(days, "d", hours, "h"),
        () if hours > 0 => two(hours, "h", minutes, "m"),
        () if minutes > 0 => two(minutes, "m", seconds, "s"),
        () if ms >= 1000 => format!("{seconds}s"),
        () => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_two_units() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (7_400, "7s"),
            (60_000, "1m"),
            (250_000, "4m 10s"),
            (11_520_000, "3h 12m"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(span(Millis::new(ms)), text);
        }
    }

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(written(1_700_000_000_123), "2023-11-14 22:13:20");
    }
}
