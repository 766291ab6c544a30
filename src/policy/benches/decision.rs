//! What one decision costs: under 200 ns with 2 regions and under 1 µs with 16, whatever the policy.
//!
//! The state is worked out into a view on a tick or when it changed, so that is measured apart.

use criterion::{Criterion, criterion_group, criterion_main};
use evenkeel_policy::decision::{Request, decide};
use evenkeel_policy::engine::{Attempt, Engine};
use evenkeel_policy::geography::Country;
use evenkeel_policy::health::{Probe, ProbeResult};
use evenkeel_policy::overrides::InForce;
use evenkeel_policy::region::RegionId;
use evenkeel_policy::state::State;
use evenkeel_policy::supposed::Supposed;
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::topology::Topology;
use evenkeel_policy::view::View;
use evenkeel_policy::words::{Cause, Outcome};
use std::hint::black_box;

const NOW: Time = Time::from_millis(1_000_000);
const SIZES: [usize; 2] = [2, 16];

/// Regions of weights 1, 2, 3 …; the first claims TW, the last Asia.
fn topology(regions: usize, policy: &str) -> Topology {
    let list: Vec<String> = (0..regions)
        .map(|index| {
            let claim = match index {
                0 => ", \"countries\": [\"TW\"]",
                _ if index + 1 == regions => ", \"continents\": [\"AS\"]",
                _ => "",
            };
            format!("{{\"name\": \"region-{index}\", \"cluster\": \"c\", \"weight\": {}{claim}}}", index + 1)
        })
        .collect();
    let json = format!(
        "{{\"local_region\": \"region-0\", \"regions\": [{}], \"routing\": {{\"policy\": \"{policy}\", \
         \"sticky\": {{\"source\": \"client_ip\"}}}}}}",
        list.join(", ")
    );
    Topology::from_json(json.as_bytes()).expect("a valid configuration")
}

/// An engine whose regions have all been probed.
fn engine(topology: Topology) -> Engine {
    let ids: Vec<RegionId> = topology.ids().collect();
    let mut engine = Engine::new(topology, NOW);
    for (index, id) in ids.into_iter().enumerate() {
        let latency = Millis::new(10 + index as u64);
        engine.on_probe(NOW, id, &Probe { result: ProbeResult::Ok, latency, drain: None });
    }
    engine
}

/// The heaviest three quarters of the regions are out: keys must look for another.
fn troubled(mut engine: Engine) -> Engine {
    let mut state = engine.state().clone();
    let regions = state.regions.len();
    for index in regions / 4..regions {
        let id = RegionId::new(index).expect("few");
        let supposed = Supposed { unhealthy: Some(Cause::Unhealthy), breaker: Default::default(), share: 0 };
        state.suppose(id, supposed, NOW);
    }
    engine.adopt(state, NOW);
    engine
}

fn decisions(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    let country =
        |code: &str| Request { country: Country::parse(code.as_bytes()), safe: true, ..Request::default() };
    let key = Request { key: Some(0x0123_4567_89ab_cdef), safe: true, ..Request::default() };
    for regions in SIZES {
        let geo = engine(topology(regions, "geo"));
        let weighted = engine(topology(regions, "weighted"));
        let latency = engine(topology(regions, "latency"));
        let few = troubled(weighted.clone());
        let rows = [
            ("geo, country", &geo, country("TW")),
            ("geo, continent", &geo, country("KR")),
            ("geo, default", &geo, country("DE")),
            ("weighted", &weighted, Request { safe: true, ..Request::default() }),
            ("sticky", &weighted, key),
            ("sticky, 3 of 4 out", &few, key),
            ("latency", &latency, country("TW")),
        ];
        for (name, engine, request) in rows {
            let (topology, view) = (engine.topology(), engine.view());
            let mut draw = 0.0;
            let mut key = 0u64;
            group.bench_function(format!("{name}, {regions} regions"), |bencher| {
                bencher.iter(|| {
                    // Another draw and another key each time: a branch predictor must not learn it.
                    draw = (draw + 0.618_033_988) % 1.0;
                    key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let request = Request { key: request.key.map(|_| key), ..request };
                    decide(black_box(topology), black_box(view), black_box(&request), black_box(draw))
                });
            });
        }
    }
    group.finish();
}

fn state(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("state");
    for regions in SIZES {
        let engine = engine(topology(regions, "geo"));
        let (topology, state) = (engine.topology(), engine.state());
        let written = state.encode(topology);
        println!("state of {regions} regions: {} bytes", written.len());
        group.bench_function(format!("View::new, {regions} regions"), |bencher| {
            bencher.iter(|| View::new(black_box(topology), black_box(state), &InForce::default(), NOW));
        });
        group.bench_function(format!("encode, {regions} regions"), |bencher| {
            bencher.iter(|| black_box(state).encode(topology));
        });
        group.bench_function(format!("decode, {regions} regions"), |bencher| {
            bencher.iter(|| State::decode(black_box(&written), topology, NOW));
        });
        let mut reporting = engine.clone();
        let attempt = Attempt {
            region: RegionId::FIRST,
            permit: reporting.permit(RegionId::FIRST),
            outcome: Outcome::Ok,
            duration: Millis::new(5),
        };
        group.bench_function(format!("Engine::report, {regions} regions"), |bencher| {
            bencher.iter(|| reporting.report(NOW, black_box(&attempt)));
        });
        let mut ticking = engine.clone();
        group.bench_function(format!("Engine::tick, {regions} regions"), |bencher| {
            bencher.iter(|| ticking.tick(black_box(NOW)));
        });
    }
    group.finish();
}

criterion_group!(benches, decisions, state);
criterion_main!(benches);
