//! Waiting for what will happen soon.

use std::time::{Duration, Instant};

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until there is something to see.
///
/// # Panics
/// If there is nothing within the time given; the message says what was waited for.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Watches for a while that something stays as it is.
///
/// # Panics
/// At the first look at which it is not.
pub async fn throughout(what: &str, span: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        assert!(holds().await, "after {:?} no longer: {what}", begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
}
