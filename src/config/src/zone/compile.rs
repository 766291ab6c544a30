//! From the file's words to numbers, noting every fault on the way.

use super::{Check, CheckKind, Labels, Name, Value, Zone};
use crate::dns::{Dns, LatencyRow, Member, Record, RecordPolicy};
use crate::{File, Region};
use evenkeel_policy::dns::records::Fault;
use evenkeel_policy::dns::{
    CheckId, Latencies, Member as Chosen, Place, Policy, Records, Set, SetId, Subdivision, Target, ValueId,
};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::geography::{Continent, Country};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::settings::{DefaultPolicy, RoutingPolicy};
use std::collections::HashMap;

/// Works the section out; none if there is none, or if something is wrong with it.
pub(crate) fn compile(file: &File, errors: &mut ConfigErrors) -> Option<Zone> {
    let dns = file.dns.as_ref()?;
    let before = errors.0.len();
    let mut work = Work { file, dns, errors, values: Vec::new(), sets: Vec::new(), labels: Vec::new() };
    let checks = work.checks();
    let names = work.names();
    let latencies = work.latencies();
    work.sets.resize_with(dns.records.len(), || Set { policy: Policy::Simple, members: Vec::new() });
    work.labels.resize_with(dns.records.len(), Labels::default);
    for (index, record) in dns.records.iter().enumerate() {
        work.record(index, record, &checks);
    }
    let Work { values, sets, labels, .. } = work;
    if errors.0.len() > before {
        return None;
    }
    match Records::try_new(sets, latencies) {
        Ok(records) => Some(Zone { origin: dns.zone.clone(), names, values, checks, records, labels }),
        Err(fault) => {
            let (Fault::Empty(set) | Fault::Missing(set) | Fault::Deep(set) | Fault::Wide(set)) = fault;
            let at = format!("dns.records[{}].members", set.0);
            let remedy = match fault {
                Fault::Deep(_) => {
                    "leads back to itself by its aliases, or through more than 8 of them: lead it to addresses"
                }
                Fault::Wide(_) => "leads to more than 10,000 members by its aliases: lead it to fewer",
                Fault::Empty(_) | Fault::Missing(_) => "has no members: give at least one",
            };
            errors.add(at, "", remedy);
            None
        }
    }
}

struct Work<'a> {
    file: &'a File,
    dns: &'a Dns,
    errors: &'a mut ConfigErrors,
    values: Vec<Value>,
    sets: Vec<Set>,
    labels: Vec<Labels>,
}

impl Work<'_> {
    fn region(&self, name: &str) -> Option<(RegionId, &Region)> {
        let at = self.file.regions.iter().position(|region| region.name == name)?;
        Some((RegionId::new(at)?, self.file.regions.get(at)?))
    }

    fn known_regions(&self) -> String {
        let names: Vec<&str> = self.file.regions.iter().map(|region| region.name.as_str()).collect();
        format!("use one of: {}", names.join(", "))
    }

    /// Each region's, then the named ones.
    fn checks(&mut self) -> Vec<Check> {
        let regions = self.file.regions.iter().enumerate().filter_map(|(at, region)| {
            Some(Check { name: region.name.clone(), kind: CheckKind::Region(RegionId::new(at)?) })
        });
        let mut checks: Vec<Check> = regions.collect();
        let asked = self.dns.health_checks.iter().filter(|check| check.calculated.is_none());
        checks.extend(
            asked.map(|check| Check { name: check.name.clone(), kind: CheckKind::Asked(check.clone()) }),
        );
        let plain = checks.len();
        for (index, check) in self.dns.health_checks.iter().enumerate() {
            let Some(calculated) = &check.calculated else { continue };
            let mut of = Vec::new();
            for (place, name) in calculated.of.iter().enumerate() {
                match checks.iter().take(plain).position(|check| check.name == *name) {
                    Some(at) => of.push(CheckId(at as u16)),
                    None => self.errors.add(
                        format!("dns.health_checks[{index}].calculated.of[{place}]"),
                        format!("\"{name}\""),
                        "name a region, or one of dns.health_checks that is not calculated itself",
                    ),
                }
            }
            let kind = CheckKind::Calculated { of, at_least: calculated.at_least };
            checks.push(Check { name: check.name.clone(), kind });
        }
        checks
    }

    fn names(&mut self) -> Vec<Name> {
        let mut names: Vec<Name> = Vec::new();
        for (index, record) in self.dns.records.iter().enumerate() {
            let at = format!("dns.records[{index}].name");
            match self.dns.zone.below(&record.name) {
                Err(_) => self.errors.add(
                    at,
                    format!("\"{}\"", record.name),
                    "give a name within the zone, like \"api\", or \"@\" for the zone itself",
                ),
                Ok(name) if names.iter().any(|entry| entry.name == name) => self.errors.add(
                    at,
                    format!("\"{}\"", record.name),
                    "another entry has this name already: put all members into one",
                ),
                Ok(name) => names.push(Name { name, set: SetId(index as u16), ttl: record.ttl }),
            }
        }
        names
    }

    fn latencies(&mut self) -> Latencies {
        let mut rows = Vec::new();
        for (index, row) in self.dns.latencies.iter().enumerate() {
            let LatencyRow { countries, continents, default, to } = row;
            let at = format!("dns.latencies[{index}]");
            let places = self.places(&at, countries, continents, &[], *default);
            if places.is_empty() {
                self.errors.add(&at, "", "give countries, continents or default: true");
            }
            let mut told = vec![None; self.file.regions.len()];
            for (name, latency) in to {
                match self.region(name) {
                    Some((region, _)) => {
                        told[region.index()] = Some(u32::try_from(latency.get()).unwrap_or(u32::MAX));
                    }
                    None => self.errors.add(format!("{at}.to"), format!("\"{name}\""), self.known_regions()),
                }
            }
            rows.extend(places.into_iter().map(|place| (place, told.clone())));
        }
        Latencies { rows }
    }

    fn places(
        &mut self,
        at: &str,
        countries: &[String],
        continents: &[String],
        subdivisions: &[String],
        default: bool,
    ) -> Vec<Place> {
        let mut places = Vec::new();
        let mut read = |field: &str,
                        codes: &[String],
                        place: &dyn Fn(&str) -> Option<Place>,
                        remedy: &str| {
            for (index, code) in codes.iter().enumerate() {
                match place(code) {
                    Some(place) => places.push(place),
                    None => self.errors.add(format!("{at}.{field}[{index}]"), format!("\"{code}\""), remedy),
                }
            }
        };
        let country = |code: &str| Country::parse(code.as_bytes()).map(Place::Country);
        let continent = |code: &str| Continent::parse(code.as_bytes()).map(Place::Continent);
        let subdivision = |code: &str| Subdivision::parse(code).map(Place::Subdivision);
        read("countries", countries, &country, "use a code of two letters (ISO 3166-1 alpha-2), like \"TW\"");
        read("continents", continents, &continent, "use one of AF, AN, AS, EU, NA, OC, SA");
        read("subdivisions", subdivisions, &subdivision, "use a code of ISO 3166-2, like \"US-CA\"");
        if default {
            places.push(Place::Default);
        }
        places
    }

    fn record(&mut self, index: usize, record: &Record, checks: &[Check]) {
        let policy = record.policy.map_or_else(|| self.usual(record), policy);
        if record.members.is_empty() {
            return self.by_regions(index, record, policy);
        }
        let mut members = Vec::new();
        let mut labels: Vec<String> = Vec::new();
        let mut claimed: HashMap<Place, usize> = HashMap::new();
        for (place, member) in record.members.iter().enumerate() {
            let at = format!("dns.records[{index}].members[{place}]");
            let label = label(member, place);
            if labels.contains(&label) {
                self.errors.add(
                    format!("{at}.id"),
                    format!("\"{label}\""),
                    "another member is called so already: give each its own id",
                );
            }
            labels.push(label);
            let Some(chosen) = self.member(&at, member, policy, checks) else { continue };
            if policy == Policy::Geolocation {
                if chosen.places.is_empty() {
                    let remedy = "serves nobody: give countries, continents, subdivisions or default: true";
                    self.errors.add(&at, "", remedy);
                }
                for claim in &chosen.places {
                    if let Some(first) = claimed.insert(*claim, place) {
                        let remedy = format!("members[{first}] serves it already: name each place once");
                        self.errors.add(&at, format!("{claim:?}"), remedy);
                    }
                }
            }
            members.push(chosen);
        }
        if policy == Policy::Simple && record.members.len() > 1 {
            let remedy = "simple has one member: choose another policy, or leave the others out";
            self.errors.add(format!("dns.records[{index}].policy"), "simple", remedy);
        }
        let primaries = record.members.iter().filter(|member| member.primary).count();
        if policy == Policy::Failover && primaries != 1 {
            let remedy = "failover needs one member with primary: true";
            self.errors.add(
                format!("dns.records[{index}].members"),
                format!("{primaries} primaries"),
                remedy,
            );
        }
        self.put(index, Set { policy, members }, Labels { set: record.name.clone(), members: labels });
    }

    fn put(&mut self, index: usize, set: Set, labels: Labels) {
        self.sets[index] = set;
        self.labels[index] = labels;
    }

    /// What the edges would do.
    fn usual(&self, record: &Record) -> Policy {
        let claims = self.file.regions.iter().any(|r| !r.countries.is_empty() || !r.continents.is_empty());
        if record.members.len() == 1 {
            return Policy::Simple;
        }
        match self.file.routing.policy {
            None if claims => Policy::Geolocation,
            Some(RoutingPolicy::Geo) => Policy::Geolocation,
            Some(RoutingPolicy::Latency) => Policy::Latency,
            None | Some(RoutingPolicy::Weighted | RoutingPolicy::Local) => Policy::Weighted,
        }
    }

    /// One member for each region; under geolocation those that claim something, and all of them for
    /// everybody else.
    fn by_regions(&mut self, index: usize, record: &Record, policy: Policy) {
        if policy == Policy::Simple {
            let remedy = "give its one member: what follows from the regions needs another policy";
            return self.errors.add(format!("dns.records[{index}].members"), "[]", remedy);
        }
        let mut members = Vec::new();
        for (at, region) in self.file.regions.iter().enumerate() {
            let Some(id) = RegionId::new(at) else { continue };
            let Some(value) = self.region_value(at, region, record) else { continue };
            let places =
                self.places(&format!("regions[{at}]"), &region.countries, &region.continents, &[], false);
            members.push(Chosen {
                check: Some(CheckId(at as u16)),
                weight: region.weight,
                places,
                region: Some(id),
                primary: at == 0,
                ..Chosen::new(Target::Value(value))
            });
        }
        let names = |members: &[Chosen]| {
            let regions = members.iter().filter_map(|member| self.file.regions.get(member.region?.index()));
            regions.map(|region| region.name.clone()).collect::<Vec<_>>()
        };
        if policy != Policy::Geolocation {
            let labels = Labels { set: record.name.clone(), members: names(&members) };
            return self.put(index, Set { policy, members }, labels);
        }
        let others = match self.file.routing.default {
            DefaultPolicy::Latency => Policy::Latency,
            DefaultPolicy::Weighted | DefaultPolicy::Local => Policy::Weighted,
        };
        let next = SetId(self.sets.len() as u16);
        let mut claiming: Vec<Chosen> =
            members.iter().filter(|member| !member.places.is_empty()).cloned().collect();
        let mut labels = Labels { set: record.name.clone(), members: names(&claiming) };
        labels.members.push("everyone else".to_owned());
        let all = Labels { set: format!("{}, everyone else", record.name), members: names(&members) };
        claiming.push(Chosen { places: vec![Place::Default], ..Chosen::new(Target::Set(next)) });
        self.sets.push(Set { policy: others, members });
        self.labels.push(all);
        self.put(index, Set { policy, members: claiming }, labels);
    }

    fn region_value(&mut self, at: usize, region: &Region, record: &Record) -> Option<ValueId> {
        let dns = &region.dns;
        if dns.a.is_empty() && dns.aaaa.is_empty() && dns.cname.is_none() {
            let remedy = format!(
                "give the region's public addresses, a or aaaa, or a cname: record {} answers them",
                record.name
            );
            self.errors.add(format!("regions[{at}].dns"), "", remedy);
            return None;
        }
        let value = Value {
            region: RegionId::new(at),
            a: dns.a.clone(),
            aaaa: dns.aaaa.clone(),
            cname: dns.cname.clone(),
            txt: Vec::new(),
        };
        Some(self.value(value))
    }

    /// The number of this value; what is the same has the same.
    fn value(&mut self, value: Value) -> ValueId {
        let at = self.values.iter().position(|known| *known == value).unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        ValueId(at as u16)
    }

    fn member(&mut self, at: &str, member: &Member, policy: Policy, checks: &[Check]) -> Option<Chosen> {
        let region = match &member.region {
            None => None,
            Some(name) => match self.region(name) {
                Some((id, region)) => Some((id, region.clone())),
                None => {
                    self.errors.add(format!("{at}.region"), format!("\"{name}\""), self.known_regions());
                    return None;
                }
            },
        };
        let own = Value {
            region: region.as_ref().map(|(id, _)| *id),
            a: member.a.clone(),
            aaaa: member.aaaa.clone(),
            cname: member.cname.clone(),
            txt: member.txt.clone(),
        };
        let has_own = !(own.a.is_empty() && own.aaaa.is_empty() && own.cname.is_none() && own.txt.is_empty());
        let target = match (&member.alias, has_own, &region) {
            (Some(_), true, _) => {
                self.errors.add(format!("{at}.alias"), "", "give either alias or what it answers itself");
                return None;
            }
            (Some(alias), false, _) => {
                let found = self.dns.records.iter().position(|record| record.name == *alias);
                let Some(found) = found else {
                    let remedy = "name another entry of dns.records";
                    self.errors.add(format!("{at}.alias"), format!("\"{alias}\""), remedy);
                    return None;
                };
                Target::Set(SetId(found as u16))
            }
            (None, true, _) => {
                if own.cname.is_some() && !(own.a.is_empty() && own.aaaa.is_empty() && own.txt.is_empty()) {
                    self.errors.add(format!("{at}.cname"), "", "a cname stands alone: leave the rest out");
                    return None;
                }
                Target::Value(self.value(own))
            }
            (None, false, Some((id, region))) => {
                let value = Value {
                    region: Some(*id),
                    a: region.dns.a.clone(),
                    aaaa: region.dns.aaaa.clone(),
                    cname: region.dns.cname.clone(),
                    txt: Vec::new(),
                };
                if value.a.is_empty() && value.aaaa.is_empty() && value.cname.is_none() {
                    let remedy = format!(
                        "answers nothing: give regions[{}].dns its public addresses, or the member its own",
                        id.index()
                    );
                    self.errors.add(at, "", remedy);
                    return None;
                }
                Target::Value(self.value(value))
            }
            (None, false, None) => {
                self.errors.add(at, "", "answers nothing: give a, aaaa, cname, txt, alias or region");
                return None;
            }
        };
        let check = match (member.health_check.as_deref(), &region) {
            (Some("none"), _) | (None, None) => None,
            (None, Some((id, _))) => Some(CheckId(id.index() as u16)),
            (Some(name), _) => match checks.iter().position(|check| check.name == name) {
                Some(found) => Some(CheckId(found as u16)),
                None => {
                    let remedy = "name a region, one of dns.health_checks, or none";
                    self.errors.add(format!("{at}.health_check"), format!("\"{name}\""), remedy);
                    None
                }
            },
        };
        let explicit = member.countries.is_some()
            || member.continents.is_some()
            || !member.subdivisions.is_empty()
            || member.default;
        let (countries, continents) = match &region {
            Some((_, region)) if !explicit => (region.countries.clone(), region.continents.clone()),
            _ => {
                (member.countries.clone().unwrap_or_default(), member.continents.clone().unwrap_or_default())
            }
        };
        let places = match policy {
            Policy::Geolocation => {
                self.places(at, &countries, &continents, &member.subdivisions, member.default)
            }
            _ => Vec::new(),
        };
        Some(Chosen {
            target,
            check,
            evaluate_target: member.evaluate_target_health.unwrap_or(true),
            weight: member.weight.or(region.as_ref().map(|(_, region)| region.weight)).unwrap_or(1),
            places,
            region: region.map(|(id, _)| id),
            primary: member.primary,
        })
    }
}

fn label(member: &Member, place: usize) -> String {
    let named = member.id.as_ref().or(member.region.as_ref()).or(member.alias.as_ref());
    named.cloned().unwrap_or_else(|| place.to_string())
}

fn policy(policy: RecordPolicy) -> Policy {
    match policy {
        RecordPolicy::Simple => Policy::Simple,
        RecordPolicy::Weighted => Policy::Weighted,
        RecordPolicy::Geolocation => Policy::Geolocation,
        RecordPolicy::Latency => Policy::Latency,
        RecordPolicy::Failover => Policy::Failover,
        RecordPolicy::Multivalue => Policy::Multivalue,
    }
}
