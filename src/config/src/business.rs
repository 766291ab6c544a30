//! `business`: what an outage costs, in the service's own money.

use evenkeel_policy::error::ConfigErrors;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// What the service earns, which reports of experiments put a price on an outage by. Only
/// `chaos report` asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Business {
    /// Orders that the whole service takes in a minute at its peak; above 0, at most 1,000,000, with up to
    /// three decimals.
    pub orders_per_minute: Decimal,
    /// What an order is worth on average, in the currency's main unit; above 0, at most 1,000,000, with up
    /// to three decimals.
    pub order_value: Decimal,
    /// The currency, as ISO 4217: three capital letters. Default: USD.
    #[serde(default = "dollars")]
    pub currency: String,
}

fn dollars() -> String {
    "USD".to_owned()
}

/// Notes what is wrong with it.
pub(crate) fn check(business: &Business, errors: &mut ConfigErrors) {
    let numbers = [
        ("business.orders_per_minute", business.orders_per_minute),
        ("business.order_value", business.order_value),
    ];
    for (field, number) in numbers {
        if number.thousandths() == 0 || number > Decimal::MOST {
            errors.add(field, number, "give a number above 0, at most 1000000");
        }
    }
    let currency = &business.currency;
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let remedy = "give the currency's three capital letters (ISO 4217), like USD, TWD or JPY";
        errors.add("business.currency", format!("{currency:?}"), remedy);
    }
}

/// A number of at least 0 with up to three decimals, kept exactly: sums of money must not drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal(u64);

impl Decimal {
    /// The largest that `business` takes.
    const MOST: Decimal = Decimal(1_000_000_000);

    /// So many thousandths.
    pub const fn from_thousandths(thousandths: u64) -> Self {
        Decimal(thousandths)
    }

    /// The number times 1,000.
    pub const fn thousandths(self) -> u64 {
        self.0
    }

    /// Reads `60`, `85.5`, `0.125`.
    ///
    /// # Errors
    /// One sentence that quotes the text and shows a right form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = || {
            let part = part.trim_end_matches('0');
            let whole = whole.parse::<u64>().ok()?.checked_mul(1000)?;
            let part = (part.len() <= 3).then(|| format!("{part:0<3}"))?;
            whole.checked_add(part.parse().ok()?)
        };
        (digits(whole) && digits(part))
            .then(number)
            .flatten()
            .map(Decimal)
            .ok_or_else(|| format!("\"{text}\" is not a number with up to three decimals, like 85 or 85.5"))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl de::Visitor<'_> for Number {
            type Value = Decimal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number with up to three decimals, like 85 or 85.5")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Decimal, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Decimal, E> {
                self.visit_str(&number.to_string())
            }
            // The shortest text that means this double is what stood in the file.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Decimal, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                Decimal::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl JsonSchema for Decimal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Decimal".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["number", "string"],
            "minimum": 0,
            "description": "A number with up to three decimals: 85, 85.5, \"85.50\".",
            "examples": [85, 85.5]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly_or_refused() {
        for (text, thousandths) in [
            ("0", 0),
            ("60", 60_000),
            ("85.5", 85_500),
            ("0.125", 125),
            ("85.50", 85_500),
            ("1.0000", 1000),
            ("0.10", 100),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().thousandths(), thousandths, "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "1e3", "0.0001", "85,5", "NaN", "inf", "99999999999999999999"]
        {
            assert!(Decimal::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn decimals_are_shown_as_short_as_they_are() {
        for text in ["0", "60", "85.5", "0.125", "1000000"] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), text);
        }
    }
}
