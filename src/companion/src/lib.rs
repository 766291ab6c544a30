//! # evenkeel-companion: the native daemon
//!
//! What lives here: everything that `evenkeel run` does besides the database's sessions. One region's
//! [`readiness`], the [`edges`]' states, the votes on what DNS answers ([`oracle`]), [`alerts`],
//! [`metrics`], the status [`page`], operators' [`orders`], reload and shutdown ([`daemon`]).
//!
//! What must not: rules for choosing a region or a database node (they are `evenkeel-policy`'s), and
//! PostgreSQL's protocol (it is `evenkeel-database`'s). What this crate needs of the database stands
//! in [`database`].

#![forbid(unsafe_code)]

mod access;
pub mod admin;
pub mod alerts;
pub mod client;
pub mod clock;
mod conditions;
pub mod daemon;
pub mod database;
mod descriptors;
pub mod dns;
pub mod edges;
mod files;
pub mod history;
pub mod log;
pub mod metrics;
pub mod monitor;
pub mod oracle;
pub mod orders;
pub mod page;
mod patroni;
pub mod peers;
pub mod public;
pub mod readiness;
pub mod serve;
pub mod settings;
mod signals;
pub mod status;
mod witness;
mod world;

pub use daemon::{Ended, Options, run};
pub use world::World;
