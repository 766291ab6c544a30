//! The parts that every other test here relies on are what they claim to be.

use evenkeel_tests::parts;
use std::{fs, process::Command};

#[test]
fn envoy_is_real_and_recent_enough() {
    let output = Command::new(parts::envoy()).arg("--version").output().expect("Envoy starts");
    let text = String::from_utf8_lossy(&output.stdout);
    // "…/envoy  version: REVISION/1.40.0/Clean/RELEASE/BoringSSL"
    let version = text.split('/').rev().nth(3).unwrap_or_default();
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().expect("a number"));
    let (major, minor) = (numbers.next(), numbers.next());
    assert!((major, minor) >= (Some(1), Some(36)), "Envoy must be at least 1.36: {text}");
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
