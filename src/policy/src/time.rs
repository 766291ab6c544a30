//! Time as the rules see it: milliseconds on a clock that the caller owns.
//!
//! `policy` never reads a clock. A host passes `now`; a test or a replay invents it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A point on the caller's monotonic clock, in milliseconds.
///
/// Only differences mean anything. All hosts that share one state must use one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The beginning of the clock.
    pub const ZERO: Time = Time(0);

    /// A point that no clock reaches.
    pub const NEVER: Time = Time(u64::MAX);

    /// A point `ms` milliseconds after the beginning of the clock.
    pub const fn from_millis(ms: u64) -> Self {
        Time(ms)
    }

    /// Milliseconds since the beginning of the clock.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was. Zero if it lies in the future: a clock that steps back
    /// must not look like a very long wait.
    pub const fn since(self, earlier: Time) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// This point moved on by `span`.
    pub const fn plus(self, span: Millis) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

/// A span of time in whole milliseconds, written in configuration as `"5s"`, `"250ms"`, `"6m"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Millis = Millis(0);

    /// A span of `ms` milliseconds.
    pub const fn new(ms: u64) -> Self {
        Millis(ms)
    }

    /// A span of `s` seconds.
    pub const fn from_secs(s: u64) -> Self {
        Millis(s.saturating_mul(1000))
    }

    /// The span in milliseconds.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Twice the span.
    pub const fn saturating_double(self) -> Millis {
        Millis(self.0.saturating_mul(2))
    }

    /// The span as the standard library's type.
    pub const fn to_duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// Reads `"5s"`, `"1m 30s"`, `"250ms"`. Units: `ms s m h d`; parts may be added up.
    ///
    /// # Errors
    /// One sentence that quotes the text and shows a right form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let span = humantime::parse_duration(text).map_err(|_| {
            format!(
                "\"{text}\" is not a duration: write a number and a unit, like \"5s\", \"250ms\" or \"6m\""
            )
        })?;
        let ms = u64::try_from(span.as_millis())
            .ok()
            .filter(|ms| *ms <= Self::LONGEST)
            .ok_or_else(|| format!("\"{text}\" is longer than a year: use a shorter duration"))?;
        if ms == 0 && !span.is_zero() {
            return Err(format!("\"{text}\" is shorter than a millisecond, the smallest step there is"));
        }
        Ok(Millis(ms))
    }

    /// One year: whatever is longer is a typing error, and sums of spans stay far from overflow.
    const LONGEST: u64 = 366 * 24 * 3600 * 1000;
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.to_duration()).fmt(f)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&humantime::format_duration(self.to_duration()))
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Millis);
        }
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Millis;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, like \"5s\", \"250ms\" or \"6m\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Millis, E> {
                Millis::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Millis {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A duration with its unit: \"5s\", \"250ms\", \"6m\", \"1h 30m\". Units: ms, s, m, h, d.",
            "examples": ["5s", "250ms", "6m"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, ms) in [("5s", 5000), ("250ms", 250), ("6m", 360_000), ("1m 30s", 90_000), ("0s", 0)] {
            assert_eq!(Millis::parse(text), Ok(Millis::new(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_quoted_back() {
        for text in ["5", "-5s", "", "5 parsecs", "10us", "400d", "99999999999999999999s"] {
            let error = Millis::parse(text).unwrap_err();
            assert!(error.contains(&format!("\"{text}\"")), "{error}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_is_no_time_at_all() {
        assert_eq!(Time::from_millis(5).since(Time::from_millis(9)), Millis::ZERO);
    }
}
