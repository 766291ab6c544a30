//! # evenkeel-chaos: faults on purpose, and what they cost
//!
//! What lives here: a [`link`] between regions that carries a round trip, loses and can be cut;
//! [`experiment`]s and the [`catalog`] of those that come with it, the [`target`]s they run against, the
//! [`faults`] that are done and [`undo`]ne, and the [`journal`] of a run, which every figure, verdict and page
//! is computed from.
//!
//! What must not: anything that the service under test needs to run; no other crate depends on this one
//! but the command.

#![forbid(unsafe_code)]

mod aside;
pub mod ask;
pub mod audit;
pub mod catalog;
pub mod clock;
pub mod companions;
pub mod cost;
pub mod docker;
pub mod drill;
pub mod experiment;
pub mod faults;
pub mod figures;
pub mod fis;
pub mod http;
pub mod journal;
pub mod link;
pub mod load;
pub mod measure;
pub mod plan;
pub mod report;
pub mod runner;
pub mod schedule;
pub mod selection;
pub mod target;
pub mod undo;
pub mod url;
pub mod verdict;
pub mod watch;
