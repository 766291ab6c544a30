//! Votes and what they settle, in virtual time.

use super::*;
use crate::edges::{Breaker, EdgeState, RegionState};
use crate::oracle::said::Word;
use crate::settings::Secrets;
use evenkeel_config::Plan;
use evenkeel_policy::region::RegionId;
use std::path::Path;
use std::time::Duration;

const BASE: &str = r#"service: shop
regions:
- {name: taiwan, address: "127.0.0.1:1", dns: {a: [192.0.2.1]}, companion: {address: "10.0.0.1:9902"}}
- {name: japan, address: "127.0.0.1:2", dns: {a: [192.0.2.2]}, companion: {address: "10.0.0.2:9902"}}
companion: {address: "10.0.0.1:9902"}
dns:
  zone: example.com
  nameservers: [{name: ns1.example.net}]
  records: [{name: api, policy: weighted}]
"#;

const WITNESS: &str = "quorum: {witness: {address: \"10.0.0.3:9902\"}}\n";
const ETCD_ALONE: &str = "quorum: {etcd: {endpoints: [\"http://127.0.0.1:1\"]}}\n";
const CHECKS: &str = r#"  health_checks:
  - {name: orders, url: "http://127.0.0.1:3/", threshold: 1}
  - {name: inverse, url: "http://127.0.0.1:3/", threshold: 1, inverted: true}
  - {name: asleep, tcp: "127.0.0.1:3", disabled: true}
  - {name: asleep-inverse, tcp: "127.0.0.1:3", disabled: true, inverted: true}
  - {name: both, calculated: {of: [taiwan, orders], at_least: 2}}
  - {name: either, calculated: {of: [taiwan, orders], at_least: 1}}
  - {name: always, calculated: {of: [taiwan], at_least: 0}}
  - {name: never, calculated: {of: [taiwan], at_least: 2}}
"#;

fn setup_of(text: &str, region: Option<&str>) -> Arc<Setup> {
    let plan = match Plan::read(text.as_bytes(), Path::new("."), region) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems}"),
    };
    let mut files = Vec::new();
    let mut secrets = Secrets { folder: Path::new("."), files: &mut files };
    Arc::new(Setup::read(&plan, region, &mut secrets).unwrap().unwrap())
}

fn at(ms: u64) -> Moment {
    Moment { now: Time::from_millis(ms), unix_ms: 1_700_000_000_000 + ms }
}

/// Taiwan's companion, and what it hears.
struct Scene {
    mind: Mind,
    settled: Vec<(String, Vote)>,
}

impl Scene {
    fn of(more: &str) -> Scene {
        let text = format!("{BASE}{more}");
        Scene { mind: Mind::new(setup_of(&text, Some("taiwan")), at(0)), settled: Vec::new() }
    }

    /// Two probes of a check, which is what the fast rules need.
    fn sees(&mut self, check: &str, ok: bool, ms: u64) {
        for _ in 0..2 {
            let measured = Measured {
                error: (!ok).then(|| "refused".to_owned()),
                first_byte: ok.then_some(Duration::from_millis(10)),
                drain: ok.then_some(None),
                ..Measured::default()
            };
            self.mind.probed(check, measured, at(ms).now).expect("a check of this name");
        }
    }

    fn hears(&mut self, voter: &str, votes: &[(&str, Word)], ms: u64) {
        self.mind.hear(said(voter, votes, ms), at(ms).now);
    }

    fn look(&mut self, ms: u64) -> News {
        let news = self.mind.look(at(ms));
        self.settled.extend(news.settled.iter().map(|settled| (settled.check.clone(), settled.verdict)));
        news
    }

    fn share(&mut self, check: &str, ms: u64) -> u8 {
        let news = self.look(ms);
        news.standing.shares[self.mind.setup.check(check).unwrap()]
    }
}

fn said(voter: &str, votes: &[(&str, Word)], ms: u64) -> Said {
    Said {
        voter: voter.to_owned(),
        config: "abc".to_owned(),
        sequence: ms,
        checks: votes.iter().map(|(check, vote)| ((*check).to_owned(), *vote)).collect(),
    }
}

#[test]
fn one_vantage_point_alone_takes_no_region_out() {
    let mut scene = Scene::of(WITNESS);
    scene.sees("japan", false, 1000);
    scene.hears("japan", &[("japan", Word::Up)], 1000);
    scene.hears("witness", &[("japan", Word::Up)], 1000);
    assert_eq!(scene.share("japan", 1000), 100);
    scene.hears("witness", &[("japan", Word::Down)], 2000);
    assert_eq!(scene.share("japan", 2000), 0);
    assert_eq!(scene.settled, [("japan".to_owned(), Vote::Down)]);
    // The witness falls silent: one against one settles nothing, so the last answer stays.
    scene.hears("japan", &[("japan", Word::Up)], 6000);
    assert_eq!(scene.share("japan", 6000), 0);
}

#[test]
fn votes_that_are_not_known_yet_do_not_count() {
    let mut scene = Scene::of(WITNESS);
    let news = scene.look(0);
    assert!(!news.voted && scene.mind.said.checks.is_empty(), "nothing is said before anything is known");
    scene.hears("japan", &[("japan", Word::Down)], 1000);
    scene.hears("witness", &[("japan", Word::Down)], 1000);
    assert_eq!(scene.share("japan", 1000), 0, "the others know more");
}

#[test]
fn a_dead_region_is_settled_down_by_those_who_are_left() {
    let mut scene = Scene::of(WITNESS);
    scene.sees("japan", false, 1000);
    scene.hears("witness", &[("japan", Word::Down), ("taiwan", Word::Up)], 1000);
    let news = scene.look(1000);
    let settled = &news.settled[0];
    assert_eq!((settled.verdict, settled.ground), (Vote::Down, Some(Ground::Majority)));
    assert_eq!(
        settled.votes,
        [
            ("taiwan".to_owned(), Some(Vote::Down)),
            ("japan".to_owned(), None),
            ("witness".to_owned(), Some(Vote::Down))
        ]
    );
    assert!(news.standing.fresh && news.transitions.iter().any(Transition::is_out));
    assert_eq!(
        scene.mind.quorum(at(1000).now),
        Quorum { configured: 3, in_force: 2, lost_since: None, alone: false }
    );
    scene.look(4001);
    let quorum = scene.mind.quorum(at(4001).now);
    assert_eq!((quorum.in_force, quorum.lost_since), (1, Some(at(4001).now)));
}

#[test]
fn with_two_votes_only_an_anchor_tells_who_is_cut_off() {
    let anchors = "quorum: {anchors: [\"198.51.100.1:443\"]}\n";
    for (more, anchored, share) in [("", false, 100), (anchors, false, 100), (anchors, true, 0)] {
        let mut scene = Scene::of(more);
        scene.hears("japan", &[("japan", Word::Up)], 0);
        assert!(!scene.mind.needs_anchor(at(3000).now), "the other is heard");
        scene.sees("japan", false, 2000);
        assert_eq!(scene.share("japan", 3000), 100);
        assert_eq!(scene.mind.needs_anchor(at(3001).now), !more.is_empty());
        if anchored {
            scene.mind.anchored(Some(at(3500).now));
        }
        assert_eq!(scene.share("japan", 4000), share, "{more} {anchored}");
    }
}

#[test]
fn an_anchors_answer_counts_for_four_seconds() {
    let mut scene = Scene::of("quorum: {anchors: [\"198.51.100.1:443\"]}\n");
    scene.mind.anchored(Some(at(1000).now));
    scene.sees("japan", false, 5001);
    assert_eq!(scene.share("japan", 5001), 100);
    scene.mind.anchored(Some(at(5002).now));
    assert_eq!(scene.share("japan", 5002), 0);
}

#[test]
fn etcds_own_vote_is_the_lease_and_counts_on_regions_alone() {
    let mut scene = Scene::of(&format!("{CHECKS}{ETCD_ALONE}"));
    let both = || vec![said("japan", &[("japan", Word::Up)], 1), said("taiwan", &[], 1)];
    scene.mind.roll(both(), at(1000).now);
    scene.sees("japan", false, 1000);
    scene.sees("orders", false, 1000);
    assert_eq!(scene.share("japan", 1000), 100, "the link between the regions is cut");
    assert_eq!(scene.share("orders", 1000), 100, "one of two");
    scene.mind.roll(vec![said("taiwan", &[], 1)], at(2000).now);
    assert_eq!(scene.share("japan", 2000), 0, "its lease lapsed");
    assert_eq!(scene.share("orders", 2000), 0, "and whoever reaches etcd is not cut off");
    // Without etcd nothing moves.
    let mut scene = Scene::of(ETCD_ALONE);
    scene.mind.roll(both(), at(1000).now);
    scene.sees("japan", false, 4001);
    assert_eq!(scene.share("japan", 4001), 100);
}

#[test]
fn a_witness_takes_the_place_of_etcds_vote() {
    let both =
        "quorum: {etcd: {endpoints: [\"http://127.0.0.1:1\"]}, witness: {address: \"10.0.0.3:9902\"}}\n";
    let mut scene = Scene::of(both);
    scene.mind.roll(Vec::new(), at(1000).now);
    scene.sees("japan", false, 1000);
    assert_eq!(scene.share("japan", 1000), 100);
    scene.mind.roll(vec![said("witness", &[("japan", Word::Down)], 1)], at(1500).now);
    assert_eq!(scene.share("japan", 1500), 0);
}

fn edge(name: &str, region: &str, japan: bool, lost: bool, ms: u64) -> Known {
    let state = |healthy| RegionState { healthy, breaker: Breaker::Open, share: 0 };
    Known {
        state: EdgeState {
            edge: name.to_owned(),
            sequence: 1,
            local_region: Some(region.to_owned()),
            config_hash: String::new(),
            prober_lost: lost,
            regions: BTreeMap::from([("taiwan".to_owned(), state(true)), ("japan".to_owned(), state(japan))]),
            transitions: Vec::new(),
        },
        at: at(ms).now,
        causes: BTreeMap::new(),
    }
}

#[test]
fn edges_of_the_own_region_that_all_call_a_region_unhealthy_turn_the_vote_at_once() {
    let vote = |edges: &[Known], ms: u64| {
        let mut scene = Scene::of(WITNESS);
        scene.sees("japan", true, 0);
        scene.sees("taiwan", true, 0);
        scene.mind.edges(edges, at(ms).now);
        scene.look(ms);
        assert_eq!(scene.mind.said.checks["taiwan"], Word::Up, "a breaker does not count");
        scene.mind.said.checks["japan"]
    };
    let dead = |name| edge(name, "taiwan", false, false, 0);
    assert_eq!(vote(&[], 1), Word::Up);
    assert_eq!(vote(&[dead("a"), dead("b")], 1), Word::Down);
    assert_eq!(vote(&[dead("a"), edge("b", "taiwan", true, false, 0)], 1), Word::Up, "one sees it well");
    assert_eq!(vote(&[dead("a"), edge("b", "japan", true, false, 0)], 1), Word::Down, "another region's");
    assert_eq!(vote(&[dead("a"), edge("b", "taiwan", true, true, 0)], 1), Word::Down, "without its prober");
    assert_eq!(vote(&[dead("a")], 15_000), Word::Down);
    assert_eq!(vote(&[dead("a")], 15_001), Word::Up, "silent too long");
}

#[test]
fn r26_r27_r28_what_is_new_disabled_or_made_from_others() {
    let mut scene = Scene::of(&format!("{CHECKS}{WITNESS}"));
    let expected = [
        ("orders", 100),
        ("inverse", 0),
        ("asleep", 100),
        ("asleep-inverse", 0),
        ("both", 100),
        ("either", 100),
        ("always", 100),
        ("never", 0),
    ];
    for (check, share) in expected {
        assert_eq!(scene.share(check, 1), share, "{check}, before anything is known");
    }
    scene.sees("orders", false, 1000);
    scene.sees("inverse", false, 1000);
    scene.hears("witness", &[("orders", Word::Down), ("inverse", Word::Up)], 1000);
    for (check, share) in
        [("orders", 0), ("inverse", 100), ("asleep", 100), ("both", 0), ("either", 100), ("always", 100)]
    {
        assert_eq!(scene.share(check, 1000), share, "{check}");
    }
    let checks = &scene.mind.said.checks;
    assert!(!checks.contains_key("asleep") && !checks.contains_key("both"), "these are not voted on");
}

#[test]
fn r28_calculated_checks_follow_settled_verdicts_not_shares() {
    let mut scene = Scene::of(&format!("{CHECKS}{WITNESS}"));
    scene.mind.drain(Some(Millis::from_secs(600)), at(1).now);
    assert_eq!((scene.share("taiwan", 1), scene.share("both", 1)), (0, 100));
}

#[test]
fn the_witness_votes_by_its_own_probes_and_has_no_region() {
    let mut mind = Mind::new(setup_of(&format!("{BASE}{WITNESS}"), None), at(0));
    assert_eq!((mind.setup.voter.as_str(), mind.setup.region, mind.setup.voters.len()), ("witness", None, 3));
    let dead = Measured { error: Some("refused".to_owned()), ..Measured::default() };
    mind.probed("japan", dead.clone(), at(1).now);
    mind.probed("japan", dead, at(2).now);
    mind.edges(&[edge("a", "taiwan", true, false, 0)], at(2).now);
    assert!(mind.look(at(3)).voted);
    assert_eq!(mind.said.checks, BTreeMap::from([("japan".to_owned(), Word::Down)]));
}

#[test]
fn a_companion_without_an_address_is_no_vote_unless_etcd_carries_it() {
    let lonely = BASE.replace(", companion: {address: \"10.0.0.2:9902\"}", "");
    let names = |text: &str, region| {
        let setup = setup_of(text, region);
        (setup.voters.iter().map(|voter| voter.name.clone()).collect::<Vec<_>>(), setup.etcd_votes)
    };
    assert_eq!(names(&lonely, Some("taiwan")), (vec!["taiwan".to_owned()], false));
    assert_eq!(names(&lonely, Some("japan")), (vec!["taiwan".to_owned(), "japan".to_owned()], false));
    let with_etcd = format!("{lonely}{ETCD_ALONE}");
    assert_eq!(names(&with_etcd, Some("taiwan")), (vec!["taiwan".to_owned(), "japan".to_owned()], true));
}

#[test]
fn other_settings_keep_what_is_known_by_name() {
    let mut scene = Scene::of(&format!("{CHECKS}{WITNESS}"));
    scene.sees("orders", false, 1000);
    scene.sees("japan", false, 1000);
    scene.hears("witness", &[("orders", Word::Down), ("japan", Word::Down)], 1000);
    assert_eq!((scene.share("orders", 1000), scene.share("japan", 1000)), (0, 0));
    let sequence = scene.mind.said.sequence;
    let fewer = "  health_checks:\n  - {name: mail, tcp: \"127.0.0.1:25\"}\n  - {name: orders, url: \"http://127.0.0.1:3/\", threshold: 1}\n";
    let swapped: String = {
        let lines: Vec<&str> = BASE.lines().collect();
        [&lines[..2], &[lines[3], lines[2]], &lines[4..]].concat().join("\n")
    };
    scene.mind.reconfigure(setup_of(&format!("{swapped}\n{fewer}{WITNESS}"), Some("taiwan")), at(2000));
    let news = scene.look(2000);
    assert!(news.settled.is_empty() && news.transitions.is_empty(), "{news:?}");
    assert_eq!(news.standing.shares, [0, 100, 100, 0], "japan, taiwan, mail, orders");
    assert!(scene.mind.said.sequence > sequence, "the configuration's name is another");
    assert_eq!(scene.mind.setup.region, RegionId::new(1));
}

#[test]
fn an_own_order_ends_what_the_own_readiness_announced() {
    let mut scene = Scene::of(WITNESS);
    scene.mind.drain(Some(Millis::from_secs(600)), at(1).now);
    let announced = Measured {
        first_byte: Some(Duration::from_millis(1)),
        drain: Some(Some(Millis::from_secs(599))),
        ..Measured::default()
    };
    scene.mind.probed("taiwan", announced, at(2).now);
    assert_eq!(scene.share("taiwan", 3), 0);
    scene.mind.drain(None, at(1000).now);
    scene.look(1000);
    assert_eq!(scene.share("taiwan", 31_001), 5, "the hold began with the order's end");
}

#[test]
fn a_slow_answer_is_a_failed_probe_by_the_edges_rules() {
    let mut scene = Scene::of(WITNESS);
    for second in [1, 2] {
        let slow = Measured { first_byte: Some(Duration::from_secs(1)), ..Measured::default() };
        scene.mind.probed("japan", slow, at(second * 1000).now);
    }
    scene.look(2000);
    assert_eq!(scene.mind.said.checks["japan"], Word::Down);
    let error = scene.mind.checks[1].measured.as_ref().unwrap().error.clone().unwrap();
    assert!(error.contains("health_check.max_latency is 1s"), "{error}");
}
