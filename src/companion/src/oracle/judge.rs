//! One check's health by this voter's own probes: the edges' fast rules, or Route 53's.

use super::probe::Measured;
use super::setup::{Asked, Rules};
use crate::clock;
use evenkeel_policy::health::{Health, Probe, ProbeResult};
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::vote::Vote;

/// Time between probes of a check that nothing is known of yet.
const QUICK: Millis = Millis::from_secs(1);

/// One check's own health.
#[derive(Clone, Debug)]
pub struct Judge {
    state: State,
    inverted: bool,
    /// There were enough probes to say anything (R26).
    known: bool,
}

#[derive(Clone, Debug)]
enum State {
    Fast(Health),
    Steady {
        healthy: bool,
        /// Results in a row that contradict that.
        against: u32,
    },
}

impl Judge {
    /// Nothing was asked yet.
    pub fn new(asked: &Asked, now: Time) -> Self {
        let state = match asked.rules {
            Rules::Fast(_) => State::Fast(Health::new(now)),
            Rules::Steady { .. } => State::Steady { healthy: true, against: 0 },
        };
        Judge { state, inverted: asked.inverted, known: false }
    }

    /// The same check under other settings: what is known of it stays if it means the same.
    pub fn under(self, asked: &Asked, now: Time) -> Self {
        let same = matches!(
            (&self.state, &asked.rules),
            (State::Fast(_), Rules::Fast(_)) | (State::Steady { .. }, Rules::Steady { .. })
        );
        if same { Judge { inverted: asked.inverted, ..self } } else { Judge::new(asked, now) }
    }

    /// Takes in a probe. True if the vote changed.
    pub fn on_probe(&mut self, rules: &Rules, now: Time, measured: &Measured) -> bool {
        let before = self.vote();
        let ok = measured.error.is_none();
        let contradicted = match (&mut self.state, rules) {
            (State::Fast(health), Rules::Fast(settings)) => {
                let probe = Probe {
                    result: if ok { ProbeResult::Ok } else { ProbeResult::Failed },
                    latency: clock::millis(measured.latency()),
                    drain: None,
                };
                let flipped = health.on_probe(settings, now, &probe);
                !flipped && Health::is_good(settings, &probe) != health.is_healthy()
            }
            (State::Steady { healthy, against }, Rules::Steady { threshold, .. }) => {
                *against = if ok == *healthy { 0 } else { *against + 1 };
                if *against >= *threshold {
                    (*healthy, *against) = (ok, 0);
                }
                *against > 0
            }
            // The settings have just changed under a probe that was on its way.
            _ => return false,
        };
        self.known |= !contradicted;
        self.vote() != before
    }

    /// What this voter says by its probes; none until they say enough.
    pub fn vote(&self) -> Option<Vote> {
        let healthy = match &self.state {
            State::Fast(health) => health.is_healthy(),
            State::Steady { healthy, .. } => *healthy,
        };
        let up = healthy != self.inverted;
        self.known.then_some(if up { Vote::Up } else { Vote::Down })
    }

    /// How long after a probe the next one begins.
    pub fn next(&self, rules: &Rules) -> Next {
        match (&self.state, rules) {
            (State::Fast(health), Rules::Fast(settings)) => Next::FromBegin(health.pause(settings)),
            // What is not known yet is asked at once: an answer after two intervals would be late.
            (_, rules) if !self.known => Next::FromEnd(QUICK.min(rules.interval())),
            (_, rules) => Next::FromEnd(rules.interval()),
        }
    }
}

/// When the next probe begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// So long after this one began, as the edges do.
    FromBegin(Millis),
    /// So long after this one was answered (R22).
    FromEnd(Millis),
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_policy::settings::HealthCheck;
    use std::time::Duration;

    fn asked(rules: Rules, inverted: bool) -> Asked {
        Asked { question: None, rules, inverted, disabled: false }
    }

    fn steady(threshold: u32) -> Rules {
        Rules::Steady { interval: Millis::from_secs(30), threshold }
    }

    fn seen(ok: bool) -> Measured {
        Measured {
            error: (!ok).then(|| "answered 503".to_owned()),
            first_byte: Some(Duration::from_millis(20)),
            ..Measured::default()
        }
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    /// Plays `S` for good and `F` for bad, and writes `u`, `d` or `-` after each.
    fn played(rules: Rules, inverted: bool, results: &str) -> String {
        let mut judge = Judge::new(&asked(rules.clone(), inverted), at(0));
        let word = |(second, result): (usize, char)| {
            judge.on_probe(&rules, at(second as u64), &seen(result == 'S'));
            judge.vote().map_or('-', |vote| if vote == Vote::Up { 'u' } else { 'd' })
        };
        results.chars().enumerate().map(word).collect()
    }

    #[test]
    fn r22_the_same_threshold_in_a_row_counts_both_ways() {
        for (threshold, results, votes) in
            [(1, "SFSFS", "ududu"), (2, "SFSFFSFSSF", "uuuudddduu"), (3, "SFFSFFFSSFSSS", "uuuuuuddddddu")]
        {
            assert_eq!(played(steady(threshold), false, results), votes, "threshold {threshold}");
        }
    }

    #[test]
    fn r22_the_interval_runs_from_the_answer_to_the_next_question() {
        let rules = steady(2);
        let mut judge = Judge::new(&asked(rules.clone(), false), at(0));
        assert_eq!(judge.next(&rules), Next::FromEnd(Millis::from_secs(1)), "nothing is known yet");
        judge.on_probe(&rules, at(0), &seen(true));
        assert_eq!(judge.next(&rules), Next::FromEnd(Millis::from_secs(30)));
        judge.on_probe(&rules, at(30), &seen(false));
        assert_eq!(
            judge.next(&rules),
            Next::FromEnd(Millis::from_secs(30)),
            "a first failure hurries nothing"
        );
    }

    #[test]
    fn r26_a_new_check_says_nothing_until_there_is_enough_data() {
        assert_eq!(played(steady(3), false, "FFF"), "--d");
        assert_eq!(played(steady(3), false, "FSF"), "-uu");
        assert_eq!(played(Rules::Fast(HealthCheck::default()), false, "FF"), "-d");
        assert_eq!(played(Rules::Fast(HealthCheck::default()), false, "SF"), "uu");
    }

    #[test]
    fn an_inverted_check_says_the_opposite() {
        assert_eq!(played(steady(2), true, "SSFFSS"), "ddduud");
    }

    #[test]
    fn the_fast_rules_ask_again_within_a_second_and_count_slow_answers_as_failures() {
        let rules = Rules::Fast(HealthCheck::default());
        let mut judge = Judge::new(&asked(rules.clone(), false), at(0));
        judge.on_probe(&rules, at(0), &seen(true));
        assert_eq!(judge.next(&rules), Next::FromBegin(Millis::from_secs(5)));
        let slow = Measured { first_byte: Some(Duration::from_secs(1)), ..Measured::default() };
        judge.on_probe(&rules, at(5), &slow);
        assert_eq!(
            (judge.vote(), judge.next(&rules)),
            (Some(Vote::Up), Next::FromBegin(Millis::from_secs(1)))
        );
        assert!(judge.on_probe(&rules, at(6), &slow));
        assert_eq!(judge.vote(), Some(Vote::Down));
    }

    #[test]
    fn what_is_known_outlives_other_settings_of_the_same_kind() {
        let rules = steady(1);
        let mut judge = Judge::new(&asked(rules.clone(), false), at(0));
        judge.on_probe(&rules, at(0), &seen(false));
        let same = judge.clone().under(&asked(steady(3), false), at(1));
        assert_eq!(same.vote(), Some(Vote::Down));
        let other = judge.under(&asked(Rules::Fast(HealthCheck::default()), false), at(1));
        assert_eq!(other.vote(), None);
    }
}
