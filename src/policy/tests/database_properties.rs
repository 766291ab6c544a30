//! What holds of the database's rules whatever the nodes say, in whatever order.

use evenkeel_policy::database::{
    Cluster, Event, Lsn, Observation, Role, Rules, Sample, Timeline, View, Writer, reader,
};
use evenkeel_policy::time::{Millis, Time};
use proptest::collection::vec;
use proptest::prelude::*;

const NODES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Probe(usize, Observation),
    Drain(usize, bool),
    Reshape(Vec<Option<usize>>),
    Remember(Timeline),
    Pass(u64),
}

fn sample() -> impl Strategy<Value = Sample> {
    let role = prop_oneof![Just(Role::Writer), Just(Role::Replica)];
    let lsn = || prop_oneof![8 => 0..1000u64, 1 => any::<u64>()].prop_map(Lsn);
    let timeline = prop_oneof![20 => 0..4u32, 1 => any::<u32>()];
    let age = prop_oneof![0..10_000u64, any::<u64>()].prop_map(Millis::new);
    (
        role,
        timeline,
        lsn(),
        proptest::option::of(lsn()),
        proptest::option::of(age.clone()),
        proptest::option::of(age),
    )
        .prop_map(|(role, timeline, lsn, received, replay_age, lag)| Sample {
            role,
            timeline,
            lsn,
            received,
            replay_age,
            lag,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let observation = prop_oneof![
        12 => sample().prop_map(Observation::Sample),
        2 => Just(Observation::TimedOut),
        1 => Just(Observation::Late),
        2 => Just(Observation::Lost("gone".to_owned())),
    ];
    let places = vec(proptest::option::of(0..NODES + 1), 0..NODES + 2);
    prop_oneof![
        // One place beyond the nodes there are, too.
        30 => (0..NODES + 1, observation).prop_map(|(node, seen)| Step::Probe(node, seen)),
        2 => (0..NODES + 1, any::<bool>()).prop_map(|(node, drained)| Step::Drain(node, drained)),
        1 => places.prop_map(Step::Reshape),
        1 => (0..5u32).prop_map(Step::Remember),
        10 => (0..3000u64).prop_map(Step::Pass),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    (0..4u32, 0..4u32, proptest::option::of(0..2000u64)).prop_map(|(bad, good, bytes)| Rules {
        unhealthy_threshold: bad,
        healthy_threshold: good,
        interval: Millis::new(200),
        interval_without_writer: Millis::new(50),
        max_replica_lag: Millis::from_secs(5),
        max_replica_lag_bytes: bytes,
    })
}

fn writer_timeline(view: &View) -> Option<Timeline> {
    match view.writer {
        Writer::Known { timeline, .. } | Writer::Conflict { timeline, .. } => Some(timeline),
        Writer::None => None,
    }
}

proptest! {
    #[test]
    fn the_rules_hold(rules in rules(), remembered in 0..3u32, steps in vec(step(), 0..200), draw: u64) {
        let mut now = Time::ZERO;
        let mut cluster = Cluster::new(rules, NODES, remembered, now);
        for step in steps {
            let before = cluster.view().clone();
            let events = match step {
                Step::Probe(node, observation) => cluster.on_probe(now, node, observation),
                Step::Drain(node, true) => { cluster.drain(node); Vec::new() }
                Step::Drain(node, false) => { cluster.undrain(node); Vec::new() }
                Step::Reshape(from) => cluster.reshape(now, rules, &from),
                Step::Remember(timeline) => cluster.remember(now, timeline),
                Step::Pass(ms) => { now = now.plus(Millis::new(ms)); Vec::new() }
            };
            let view = cluster.view();

            // A generation is one writer, and one writer without a break is one generation.
            prop_assert_eq!(view.generation, before.generation + u64::from(view.writer != before.writer));
            let told = events.iter().filter(|event| matches!(event, Event::Writer { .. })).count();
            prop_assert_eq!(told, usize::from(view.writer != before.writer));

            // Timelines only grow, and nothing below the highest ever writes.
            prop_assert!(view.highest_timeline >= before.highest_timeline);
            if let Some(timeline) = writer_timeline(view) {
                prop_assert_eq!(timeline, view.highest_timeline);
            }
            match view.writer {
                Writer::Known { node, .. } => {
                    prop_assert!(view.nodes[node].reachable, "a writer is reachable");
                    prop_assert_eq!(view.nodes[node].role, Some(Role::Writer));
                    prop_assert_eq!(view.nodes[node].timeline, Some(view.highest_timeline));
                }
                Writer::Conflict { nodes: (one, other), .. } => {
                    prop_assert_eq!(view.writer(), None);
                    prop_assert!(one < other && other < view.nodes.len());
                }
                Writer::None => prop_assert_eq!(view.writer(), None),
            }

            for region in 0..2 {
                if let Some(node) = reader(view, &rules, |node| node % 2 == region, draw) {
                    let chosen = &view.nodes[node];
                    prop_assert!(chosen.reachable && !chosen.drained);
                    prop_assert!(chosen.role == Some(Role::Replica) || view.writer() == Some(node));
                }
            }
            for node in 0..NODES + 1 {
                let pause = cluster.pause(node).get();
                prop_assert!((50..=1000).contains(&pause), "{}", pause);
            }
        }
    }
}
