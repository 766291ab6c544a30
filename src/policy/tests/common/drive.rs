//! Any bytes as a story: regions, settings, events, damaged state, changed configurations. After
//! every step the rules must hold. Property tests feed it noise, the fuzzer what it learned.

use super::invariants;
use evenkeel_policy::breaker::Permit;
use evenkeel_policy::decision::{Hop, Request};
use evenkeel_policy::engine::{Attempt, Engine};
use evenkeel_policy::geography::{Continent, Country};
use evenkeel_policy::health::{Probe, ProbeResult};
use evenkeel_policy::overrides::{Directive, Override};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::state::{State, Transition};
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::topology::Topology;
use evenkeel_policy::words::Outcome;
use serde_json::json;

/// Bytes to draw choices from; zeros when they are used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn number(&mut self) -> u64 {
        u64::from(self.byte()) << 8 | u64::from(self.byte())
    }

    fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn unit(&mut self) -> f64 {
        self.number() as f64 / 65_536.0
    }
}

const NAMES: [&str; 6] = ["taiwan", "japan", "oregon", "ireland", "sydney", "spare"];

fn topology(bytes: &mut Bytes<'_>) -> Topology {
    let first = bytes.below(NAMES.len());
    let count = 1 + bytes.below(NAMES.len());
    let claims =
        [(json!(["TW"]), json!([])), (json!(["JP"]), json!(["AS"])), (json!([]), json!(["EU", "NA"]))];
    let regions: Vec<_> = (0..count)
        .map(|index| {
            let name = NAMES[(first + index) % NAMES.len()];
            let (countries, continents) = claims.get(index).cloned().unwrap_or((json!([]), json!([])));
            json!({"name": name, "cluster": name, "weight": bytes.of(&[60, 40, 1, 0, 1_000_000]),
                   "countries": countries, "continents": continents})
        })
        .collect();
    let mut config = json!({
        "regions": regions,
        "routing": {
            "policy": bytes.of(&["geo", "weighted", "latency", "local"]),
            "default": bytes.of(&["weighted", "latency", "local"]),
            "sticky": if bytes.below(2) == 0 { json!({"source": "none"}) } else { json!({"source": "client_ip"}) }},
        "circuit_breaker": {
            "sliding_window_type": bytes.of(&["count_based", "time_based"]),
            "sliding_window_size": 4 + bytes.below(12), "minimum_number_of_calls": 1 + bytes.below(6),
            "permitted_number_of_calls_in_half_open_state": 1 + bytes.below(4),
            "wait_duration_in_open_state": bytes.of(&["1ms", "1s", "30s"]),
            "permission_timeout": bytes.of(&["1s", "30s"]),
            "automatic_transition_from_open_to_half_open": bytes.below(2) == 0},
        "failback": {"hold": bytes.of(&["0s", "1s", "30s"]), "ramp": bytes.of(&["0s", "10s", "6m"])},
        "all_unhealthy": bytes.of(&["local", "any", "reject"]),
    });
    if bytes.below(2) == 0 {
        config["local_region"] = json!(NAMES[(first + bytes.below(count)) % NAMES.len()]);
    }
    Topology::from_json(config.to_string().as_bytes()).expect("a valid configuration")
}

/// One engine that sees everything, and two that share a state as two workers do.
struct World {
    now: Time,
    alone: Engine,
    workers: [Engine; 2],
    shared: Vec<u8>,
    /// What changed, as the one and as the two saw it.
    changes: [Vec<Transition>; 2],
    calls: Vec<(Request, Vec<RegionId>, Option<Permit>)>,
    /// A damaged state may contradict itself until time has passed over it.
    damaged: bool,
}

/// Plays the story that the bytes tell.
pub fn drive(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let topology = topology(&mut bytes);
    let alone = Engine::new(topology, Time::from_millis(1_000_000));
    let mut world = World {
        now: Time::from_millis(1_000_000),
        workers: [alone.clone(), alone.clone()],
        shared: alone.state().encode(alone.topology()),
        alone,
        changes: [Vec::new(), Vec::new()],
        calls: Vec::new(),
        damaged: false,
    };
    while !bytes.0.is_empty() {
        world.step(&mut bytes);
        world.check();
    }
}

impl World {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        let regions = self.alone.topology().regions.len();
        let region = |bytes: &mut Bytes<'_>| RegionId::new(bytes.below(regions)).expect("few");
        match bytes.below(16) {
            0..=2 => {
                let id = region(bytes);
                let result = bytes.of(&[
                    ProbeResult::Ok,
                    ProbeResult::Ok,
                    ProbeResult::Failed,
                    ProbeResult::NoCluster,
                ]);
                let latency = Millis::new(bytes.number() / 64);
                let drain = (bytes.below(16) == 0).then(|| Millis::new(bytes.number()));
                self.all(bytes, |engine| engine.on_probe(now, id, &Probe { result, latency, drain }));
            }
            3..=6 => self.request(bytes),
            7..=10 => self.outcome(bytes),
            11 => {
                let order = match bytes.below(4) {
                    0 => Directive::Freeze,
                    1 => Directive::Pin { region: region(bytes) },
                    _ => Directive::Drain { region: region(bytes), force: bytes.below(4) == 0 },
                };
                let until = now.plus(Millis::new(1 + bytes.number()));
                self.alone.order(Override { order, until });
                // Every worker hears of an order by itself: it stands in the configuration.
                for worker in &mut self.workers {
                    worker.order(Override { order, until });
                }
                self.all(bytes, |engine| engine.tick(now));
            }
            12 | 13 => {
                self.now = now.plus(Millis::new(bytes.number() * bytes.of(&[1, 1, 10])));
                let now = self.now;
                self.all(bytes, |engine| engine.tick(now));
            }
            14 => match bytes.below(3) {
                0 => {
                    self.all(bytes, |engine| engine.tick(now));
                    // Each forgets by itself which orders are over: all must have looked.
                    for worker in &mut self.workers {
                        let state = State::decode(&self.shared, worker.topology(), now);
                        worker.adopt(state.expect("a state of this form"), now);
                        worker.tick(now);
                        assert_eq!(worker.take_changes(), [], "nothing was left to do");
                    }
                    let earlier = Time::from_millis(now.as_millis().saturating_sub(bytes.number()));
                    self.now = earlier;
                    self.all(bytes, |engine| engine.tick(earlier));
                }
                1 => self.reconfigure(bytes),
                _ => self.damage(bytes),
            },
            _ => self.all(bytes, |engine| engine.tick(now)),
        }
    }

    /// The same step for the one engine and for one of the workers, which first adopts what the
    /// other wrote.
    fn all<T: PartialEq + std::fmt::Debug>(
        &mut self,
        bytes: &mut Bytes<'_>,
        step: impl Fn(&mut Engine) -> T,
    ) -> T {
        let found = step(&mut self.alone);
        let worker = &mut self.workers[bytes.below(2)];
        let state = State::decode(&self.shared, worker.topology(), self.now).expect("a state of this form");
        worker.adopt(state, self.now);
        assert_eq!(step(worker), found, "two workers that share a state decide as one");
        self.shared = worker.state().encode(worker.topology());
        let [one, two] = &mut self.changes;
        one.extend(self.alone.take_changes());
        two.extend(worker.take_changes());
        found
    }

    fn request(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        let request = Request {
            country: Country::parse(bytes.of(&[b"TW", b"JP", b"DE", b"ZZ", b"??"])),
            continent: Continent::parse(bytes.of(&[b"  ", b"  ", b"AS", b"AF"])),
            key: (bytes.below(2) == 0).then(|| bytes.number().wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            safe: bytes.below(3) != 0,
            hop: bytes.of(&[Hop::None, Hop::None, Hop::None, Hop::None, Hop::Elsewhere, Hop::Here]),
        };
        let random = bytes.unit();
        self.all(bytes, |engine| engine.tick(now));
        let (decision, permit) = {
            let view = self.alone.view().clone();
            let found = self.all(bytes, |engine| engine.route(now, &request, random));
            invariants::decision(&self.alone, &view, &request, &found.0);
            found
        };
        if !decision.order.is_empty() {
            self.calls.push((request, decision.order.to_vec(), permit));
        }
    }

    fn outcome(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        let Some((_, order, permit)) = self.calls.get(bytes.below(self.calls.len())).cloned() else { return };
        let place = bytes.below(order.len());
        let attempt = Attempt {
            region: order[place],
            permit: permit.filter(|_| place == 0),
            outcome: bytes.of(Outcome::ALL),
            duration: Millis::new(bytes.number() * 2),
        };
        self.all(bytes, |engine| engine.report(now, &attempt));
        if bytes.below(2) == 0 {
            self.calls.clear();
        }
    }

    fn reconfigure(&mut self, bytes: &mut Bytes<'_>) {
        let (now, old) = (self.now, self.alone.state().encode(self.alone.topology()));
        let new = topology(bytes);
        let moved = State::decode(&old, &new, now).expect("a state of this form");
        self.calls.clear();
        self.alone.reconfigure(new.clone(), now);
        // In the written form, because a NaN in a damaged state equals nothing, not even itself.
        let kept = self.alone.state().encode(&new);
        assert_eq!(kept, moved.encode(&new), "a new configuration and a restarted VM keep the same");
        for worker in &mut self.workers {
            worker.reconfigure(new.clone(), now);
        }
        self.shared = moved.encode(&new);
        self.all(bytes, |engine| engine.tick(now));
    }

    fn damage(&mut self, bytes: &mut Bytes<'_>) {
        let now = self.now;
        let mut foreign = self.shared.clone();
        for _ in 0..1 + bytes.below(4) {
            let at = usize::try_from(bytes.number()).expect("small") % foreign.len();
            foreign[at] = bytes.byte();
        }
        if let Some(state) = State::decode(&foreign, self.alone.topology(), now) {
            self.damaged = true;
            self.alone.adopt(state.clone(), now);
            self.shared = state.encode(self.alone.topology());
            self.all(bytes, |engine| engine.tick(now));
        }
    }

    fn check(&mut self) {
        let topology = self.alone.topology();
        let shared = State::decode(&self.shared, topology, self.now).expect("a state of this form");
        // Written once more, because a NaN in a damaged state equals nothing, not even itself.
        assert_eq!(
            shared.encode(topology),
            self.alone.state().encode(topology),
            "the workers' state is the one's"
        );
        assert_eq!(self.changes[0], self.changes[1], "the workers see every change once");
        invariants::state(&self.alone, self.now, self.damaged);
    }
}
