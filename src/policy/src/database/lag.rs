//! How far a replica is behind, in bytes and in time.

use super::{Lsn, Sample, Timeline};
use crate::time::{Millis, Time};
use std::collections::VecDeque;

/// Positions that are remembered: at one per probe of 200 ms, more than 100 s of constant writing.
/// A replica further behind than that tells its age itself.
const REMEMBERED: usize = 512;

/// How far the log is written, as far as is known, and since when.
///
/// Time is told by the host's own clock, from when the log was first seen to reach past what a replica
/// has replayed, so to within a probe's interval. The replica's own word, the age of its last replayed
/// transaction, would make every replica of an idle primary look late, and is wrong by what the nodes'
/// clocks differ; it is used where memory ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    timeline: Timeline,
    /// Growing in both.
    reached: VecDeque<(Time, Lsn)>,
}

impl Head {
    /// A new writer: what the old one wrote beyond it is lost.
    pub(super) fn restart(&mut self, now: Time, timeline: Timeline, lsn: Lsn) {
        self.timeline = timeline;
        self.reached.clear();
        self.reached.push_back((now, lsn));
    }

    /// The log is known to reach this far.
    pub(super) fn advance(&mut self, now: Time, timeline: Timeline, lsn: Lsn) {
        if timeline != self.timeline || self.reached.back().is_some_and(|(_, last)| *last >= lsn) {
            return;
        }
        if self.reached.len() == REMEMBERED {
            self.reached.pop_front();
        }
        self.reached.push_back((now, lsn));
    }

    /// A replica's lag in bytes and in time; nothing where it cannot be told.
    pub(super) fn lag(&self, now: Time, sample: &Sample) -> (Option<u64>, Option<Millis>) {
        let Some((_, head)) = self.reached.back().copied() else { return (None, sample.replay_age) };
        if sample.timeline < self.timeline && sample.lsn > head {
            // It holds what the writer never had: it has left the history, and is not just behind.
            return (None, None);
        }
        let head = head.max(sample.received.unwrap_or_default());
        let bytes = sample.lsn.behind(head);
        let ahead = self.reached.partition_point(|(_, lsn)| *lsn <= sample.lsn);
        let time = match (self.reached.get(ahead), ahead) {
            _ if bytes == 0 => Some(Millis::ZERO),
            // It received more than the writer was seen to have written, and that is all it lacks.
            (None, _) => Some(Millis::ZERO),
            // The oldest that is remembered lies ahead of it already.
            (Some((since, _)), 0) => Some(sample.replay_age.unwrap_or_default().max(now.since(*since))),
            (Some((since, _)), _) => Some(now.since(*since)),
        };
        (Some(bytes), time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Role;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn replica(timeline: Timeline, lsn: u64, received: u64, age: Option<u64>) -> Sample {
        Sample {
            role: Role::Replica,
            timeline,
            lsn: Lsn(lsn),
            received: Some(Lsn(received)),
            replay_age: age.map(Millis::new),
            lag: None,
        }
    }

    fn head() -> Head {
        let mut head = Head::default();
        head.restart(at(1000), 2, Lsn(100));
        head.advance(at(2000), 2, Lsn(200));
        head.advance(at(3000), 2, Lsn(300));
        head
    }

    #[test]
    fn an_idle_primarys_replica_is_not_late_however_old_its_last_transaction() {
        let lag = head().lag(at(900_000), &replica(2, 300, 300, Some(897_000)));
        assert_eq!(lag, (Some(0), Some(Millis::ZERO)));
    }

    #[test]
    fn time_counts_from_when_the_log_was_seen_past_the_replica() {
        let lag = |lsn| head().lag(at(4000), &replica(2, lsn, lsn, Some(999_999)));
        assert_eq!(lag(200), (Some(100), Some(Millis::new(1000))));
        assert_eq!(lag(150), (Some(150), Some(Millis::new(2000))));
        assert_eq!(lag(299), (Some(1), Some(Millis::new(1000))));
    }

    #[test]
    fn beyond_what_is_remembered_the_replicas_own_word_counts() {
        let lag = |age| head().lag(at(4000), &replica(2, 50, 300, age)).1;
        assert_eq!(lag(Some(60_000)), Some(Millis::new(60_000)));
        assert_eq!(lag(Some(10)), Some(Millis::new(3000)), "at least as long as is remembered");
        assert_eq!(lag(None), Some(Millis::new(3000)));
    }

    #[test]
    fn what_a_replica_received_before_the_writer_was_asked_is_no_time() {
        assert_eq!(head().lag(at(4000), &replica(2, 300, 350, None)), (Some(50), Some(Millis::ZERO)));
    }

    #[test]
    fn a_replica_that_left_the_history_has_no_lag_to_tell() {
        assert_eq!(head().lag(at(4000), &replica(1, 301, 301, Some(5))), (None, None));
        assert_eq!(head().lag(at(4000), &replica(1, 300, 300, Some(5))), (Some(0), Some(Millis::ZERO)));
    }

    #[test]
    fn before_any_writer_was_seen_only_the_replicas_word_is_known() {
        let lag = Head::default().lag(at(1), &replica(1, 5, 9, Some(70)));
        assert_eq!(lag, (None, Some(Millis::new(70))));
    }

    #[test]
    fn memory_is_bounded() {
        let mut head = head();
        for step in 0..10_000 {
            head.advance(at(4000 + step), 2, Lsn(400 + step));
        }
        assert_eq!(head.reached.len(), REMEMBERED);
    }
}
