//! The target file's reader: any bytes give a target or an error that says something.
#![no_main]

use evenkeel_chaos::target::Target;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|yaml: &[u8]| {
    // A file that is no text does not get further than to be read.
    let Ok(text) = std::str::from_utf8(yaml) else { return };
    // One variable is set, one is set to nothing, and no other is known.
    let variable = |name: &str| match name {
        "A" => Some("a".to_owned()),
        "B" => Some(String::new()),
        _ => None,
    };
    match Target::read(text, Path::new("/nonexistent"), variable) {
        Ok(target) => {
            assert!(!target.regions().is_empty() && target.topology.is_absolute(), "{target:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty(), "refused without a reason"),
    }
});
