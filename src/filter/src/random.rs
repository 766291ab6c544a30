//! The draws of requests without a sticky key.
//!
//! One draw costs a few nanoseconds; asking the host for each would cost a hostcall.

/// SplitMix64: enough for spreading requests, not for secrets.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// Draws that follow from this seed.
    pub fn seeded(seed: u64) -> Self {
        Draws(seed)
    }

    /// Draws that no other VM makes.
    ///
    /// Where the host gives no entropy the draws still spread requests evenly, only predictably.
    pub fn from_host() -> Self {
        Draws(getrandom::u64().unwrap_or(0x9e37_79b9_7f4a_7c15))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next draw in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_evenly_over_the_unit() {
        let mut draws = Draws::from_host();
        let mut tenths = [0u32; 10];
        for _ in 0..100_000 {
            let draw = draws.unit();
            assert!((0.0..1.0).contains(&draw));
            tenths[(draw * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|n| (9_500..10_500).contains(n)), "{tenths:?}");
    }
}
