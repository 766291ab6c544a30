//! The topology file's reader: any bytes give a plan or problems that name a field.
#![no_main]

use evenkeel_config::Plan;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|yaml: &[u8]| {
    // A folder that does not exist: a file that names a secret must not find one.
    match Plan::read(yaml, Path::new("/nonexistent"), None) {
        Ok(plan) => assert!(!plan.hash.is_empty()),
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            for problem in &problems.0 {
                assert!(!problem.error.field.is_empty() && !problem.error.remedy.is_empty(), "{problem:?}");
            }
        }
    }
});
