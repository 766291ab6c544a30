//! The run's clock: everything in a journal counts from its start.

use crate::journal::Ms;
use std::time::{Duration, Instant, SystemTime};

/// A clock that began with the run. Monotonic: a step of the machine's clock moves nothing.
#[derive(Clone, Debug)]
pub struct Clock {
    began: Instant,
    wall: SystemTime,
}

impl Clock {
    /// Begins now.
    pub fn start() -> Clock {
        Clock { began: Instant::now(), wall: SystemTime::now() }
    }

    /// Since the beginning.
    pub fn now(&self) -> Ms {
        self.at(Instant::now())
    }

    /// A moment as this clock shows it. What lay before the beginning is 0.
    pub fn at(&self, moment: Instant) -> Ms {
        moment.saturating_duration_since(self.began).as_secs_f64() * 1000.0
    }

    /// The moment at which this clock shows `at`.
    pub fn instant(&self, at: Ms) -> Instant {
        self.began + Duration::try_from_secs_f64(at / 1000.0).unwrap_or_default()
    }

    /// The beginning by the machine's clock, as RFC 3339 in UTC.
    pub fn began(&self) -> String {
        humantime::format_rfc3339_millis(self.wall).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_and_its_time_agree() {
        let clock = Clock::start();
        let now = clock.now();
        assert!((clock.at(clock.instant(now)) - now).abs() < 0.001);
        assert!((clock.at(clock.instant(1234.5)) - 1234.5).abs() < 0.001);
        assert_eq!(clock.instant(-1.0), clock.instant(0.0));
        assert!(humantime::parse_rfc3339(&clock.began()).is_ok());
    }
}
