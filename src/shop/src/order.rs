//! What an order is, and what one must say.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The most lines of one order.
const MAX_ITEMS: usize = 100;

/// What a customer asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Who.
    pub customer: String,
    /// What.
    pub items: Vec<Item>,
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Which article.
    pub sku: String,
    /// How many, 1 to 1,000.
    pub quantity: u32,
    /// What one costs, in cents.
    pub price_cents: u32,
}

/// An order that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its number.
    pub id: Uuid,
    /// Who ordered.
    pub customer: String,
    /// What.
    pub items: Vec<Item>,
    /// What it costs in all, in cents.
    pub total_cents: i64,
    /// The region that took it.
    pub region: String,
    /// When, in milliseconds since 1970 by the writer's clock.
    pub created_at: i64,
}

impl NewOrder {
    /// # Errors
    /// The first fault, with its field and what would be right.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=100).contains(&self.customer.len()) {
            return Err("customer: use 1 to 100 characters".to_owned());
        }
        if !(1..=MAX_ITEMS).contains(&self.items.len()) {
            return Err(format!("items: {} of them: give 1 to {MAX_ITEMS}", self.items.len()));
        }
        for (at, item) in self.items.iter().enumerate() {
            if !(1..=64).contains(&item.sku.len()) {
                return Err(format!("items[{at}].sku: use 1 to 64 characters"));
            }
            if !(1..=1000).contains(&item.quantity) {
                return Err(format!("items[{at}].quantity: {}: use 1 to 1000", item.quantity));
            }
        }
        Ok(())
    }

    /// What it costs, in cents. 100 lines of 1,000 of the dearest article fit 16,000 times over.
    pub fn total_cents(&self) -> i64 {
        self.items.iter().map(|item| i64::from(item.quantity) * i64::from(item.price_cents)).sum()
    }

    /// Tells whether a repeated key asks for the same thing.
    pub fn fingerprint(&self) -> Vec<u8> {
        Sha256::digest(serde_json::to_vec(self).unwrap_or_default()).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> NewOrder {
        let item = Item { sku: "tea".to_owned(), quantity: 2, price_cents: 450 };
        NewOrder { customer: "ada".to_owned(), items: vec![item] }
    }

    #[test]
    fn faults_name_their_fields() {
        assert_eq!(order().check(), Ok(()));
        type Change = fn(&mut NewOrder);
        let cases: [(Change, &str); 4] = [
            (|o| o.customer.clear(), "customer: "),
            (|o| o.items.clear(), "items: 0 of them"),
            (|o| o.items[0].sku.clear(), "items[0].sku"),
            (|o| o.items[0].quantity = 0, "items[0].quantity: 0"),
        ];
        for (change, part) in cases {
            let mut bad = order();
            change(&mut bad);
            let fault = bad.check().expect_err(part);
            assert!(fault.contains(part), "{fault}");
        }
    }

    #[test]
    fn the_same_order_has_the_same_fingerprint_and_the_sum_of_its_lines() {
        assert_eq!(order().fingerprint(), order().fingerprint());
        let mut other = order();
        other.items[0].quantity = 3;
        assert_ne!(order().fingerprint(), other.fingerprint());
        assert_eq!((order().total_cents(), other.total_cents()), (900, 1350));
    }
}
