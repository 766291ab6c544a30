//! Golden traces: whole scenarios as files, the same for every place the policy runs in.
//!
//! The expected lines were written from the rules, not recorded: where one differs, first ask which
//! of the two is wrong.

use evenkeel_policy::replay::Replay;
use evenkeel_policy::topology::Topology;

/// One scenario.
pub struct Trace {
    pub name: &'static str,
    config: &'static str,
    events: &'static str,
    expected: &'static str,
}

macro_rules! trace {
    ($name:literal) => {
        Trace {
            name: $name,
            config: include_str!(concat!("../../../../tests/golden/", $name, ".json")),
            events: include_str!(concat!("../../../../tests/golden/", $name, ".events.jsonl")),
            expected: include_str!(concat!("../../../../tests/golden/", $name, ".expected.jsonl")),
        }
    };
}

/// All scenarios in tests/golden.
pub const TRACES: &[Trace] = &[
    trace!("all-regions-stale"),
    trace!("all-weights-zero"),
    trace!("before-the-first-probe"),
    trace!("both-down-any"),
    trace!("both-down-local"),
    trace!("both-down-reject"),
    trace!("configured-overrides"),
    trace!("contract"),
    trace!("dies-by-breaker"),
    trace!("dies-by-probes"),
    trace!("drains"),
    trace!("failback"),
    trace!("freeze"),
    trace!("gate"),
    trace!("geo"),
    trace!("hop"),
    trace!("latency"),
    trace!("no-cluster"),
    trace!("one-region-stale"),
    trace!("pin"),
    trace!("readiness-drain"),
    trace!("single-region"),
    trace!("slow-calls"),
    trace!("sticky"),
    trace!("trials-fail"),
    trace!("weighted"),
];

impl Trace {
    /// Plays it in one go.
    pub fn check(&self) {
        let topology = Topology::from_json(self.config.as_bytes()).expect(self.name);
        // The wall clock shows the beginning of 1970, so `until` times are easy to read.
        let mut replay = Replay::new(topology, 0);
        let mut expected = self.expected.lines();
        for (index, event) in self.events.lines().enumerate() {
            let found = replay.line(event).expect(self.name).expect("no blank lines");
            let right = expected.next().unwrap_or_default();
            assert_eq!(found, right, "{} line {}: {event}", self.name, index + 1);
        }
        assert_eq!(expected.next(), None, "{}: more lines are expected than there are events", self.name);
    }
}
