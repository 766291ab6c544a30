//! A thread of one's own for what must keep time: whoever starts it may block as long as it likes.

use anyhow::{Context, Result, anyhow};
use std::thread::{Builder, JoinHandle};
use tokio::sync::oneshot;

/// Work on a thread of its own, and what it comes to.
#[derive(Debug)]
pub struct Aside<T> {
    done: oneshot::Receiver<T>,
    _thread: JoinHandle<()>,
}

impl<T: Send + 'static> Aside<T> {
    /// Begins it.
    pub fn start<F>(name: &str, work: impl FnOnce() -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = T>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (tell, done) = oneshot::channel();
        let run = move || {
            // Nobody hears of it: the run was given up.
            tell.send(runtime.block_on(async { work().await })).ok();
        };
        let thread = Builder::new().name(name.to_owned()).spawn(run);
        Ok(Aside { done, _thread: thread.with_context(|| format!("no thread for {name}"))? })
    }

    /// Waits for its end.
    pub async fn end(self) -> Result<T> {
        self.done.await.map_err(|_| anyhow!("it panicked"))
    }
}
