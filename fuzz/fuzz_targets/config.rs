//! The plugin configuration's reader: any bytes give a topology or errors that name a field.
#![no_main]

use evenkeel_policy::settings::Settings;
use evenkeel_policy::topology::Topology;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    match Topology::from_json(json) {
        Err(errors) => {
            assert!(!errors.0.is_empty(), "refused without a reason");
            for error in errors.0 {
                assert!(!error.field.is_empty() && !error.remedy.is_empty(), "{error:?}");
                assert!(error.to_string().len() < 4096, "an error of {} bytes", error.to_string().len());
            }
        }
        Ok(topology) => {
            let _ = topology.warnings();
            for id in topology.ids() {
                assert_eq!(topology.region_id(topology.name(id)), Some(id));
            }
            // What was read can be written and says the same.
            let settings: Settings = serde_json::from_slice(json).expect("it was read a moment ago");
            let written = serde_json::to_vec(&settings).expect("settings are plain data");
            let again = Topology::from_json(&written).expect("what is valid stays valid when written");
            assert_eq!(topology.hash, again.hash);
        }
    }
});
