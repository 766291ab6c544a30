//! Votes: one vantage point alone takes no region out of the DNS answers.
//!
//! Each companion and the witness votes on each region by what it sees itself. A region is down by a
//! majority of the *configured* votes, and up by one; without a majority the last answer stays
//! (`rules.md`, votes).

/// What one voter says of one region or check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// It is healthy.
    Up,
    /// It is not.
    Down,
}

/// The votes on one region at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ballot {
    /// How many votes there are by the configuration, the own one included.
    pub configured: usize,
    /// Votes for up that are in force, the own one included.
    pub up: usize,
    /// Votes for down that are in force, the own one included.
    pub down: usize,
    /// The own vote.
    pub own: Option<Vote>,
    /// Other voters that are heard at all, whatever they say.
    pub others_heard: usize,
    /// Whether one of the configured anchors answers: then it is not this voter that is cut off.
    pub anchor: bool,
}

/// How a region came to be what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// More than half of the configured votes.
    Majority,
    /// This voter alone, because it is one of two, hears the other no more, and an anchor answers.
    Alone,
}

impl Ballot {
    /// What the votes settle, if they settle anything. More votes than are configured may say both; then
    /// they settle nothing.
    pub fn settled(&self) -> Option<(Vote, Ground)> {
        let majority = self.configured / 2 + 1;
        match (self.down >= majority, self.up >= majority) {
            (true, false) => Some((Vote::Down, Ground::Majority)),
            (false, true) => Some((Vote::Up, Ground::Majority)),
            (true, true) => None,
            (false, false) => {
                let alone = self.configured == 2 && self.others_heard == 0 && self.anchor;
                self.own.filter(|_| alone).map(|own| (own, Ground::Alone))
            }
        }
    }
}
