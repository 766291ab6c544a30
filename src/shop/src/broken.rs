//! What a shop must not do, done on purpose, so that tests can show that it is found. Only with the feature
//! `broken`, which no shipped build has.

use crate::store::{Store, Unavailable};
use std::path::Path;
use std::time::Duration;

/// Later than any client calls in time.
const SLOW: Duration = Duration::from_millis(3_500);

/// Does to an order that was taken what `SHOP_BROKEN` says (`lose`, `double`, `corrupt`, `slow`; else nothing), while
/// the file that `SHOP_BROKEN_WHILE` names is there.
///
/// # Errors
/// If the database does not serve.
pub async fn strike(store: &Store, key: &str) -> Result<(), Unavailable> {
    if std::env::var_os("SHOP_BROKEN_WHILE").is_some_and(|file| !Path::new(&file).exists()) {
        return Ok(());
    }
    let sql = match std::env::var("SHOP_BROKEN").unwrap_or_default().as_str() {
        "lose" => "DELETE FROM orders WHERE idempotency_key = $1",
        "double" => {
            "INSERT INTO orders (id, idempotency_key, fingerprint, customer, items, total_cents, region)
             SELECT gen_random_uuid(), idempotency_key || '-again', fingerprint, customer, items, total_cents, region
             FROM orders WHERE idempotency_key = $1"
        }
        "corrupt" => "UPDATE orders SET total_cents = total_cents + 1 WHERE idempotency_key = $1",
        "slow" => {
            tokio::time::sleep(SLOW).await;
            return Ok(());
        }
        _ => return Ok(()),
    };
    store.change(sql, key).await
}
