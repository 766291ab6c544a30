//! How much one network may ask by UDP, where anybody can write anybody's address on a question.
//!
//! A token bucket for each /24 (/56 of IPv6) that holds a second's worth, kept as one number: the time
//! when the bucket will be full again (GCRA). The table has a fixed size, and each network has four
//! places in it; when all are taken the fullest bucket makes room. So whoever writes from a million
//! networks gets new buckets, but takes no memory, and those that are over their limit stay so.

use evenkeel_config::dns::RateLimit;
use ipnet::IpNet;
use siphasher::sip::SipHasher13;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// 512 KiB in all.
const PLACES: usize = 65_536;
const WAYS: usize = 4;

/// A place holds the network's tag in its upper 20 bits, and below it a time in ticks of 64 ns since the
/// start. It begins anew after 13 days; a bucket of before then seems to be far in the future, which is
/// taken for empty.
const TIME_BITS: u32 = 44;
const TIME: u64 = (1 << TIME_BITS) - 1;
const TICKS_PER_SECOND: u64 = 1_000_000_000 >> 6;

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is given.
    Answer,
    /// It is given without its records, so that whoever is real asks again by TCP.
    Slip,
    /// It is not given.
    Drop,
}

/// The limit and who has used it.
pub(crate) struct Limit {
    /// Between two answers; none: no limit.
    interval: Option<u64>,
    slip: u64,
    exempt: Vec<IpNet>,
    places: Vec<AtomicU64>,
    key: (u64, u64),
    start: Instant,
}

impl Limit {
    /// # Errors
    /// A line that names the network that is none.
    pub(crate) fn new(settings: &RateLimit) -> Result<Self, String> {
        let exempt = settings.exempt.iter().enumerate().map(|(at, text)| {
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            text.parse().ok().or_else(address).ok_or_else(|| {
                let remedy = "give a network like 10.0.0.0/8, or an address";
                format!("dns.rate_limit.exempt[{at}]: \"{text}\": {remedy}")
            })
        });
        let rate = u64::from(settings.responses_per_second);
        let interval = TICKS_PER_SECOND.checked_div(rate).map(|ticks| ticks.max(1));
        let places = if interval.is_some() { PLACES } else { 0 };
        Ok(Limit {
            interval,
            slip: u64::from(settings.slip),
            exempt: exempt.collect::<Result<_, _>>()?,
            places: (0..places).map(|_| AtomicU64::new(0)).collect(),
            // Nobody can aim at another network's places without the key.
            key: (rand::random(), rand::random()),
            start: Instant::now(),
        })
    }

    /// Takes a token from the client's bucket. `random` decides who slips through.
    pub(crate) fn admit(&self, client: IpAddr, now: Instant, random: u64) -> Verdict {
        let Some(interval) = self.interval else { return Verdict::Answer };
        let client = client.to_canonical();
        if self.exempt.iter().any(|network| network.contains(&client)) {
            return Verdict::Answer;
        }
        let elapsed = now.saturating_duration_since(self.start).as_nanos() >> 6;
        if self.take(network(client), elapsed as u64 & TIME, interval) {
            return Verdict::Answer;
        }
        // The draw's upper half: the lower one chooses the answer.
        match (random >> 32).checked_rem(self.slip) {
            Some(0) => Verdict::Slip,
            _ => Verdict::Drop,
        }
    }

    fn take(&self, network: u64, now: u64, interval: u64) -> bool {
        let hash = SipHasher13::new_with_keys(self.key.0, self.key.1).hash(&network.to_ne_bytes());
        let tag = hash >> TIME_BITS;
        let first = hash as usize % (PLACES / WAYS) * WAYS;
        let Some(ways) = self.places.get(first..first + WAYS) else { return true };

        // The bucket is full at that time: at `now` or before it has all its tokens.
        let full_at = |held: u64| {
            let full_at = held & TIME;
            let ahead = full_at.wrapping_sub(now) & TIME;
            if ahead <= TICKS_PER_SECOND + interval { ahead } else { 0 }
        };
        let read = |place: &AtomicU64| place.load(Ordering::Relaxed);
        let own = ways.iter().find(|place| read(place) >> TIME_BITS == tag);
        let fullest = || ways.iter().min_by_key(|place| full_at(read(place)));
        let (Some(place), known) = (own.or_else(fullest), own.is_some()) else { return true };

        let ahead = if known { full_at(read(place)) } else { 0 };
        if ahead + interval > TICKS_PER_SECOND.max(interval) {
            return false;
        }
        // Two threads that do this at once may take one token for two answers: one in a great many.
        place.store(tag << TIME_BITS | (now + ahead + interval) & TIME, Ordering::Relaxed);
        true
    }
}

/// The network that shares a bucket.
fn network(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(address) => u64::from(u32::from(address) >> 8),
        // A /56 is 56 bits; the highest bit tells it from IPv4.
        IpAddr::V6(address) => (u128::from(address) >> 72) as u64 | 1 << 63,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn limit(responses_per_second: u32, slip: u32) -> Limit {
        let exempt = vec!["10.0.0.0/8".to_owned(), "2001:db8::1".to_owned()];
        Limit::new(&RateLimit { responses_per_second, slip, exempt }).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `asked` are answered, slipped and dropped at one moment.
    fn at_once(limit: &Limit, client: &str, now: Instant, asked: u64) -> [usize; 3] {
        let mut counts = [0; 3];
        for draw in 0..asked {
            match limit.admit(ip(client), now, draw << 32) {
                Verdict::Answer => counts[0] += 1,
                Verdict::Slip => counts[1] += 1,
                Verdict::Drop => counts[2] += 1,
            }
        }
        counts
    }

    #[test]
    fn a_second_s_worth_is_answered_at_once_and_comes_back_in_a_second() {
        let limit = limit(100, 2);
        let start = Instant::now();
        assert_eq!(at_once(&limit, "192.0.2.1", start, 300), [100, 100, 100]);
        let later = start + Duration::from_millis(500);
        assert_eq!(at_once(&limit, "192.0.2.1", later, 300)[0], 50);
        assert_eq!(at_once(&limit, "192.0.2.1", later + Duration::from_secs(60), 300)[0], 100);
    }

    #[test]
    fn a_network_shares_its_bucket_and_no_other_s() {
        let limit = limit(10, 1);
        let now = Instant::now();
        assert_eq!(at_once(&limit, "192.0.2.1", now, 10), [10, 0, 0]);
        assert_eq!(at_once(&limit, "192.0.2.255", now, 10), [0, 10, 0]);
        assert_eq!(at_once(&limit, "::ffff:192.0.2.7", now, 10), [0, 10, 0], "the same in IPv6's words");
        assert_eq!(at_once(&limit, "192.0.3.1", now, 10), [10, 0, 0]);
        assert_eq!(at_once(&limit, "2001:db8:0:100::1", now, 10), [10, 0, 0]);
        assert_eq!(at_once(&limit, "2001:db8:0:1ff::1", now, 10), [0, 10, 0]);
        assert_eq!(at_once(&limit, "2001:db8:0:200::1", now, 10), [10, 0, 0]);
    }

    #[test]
    fn exempt_networks_and_a_rate_of_none_have_no_limit() {
        let now = Instant::now();
        let limited = limit(1, 0);
        assert_eq!(at_once(&limited, "10.200.0.1", now, 50), [50, 0, 0]);
        assert_eq!(at_once(&limited, "2001:db8::1", now, 50), [50, 0, 0]);
        assert_eq!(at_once(&limited, "2001:db8::2", now, 50), [1, 0, 49], "nobody slips");
        assert_eq!(at_once(&limit(0, 2), "192.0.2.1", now, 50), [50, 0, 0]);
    }

    #[test]
    fn a_flood_of_networks_takes_no_memory_and_frees_nobody() {
        let limit = limit(10, 0);
        let now = Instant::now();
        assert_eq!(at_once(&limit, "192.0.2.1", now, 11), [10, 0, 1]);
        for other in 0..1_000_000u32 {
            limit.admit(IpAddr::from((0x0100_0000 + (other << 8)).to_be_bytes()), now, 0);
        }
        assert_eq!(limit.places.len(), PLACES);
        assert_eq!(at_once(&limit, "192.0.2.1", now, 10), [0, 0, 10], "the emptiest bucket stays");
    }

    #[test]
    fn thirteen_days_later_a_bucket_is_full() {
        let limit = limit(10, 0);
        let start = Instant::now();
        assert_eq!(at_once(&limit, "192.0.2.1", start, 20)[0], 10);
        for days in 1..30 {
            let now = start + Duration::from_secs(days * 86_400);
            assert_eq!(at_once(&limit, "192.0.2.1", now, 20)[0], 10, "day {days}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        let settings = RateLimit { exempt: vec!["10/8".to_owned()], ..RateLimit::default() };
        let error = Limit::new(&settings).err().unwrap();
        assert_eq!(
            error,
            "dns.rate_limit.exempt[0]: \"10/8\": give a network like 10.0.0.0/8, or an address"
        );
    }
}
