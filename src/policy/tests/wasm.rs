//! The policy as wasm: what holds natively must hold inside Envoy's VM, where `usize` has 32 bits.
//! Run by `scripts/wasm-test.sh` under Node.
#![cfg(target_arch = "wasm32")]

#[path = "common/golden.rs"]
mod golden;

use evenkeel_policy::time::{Millis, Time};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
fn durations_parse() {
    assert_eq!(Millis::parse("6m"), Ok(Millis::new(360_000)));
    assert_eq!(Millis::parse("1m 30s"), Ok(Millis::from_secs(90)));
    let error = Millis::parse("5").expect_err("a number without a unit");
    assert!(error.starts_with("\"5\" is not a duration"), "{error}");
}

/// A year of milliseconds does not fit 32 bits.
#[wasm_bindgen_test]
fn long_spans_keep_all_their_bits() {
    let year = Millis::parse("365d").expect("a year is allowed");
    assert_eq!(year.get(), 31_536_000_000);
    assert_eq!(Time::ZERO.plus(year).since(Time::from_millis(1)), Millis::new(31_535_999_999));

    let json = serde_json::to_string(&year).expect("a span is a string");
    assert_eq!(serde_json::from_str::<Millis>(&json).expect("what was written can be read"), year);
}

/// The very files that `tests/golden.rs` plays natively.
#[wasm_bindgen_test]
fn golden_traces_end_as_they_do_natively() {
    for trace in golden::TRACES {
        trace.check();
    }
}
