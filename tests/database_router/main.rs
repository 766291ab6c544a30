//! Clients' sessions through `evenkeel run` to real PostgreSQL clusters, which are killed, frozen, cut
//! off and promoted meanwhile.

mod cancel;
mod consistency;
mod entrance;
mod failover;
mod fences;
mod holding;
mod ledger;
mod operation;
mod pooling;
mod raw;
mod routing;
mod rude;
mod session;
mod setup;
mod state;
mod traffic;

use session::Session;
use setup::{Options, Setup};
use std::time::Duration;

/// How long anything may take that is not measured. Far more than it needs, for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);
