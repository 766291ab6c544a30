//! What other systems load, written from a [`crate::Plan`].
//!
//! Every rendering is deterministic: the same file gives the same bytes, so a difference in a
//! review is a difference in meaning.

mod cluster;
mod envoy;
mod gateway;
mod istio;
mod retry;
mod route;
pub mod route53;
mod stats;
mod wasm;
mod yaml;
mod zone;

pub use envoy::{FilterSource, bootstrap};
pub use gateway::envoy_gateway;
pub use istio::istio;
pub use wasm::{ECDS_FILE, ecds, plugin};
pub use zone::zone;

/// Where a cluster's proxies fetch the module, unless they are told otherwise.
pub const MODULE_URL: &str =
    concat!("oci://registry.example.com/evenkeel-filter:", env!("CARGO_PKG_VERSION"));

/// A rendering that only the `dns` section makes sense of.
fn without_dns() -> crate::Problems {
    crate::Problems::single("dns", "give this section: it says what is rendered", None)
}

/// The type URL of one of Envoy's messages.
fn of_type(name: &str) -> String {
    format!("type.googleapis.com/{name}")
}

/// A span as Envoy reads it: seconds with up to three decimals.
fn seconds(span: evenkeel_policy::time::Millis) -> String {
    match (span.get() / 1000, span.get() % 1000) {
        (whole, 0) => format!("{whole}s"),
        (whole, rest) => format!("{whole}.{rest:03}s"),
    }
}
