//! A log line for refused log-ins that nobody can flood.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// One line for each user and peer within this.
const PERIOD: Duration = Duration::from_secs(10);

/// Users and peers remembered at once; beyond it, strangers share one entry.
const MOST: usize = 1024;

/// Who was refused lately.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<Option<(String, IpAddr)>, Entry>>);

#[derive(Debug)]
struct Entry {
    told: Instant,
    suppressed: u64,
}

impl Refusals {
    /// Whether this refusal is to be told; if so, how many were not since the last that was.
    pub(crate) fn tell(&self, user: &str, peer: IpAddr, now: Instant) -> Option<u64> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |entry: &Entry| now.saturating_duration_since(entry.told) >= PERIOD;
        let mut key = Some((user.to_owned(), peer));
        if entries.len() >= MOST && !entries.contains_key(&key) {
            // What was suppressed and never told counts on among the rest.
            let mut untold = 0;
            entries.retain(|key, entry| {
                let kept = key.is_none() || !over(entry);
                untold += if kept { 0 } else { entry.suppressed };
                kept
            });
            if untold > 0 {
                entries.entry(None).or_insert(Entry { told: now, suppressed: 0 }).suppressed += untold;
            }
            if entries.len() >= MOST {
                key = None;
            }
        }
        match entries.get_mut(&key) {
            Some(entry) if !over(entry) => {
                entry.suppressed += 1;
                None
            }
            Some(entry) => {
                entry.told = now;
                Some(std::mem::take(&mut entry.suppressed))
            }
            None => {
                entries.insert(key, Entry { told: now, suppressed: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn one_line_for_each_user_and_peer_in_ten_seconds() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(refusals.tell("a", PEER, start), Some(0));
        assert_eq!(refusals.tell("a", PEER, later(1)), None);
        assert_eq!(refusals.tell("a", PEER, later(9)), None);
        assert_eq!(refusals.tell("b", PEER, later(9)), Some(0));
        assert_eq!(refusals.tell("a", "10.0.0.1".parse().unwrap(), later(9)), Some(0));
        assert_eq!(refusals.tell("a", PEER, later(10)), Some(2));
        assert_eq!(refusals.tell("a", PEER, later(11)), None);
    }

    #[test]
    fn a_million_names_are_not_remembered_and_not_told() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let told = (0..1_000_000).filter_map(|n: u32| refusals.tell(&n.to_string(), PEER, start)).count();
        assert_eq!(told, MOST + 1);
        assert_eq!(refusals.0.lock().unwrap().len(), MOST + 1);
        // Once their time is over they make room, and what was not told is told with the next.
        let later = start + PERIOD;
        assert_eq!(refusals.tell("new", PEER, later), Some(0));
        assert!(refusals.0.lock().unwrap().len() <= 2);
    }
}
