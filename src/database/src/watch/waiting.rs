//! Reads that wait until a replica has replayed what they must see.

use super::node::Node;
use evenkeel_policy::database::{Lsn, Timeline};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

/// Between the first two looks. A replica on the same network has mostly replayed within a millisecond.
const FIRST: Duration = Duration::from_millis(1);

/// Between two looks at most: one replica that is late must not be asked a thousand times a second.
const LAST: Duration = Duration::from_millis(5);

/// One read that waits.
#[derive(Debug)]
pub(super) struct Wait {
    /// The position, and the timeline on which it is one.
    pub(super) lsn: Lsn,
    pub(super) timeline: Timeline,
    pub(super) until: Instant,
    pub(super) answer: oneshot::Sender<bool>,
}

/// Looks for all who wait for one node at once.
pub(super) async fn serve(node: Arc<Node>, mut arrivals: mpsc::UnboundedReceiver<Wait>) {
    let mut waiting = Vec::new();
    while let Some(first) = arrivals.recv().await {
        waiting.push(first);
        let mut pause = FIRST;
        while !waiting.is_empty() {
            while let Ok(another) = arrivals.try_recv() {
                waiting.push(another);
            }
            look(&node, &mut waiting).await;
            if waiting.is_empty() {
                break;
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LAST),
                Some(another) = arrivals.recv() => { waiting.push(another); pause = FIRST }
            }
        }
    }
}

/// Answers whom it can, and forgets whom nobody waits for any more.
async fn look(node: &Node, waiting: &mut Vec<Wait>) {
    let found = node.ask_replayed().await;
    let now = Instant::now();
    for wait in std::mem::take(waiting) {
        match found {
            Some((_, Some(timeline))) if timeline != wait.timeline => {
                let _ = wait.answer.send(false);
            }
            Some((lsn, _)) if lsn >= wait.lsn => {
                let _ = wait.answer.send(true);
            }
            Some(_) if wait.until > now && !wait.answer.is_closed() => waiting.push(wait),
            // It is no replica, or it does not answer, or it was not in time.
            _ => {
                let _ = wait.answer.send(false);
            }
        }
    }
}
