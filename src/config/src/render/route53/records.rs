//! Records: each set becomes one group of records for each type, chosen from by Route 53's own policies.
//!
//! What follows from the regions without a name of its own (`_others`) gets one, and an alias leads there.

use super::seconds;
use crate::dns::Dns;
use crate::zone::Value;
use crate::{DnsName, File, Region, Zone};
use evenkeel_policy::dns::{Member, Place, Set, SetId, Target};
use evenkeel_policy::error::ConfigErrors;
use std::collections::{BTreeSet, HashMap, HashSet};

/// A record's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    A,
    Aaaa,
    Cname,
    Txt,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Cname => "CNAME",
            Kind::Txt => "TXT",
        }
    }
}

/// One resource record set, in AWS's words.
pub(super) struct RecordSet {
    pub name: String,
    pub kind: Kind,
    /// The set identifier; none for the only record of its name and type.
    pub id: Option<String>,
    pub routing: Routing,
    pub answer: Answer,
    /// A health check's name in the topology file.
    pub check: Option<String>,
}

/// How it is chosen.
pub(super) enum Routing {
    Simple,
    Weighted(u32),
    Geolocation(Place),
    /// An AWS region.
    Latency(String),
    Failover {
        primary: bool,
    },
    Multivalue,
}

/// What it answers.
pub(super) enum Answer {
    Values {
        ttl: u64,
        values: Vec<String>,
    },
    /// Records of the same type in the same zone.
    Alias {
        name: String,
        evaluate: bool,
    },
    /// A load balancer and its hosted zone.
    LoadBalancer {
        name: String,
        zone: String,
    },
}

/// All of them, targets first.
pub(super) fn all(
    file: &File,
    dns: &Dns,
    zone: &Zone,
    errors: &mut ConfigErrors,
    notes: &mut Vec<String>,
) -> Vec<RecordSet> {
    let mut sets = HashMap::new();
    for (index, entry) in zone.names.iter().enumerate() {
        let ttl = seconds(entry.ttl.unwrap_or(dns.ttl));
        let field = format!("dns.records[{index}]");
        sets.insert(entry.set, Named { name: entry.name.clone(), ttl, field });
    }
    let mut work = Work { file, dns, zone, errors, notes, sets, done: HashSet::new(), records: Vec::new() };
    for entry in &zone.names {
        work.set(entry.set);
    }
    work.records
}

/// A set that has a name in the zone.
#[derive(Clone)]
pub(super) struct Named {
    pub name: DnsName,
    pub ttl: u64,
    pub field: String,
}

/// A member as one type's group has it.
#[derive(Clone)]
pub(super) struct Candidate<'a> {
    pub member: &'a Member,
    pub label: String,
    pub field: String,
}

pub(super) struct Work<'a> {
    file: &'a File,
    pub dns: &'a Dns,
    pub zone: &'a Zone,
    pub errors: &'a mut ConfigErrors,
    notes: &'a mut Vec<String>,
    sets: HashMap<SetId, Named>,
    done: HashSet<SetId>,
    records: Vec<RecordSet>,
}

impl<'a> Work<'a> {
    fn set(&mut self, id: SetId) {
        let (Some(set), Some(named)) = (self.zone.records.set(id), self.sets.get(&id).cloned()) else {
            return;
        };
        if !self.done.insert(id) {
            return;
        }
        for member in &set.members {
            let Target::Set(next) = member.target else { continue };
            if !self.sets.contains_key(&next) {
                let Some(name) = self.helper("_others", &named) else { continue };
                self.sets.insert(next, Named { name, ..named.clone() });
            }
            self.set(next);
        }
        let kinds = self.kinds(set);
        if kinds.contains(&Kind::Cname) {
            let remedy = if kinds.len() > 1 {
                "a cname stands alone at its name in Route 53: give all members addresses, or all a cname"
            } else if named.name == self.zone.origin {
                "the zone itself cannot have a cname: give addresses, or aws.load_balancer_zone with the region"
            } else {
                ""
            };
            if !remedy.is_empty() {
                return self.errors.add(format!("{}.members", named.field), &named.name, remedy);
            }
        }
        for kind in kinds {
            self.group(id, set, &named, kind);
        }
    }

    /// A name below `named` for what the topology file has no name for.
    pub(super) fn helper(&mut self, label: &str, named: &Named) -> Option<DnsName> {
        let name = match format!("{label}.{}", named.name).parse::<DnsName>() {
            Ok(name) => name,
            Err(_) => {
                let remedy = format!("too long: {label}.{} would be no name any more", named.name);
                self.errors.add(format!("{}.name", named.field), &named.name, remedy);
                return None;
            }
        };
        if self.zone.names.iter().any(|entry| entry.name == name) {
            let remedy =
                format!("choose another name than {name}: the rendering needs it for {}", named.name);
            let at = self.zone.names.iter().position(|entry| entry.name == name).unwrap_or_default();
            self.errors.add(format!("dns.records[{at}].name"), &name, remedy);
            return None;
        }
        Some(name)
    }

    /// The types that the set can answer.
    fn kinds(&self, set: &Set) -> BTreeSet<Kind> {
        set.members.iter().flat_map(|member| self.kinds_of(member)).collect()
    }

    pub(super) fn kinds_of(&self, member: &Member) -> BTreeSet<Kind> {
        match member.target {
            Target::Set(next) => self.zone.records.set(next).map(|set| self.kinds(set)).unwrap_or_default(),
            Target::Value(value) => {
                let Some(value) = self.zone.value(value) else { return BTreeSet::new() };
                let cname = if self.balancer(value).is_some() { Kind::A } else { Kind::Cname };
                let has = [
                    (Kind::A, !value.a.is_empty()),
                    (Kind::Aaaa, !value.aaaa.is_empty()),
                    (cname, value.cname.is_some()),
                    (Kind::Txt, !value.txt.is_empty()),
                ];
                has.into_iter().filter(|(_, has)| *has).map(|(kind, _)| kind).collect()
            }
        }
    }

    pub(super) fn region(&self, member: &Member) -> Option<(usize, &'a Region)> {
        let at = member.region?.index();
        Some((at, self.file.regions.get(at)?))
    }

    /// The load balancer that the value stands for.
    fn balancer(&self, value: &'a Value) -> Option<(&'a DnsName, &'a str)> {
        let region = self.file.regions.get(value.region?.index())?;
        let name = value.cname.as_ref().filter(|name| region.dns.cname.as_ref() == Some(*name))?;
        Some((name, region.aws.load_balancer_zone.as_deref()?))
    }

    pub(super) fn one(
        &mut self,
        candidate: &Candidate<'a>,
        named: &Named,
        kind: Kind,
        suffix: &str,
        routing: Routing,
    ) {
        let id =
            if suffix.is_empty() { candidate.label.clone() } else { format!("{}-{suffix}", candidate.label) };
        let check = self.check(candidate.member);
        if let Some(answer) = self.answers(candidate, named, kind, false).into_iter().next() {
            self.put(named, kind, Some(id), routing, answer, check);
        }
    }

    pub(super) fn check(&self, member: &Member) -> Option<String> {
        let check = self.zone.checks.get(usize::from(member.check?.0))?;
        Some(check.name.clone())
    }

    /// What the member answers of this type; `apart`: each value by itself.
    pub(super) fn answers(
        &self,
        candidate: &Candidate<'a>,
        named: &Named,
        kind: Kind,
        apart: bool,
    ) -> Vec<Answer> {
        let value = match candidate.member.target {
            Target::Set(next) => {
                let evaluate = candidate.member.evaluate_target;
                let target = self.sets.get(&next);
                return target
                    .map(|target| Answer::Alias { name: target.name.to_string(), evaluate })
                    .into_iter()
                    .collect();
            }
            Target::Value(value) => self.zone.value(value),
        };
        let Some(value) = value else { return Vec::new() };
        if let (Kind::A, Some((name, zone))) = (kind, self.balancer(value)) {
            return vec![Answer::LoadBalancer { name: name.to_string(), zone: zone.to_owned() }];
        }
        let values: Vec<String> = match kind {
            Kind::A => value.a.iter().map(ToString::to_string).collect(),
            Kind::Aaaa => value.aaaa.iter().map(ToString::to_string).collect(),
            Kind::Cname => value.cname.iter().map(ToString::to_string).collect(),
            Kind::Txt => value.txt.iter().map(|text| text_data(text)).collect(),
        };
        let ttl = named.ttl;
        if apart {
            return values.into_iter().map(|value| Answer::Values { ttl, values: vec![value] }).collect();
        }
        vec![Answer::Values { ttl, values }]
    }

    pub(super) fn put(
        &mut self,
        named: &Named,
        kind: Kind,
        id: Option<String>,
        routing: Routing,
        answer: Answer,
        check: Option<String>,
    ) {
        let name = named.name.to_string();
        let taken = |id: &String| {
            self.records
                .iter()
                .any(|other| (&other.name, other.kind, other.id.as_ref()) == (&name, kind, Some(id)))
        };
        let id = id.map(|id| {
            let mut others = (2..).map(|at| format!("{id}-{at}"));
            if taken(&id) { others.find(|other| !taken(other)).unwrap_or_default() } else { id }
        });
        self.records.push(RecordSet { name, kind, id, routing, answer, check });
    }

    /// Once, though each type comes by it.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// A text as Route 53 writes it: in quotes, and what is not printable in octal.
fn text_data(text: &str) -> String {
    let mut data = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => data.extend(['\\', char::from(byte)]),
            b' '..=b'~' => data.push(char::from(byte)),
            byte => data.push_str(&format!("\\{byte:03o}")),
        }
    }
    data + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_in_octal() {
        assert_eq!(text_data("v=spf1 -all"), r#""v=spf1 -all""#);
        assert_eq!(text_data("a\"b\\c\nd\u{e9}"), r#""a\"b\\c\012d\303\251""#);
    }
}
