//! One direction of one connection: bytes arrive half a round trip after they left, in order.

use super::Condition;
use bytes::Bytes;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// Chunks under way: 4 MB, which is 900 Mbit/s at 35 ms.
const UNDER_WAY: usize = 256;

/// TCP's least time until it sends again what was lost (Linux).
const SENT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Carries until either side ends; the end travels like the bytes.
pub async fn run(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, conditions: watch::Receiver<Condition>) {
    let (send, mut receive) = mpsc::channel::<(Instant, Bytes)>(UNDER_WAY);
    let mut seen = conditions.clone();
    let reading = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            let due = Instant::now() + delay(*conditions.borrow(), rand::random());
            let chunk = Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default());
            // An empty chunk is the end.
            if send.send((due, chunk)).await.is_err() || read == 0 {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((due, chunk)) = receive.recv().await {
            tokio::time::sleep_until(due).await;
            whole(&mut seen).await;
            if chunk.is_empty() || to.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    // When the far side takes nothing any more, nothing more is read.
    tokio::select! {
        () = writing => {}
        () = async { reading.await; std::future::pending::<()>().await } => {}
    }
}

/// Waits as long as `ways` single ways take.
pub async fn pass(conditions: &mut watch::Receiver<Condition>, ways: u32) {
    let condition = *conditions.borrow();
    tokio::time::sleep(delay(condition, rand::random()) * ways).await;
    whole(conditions).await;
}

/// Waits until the link is not cut.
async fn whole(conditions: &mut watch::Receiver<Condition>) {
    let _ = conditions.wait_for(|condition| !condition.cut).await;
}

/// How long one way takes. `draw` is a random number in [0, 1).
fn delay(condition: Condition, draw: f64) -> Duration {
    let way = condition.round_trip.to_duration() / 2;
    if draw * 100.0 < condition.loss_percent { way + SENT_AGAIN_AFTER } else { way }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_policy::time::Millis;

    #[test]
    fn a_way_is_half_a_round_trip_and_what_is_lost_comes_later() {
        let lossy = Condition { round_trip: Millis::new(40), loss_percent: 10.0, cut: false };
        assert_eq!(delay(lossy, 0.5), Duration::from_millis(20));
        assert_eq!(delay(lossy, 0.09), Duration::from_millis(220));
        assert_eq!(delay(Condition { loss_percent: 0.0, ..lossy }, 0.0), Duration::from_millis(20));
    }
}
