//! What waits for one webhook: bounded, and no more a minute than people can read.

use super::book::Notice;
use super::{Kind, Severity};
use evenkeel_policy::time::{Millis, Time};
use std::collections::VecDeque;

/// Alerts that wait at most; of more the oldest are dropped.
pub const LONGEST: usize = 100;

const MINUTE: Millis = Millis::from_secs(60);

/// What is to be sent next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This.
    One(Notice),
    /// These, in one.
    Many(Vec<Notice>),
    /// Nothing before then.
    At(Time),
    /// Nothing.
    Nothing,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    waiting: VecDeque<Notice>,
    /// When something was sent within the last minute.
    sent: VecDeque<Time>,
    per_minute: usize,
}

impl Queue {
    /// An empty one.
    pub fn new(per_minute: u32) -> Self {
        let per_minute = usize::try_from(per_minute).unwrap_or(usize::MAX).max(1);
        Queue { waiting: VecDeque::new(), sent: VecDeque::new(), per_minute }
    }

    /// Adds one; true if another had to go for it.
    pub fn push(&mut self, notice: Notice) -> bool {
        let full = self.waiting.len() >= LONGEST;
        if full {
            self.waiting.pop_front();
        }
        self.waiting.push_back(notice);
        full
    }

    /// Whether something waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes what may be sent now. The last one a minute may have takes all that waits with it.
    pub fn take(&mut self, now: Time) -> Next {
        while self.sent.front().is_some_and(|at| now.since(*at) >= MINUTE) {
            self.sent.pop_front();
        }
        if self.waiting.is_empty() {
            return Next::Nothing;
        }
        if self.sent.len() >= self.per_minute {
            return self.sent.front().map_or(Next::Nothing, |at| Next::At(at.plus(MINUTE)));
        }
        self.sent.push_back(now);
        if self.sent.len() == self.per_minute && self.waiting.len() > 1 {
            return Next::Many(self.waiting.drain(..).collect());
        }
        self.waiting.pop_front().map_or(Next::Nothing, Next::One)
    }
}

/// The gravest of several, which gives its severity to all.
pub fn gravest(notices: &[Notice]) -> (Kind, Severity) {
    let gravest = notices.iter().max_by_key(|notice| notice.severity);
    gravest.map_or((Kind::Failover, Severity::Info), |notice| (notice.kind, notice.severity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(text: usize) -> Notice {
        Notice::event(Kind::Failover, Severity::Warning, text.to_string())
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn a_minute_has_so_many_and_the_last_one_gathers_the_rest() {
        let mut queue = Queue::new(3);
        for index in 0..5 {
            queue.push(notice(index));
        }
        assert!(matches!(queue.take(at(1)), Next::One(first) if first.summary == "0"));
        assert!(matches!(queue.take(at(1)), Next::One(_)));
        assert!(matches!(queue.take(at(2)), Next::Many(rest) if rest.len() == 3));
        assert_eq!(queue.take(at(2)), Next::Nothing);
        queue.push(notice(5));
        queue.push(notice(6));
        assert_eq!(queue.take(at(3)), Next::At(at(61)));
        assert!(matches!(queue.take(at(61)), Next::One(_)));
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut queue = Queue::new(1);
        let dropped = (0..LONGEST + 7).filter(|index| queue.push(notice(*index))).count();
        assert_eq!(dropped, 7);
        assert!(
            matches!(queue.take(at(1)), Next::Many(all) if all.len() == LONGEST && all[0].summary == "7")
        );
    }
}
