//! Rules that are easy to break where two of them meet, one test each, played as events.

use evenkeel_policy::replay::Replay;
use evenkeel_policy::topology::Topology;
use serde_json::{Value, json};

struct Play {
    replay: Replay,
    last: Value,
}

impl Play {
    fn new(config: Value) -> Self {
        let topology = Topology::from_json(config.to_string().as_bytes()).expect("a valid configuration");
        Play { replay: Replay::new(topology, 0), last: Value::Null }
    }

    /// Two regions of weights 60 and 40.
    fn pair() -> Self {
        // No region is ever probed, so all are stale at once and health holds however long it lasts.
        Play::new(json!({"regions": [
            {"name": "taiwan", "cluster": "taiwan", "weight": 60},
            {"name": "japan", "cluster": "japan", "weight": 40}]}))
    }

    fn event(&mut self, event: Value) -> &Value {
        let line = self.replay.line(&event.to_string()).expect("a good event").expect("not blank");
        self.last = serde_json::from_str(&line).expect("JSON");
        &self.last
    }

    fn tick(&mut self, at_ms: u64) -> &Value {
        self.event(json!({"at_ms": at_ms, "tick": {}}))
    }

    fn shares(&self) -> Vec<u64> {
        let share = |name: &&str| self.last["regions"][name]["share"].as_u64().expect("a share");
        ["taiwan", "japan"].iter().map(share).collect()
    }

    /// Calls to a region that all fail, until its breaker opens.
    fn break_open(&mut self, at_ms: u64, region: &str) {
        let random = if region == "taiwan" { 0.0 } else { 0.99 };
        for id in 0..5 {
            let id = at_ms * 100 + id;
            self.event(json!({"at_ms": at_ms, "request": {"id": id, "random": random, "method": "POST"}}));
            self.event(json!({"at_ms": at_ms, "outcome": {"id": id, "region": region, "ok": false}}));
        }
        assert_eq!(self.last["regions"][region]["breaker"], "open");
    }

    fn kinds(&self) -> Vec<String> {
        let changes = self.last["transitions"].as_array().expect("transitions");
        let word = |change: &Value, key: &str| change[key].as_str().unwrap_or("-").to_owned();
        changes
            .iter()
            .map(|change| {
                format!(
                    "{} {} {}>{}",
                    word(change, "region"),
                    word(change, "kind"),
                    word(change, "from"),
                    word(change, "to")
                )
            })
            .collect()
    }
}

/// A pin does not lift the limit on trials: a half-open region must not get all traffic at once.
#[test]
fn a_pin_to_a_half_open_region_spends_its_permits() {
    let mut play = Play::pair();
    play.break_open(0, "taiwan");
    play.tick(30_000);
    play.event(json!({"at_ms": 30_000, "override": {"pin": "taiwan", "ttl": "10m"}}));
    let mut reasons = Vec::new();
    for id in 0..5 {
        play.event(json!({"at_ms": 30_001, "request": {"id": id}}));
        let decision = &play.last["decision"];
        reasons.push((decision["order"][0].clone(), decision["reason"].clone()));
    }
    let trial = || (json!("taiwan"), json!("trial"));
    let else_where = || (json!("japan"), json!("failover"));
    assert_eq!(reasons, [trial(), trial(), trial(), else_where(), else_where()]);
}

/// A half-open region takes trials only, so draining the other would leave nothing for the rest.
#[test]
fn a_drain_that_leaves_only_a_half_open_region_is_refused() {
    let mut play = Play::pair();
    play.break_open(0, "japan");
    play.tick(30_000);
    assert_eq!(play.last["regions"]["japan"]["breaker"], "half_open");
    play.event(json!({"at_ms": 30_000, "override": {"drain": "taiwan", "ttl": "10m"}}));
    assert_eq!(play.kinds(), ["taiwan override none>drain_refused"]);
    assert_eq!(play.shares(), [100, 0]);
}

/// The drain that came later is the one that would leave nothing.
#[test]
fn a_second_drain_does_not_undo_the_first() {
    let mut play = Play::pair();
    play.event(json!({"at_ms": 0, "override": {"drain": "japan", "ttl": "10m"}}));
    assert_eq!(play.shares(), [100, 0]);
    play.event(json!({"at_ms": 1, "override": {"drain": "taiwan", "ttl": "10m"}}));
    assert_eq!(play.kinds(), ["taiwan override none>drain_refused"]);
    assert_eq!(play.shares(), [100, 0]);
}

/// With one region there is neither hold nor ramp, not even for a moment.
#[test]
fn a_region_with_nothing_to_lean_on_is_never_held() {
    let mut play = Play::new(json!({"regions": [{"name": "taiwan", "cluster": "taiwan"}]}));
    let probe = |at_ms: u64, ok: bool| json!({"at_ms": at_ms, "probe": {"region": "taiwan", "ok": ok}});
    play.event(probe(0, false));
    play.event(probe(1000, false));
    assert_eq!(play.kinds(), ["taiwan health healthy>unhealthy", "taiwan failback full>out"]);
    play.event(probe(2000, true));
    play.event(probe(3000, true));
    assert_eq!(play.kinds(), ["taiwan health unhealthy>healthy", "taiwan failback out>full"]);
}

/// The gate stops growth for the whole hold, also where a freeze comes and goes meanwhile.
#[test]
fn a_freeze_does_not_shorten_the_gates_stop() {
    let mut play = Play::pair();
    play.event(json!({"at_ms": 0, "override": {"drain": "taiwan", "ttl": "1s"}}));
    play.tick(1000);
    play.tick(31_000);
    play.tick(31_000 + 180_000);
    assert_eq!(play.shares(), [52, 100]);
    for id in 0..20 {
        play.event(json!({"at_ms": 211_000, "request": {"id": id, "random": 0.0}}));
        play.event(json!({"at_ms": 211_000, "outcome": {"id": id, "ok": id != 18 && id != 19}}));
    }
    assert_eq!(play.shares(), [26, 100]);
    play.event(json!({"at_ms": 212_000, "override": {"freeze": true, "ttl": "2s"}}));
    play.tick(214_000);
    // 29 s of the stop were left when the freeze began, so growth goes on at 243 s.
    play.tick(243_000);
    assert_eq!(play.shares(), [26, 100]);
    play.tick(243_000 + 4000);
    assert_eq!(play.shares(), [27, 100]);
}

/// A breaker that opened under a freeze owes its trials when the freeze ends.
#[test]
fn a_region_is_half_open_also_after_a_freeze() {
    let mut play = Play::pair();
    play.event(json!({"at_ms": 0, "override": {"freeze": true, "ttl": "1m"}}));
    play.break_open(1, "taiwan");
    assert_eq!(play.shares(), [100, 100]);
    play.tick(30_001);
    assert_eq!(play.last["regions"]["taiwan"]["breaker"], "half_open");
    play.tick(60_000);
    assert_eq!(play.kinds(), ["- override frozen>none", "taiwan failback full>hold"]);
    assert_eq!(play.shares(), [0, 100]);
}

/// After a pause of the whole process all probes are old. The first answer proves that the prober is
/// back, not that the others are dead: each has `max_age` to be heard of again.
#[test]
fn the_first_probe_after_a_lost_prober_makes_no_other_region_stale() {
    let mut play = Play::pair();
    let probe = |at_ms: u64, region: &str| json!({"at_ms": at_ms, "probe": {"region": region, "ok": true}});
    play.event(probe(0, "taiwan"));
    play.event(probe(0, "japan"));
    play.tick(60_000);
    assert_eq!(play.shares(), [100, 100]);
    play.event(probe(60_010, "taiwan"));
    assert_eq!(play.shares(), [100, 100]);
    play.event(probe(65_000, "taiwan"));
    play.tick(70_010);
    assert_eq!(play.shares(), [100, 100]);
    play.tick(70_011);
    assert_eq!(play.kinds(), ["japan health healthy>unhealthy", "japan failback full>out"]);
}
