//! The companion with real parts: what readiness says of them, and how soon.
fn main() {}
