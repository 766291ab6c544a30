use super::*;
use Observation::{Late, TimedOut};

const RULES: Rules = Rules {
    unhealthy_threshold: 2,
    healthy_threshold: 2,
    interval: Millis::new(200),
    interval_without_writer: Millis::new(50),
    max_replica_lag: Millis::new(5000),
    max_replica_lag_bytes: None,
};

fn sample(role: Role, timeline: Timeline) -> Observation {
    Observation::Sample(Sample { role, timeline, lsn: Lsn(100), received: None, replay_age: None, lag: None })
}

fn writer(timeline: Timeline) -> Observation {
    sample(Role::Writer, timeline)
}

fn replica(timeline: Timeline) -> Observation {
    sample(Role::Replica, timeline)
}

fn lost() -> Observation {
    Observation::Lost("connection refused".to_owned())
}

fn known(node: usize, timeline: Timeline) -> Writer {
    Writer::Known { node, timeline }
}

/// Three nodes; each observation a hundred milliseconds after the one before.
struct Scene {
    now: Time,
    cluster: Cluster,
}

impl Scene {
    /// Node 0 writes on timeline 1, the others are its replicas.
    fn settled() -> Scene {
        let mut scene = Scene::unknown(0);
        scene.sees(0, writer(1));
        scene.sees(1, replica(1));
        scene.sees(2, replica(1));
        scene
    }

    fn unknown(highest: Timeline) -> Scene {
        Scene { now: Time::ZERO, cluster: Cluster::new(RULES, 3, highest, Time::ZERO) }
    }

    fn sees(&mut self, node: usize, observation: Observation) -> Vec<Event> {
        self.now = self.now.plus(Millis::new(100));
        self.cluster.on_probe(self.now, node, observation)
    }

    fn writer(&self) -> Writer {
        self.cluster.view().writer
    }

    fn reachable(&self, node: usize) -> bool {
        self.cluster.view().nodes[node].reachable
    }
}

#[test]
fn the_first_writer_ever_seen_is_accepted_at_once() {
    let mut scene = Scene::unknown(0);
    let events = scene.sees(0, writer(1));
    assert!(events.contains(&Event::Writer { from: Writer::None, to: known(0, 1) }), "{events:?}");
    assert_eq!((scene.cluster.view().generation, scene.cluster.view().highest_timeline), (1, 1));
}

#[test]
fn a_writer_on_a_higher_timeline_is_accepted_at_once_and_the_old_one_is_stale() {
    let mut scene = Scene::settled();
    let events = scene.sees(1, writer(2));
    assert_eq!(
        events,
        [Event::Stale { node: 0, timeline: 1 }, Event::Writer { from: known(0, 1), to: known(1, 2) }]
    );
    assert_eq!(scene.sees(0, writer(1)), [], "told once");
    assert_eq!(scene.sees(1, lost()).last(), Some(&Event::Writer { from: known(1, 2), to: Writer::None }));
    for _ in 0..10 {
        scene.sees(0, writer(1));
    }
    assert_eq!(scene.writer(), Writer::None, "never again");
}

#[test]
fn a_replica_that_follows_a_higher_timeline_proves_the_old_writer_stale() {
    let mut scene = Scene::settled();
    scene.sees(2, replica(2));
    assert_eq!(scene.writer(), Writer::None);
    scene.sees(1, writer(2));
    scene.sees(1, writer(2));
    assert_eq!(scene.writer(), known(1, 2));
}

#[test]
fn the_remembered_timeline_refuses_the_old_primary_after_a_restart() {
    let mut scene = Scene::unknown(2);
    assert_eq!(scene.sees(0, writer(1))[0], Event::Stale { node: 0, timeline: 1 });
    assert_eq!(scene.writer(), Writer::None);
    scene.sees(1, writer(2));
    assert_eq!(scene.writer(), Writer::None, "known timelines need two answers");
    scene.sees(1, writer(2));
    assert_eq!(scene.writer(), known(1, 2));
}

#[test]
fn two_writers_on_one_timeline_are_a_conflict_until_one_goes_away() {
    for (ends, left) in [(lost(), known(1, 1)), (replica(1), known(1, 1)), (TimedOut, known(1, 1))] {
        let mut scene = Scene::settled();
        scene.sees(1, writer(1));
        assert_eq!(scene.writer(), known(0, 1), "one answer may be a moment's overlap");
        scene.sees(1, writer(1));
        assert_eq!(scene.writer(), Writer::Conflict { nodes: (0, 1), timeline: 1 });
        assert_eq!(scene.cluster.view().writer(), None);
        scene.sees(0, ends.clone());
        scene.sees(0, ends);
        assert_eq!(scene.writer(), left);
    }
    let mut scene = Scene::settled();
    scene.sees(1, writer(1));
    scene.sees(1, writer(1));
    scene.sees(2, writer(2));
    assert_eq!(scene.writer(), known(2, 2), "a higher timeline ends it too");
}

#[test]
fn a_silent_writer_is_kept_until_the_threshold_and_comes_back_at_once() {
    let mut scene = Scene::settled();
    assert_eq!(scene.sees(0, TimedOut), []);
    assert_eq!(scene.writer(), known(0, 1));
    scene.sees(0, TimedOut);
    assert_eq!((scene.writer(), scene.reachable(0)), (Writer::None, false));
    scene.sees(0, writer(1));
    assert_eq!((scene.writer(), scene.reachable(0)), (known(0, 1), true));
    assert_eq!(scene.cluster.view().generation, 3);
}

#[test]
fn a_lost_connection_or_a_demotion_drops_the_writer_at_once() {
    for end in [lost(), replica(1)] {
        let mut scene = Scene::settled();
        scene.sees(0, end);
        assert_eq!(scene.writer(), Writer::None);
    }
}

#[test]
fn a_writer_that_was_a_replica_meanwhile_must_say_it_twice() {
    let mut scene = Scene::settled();
    scene.sees(0, replica(1));
    scene.sees(0, writer(1));
    assert_eq!(scene.writer(), Writer::None);
    scene.sees(0, writer(1));
    assert_eq!(scene.writer(), known(0, 1));
}

#[test]
fn a_replica_needs_two_good_probes_after_a_bad_one() {
    let mut scene = Scene::settled();
    scene.sees(1, lost());
    assert_eq!(scene.cluster.view().nodes[1].error.as_deref(), Some("connection refused"));
    scene.sees(1, replica(1));
    assert!(!scene.reachable(1));
    assert_eq!(scene.sees(1, replica(1)), [Event::Reachable { node: 1, reachable: true }]);
    assert_eq!(scene.cluster.view().nodes[1].error, None);
}

#[test]
fn probes_hurry_while_the_writer_is_unknown_or_in_doubt_and_slacken_for_the_dead() {
    let mut scene = Scene::settled();
    let pauses = |scene: &Scene| [0, 1, 2].map(|node| scene.cluster.pause(node).get());
    assert_eq!(pauses(&scene), [200; 3]);
    scene.sees(1, Late);
    assert_eq!(pauses(&scene), [200; 3], "a late replica is nobody's hurry");
    scene.sees(0, Late);
    assert_eq!(pauses(&scene), [50; 3]);
    scene.sees(0, writer(1));
    assert_eq!(pauses(&scene), [200; 3]);
    for pause in [200, 400, 800, 1000, 1000] {
        scene.sees(2, lost());
        assert_eq!(pauses(&scene), [200, 200, pause]);
    }
    scene.sees(0, lost());
    assert_eq!(pauses(&scene), [50; 3]);
}

#[test]
fn lag_is_told_against_the_writer_and_starts_anew_with_another() {
    let at = |role, timeline, lsn| {
        Observation::Sample(Sample {
            role,
            timeline,
            lsn: Lsn(lsn),
            received: None,
            replay_age: None,
            lag: None,
        })
    };
    let mut scene = Scene::settled();
    scene.sees(0, at(Role::Writer, 1, 1000));
    scene.sees(1, at(Role::Replica, 1, 400));
    assert_eq!(scene.cluster.view().nodes[1].lag_bytes, Some(600));
    assert_eq!(scene.cluster.view().nodes[1].lag, Some(Millis::new(100)));
    scene.sees(0, lost());
    scene.sees(2, at(Role::Replica, 1, 1200));
    scene.sees(1, at(Role::Replica, 1, 400));
    assert_eq!(scene.cluster.view().nodes[1].lag_bytes, Some(800), "against the most advanced that is known");
    scene.sees(2, at(Role::Writer, 2, 1100));
    scene.sees(1, at(Role::Replica, 1, 1000));
    assert_eq!(scene.cluster.view().nodes[1].lag_bytes, Some(100));
    scene.sees(1, at(Role::Replica, 1, 1150));
    assert_eq!(scene.cluster.view().nodes[1].lag_bytes, None, "it holds what the new writer never had");
}

#[test]
fn a_reload_keeps_what_is_known_of_the_nodes_that_stay() {
    let mut scene = Scene::settled();
    scene.cluster.drain(2);
    let events = scene.cluster.reshape(scene.now, RULES, &[Some(2), None, Some(0)]);
    assert_eq!(events, [Event::Writer { from: known(0, 1), to: known(2, 1) }]);
    let view = scene.cluster.view();
    assert_eq!((view.nodes[0].drained, view.nodes[1].role, view.generation), (true, None, 2));
    scene.cluster.undrain(0);
    assert!(!scene.cluster.view().nodes[0].drained);
    scene.cluster.reshape(scene.now, RULES, &[Some(0), Some(1)]);
    assert_eq!(scene.writer(), Writer::None);
    for _ in 0..2 {
        scene.sees(1, writer(1));
    }
    assert_eq!(scene.writer(), known(1, 1));
}

#[test]
fn what_the_engine_tells_of_its_lag_counts_first() {
    let mut scene = Scene::settled();
    let lag = Some(Millis::new(70));
    let told =
        Sample { role: Role::Replica, timeline: 1, lsn: Lsn(1), received: None, replay_age: None, lag };
    scene.sees(1, Observation::Sample(told));
    assert_eq!(scene.cluster.view().nodes[1].lag, lag);
}

#[test]
fn a_timeline_remembered_late_drops_a_writer_below_it() {
    let mut scene = Scene::settled();
    let events = scene.cluster.remember(scene.now, 3);
    assert_eq!(events.last(), Some(&Event::Writer { from: known(0, 1), to: Writer::None }));
    assert_eq!(scene.cluster.remember(scene.now, 2), []);
}
