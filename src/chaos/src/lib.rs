//! # evenkeel-chaos: faults on purpose, and what they cost
//!
//! What lives here: a [`link`] between regions that carries a round trip, loses and can be cut;
//! [`experiment`]s, the [`target`]s they run against, and the [`journal`] of a run, which every figure,
//! verdict and page is computed from.
//!
//! What must not: anything that the service under test needs to run; no other crate depends on this one
//! but the command.

#![forbid(unsafe_code)]

mod aside;
pub mod audit;
pub mod clock;
pub mod cost;
pub mod experiment;
pub mod figures;
pub mod http;
pub mod journal;
pub mod link;
pub mod load;
pub mod measure;
pub mod report;
pub mod target;
pub mod verdict;
pub mod watch;
