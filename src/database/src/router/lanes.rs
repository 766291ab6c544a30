//! The threads that sessions run on.
//!
//! One for each core, each with a scheduler of its own, as in PgBouncer or HAProxy: a session stays
//! where it began. On a scheduler that all threads share, a statement's two wake-ups cost a futex call
//! and a switch of threads on every fifth statement.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads that sessions run on. Dropped, they end, and with them every session on them.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Lane>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    /// Dropped, it ends the thread; none for a runtime that is not ours.
    _end: Option<oneshot::Sender<()>>,
}

impl Lanes {
    /// So many threads.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(count: usize) -> io::Result<Arc<Lanes>> {
        let lanes = (0..count.max(1)).map(Lane::start).collect::<io::Result<Vec<_>>>()?;
        Ok(Arc::new(Lanes { lanes, next: AtomicUsize::new(0) }))
    }

    /// None of its own: sessions run where this is called.
    pub fn here() -> Arc<Lanes> {
        let lane = Lane { runtime: Handle::current(), _end: None };
        Arc::new(Lanes { lanes: vec![lane], next: AtomicUsize::new(0) })
    }

    /// The next one in turn.
    pub fn next(&self) -> Handle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.lanes.len().max(1);
        self.lanes.get(turn).map_or_else(Handle::current, |lane| lane.runtime.clone())
    }
}

impl Lane {
    fn start(number: usize) -> io::Result<Lane> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name(format!("sessions-{number}")).spawn(move || {
            runtime.block_on(async {
                let _ = ended.await;
            });
            // Not waited for: a look-up of a name may hang.
            runtime.shutdown_background();
        })?;
        Ok(Lane { runtime: handle, _end: Some(end) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sessions_take_turns_on_threads_of_their_own() {
        let lanes = Lanes::start(2).unwrap();
        let mut names = Vec::new();
        for _ in 0..4 {
            let name = lanes.next().spawn(async { std::thread::current().name().map(str::to_owned) });
            names.push(name.await.unwrap().unwrap());
        }
        assert_eq!(names, ["sessions-0", "sessions-1", "sessions-0", "sessions-1"]);
    }

    #[tokio::test]
    async fn what_runs_on_a_lane_ends_with_it() {
        let lanes = Lanes::start(1).unwrap();
        let task = lanes.next().spawn(std::future::pending::<()>());
        drop(lanes);
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
