//! # evenkeel-policy: every decision, and nothing else
//!
//! What lives here: observations come in (a probe's result, a call's outcome, an operator's order,
//! the time, a random number), decisions come out (an order of regions with its reason, a state
//! change). The filter, the DNS answers, the database router, `evenkeel explain`, `evenkeel replay`
//! and the chaos experiments all ask this crate.
//!
//! What must not: I/O, clocks, randomness, threads, logging, `unsafe`, and anything that can panic.
//!
//! Where to look something up:
//!
//! | idea | module |
//! |---|---|
//! | the configuration's fields and defaults | [`settings`] |
//! | the regions and their settings, validated | [`topology`] |
//! | probe results to health | [`health`] |
//! | the circuit breaker | [`breaker`] |
//! | hold, ramp and error gate | [`failback`] |
//! | drain, pin, freeze | [`overrides`] |
//! | which region, and why | [`decision`] on a [`view`] |
//! | sticky keys | [`sticky`] |
//! | which database node writes, which may be read | [`database`] |
//! | which records a DNS name answers | [`dns`] |
//! | when several vantage points agree | [`vote`] |
//! | what is remembered and shared | [`state`] |
//! | all of it at work | [`engine`] |
//! | a standing as seen from outside | [`supposed`] |
//! | events from a file through the same rules | [`replay`] |

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod breaker;
pub mod database;
pub mod decision;
pub mod dns;
pub mod engine;
pub mod error;
pub mod failback;
pub mod geography;
pub mod health;
mod locate;
pub mod overrides;
pub mod region;
pub mod replay;
pub mod settings;
pub mod state;
pub mod sticky;
pub mod supposed;
pub mod time;
pub mod topology;
pub mod view;
pub mod vote;
pub mod words;
