//! A region's name, its place in the configuration, and an order of regions.

use arrayvec::ArrayVec;
use serde::Serialize;
use std::fmt;

/// The most regions one topology may have. It bounds an [`Order`], so that a decision needs no heap.
pub const MAX_REGIONS: usize = 32;

/// A region's name: a DNS label in lower case, since it becomes a label of metrics, a header's
/// value and part of host names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RegionName(String);

impl RegionName {
    /// # Errors
    /// What a name must look like, if `text` does not.
    pub fn try_new(text: &str) -> Result<Self, String> {
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fits = (1..=63).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if fits {
            Ok(RegionName(text.to_owned()))
        } else {
            Err("use 1 to 63 lower-case letters, digits and hyphens, with no hyphen at either end".to_owned())
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A region by its place in the configuration, which also breaks ties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(u8);

impl RegionId {
    /// The first region; every topology has one.
    pub const FIRST: RegionId = RegionId(0);

    /// The region at `index`. None beyond [`MAX_REGIONS`].
    pub fn new(index: usize) -> Option<Self> {
        (index < MAX_REGIONS).then_some(RegionId(index as u8))
    }

    /// Its place in the configuration, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Regions in the order in which a request may try them.
pub type Order = ArrayVec<RegionId, MAX_REGIONS>;

/// A set of regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionSet(u32);

impl RegionSet {
    /// The set without members.
    pub const EMPTY: RegionSet = RegionSet(0);

    /// Adds a region.
    pub fn insert(&mut self, region: RegionId) {
        self.0 |= 1u32 << (region.0 & 31);
    }

    /// Whether the region is a member.
    pub const fn contains(self, region: RegionId) -> bool {
        self.0 & (1u32 << (region.0 & 31)) != 0
    }

    /// Whether there are no members.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["taiwan", "ap-east-2", "r2", "7"] {
            assert!(RegionName::try_new(good).is_ok(), "{good}");
        }
        for bad in ["", "Taiwan", "-a", "a-", "a.b", "a b", "台灣", &"x".repeat(64)] {
            assert!(RegionName::try_new(bad).is_err(), "{bad}");
        }
    }
}
