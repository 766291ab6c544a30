//! What an order asks for, as a function of its key alone: whoever has the key can tell what must be there.

use super::pace::scatter;
use serde::Deserialize;
use serde_json::{Value, json};

/// An order's lines: article, how many, what one costs in cents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket {
    key: String,
    lines: Vec<(String, u32, u32)>,
}

impl Basket {
    /// One to three lines.
    pub fn of(key: &str) -> Basket {
        // FNV-1a: the key alone decides.
        let seed = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let lines = (0..1 + scatter(seed) % 3).map(|line| {
            let draw = scatter(seed.wrapping_add(line + 1));
            let sku = format!("tea-{}", draw % 1000);
            (sku, 1 + (draw >> 16) as u32 % 9, 1 + (draw >> 32) as u32 % 10_000)
        });
        Basket { key: key.to_owned(), lines: lines.collect() }
    }

    /// What it costs in all.
    pub fn total_cents(&self) -> i64 {
        self.lines.iter().map(|(_, quantity, price)| i64::from(*quantity) * i64::from(*price)).sum()
    }

    /// What is sent.
    pub fn body(&self) -> String {
        let items: Vec<Value> = self
            .lines
            .iter()
            .map(|(sku, quantity, price)| json!({"sku": sku, "quantity": quantity, "price_cents": price}))
            .collect();
        json!({"customer": self.key, "items": items}).to_string()
    }
}

/// What a shop says of an order. A target without a database says nothing of it.
#[derive(Debug, Default, Deserialize)]
pub struct Said {
    /// Its number.
    pub id: Option<String>,
    customer: Option<String>,
    total_cents: Option<i64>,
}

impl Said {
    /// Reads an answer's body.
    pub fn read(body: &[u8]) -> Said {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Whether it is the order that was placed under this key.
    pub fn is(&self, key: &str) -> bool {
        self.customer.as_deref() == Some(key) && self.total_cents == Some(Basket::of(key).total_cents())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_key_decides_and_sums_differ() {
        let sum = |n: u32| Basket::of(&format!("run-{n}")).total_cents();
        assert_eq!(Basket::of("run-1"), Basket::of("run-1"));
        let sums: BTreeSet<i64> = (0..1000).map(sum).collect();
        assert!(sums.len() > 950, "{}", sums.len());
        assert!(sums.iter().all(|sum| (1..=3 * 9 * 10_000).contains(sum)));
    }

    #[test]
    fn what_a_shop_says_is_compared_with_the_key() {
        let total = Basket::of("run-7").total_cents();
        let said = |customer: &str, total: i64| {
            Said::read(json!({"id": "x", "customer": customer, "total_cents": total}).to_string().as_bytes())
        };
        assert!(said("run-7", total).is("run-7"));
        assert!(!said("run-7", total + 1).is("run-7"));
        assert!(!said("run-8", total).is("run-7"));
        assert!(!Said::read(b"rubbish").is("run-7"));
    }
}
