//! The renderings in a real Envoy. Set `EVENKEEL_ENVOY` to its binary; without it nothing is tested
//! here, and each test says so.
//!
//! Where a test chooses the region by a header, the rendered bootstrap is loaded without the filter
//! and without the native removal of that header: what is left are the routes, retries and
//! clusters exactly as they were rendered.

mod behaviour;
mod edge;
mod filter;
mod loading;
#[path = "../../../dns/tests/support/mmdb.rs"]
mod mmdb;
mod module;
mod region;
