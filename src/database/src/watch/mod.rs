//! Every node's role, timeline and position, seen through one kept-open session each.

use evenkeel_policy::database::{Lsn, View};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What became of a transaction whose COMMIT was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is certain that it was committed.
    Committed,
    /// It is certain that it was not.
    Aborted,
    /// Neither is certain.
    Unknown,
}

/// The watcher's results, and the questions that only its sessions can answer.
#[derive(Clone, Debug)]
pub struct Watch {
    view: watch::Receiver<Arc<View>>,
}

impl Watch {
    /// What is known now.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// Changes as they come.
    pub fn subscribe(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Tells that a session saw its node fail: it is probed at once.
    pub fn suspect(&self, _node: usize) {}

    /// The writer's position now or later, with the generation it belongs to. Callers that wait at
    /// the same time share one question. None while no writer answers.
    pub async fn writer_position(&self) -> Option<(u64, Lsn)> {
        None
    }

    /// Waits until the node has replayed `lsn` of generation `generation`; false if it has not in time.
    pub async fn replayed(&self, _node: usize, _generation: u64, _lsn: Lsn, _within: Duration) -> bool {
        false
    }

    /// What became of transaction `xid` of the writer of generation `generation`, asked of the writer
    /// that follows it.
    pub async fn fate(&self, _generation: u64, _xid: u64) -> Fate {
        Fate::Unknown
    }
}
