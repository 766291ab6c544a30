//! The sets and their members, validated once.

use crate::geography::{Continent, Country};
use crate::region::RegionId;
use std::fmt;

/// The most sets on the way from a name to a value.
pub const MAX_DEPTH: usize = 8;

/// The most members below one set, each counted as often as a way leads to it. It bounds the work of one
/// answer: eight sets, each with ten aliases of the next, would be 10⁸.
pub const MAX_WIDTH: usize = 10_000;

/// A set, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(pub u16);

/// A value, by its place in the host's list: policy knows nothing of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u16);

/// A health check, by its place in the host's list of shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(pub u16);

/// How a set chooses among its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// The first member, whatever its health.
    Simple,
    /// By weight.
    Weighted,
    /// By where the client is; the most specific place wins.
    Geolocation,
    /// The lowest latency by the table.
    Latency,
    /// The primary, else the secondary.
    Failover,
    /// Up to [`MAX_VALUES`](super::choose::MAX_VALUES) members at once.
    Multivalue,
}

impl Policy {
    /// The word in the topology file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Policy::Simple => "simple",
            Policy::Weighted => "weighted",
            Policy::Geolocation => "geolocation",
            Policy::Latency => "latency",
            Policy::Failover => "failover",
            Policy::Multivalue => "multivalue",
        }
    }
}

/// A set of records of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// How it chooses.
    pub policy: Policy,
    /// What it chooses from, in configuration order.
    pub members: Vec<Member>,
}

/// One record of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// What it answers.
    pub target: Target,
    /// Its own health check; none: always healthy (R7).
    pub check: Option<CheckId>,
    /// Whether the health of the set it leads to counts too (R18, R19). Of no matter for a value.
    pub evaluate_target: bool,
    /// Its weight under [`Policy::Weighted`].
    pub weight: u32,
    /// Where its clients are, under [`Policy::Geolocation`].
    pub places: Vec<Place>,
    /// The region it stands for: its column in the latency table, and what a pin means.
    pub region: Option<RegionId>,
    /// Whether it is the primary, under [`Policy::Failover`].
    pub primary: bool,
}

impl Member {
    /// A member without a check, of weight 1.
    pub fn new(target: Target) -> Self {
        Member {
            target,
            check: None,
            evaluate_target: true,
            weight: 1,
            places: Vec::new(),
            region: None,
            primary: false,
        }
    }
}

/// What a member leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Records to answer.
    Value(ValueId),
    /// Another set (Route 53's alias to a record of the same zone).
    Set(SetId),
}

/// A part of a country, as ISO 3166-2's code without the country: `CA` of `US-CA`. Up to three letters
/// or digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subdivision {
    country: Country,
    code: [u8; 3],
}

impl Subdivision {
    /// From the country and its part's code in any case.
    pub fn new(country: Country, code: &[u8]) -> Option<Self> {
        if !(1..=3).contains(&code.len()) || !code.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut kept = [0; 3];
        for (to, from) in kept.iter_mut().zip(code) {
            *to = from.to_ascii_uppercase();
        }
        Some(Subdivision { country, code: kept })
    }

    /// `US-CA`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let (country, code) = text.split_once('-')?;
        Subdivision::new(Country::parse(country.as_bytes())?, code.as_bytes())
    }

    /// The country it is a part of.
    pub const fn country(self) -> Country {
        self.country
    }

    /// Its code without the country, in upper case.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default().trim_end_matches('\0')
    }
}

impl fmt::Display for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.country.as_str(), self.code())
    }
}

impl fmt::Debug for Subdivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A part of a country.
    Subdivision(Subdivision),
    /// A country.
    Country(Country),
    /// A continent.
    Continent(Continent),
    /// Anywhere else, and where nobody knows.
    Default,
}

/// How far clients are from regions, by the topology file: measured by nobody here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// For each place, milliseconds to each region in configuration order.
    pub rows: Vec<(Place, Vec<Option<u32>>)>,
}

/// Sets that lead to values in every case: none is empty, none leads back to itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    sets: Vec<Set>,
    latencies: Latencies,
}

/// Why sets cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A set without members.
    Empty(SetId),
    /// A member leads to a set that is not there.
    Missing(SetId),
    /// The set leads back to itself, or is more than [`MAX_DEPTH`] deep.
    Deep(SetId),
    /// More than [`MAX_WIDTH`] ways lead down from the set.
    Wide(SetId),
}

/// What lies below a set, itself included.
#[derive(Clone, Copy)]
struct Extent {
    depth: usize,
    width: usize,
}

impl Records {
    /// # Errors
    /// If a set has no members, leads nowhere, to itself or too far.
    pub fn try_new(sets: Vec<Set>, latencies: Latencies) -> Result<Self, Fault> {
        let records = Records { sets, latencies };
        let mut known = vec![None; records.sets.len()];
        for id in records.ids() {
            records.measure(id, id, MAX_DEPTH, &mut known)?;
        }
        Ok(records)
    }

    /// Each set once: a set that many lead to costs no more than one that a single one leads to.
    fn measure(
        &self,
        from: SetId,
        id: SetId,
        left: usize,
        known: &mut [Option<Extent>],
    ) -> Result<Extent, Fault> {
        let set = self.set(id).ok_or(Fault::Missing(from))?;
        let left = left.checked_sub(1).ok_or(Fault::Deep(from))?;
        let found = match known.get(usize::from(id.0)).copied().flatten() {
            Some(found) => found,
            None if set.members.is_empty() => return Err(Fault::Empty(id)),
            None => {
                let mut found = Extent { depth: 1, width: set.members.len() };
                for member in &set.members {
                    let Target::Set(next) = member.target else { continue };
                    let below = self.measure(id, next, left, known)?;
                    found.depth = found.depth.max(below.depth + 1);
                    found.width = found.width.saturating_add(below.width);
                }
                if found.width > MAX_WIDTH {
                    return Err(Fault::Wide(id));
                }
                if let Some(slot) = known.get_mut(usize::from(id.0)) {
                    *slot = Some(found);
                }
                found
            }
        };
        if found.depth > left + 1 { Err(Fault::Deep(from)) } else { Ok(found) }
    }

    /// The set at this place.
    pub fn set(&self, id: SetId) -> Option<&Set> {
        self.sets.get(usize::from(id.0))
    }

    /// The latency table.
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    fn ids(&self) -> impl Iterator<Item = SetId> + use<> {
        (0..self.sets.len()).map_while(|at| u16::try_from(at).ok()).map(SetId)
    }

    /// Whether the answer depends on where the client is: then it holds for that network alone.
    pub fn depends_on_place(&self, id: SetId) -> bool {
        let Some(set) = self.set(id) else { return false };
        matches!(set.policy, Policy::Geolocation | Policy::Latency)
            || set.members.iter().any(|member| match member.target {
                Target::Set(next) => self.depends_on_place(next),
                Target::Value(_) => false,
            })
    }
}
