//! As many random numbers as one answer needs, from the one that the host gave.

/// Several draws from one random number (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) const fn new(random: u64) -> Self {
        Draws(random)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, 0 if that is 0. No value is more frequent than another by more than `bound` parts
    /// in 2⁶⁴: 10⁻⁹ of it with a hundred of the greatest weights that the topology file takes.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(super) fn place_below(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// Whether a member with this share is admitted now. A whole one costs no draw, so that what goes on
    /// elsewhere does not change what its clients are answered.
    pub(super) fn admits(&mut self, share: u8) -> bool {
        share >= 100 || (share > 0 && self.below(100) < u64::from(share))
    }
}
