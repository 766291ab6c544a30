//! A decision takes nothing from the heap: in a VM every allocation is time and lasting growth.
#![cfg(not(target_arch = "wasm32"))]

use evenkeel_policy::decision::{Hop, Request, decide};
use evenkeel_policy::dns::{
    CheckId, Client, Latencies, Member, Place, Policy, Records, Set, SetId, Target, ValueId,
};
use evenkeel_policy::engine::{Attempt, Engine};
use evenkeel_policy::geography::Country;
use evenkeel_policy::region::RegionId;
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::topology::Topology;
use evenkeel_policy::words::Outcome;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness allocates on its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

fn engine(policy: &str, all_unhealthy: &str) -> Engine {
    let regions: Vec<String> = (0..32)
        .map(|index| {
            let claim = if index == 0 { ", \"countries\": [\"TW\"], \"continents\": [\"AS\"]" } else { "" };
            format!("{{\"name\": \"r{index}\", \"cluster\": \"c\", \"weight\": {}{claim}}}", index % 5)
        })
        .collect();
    let json = format!(
        "{{\"regions\": [{}], \"routing\": {{\"policy\": \"{policy}\", \"sticky\": {{\"source\": \"client_ip\"}}}}, \
         \"all_unhealthy\": \"{all_unhealthy}\"}}",
        regions.join(",")
    );
    Engine::new(Topology::from_json(json.as_bytes()).expect("valid"), Time::ZERO)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_decision_allocates_nothing() {
    for policy in ["geo", "weighted", "latency", "local"] {
        for all_unhealthy in ["local", "any", "reject"] {
            let mut engine = engine(policy, all_unhealthy);
            // All well; the first dozen out by their breakers; half-open; all out.
            for phase in 0..4u64 {
                if phase == 1 || phase == 3 {
                    let broken = if phase == 1 { 12 } else { 32 };
                    for id in (0..broken).filter_map(RegionId::new) {
                        let permit = engine.permit(id);
                        for _ in 0..10 {
                            let attempt = Attempt {
                                region: id,
                                permit,
                                outcome: Outcome::Error,
                                duration: Millis::ZERO,
                            };
                            engine.report(Time::from_millis(phase * 31_000), &attempt);
                        }
                    }
                }
                engine.tick(Time::from_millis(phase * 31_000 + 1));
                for country in ["TW", "KR", "DE"] {
                    for key in [None, Some(7), Some(u64::MAX)] {
                        for (safe, hop) in [(true, Hop::None), (false, Hop::None), (true, Hop::Elsewhere)] {
                            let request = Request {
                                country: Country::parse(country.as_bytes()),
                                continent: None,
                                key,
                                safe,
                                hop,
                            };
                            let found = allocations(|| {
                                let decision = decide(engine.topology(), engine.view(), &request, 0.9);
                                std::hint::black_box(decision.first().and_then(|first| engine.permit(first)));
                            });
                            assert_eq!(found, 0, "{policy} {all_unhealthy} {phase} {request:?}");
                        }
                    }
                }
            }
        }
    }
}

/// Once its window is full, a call's report takes nothing either.
#[test]
fn a_report_allocates_nothing() {
    let mut engine = engine("geo", "local");
    let permit = engine.permit(RegionId::FIRST);
    let attempt = Attempt { region: RegionId::FIRST, permit, outcome: Outcome::Ok, duration: Millis::ZERO };
    for _ in 0..100 {
        engine.report(Time::ZERO, &attempt);
    }
    assert_eq!(allocations(|| engine.report(Time::ZERO, &attempt)), 0);
}

/// Nor does a DNS answer, by whatever policy.
#[test]
fn a_dns_choice_allocates_nothing() {
    let country = Country::parse(b"KR").expect("a country");
    let policies =
        [Policy::Weighted, Policy::Geolocation, Policy::Latency, Policy::Failover, Policy::Multivalue];
    for policy in policies {
        let members = |target: fn(u16) -> Target| {
            let member = move |at: u16| Member {
                check: Some(CheckId(at)),
                places: vec![Place::Country(country), Place::Default],
                ..Member::new(target(at))
            };
            (0..32).map(member).collect::<Vec<_>>()
        };
        let top = Set { policy, members: members(|_| Target::Set(SetId(1))) };
        let below = Set { policy: Policy::Multivalue, members: members(|at| Target::Value(ValueId(at))) };
        let records = Records::try_new(vec![top, below], Latencies::default()).expect("sound sets");
        for shares in [[100; 32], [50; 32], [0; 32]] {
            let found = allocations(|| {
                std::hint::black_box(records.choose(SetId(0), &Client::of(country), &shares, 7, &mut ()));
            });
            assert_eq!(found, 0, "{policy:?} {shares:?}");
        }
    }
}
