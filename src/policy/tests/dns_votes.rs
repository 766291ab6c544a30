//! What votes settle, as the voters of a whole system see it when parts of it fail.
#![cfg(not(target_arch = "wasm32"))]

use evenkeel_policy::vote::{Ballot, Ground, Vote};
use proptest::prelude::*;

/// Places that vote on regions: the regions' companions in order, then a witness in a third place.
struct World {
    voters: usize,
    anchors: bool,
    dead: Vec<usize>,
    /// Pairs of places that do not reach each other.
    cut: Vec<(usize, usize)>,
}

impl World {
    fn new(regions: usize, witness: bool) -> Self {
        World { voters: regions + usize::from(witness), anchors: true, dead: Vec::new(), cut: Vec::new() }
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        let cut = self.cut.iter().any(|(a, b)| (from, to) == (*a, *b) || (to, from) == (*a, *b));
        from == to || !(cut || self.dead.contains(&from) || self.dead.contains(&to))
    }

    fn vote(&self, voter: usize, region: usize) -> Vote {
        if self.reaches(voter, region) { Vote::Up } else { Vote::Down }
    }

    /// What the voter settles on the region, by the votes that it hears.
    fn settled(&self, voter: usize, region: usize) -> Option<(Vote, Ground)> {
        let heard: Vec<usize> = (0..self.voters).filter(|other| self.reaches(voter, *other)).collect();
        let count = |vote| heard.iter().filter(|other| self.vote(**other, region) == vote).count();
        let ballot = Ballot {
            configured: self.voters,
            up: count(Vote::Up),
            down: count(Vote::Down),
            own: Some(self.vote(voter, region)),
            others_heard: heard.len() - 1,
            anchor: self.anchors,
        };
        ballot.settled()
    }

    fn living(&self) -> impl Iterator<Item = usize> {
        (0..self.voters).filter(|voter| !self.dead.contains(voter))
    }
}

const DOWN: Option<(Vote, Ground)> = Some((Vote::Down, Ground::Majority));

#[test]
fn with_a_witness_the_loss_of_a_region_settles_down() {
    for lost in 0..2 {
        let world = World { dead: vec![lost], ..World::new(2, true) };
        for voter in world.living() {
            assert_eq!(world.settled(voter, lost), DOWN, "{voter} on {lost}");
            assert_eq!(world.settled(voter, 1 - lost), Some((Vote::Up, Ground::Majority)), "{voter}");
        }
    }
}

#[test]
fn with_a_witness_a_cut_between_the_regions_takes_nothing_out() {
    let world = World { cut: vec![(0, 1)], ..World::new(2, true) };
    for voter in world.living() {
        for region in 0..2 {
            assert_ne!(world.settled(voter, region).map(|(vote, _)| vote), Some(Vote::Down));
        }
    }
    // The two that differ on a region have one vote each: the last answer stays.
    assert_eq!(world.settled(0, 1), None);
    assert_eq!(world.settled(1, 0), None);
}

#[test]
fn a_region_cut_off_from_all_settles_nothing_but_is_down_to_the_others() {
    let world = World { cut: vec![(0, 1), (0, 2)], ..World::new(2, true) };
    assert_eq!(world.settled(0, 1), None);
    assert_eq!(world.settled(0, 0), None);
    assert_eq!([world.settled(1, 0), world.settled(2, 0)], [DOWN, DOWN]);
}

#[test]
fn a_lost_witness_leaves_two_regions_able_to_agree() {
    let world = World { dead: vec![2], ..World::new(2, true) };
    assert_eq!(world.settled(0, 1), Some((Vote::Up, Ground::Majority)));
    let world = World { dead: vec![1, 2], ..World::new(2, true) };
    // One of three votes is no majority, and the rule of two votes is for two.
    assert_eq!(world.settled(0, 1), None);
}

#[test]
fn with_two_votes_who_is_alone_decides_only_by_an_anchor() {
    let alone = World { dead: vec![1], ..World::new(2, false) };
    assert_eq!(alone.settled(0, 1), Some((Vote::Down, Ground::Alone)));
    assert_eq!(alone.settled(0, 0), Some((Vote::Up, Ground::Alone)));
    let cut_off = World { anchors: false, ..alone };
    assert_eq!(cut_off.settled(0, 1), None);
    // As long as the other is heard, it takes both.
    let ballot =
        Ballot { configured: 2, up: 1, down: 1, own: Some(Vote::Down), others_heard: 1, anchor: true };
    assert_eq!(ballot.settled(), None);
    assert_eq!(Ballot { up: 0, others_heard: 0, own: None, ..ballot }.settled(), None);
}

#[test]
fn one_vote_alone_is_its_own_majority() {
    let world = World { cut: vec![(0, 0)], ..World::new(1, false) };
    assert_eq!(world.settled(0, 0), Some((Vote::Up, Ground::Majority)));
    let ballot = Ballot { configured: 1, down: 1, own: Some(Vote::Down), ..Ballot::default() };
    assert_eq!(ballot.settled(), DOWN);
    assert_eq!(Ballot::default().settled(), None);
}

/// One cut link anywhere takes no region out, as long as there are three votes or more.
#[test]
fn no_single_cut_takes_anything_out() {
    for (regions, witness) in [(2, true), (3, false), (3, true), (5, false)] {
        let voters = World::new(regions, witness).voters;
        for (a, b) in (0..voters).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let world = World { cut: vec![(a, b)], ..World::new(regions, witness) };
            for (voter, region) in (0..voters).flat_map(|v| (0..regions).map(move |r| (v, r))) {
                let settled = world.settled(voter, region);
                assert_ne!(settled.map(|(vote, _)| vote), Some(Vote::Down), "{a}-{b}: {voter} on {region}");
            }
        }
    }
}

fn ballots() -> impl Strategy<Value = Ballot> {
    let own = prop_oneof![Just(None), Just(Some(Vote::Up)), Just(Some(Vote::Down))];
    (0..8usize, 0..8usize, 0..8usize, own, 0..8usize, any::<bool>()).prop_map(
        |(configured, up, down, own, others_heard, anchor)| Ballot {
            configured,
            up,
            down,
            own,
            others_heard,
            anchor,
        },
    )
}

fn other(vote: Vote) -> Vote {
    match vote {
        Vote::Up => Vote::Down,
        Vote::Down => Vote::Up,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn down_needs_a_majority_or_the_rule_of_two(ballot in ballots()) {
        match ballot.settled() {
            Some((Vote::Down, Ground::Majority)) => prop_assert!(2 * ballot.down > ballot.configured),
            Some((Vote::Up, Ground::Majority)) => prop_assert!(2 * ballot.up > ballot.configured),
            Some((vote, Ground::Alone)) => {
                prop_assert_eq!(ballot.own, Some(vote));
                prop_assert!(ballot.configured == 2 && ballot.others_heard == 0 && ballot.anchor);
            }
            None => {
                let majority = |votes: usize| 2 * votes > ballot.configured;
                prop_assert_eq!(majority(ballot.up), majority(ballot.down));
            }
        }
    }

    #[test]
    fn up_and_down_are_alike(ballot in ballots()) {
        let turned = Ballot { up: ballot.down, down: ballot.up, own: ballot.own.map(other), ..ballot };
        let expected = ballot.settled().map(|(vote, ground)| (other(vote), ground));
        prop_assert_eq!(turned.settled(), expected);
    }

    /// A vote for down that comes in, or takes the place of one for up, makes nothing up that was not.
    #[test]
    fn one_more_vote_for_down_turns_nothing_up(ballot in ballots()) {
        let before = ballot.settled();
        let more = Ballot { down: ballot.down + 1, others_heard: ballot.others_heard + 1, ..ballot };
        let turned = Ballot { down: ballot.down + 1, up: ballot.up.saturating_sub(1), ..ballot };
        for after in [more.settled(), turned.settled()] {
            let up = matches!(after, Some((Vote::Up, _)));
            prop_assert!(!up || matches!(before, Some((Vote::Up, _))), "{before:?} {after:?}");
        }
    }

    /// Voters that count the same votes come to the same end, whoever of them counts.
    #[test]
    fn no_two_majorities_differ(ups in 0..8usize, downs in 0..8usize, silent in 0..3usize) {
        let configured = ups + downs + silent;
        let ballot = |up, down| Ballot { configured, up, down, ..Ballot::default() };
        for (up, down) in (0..=ups).flat_map(|up| (0..=downs).map(move |down| (up, down))) {
            let (part, whole) = (ballot(up, down).settled(), ballot(ups, downs).settled());
            prop_assert!(part.is_none() || part == whole, "{part:?} {whole:?}");
        }
    }
}
