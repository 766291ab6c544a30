//! # evenkeel-chaos: faults on purpose
//!
//! What lives here: a [`link`] between regions that carries a round trip, loses and can be cut.
//!
//! What must not: anything that the service under test needs to run; no other crate depends on this one
//! but the command.

#![forbid(unsafe_code)]

pub mod link;
