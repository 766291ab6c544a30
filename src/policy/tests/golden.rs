//! The golden traces, natively; `tests/wasm.rs` plays the same files as wasm.
#![cfg(not(target_arch = "wasm32"))]

#[path = "common/golden.rs"]
mod golden;

use golden::TRACES;
use std::collections::BTreeSet;

#[test]
fn every_trace_ends_as_the_rules_say() {
    let faults: Vec<String> = TRACES
        .iter()
        .filter_map(|trace| std::panic::catch_unwind(|| trace.check()).err().map(|_| trace.name.to_owned()))
        .collect();
    assert_eq!(faults, Vec::<String>::new());
}

/// A file that no test plays is no test.
#[test]
fn every_file_is_played() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("tests/golden")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    let played: BTreeSet<String> = TRACES
        .iter()
        .flat_map(|trace| {
            ["json", "events.jsonl", "expected.jsonl"].map(|end| format!("{}.{end}", trace.name))
        })
        .collect();
    assert_eq!(files, played);
}
