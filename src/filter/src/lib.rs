//! # evenkeel-filter: the edge, inside Envoy
//!
//! What lives here: Envoy's events come in (a request, its end, a tick, a probe's answer), questions
//! go to `evenkeel-policy`, and its decisions go back as headers, metrics and log lines.
//!
//! What must not: rules. Why a region is chosen or left stands in `evenkeel-policy` alone.
//!
//! One file touches hostcalls: `envoy`. Everything else talks to the [`host::Host`] trait and runs
//! natively in tests, against a host with a virtual clock.
//!
//! Envoy runs one VM for each worker and one on the main thread. Each has an [`edge::Edge`]; together
//! they keep one state in Envoy's shared data ([`sync`]), and one of them at a time probes
//! ([`prober`]).

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod edge;
pub mod host;
pub mod metrics;
pub mod outcome;
pub mod prober;
pub mod random;
pub mod report;
pub mod request;
pub mod sync;

#[cfg(target_arch = "wasm32")]
mod envoy;
