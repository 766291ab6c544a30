//! What edges post to the companion: any bytes give a state within its bounds, or a reason.
#![no_main]

use evenkeel_companion::edges::EdgeState;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    match EdgeState::read(body) {
        Ok(state) => {
            assert!(!state.edge.is_empty() && state.regions.len() <= 32);
            // What was taken once is taken again as it was kept.
            let written = serde_json::to_vec(&state).expect("a state is written");
            assert_eq!(EdgeState::read(&written), Ok(state));
        }
        Err(reason) => assert!(!reason.is_empty(), "refused without a reason"),
    }
});
