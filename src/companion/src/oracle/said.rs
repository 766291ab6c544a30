//! What voters say of the checks, and what of it is in force.

use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::vote::Vote;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A vote older than this is not in force: five questions at one each 500 ms.
pub const MAX_AGE: Millis = Millis::from_secs(3);

/// The longest answer that is read: about two thousand checks.
pub const MAX_BYTES: usize = 256 * 1024;

/// One voter's votes, as `/v1/votes` and etcd carry them. Fields that this version does not know are
/// passed over, so that voters may be of several versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who says so.
    pub voter: String,
    /// Names its configuration, less what differs between regions.
    pub config: String,
    /// Grows with every change of the votes.
    pub sequence: u64,
    /// Its vote on each check that it knows enough of.
    pub checks: BTreeMap<String, Word>,
}

/// A vote as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It is healthy.
    Up,
    /// It is not.
    Down,
}

impl Word {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Word::Up => "up",
            Word::Down => "down",
        }
    }
}

impl From<Vote> for Word {
    fn from(vote: Vote) -> Self {
        match vote {
            Vote::Up => Word::Up,
            Vote::Down => Word::Down,
        }
    }
}

impl From<Word> for Vote {
    fn from(word: Word) -> Self {
        match word {
            Word::Up => Vote::Up,
            Word::Down => Vote::Down,
        }
    }
}

impl Said {
    /// Reads what `voter` says.
    ///
    /// # Errors
    /// One sentence: it is not this voter's, or no votes at all.
    pub fn read(bytes: &[u8], voter: &str) -> Result<Said, String> {
        let said: Said =
            serde_json::from_slice(bytes).map_err(|error| format!("these are no votes: {error}"))?;
        if said.voter == voter {
            return Ok(said);
        }
        // What a stranger calls itself is shown, so it must be short and printable.
        let name: String = said.voter.chars().filter(|c| !c.is_control()).take(63).collect();
        Err(format!("the votes are those of \"{name}\", not {voter}'s"))
    }
}

/// What all other voters say.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    heard: BTreeMap<String, Heard>,
    etcd: Option<Roll>,
}

/// What one other voter last said.
#[derive(Clone, Debug)]
struct Heard {
    said: Said,
    at: Time,
}

/// Whose leases etcd holds.
#[derive(Clone, Debug)]
struct Roll {
    present: BTreeSet<String>,
    at: Time,
}

impl Ledger {
    /// A voter was asked at `at`, and said this. False if it is older than what is in force.
    pub fn hear(&mut self, said: Said, at: Time) -> bool {
        let known = self.heard.get(&said.voter);
        // Sequences begin with the wall clock: one that was put back counts once the old votes do not.
        let old = known.is_some_and(|known| {
            at < known.at || in_force(known.at, at) && said.sequence < known.said.sequence
        });
        if !old {
            self.heard.insert(said.voter.clone(), Heard { said, at });
        }
        !old
    }

    /// etcd was asked at `at`, and holds these votes and no others.
    pub fn roll(&mut self, votes: Vec<Said>, at: Time) {
        let present: BTreeSet<String> = votes.iter().map(|said| said.voter.clone()).collect();
        // A lease that lapsed takes its votes with it at once.
        self.heard.retain(|voter, _| present.contains(voter));
        for said in votes {
            self.hear(said, at);
        }
        self.etcd = Some(Roll { present, at });
    }

    /// Keeps these voters' words alone.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.heard.retain(|voter, _| keep(voter));
    }

    /// Forgets what etcd said.
    pub fn leave_etcd(&mut self) {
        self.etcd = None;
    }

    /// The voter's words that are in force.
    pub fn of(&self, voter: &str, now: Time) -> Option<&Said> {
        self.heard.get(voter).filter(|heard| in_force(heard.at, now)).map(|heard| &heard.said)
    }

    /// How long ago the voter was asked for what it last said.
    pub fn age(&self, voter: &str, now: Time) -> Option<Millis> {
        self.heard.get(voter).map(|heard| now.since(heard.at))
    }

    /// Whether etcd is heard.
    pub fn etcd_heard(&self, now: Time) -> bool {
        self.etcd.as_ref().is_some_and(|roll| in_force(roll.at, now))
    }

    /// How long ago etcd was asked for what it last said.
    pub fn etcd_age(&self, now: Time) -> Option<Millis> {
        self.etcd.as_ref().map(|roll| now.since(roll.at))
    }

    /// etcd's own vote on a region: whether its companion's lease lives.
    pub fn etcd_vote(&self, region: &str, now: Time) -> Option<Vote> {
        let roll = self.etcd.as_ref().filter(|roll| in_force(roll.at, now))?;
        Some(if roll.present.contains(region) { Vote::Up } else { Vote::Down })
    }
}

fn in_force(at: Time, now: Time) -> bool {
    now.since(at) <= MAX_AGE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(voter: &str, sequence: u64, japan: Word) -> Said {
        Said {
            voter: voter.to_owned(),
            config: "abc".to_owned(),
            sequence,
            checks: BTreeMap::from([("japan".to_owned(), japan)]),
        }
    }

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn votes_are_written_as_documented_and_read_back() {
        let text = r#"{"voter":"taiwan","config":"abc","sequence":7,"checks":{"japan":"down"}}"#;
        assert_eq!(serde_json::to_string(&said("taiwan", 7, Word::Down)).unwrap(), text);
        let newer = r#"{"voter":"taiwan","config":"abc","sequence":7,"checks":{"japan":"down"},"mood":1}"#;
        assert_eq!(Said::read(newer.as_bytes(), "taiwan"), Ok(said("taiwan", 7, Word::Down)));
    }

    #[test]
    fn strangers_and_rubbish_are_refused_in_words() {
        for (text, part) in [
            (r#"{"voter":"mars\n","config":"","sequence":0,"checks":{}}"#, "those of \"mars\", not taiwan's"),
            (r#"{"voter":"taiwan","config":"","sequence":0,"checks":{"japan":"maybe"}}"#, "no votes"),
            (r#"{"voter":"taiwan"}"#, "no votes"),
            ("", "no votes"),
        ] {
            let error = Said::read(text.as_bytes(), "taiwan").unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_vote_counts_for_three_seconds_from_when_it_was_asked_for() {
        let mut ledger = Ledger::default();
        assert!(ledger.hear(said("japan", 5, Word::Up), at(1000)));
        assert!(ledger.of("japan", at(4000)).is_some() && ledger.of("japan", at(4001)).is_none());
        assert_eq!(ledger.age("japan", at(4001)), Some(Millis::new(3001)));
    }

    #[test]
    fn what_is_older_than_what_is_in_force_is_passed_over() {
        let mut ledger = Ledger::default();
        ledger.hear(said("japan", 5, Word::Down), at(1000));
        assert!(!ledger.hear(said("japan", 4, Word::Up), at(1500)), "said before");
        assert!(!ledger.hear(said("japan", 6, Word::Up), at(500)), "asked before");
        // After its clock was put back its votes count once the old ones do not.
        assert!(ledger.hear(said("japan", 1, Word::Up), at(4001)));
    }

    #[test]
    fn etcd_votes_by_leases_while_it_is_heard() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.etcd_vote("japan", at(0)), None);
        ledger.roll(vec![said("japan", 1, Word::Up)], at(1000));
        assert_eq!(ledger.etcd_vote("japan", at(1000)), Some(Vote::Up));
        assert_eq!(ledger.etcd_vote("taiwan", at(1000)), Some(Vote::Down));
        ledger.roll(Vec::new(), at(2000));
        assert_eq!(ledger.etcd_vote("japan", at(2000)), Some(Vote::Down));
        assert!(ledger.of("japan", at(2000)).is_none(), "its votes went with its lease");
        assert_eq!(ledger.etcd_vote("japan", at(5001)), None, "etcd itself is out of reach");
    }
}
