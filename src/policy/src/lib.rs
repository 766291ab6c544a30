//! # evenkeel-policy: every decision, and nothing else
//!
//! What lives here: observations come in (a probe's result, a call's outcome, an operator's order,
//! the time, a random number), decisions come out (an order of regions with its reason, a state
//! change). The filter, the DNS answers, the database router, `evenkeel explain`, `evenkeel replay`
//! and the chaos experiments all ask this crate.
//!
//! What must not: I/O, clocks, randomness, threads, logging, `unsafe`, and anything that can panic.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod breaker;
pub mod settings;
pub mod time;
