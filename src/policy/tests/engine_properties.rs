//! What holds of the whole engine whatever happens to it.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_through_any_story(bytes in vec(any::<u8>(), 0..1500)) {
        common::drive::drive(&bytes);
    }
}

/// What the fuzzer found, each once.
#[test]
fn finds_stay_mended() {
    for find in [&include_bytes!("finds/nan-latency")[..]] {
        common::drive::drive(find);
    }
}
