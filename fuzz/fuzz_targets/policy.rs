//! The rules: any story of events, damaged state and changed configurations leaves them whole.
#![no_main]

#[path = "../../src/policy/tests/common/mod.rs"]
mod common;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| common::drive::drive(bytes));
