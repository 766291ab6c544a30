//! Signals, and what they ask for.

use crate::files::Files;
use anyhow::{Context, Result};
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};

enum Order {
    /// The topology file anew.
    Reload,
    /// The end; the signal's name.
    End(&'static str),
}

/// The signals that mean something.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Calls `reload` at SIGHUP and when one of the files has changed; it gives the files that it has
    /// read, or none if what is in them now was not taken. The name of the signal that ended it.
    pub async fn reload_until_end(
        &mut self,
        files: &mut Files,
        mut reload: impl FnMut() -> Option<Vec<PathBuf>>,
    ) -> &'static str {
        loop {
            tokio::select! {
                () = files.changed() => tracing::info!("a file of the configuration has changed"),
                order = self.next() => match order {
                    Order::Reload => {
                        tracing::info!("SIGHUP");
                        files.look();
                    }
                    Order::End(name) => return name,
                },
            }
            match reload() {
                Some(read) => files.taken(&read),
                None => files.refused(),
            }
        }
    }

    /// The next signal that ends it; there is nothing to reload any more.
    pub async fn end(&mut self) -> &'static str {
        loop {
            if let Order::End(name) = self.next().await {
                return name;
            }
        }
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::End("SIGTERM"),
            _ = self.interrupt.recv() => Order::End("SIGINT"),
            _ = self.hangup.recv() => Order::Reload,
        }
    }
}
