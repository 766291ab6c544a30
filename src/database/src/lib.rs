//! # evenkeel-database: PostgreSQL nodes and the sessions that need them
//!
//! What lives here: watching every node ([`watch`]), and the router that moves client sessions to
//! the right one ([`router`]). Which node is right is decided by `evenkeel_policy::database`.
//!
//! What must not: HTTP (but for the question to Patroni), alerts, files beside those the configuration
//! names, and rules of its own.

#![forbid(unsafe_code)]

pub mod router;
pub mod watch;
