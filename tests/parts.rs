//! The parts that every other test here relies on are what they claim to be.

use evenkeel_tests::parts;
use std::{fs, process::Command};

#[test]
fn envoy_is_real_and_recent_enough() {
    let version = parts::envoy_version();
    assert!(version >= (1, 36), "Envoy must be at least 1.36: {version:?}");
}

#[test]
fn filter_is_a_wasm_module_of_at_most_500_kb() {
    let module = fs::read(parts::wasm()).expect("the module can be read");
    assert!(module.starts_with(b"\0asm\x01\0\0\0"), "not a wasm module of version 1");
    assert!(module.len() <= 512_000, "{} bytes: Envoy holds one copy per worker", module.len());
}

#[test]
fn crashing_filter_is_a_wasm_module() {
    let module = fs::read(parts::wasm_crash()).expect("the module can be read");
    assert!(module.starts_with(b"\0asm\x01\0\0\0"), "not a wasm module of version 1");
}

#[test]
fn evenkeel_starts() {
    let status = Command::new(parts::evenkeel()).arg("--version").status().expect("evenkeel starts");
    assert!(status.success(), "evenkeel --version: {status}");
}
