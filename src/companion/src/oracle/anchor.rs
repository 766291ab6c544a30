//! Anchors: whoever hears no other voter and reaches one of them is not cut off itself.

use super::{Oracle, http};
use crate::clock;
use evenkeel_config::HostPort;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Between two connections to all anchors.
const EVERY: Duration = Duration::from_secs(2);

/// A connection takes no longer.
const WITHIN: Duration = Duration::from_secs(1);

/// How soon it is noticed that anchors are needed.
const LOOK: Duration = Duration::from_millis(250);

/// Connects to all anchors while it matters, for ever.
pub(super) async fn ask(oracle: Arc<Oracle>, anchors: Vec<HostPort>) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        if !oracle.needs_anchor() {
            // What answered long ago says nothing of the next time.
            oracle.anchored(None);
            continue;
        }
        every.tick().await;
        let asked = clock::now();
        if any(&anchors).await {
            oracle.anchored(Some(asked));
        }
    }
}

async fn any(anchors: &[HostPort]) -> bool {
    let mut connecting = JoinSet::new();
    for anchor in anchors {
        let anchor = anchor.clone();
        connecting.spawn(async move { matches!(timeout(WITHIN, http::tcp(&anchor)).await, Ok(Ok(_))) });
    }
    while let Some(connected) = connecting.join_next().await {
        if matches!(connected, Ok(true)) {
            return true;
        }
    }
    false
}
