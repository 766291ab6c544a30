//! A promise: what was measured, what was promised, and whether it holds.

use std::fmt;
use std::time::Duration;

/// A measured value or a bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    Count(usize),
    Time(Duration),
    Percent(f64),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Count(count) => f.pad(&count.to_string()),
            Quantity::Time(time) if time.as_millis() < 1000 => f.pad(&format!("{} ms", time.as_millis())),
            Quantity::Time(time) => f.pad(&format!("{:.2} s", time.as_secs_f64())),
            Quantity::Percent(percent) => f.pad(&format!("{percent:.1} %")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtMost(Quantity),
    Below(Quantity),
    AtLeast(Quantity),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, quantity) = match self {
            Bound::AtMost(quantity) => ("≤", quantity),
            Bound::Below(quantity) => ("<", quantity),
            Bound::AtLeast(quantity) => ("≥", quantity),
        };
        f.pad(&format!("{sign} {quantity}"))
    }
}

/// One promise and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub what: &'static str,
    /// None: it could not be measured, and so it is missed.
    pub measured: Option<Quantity>,
    pub bound: Bound,
    /// How it was measured, or what the bound is made of.
    pub note: String,
}

impl Target {
    pub fn holds(&self) -> bool {
        let number = |quantity: Quantity| match quantity {
            Quantity::Count(count) => count as f64,
            Quantity::Time(time) => time.as_secs_f64(),
            Quantity::Percent(percent) => percent,
        };
        let Some(measured) = self.measured.map(number) else { return false };
        match self.bound {
            Bound::AtMost(bound) => measured <= number(bound),
            Bound::Below(bound) => measured < number(bound),
            Bound::AtLeast(bound) => measured >= number(bound),
        }
    }
}
