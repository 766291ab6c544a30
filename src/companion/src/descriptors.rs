//! How many files and sockets the process may have open.
//!
//! A client is one descriptor and a node connection another, and what a shell or systemd gives by
//! default, 1,024, is soon used up. The soft limit is there for programs that use `select`, which this
//! one does not, so it is raised as far as the hard one allows.

use crate::settings::Settings;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the companion itself needs beside clients and pools: listeners, probes, readiness, edges, files.
const OWN: u64 = 256;

/// Raises the limit, and warns where it does not suffice for what is configured.
pub fn prepare(settings: &Settings) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    if let Some(warning) = shortage(needed(settings), getrlimit(Resource::Nofile).current) {
        tracing::warn!(warning, "configuration");
    }
}

/// What may be open at once: every client that may come in, and every pool of one user and database
/// full.
fn needed(settings: &Settings) -> u64 {
    let clients: u64 = settings.listeners.iter().map(|listener| u64::from(listener.max_clients)).sum();
    let pools = settings.plan.file.database.as_ref().map_or(0, |database| {
        let nodes = u64::try_from(database.nodes.len()).unwrap_or(u64::MAX);
        nodes.saturating_mul(u64::from(database.pool.max))
    });
    clients.saturating_add(pools).saturating_add(OWN)
}

fn shortage(needed: u64, limit: Option<u64>) -> Option<String> {
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "database.listeners[].max_clients: the clients of all listeners, the pools and the companion itself may \
         need {needed} open files, and this process may have {limit}: raise its hard limit (LimitNOFILE= in \
         systemd, ulimit -Hn in a shell), or lower max_clients"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_limit_that_is_too_low_is_warned_of() {
        assert_eq!(shortage(1000, Some(1000)), None);
        assert_eq!(shortage(1000, None), None);
        let warning = shortage(10_356, Some(4096)).unwrap();
        assert!(warning.contains("10356") && warning.contains("4096") && warning.contains("LimitNOFILE"));
    }
}
