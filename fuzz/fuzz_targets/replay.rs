//! Replay: any text is played or refused, and what is refused changes nothing.
#![no_main]

use evenkeel_policy::replay::Replay;
use evenkeel_policy::topology::Topology;
use libfuzzer_sys::fuzz_target;

const CONFIG: &[u8] = br#"{
  "local_region": "taiwan",
  "regions": [
    {"name": "taiwan", "cluster": "taiwan", "weight": 60, "countries": ["TW"]},
    {"name": "japan", "cluster": "japan", "weight": 40, "countries": ["JP"], "continents": ["AS"]},
    {"name": "spare", "cluster": "spare", "weight": 0}],
  "routing": {"default": "latency", "sticky": {"source": "header", "name": "x-user"}},
  "overrides": [{"drain": "japan", "until": "1970-01-01T00:01:00Z"}]
}"#;

fuzz_target!(|events: &[u8]| {
    let topology = Topology::from_json(CONFIG).expect("a valid configuration");
    let mut replay = Replay::new(topology, 0);
    for (index, line) in events.split(|byte| *byte == b'\n').enumerate() {
        let before = replay.engine().state().clone();
        match replay.raw_line(line) {
            Ok(None) => {}
            Ok(Some(answer)) => {
                let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
                assert!(answer["at_ms"].is_u64() && answer["transitions"].is_array());
                assert_eq!(answer["regions"].as_object().map(|regions| regions.len()), Some(3));
            }
            Err(error) => {
                assert_eq!(error.line, index + 1);
                assert!(!error.problem.is_empty());
                assert_eq!(*replay.engine().state(), before, "a refused line changed something");
            }
        }
    }
});
