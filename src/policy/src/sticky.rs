//! Sticky keys: a seeded hash of (key, region), and nothing remembered.
//!
//! Rendezvous hashing: every key ranks all regions by its own scores, so a region's loss moves only
//! the keys that ranked it first, each to the region it ranked second.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// The secret that keeps clients from aiming their keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    k0: u64,
    k1: u64,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(…)")
    }
}

impl Seed {
    /// The seed that a text stands for; the same text gives the same seed everywhere.
    pub fn from_text(text: &str) -> Self {
        let half = |k1: u64| {
            let mut hasher = SipHasher24::new_with_keys(0x6576_656e_6b65_656c, k1);
            hasher.write(text.as_bytes());
            hasher.finish()
        };
        Seed { k0: half(0), k1: half(1) }
    }

    /// A key's digest. Without the seed it cannot be predicted.
    pub fn digest(self, key: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.k0, self.k1);
        hasher.write(key);
        hasher.finish()
    }
}

/// The draw in [0, 1) that a key has for a region, whatever else is configured.
///
/// `salt` keeps independent draws apart (which region a key prefers, and whether a ramp admits it).
pub fn draw(digest: u64, region_hash: u64, salt: u64) -> f64 {
    let mut z = digest ^ region_hash.rotate_left(23) ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    // The finaliser of SplitMix64, twice: `digest` is already unpredictable, this only spreads it.
    for _ in 0..2 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
    }
    (z >> 11) as f64 / (1u64 << 53) as f64
}

/// A key's score for a region of this weight: the highest wins, and over many keys each region wins
/// in proportion to its weight.
pub fn score(draw: f64, weight: f64) -> f64 {
    // −w / ln u with u in (0, 1]: the standard weighted rendezvous score.
    -weight / (1.0 - draw).max(f64::MIN_POSITIVE).ln().min(-f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_kept_over_many_keys() {
        let seed = Seed::from_text("s");
        let (a, b) = (seed.digest(b"taiwan"), seed.digest(b"japan"));
        let first = (0..100_000u32)
            .filter(|key| {
                let digest = seed.digest(&key.to_le_bytes());
                score(draw(digest, a, 0), 60.0) > score(draw(digest, b, 0), 40.0)
            })
            .count();
        assert!((59_000..61_000).contains(&first), "{first}");
    }

    #[test]
    fn another_seed_is_another_order() {
        let same = (0..1000u32)
            .filter(|key| {
                let side = |seed: Seed| {
                    draw(seed.digest(&key.to_le_bytes()), 1, 0) > draw(seed.digest(&key.to_le_bytes()), 2, 0)
                };
                side(Seed::from_text("one")) == side(Seed::from_text("two"))
            })
            .count();
        assert!((400..600).contains(&same), "{same}");
    }
}
