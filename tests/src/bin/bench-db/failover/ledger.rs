//! The ledger: what clients asked to be written, and what they were told became of it.
//!
//! A client never sends a number twice. So afterwards each acknowledged one must be there, once;
//! one whose fate was not told may be there, once.

use crate::front::Kind;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One number of one client.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Through which front.
    pub front: Kind,
    /// Which client.
    pub client: i32,
    /// Its number.
    pub number: i64,
}

/// What a client was told.
#[derive(Clone, Copy)]
pub struct Entry {
    /// When it sent the write.
    pub sent: Instant,
    /// When it was told that the write is done; nothing if it was not.
    pub acknowledged: Option<Instant>,
}

/// All entries of a run.
#[derive(Default)]
pub struct Ledger {
    entries: Mutex<HashMap<Key, Entry>>,
    /// Acknowledgements since [`Ledger::begin`], in order.
    recent: Mutex<Vec<(Kind, Instant)>>,
}

/// What became of a front's writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Acknowledged.
    pub acknowledged: u64,
    /// Acknowledged, and not there.
    pub lost: u64,
    /// There more than once.
    pub doubled: u64,
    /// Sent and not acknowledged.
    pub unknown: u64,
    /// … and there all the same.
    pub unknown_but_there: u64,
}

impl Ledger {
    /// Before a write is sent.
    pub fn send(&self, key: Key) {
        lock(&self.entries).insert(key, Entry { sent: Instant::now(), acknowledged: None });
    }

    /// When it is told to be done.
    pub fn acknowledge(&self, key: Key) {
        let now = Instant::now();
        if let Some(entry) = lock(&self.entries).get_mut(&key) {
            entry.acknowledged = Some(now);
        }
        lock(&self.recent).push((key.front, now));
    }

    /// Begins a failover: [`first_after`](Self::first_after) sees what comes from now on.
    pub fn begin(&self) {
        lock(&self.recent).clear();
    }

    /// The first acknowledgement through a front after a moment.
    pub fn first_after(&self, front: Kind, moment: Instant) -> Option<Instant> {
        let recent = lock(&self.recent);
        recent.iter().find(|(of, at)| *of == front && *at > moment).map(|(_, at)| *at)
    }

    /// What was told of a key.
    pub fn get(&self, key: &Key) -> Option<Entry> {
        lock(&self.entries).get(key).copied()
    }

    /// Compares what was told with how often each key is there.
    pub fn account(&self, there: &HashMap<Key, u64>) -> BTreeMap<Kind, Account> {
        let mut accounts: BTreeMap<Kind, Account> = BTreeMap::new();
        for (key, entry) in lock(&self.entries).iter() {
            let account = accounts.entry(key.front).or_default();
            let times = there.get(key).copied().unwrap_or_default();
            account.doubled += u64::from(times > 1);
            if entry.acknowledged.is_some() {
                account.acknowledged += 1;
                account.lost += u64::from(times == 0);
            } else {
                account.unknown += 1;
                account.unknown_but_there += u64::from(times > 0);
            }
        }
        accounts
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_must_be_there_once() {
        let ledger = Ledger::default();
        let key = |number| Key { front: Kind::Evenkeel, client: 1, number };
        for number in 0..6 {
            ledger.send(key(number));
        }
        for number in 0..3 {
            ledger.acknowledge(key(number));
        }
        assert!(ledger.first_after(Kind::Evenkeel, Instant::now()).is_none());
        let there = HashMap::from([(key(0), 1), (key(1), 2), (key(3), 1), (key(4), 2)]);
        let account = &ledger.account(&there)[&Kind::Evenkeel];
        let expected = Account { acknowledged: 3, lost: 1, doubled: 2, unknown: 3, unknown_but_there: 2 };
        assert_eq!(*account, expected);
    }
}
