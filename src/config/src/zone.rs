//! The `dns` section worked out: names, values and checks by number, and the sets that
//! `evenkeel-policy` chooses from.

mod compile;

use crate::DnsName;
use crate::dns::NamedCheck;
use evenkeel_policy::dns::{CheckId, Records, SetId, Target, ValueId};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::time::Millis;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) use compile::compile;

/// What is answered, and on what it depends.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The zone.
    pub origin: DnsName,
    /// The names that are answered, in configuration order, each once.
    pub names: Vec<Name>,
    /// What members answer, by [`ValueId`].
    pub values: Vec<Value>,
    /// The checks, by [`CheckId`]: each region's first, in configuration order.
    pub checks: Vec<Check>,
    /// The sets.
    pub records: Records,
    /// For each set, what people call it and its members.
    pub labels: Vec<Labels>,
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The whole name.
    pub name: DnsName,
    /// Where its answer begins.
    pub set: SetId,
    /// Its own time to live; none: the zone's.
    pub ttl: Option<Millis>,
}

/// What a member answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Value {
    /// The region it leads to.
    pub region: Option<RegionId>,
    /// IPv4 addresses.
    pub a: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub aaaa: Vec<Ipv6Addr>,
    /// Another name, in place of everything else.
    pub cname: Option<DnsName>,
    /// Texts.
    pub txt: Vec<String>,
}

/// A set's name and its members' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The record's name within the zone; a set that follows from defaults is called after its record.
    pub set: String,
    /// The members' names, unique within the set.
    pub members: Vec<String>,
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: CheckKind,
}

/// What a check is.
#[derive(Clone, Debug)]
pub enum CheckKind {
    /// A region's standing, by votes.
    Region(RegionId),
    /// Asked by every voter, settled by their votes.
    Asked(NamedCheck),
    /// Made from others.
    Calculated {
        /// Those.
        of: Vec<CheckId>,
        /// How many must be healthy.
        at_least: usize,
    },
}

impl Zone {
    /// The name's entry.
    pub fn name(&self, name: &DnsName) -> Option<&Name> {
        self.names.iter().find(|entry| entry.name == *name)
    }

    /// The whole name that a person means: within the zone as it is, else below it; `@` is the zone itself.
    /// A dot at the end makes any name a whole one, as in zone files.
    ///
    /// # Errors
    /// If it is no name.
    pub fn whole(&self, typed: &str) -> Result<DnsName, String> {
        if typed == "@" {
            return Ok(self.origin.clone());
        }
        let name: DnsName = typed.parse()?;
        if typed.ends_with('.') || name.within(&self.origin) { Ok(name) } else { self.origin.below(typed) }
    }

    /// The value.
    pub fn value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(usize::from(id.0))
    }

    /// The other names that a set may answer, itself or by its aliases.
    pub(crate) fn cnames_below(&self, id: SetId) -> Vec<&DnsName> {
        let mut found = Vec::new();
        for member in self.records.set(id).into_iter().flat_map(|set| &set.members) {
            match member.target {
                Target::Set(next) => found.extend(self.cnames_below(next)),
                Target::Value(value) => {
                    found.extend(self.value(value).and_then(|value| value.cname.as_ref()))
                }
            }
        }
        found
    }

    /// The check's number.
    pub fn check(&self, name: &str) -> Option<CheckId> {
        let at = self.checks.iter().position(|check| check.name == name)?;
        u16::try_from(at).ok().map(CheckId)
    }

    /// The labels of a set.
    pub fn labels(&self, id: SetId) -> Option<&Labels> {
        self.labels.get(usize::from(id.0))
    }
}
