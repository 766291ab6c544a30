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

/// Found by the fuzzer: a NaN in a stored latency.
#[test]
fn a_damaged_latency_passes() {
    common::drive::drive(include_bytes!("finds/nan-latency"));
}

/// Found by the fuzzer: a stored transition of a region that does not exist.
#[test]
fn a_region_that_does_not_exist_is_forgotten() {
    common::drive::drive(include_bytes!("finds/foreign-region"));
}
