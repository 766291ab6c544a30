//! From the file's words to numbers, noting every fault on the way.
//!
//! Checked here is what needs more than one place of the file: names that others refer to, places that
//! only one member may claim, what a name leads to. What a field may hold by itself: `content/dns.rs`.

mod leads;
mod member;
mod records;

use super::{Check, CheckKind, Labels, Name, Value, Zone};
use crate::dns::{Dns, LatencyRow};
use crate::{File, Region};
use evenkeel_policy::dns::{CheckId, Latencies, Place, Policy, Records, Set, SetId, Subdivision, ValueId};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::geography::{Continent, Country};
use evenkeel_policy::region::RegionId;
use std::collections::HashMap;

/// The most entries of `records`. Numbers of sets must fit into 16 bits, and each may bring two.
const MAX_RECORDS: usize = 1000;

/// The most members of one record.
const MAX_MEMBERS: usize = 255;

/// Works the section out; none if there is none, or if something is wrong with it.
pub(crate) fn compile(file: &File, errors: &mut ConfigErrors) -> Option<Zone> {
    let dns = file.dns.as_ref()?;
    let before = errors.0.len();
    limits(dns, errors);
    if errors.0.len() > before {
        return None;
    }
    let mut work = Work::new(file, dns, errors);
    let checks = work.checks();
    let names = work.names();
    let latencies = work.latencies();
    for (index, record) in dns.records.iter().enumerate() {
        work.record(index, record, &checks);
    }
    let Work { values, sets, labels, .. } = work;
    // What follows looks at the whole: beside another fault it would only tell its consequences.
    if !errors.0.is_empty() {
        return None;
    }
    let records = match Records::try_new(sets, latencies) {
        Ok(records) => records,
        Err(fault) => {
            let (set, remedy) = leads::told(fault);
            errors.add(format!("dns.records[{set}].members"), "", remedy);
            return None;
        }
    };
    let zone = Zone { origin: dns.zone.clone(), names, values, checks, records, labels };
    leads::check(dns, &zone, errors);
    errors.0.is_empty().then_some(zone)
}

fn limits(dns: &Dns, errors: &mut ConfigErrors) {
    let many = |count: usize| format!("{count} of them");
    if !(1..=MAX_RECORDS).contains(&dns.records.len()) {
        errors.add("dns.records", many(dns.records.len()), format!("give 1 to {MAX_RECORDS}"));
    }
    for (index, record) in dns.records.iter().enumerate() {
        if record.members.len() > MAX_MEMBERS {
            let at = format!("dns.records[{index}].members");
            let remedy =
                format!("at most {MAX_MEMBERS}: put some into another record and lead there by alias");
            errors.add(at, many(record.members.len()), remedy);
        }
    }
}

struct Work<'a> {
    file: &'a File,
    dns: &'a Dns,
    errors: &'a mut ConfigErrors,
    /// One for each record, then those that follow from defaults.
    sets: Vec<Set>,
    /// As many as there are sets.
    labels: Vec<Labels>,
    values: Vec<Value>,
    numbers: HashMap<Value, ValueId>,
    /// Regions that were told already that they answer nothing.
    mute: Vec<usize>,
}

impl<'a> Work<'a> {
    fn new(file: &'a File, dns: &'a Dns, errors: &'a mut ConfigErrors) -> Self {
        let empty = || Set { policy: Policy::Simple, members: Vec::new() };
        Work {
            file,
            dns,
            errors,
            sets: dns.records.iter().map(|_| empty()).collect(),
            labels: dns.records.iter().map(|_| Labels::default()).collect(),
            values: Vec::new(),
            numbers: HashMap::new(),
            mute: Vec::new(),
        }
    }

    fn region(&self, name: &str) -> Option<(RegionId, &'a Region)> {
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
                match number(checks.iter().take(plain).position(|check| check.name == *name)) {
                    Some(found) => of.push(CheckId(found)),
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
            let (Ok(name), Some(set)) = (self.dns.zone.below(&record.name), number(Some(index))) else {
                let remedy = "give a name within the zone, like \"api\", or \"@\" for the zone itself; there are \
                              no wildcards";
                self.errors.add(at, format!("\"{}\"", record.name), remedy);
                continue;
            };
            let server = self.dns.nameservers.iter().position(|server| server.name == name);
            if names.iter().any(|entry| entry.name == name) {
                let remedy = "another entry has this name already: put all members into one";
                self.errors.add(at, format!("\"{}\"", record.name), remedy);
            } else if let Some(server) = server {
                let remedy =
                    format!("dns.nameservers[{server}] has this name, and answers its own addresses there");
                self.errors.add(at, format!("\"{}\"", record.name), remedy);
            } else {
                names.push(Name { name, set: SetId(set), ttl: record.ttl });
            }
        }
        names
    }

    fn latencies(&mut self) -> Latencies {
        let mut rows: Vec<(Place, Vec<Option<u32>>)> = Vec::new();
        for (index, row) in self.dns.latencies.iter().enumerate() {
            let LatencyRow { countries, continents, default, to } = row;
            let at = format!("dns.latencies[{index}]");
            let places = self.places(&at, countries, continents, &[], *default);
            if countries.is_empty() && continents.is_empty() && !default {
                self.errors.add(&at, "", "give countries, continents or default: true");
            }
            let mut told = vec![None; self.file.regions.len()];
            for (name, latency) in to {
                let known = self.region(name).and_then(|(region, _)| told.get_mut(region.index()));
                match known {
                    Some(slot) => *slot = Some(u32::try_from(latency.get()).unwrap_or(u32::MAX)),
                    None => self.errors.add(format!("{at}.to"), format!("\"{name}\""), self.known_regions()),
                }
            }
            for place in places {
                if rows.iter().any(|(known, _)| *known == place) {
                    self.errors.add(&at, word(&place), "stands there already: name each place once");
                }
                rows.push((place, told.clone()));
            }
        }
        Latencies { rows }
    }

    /// Places by their codes, each fault told where it stands.
    fn places(
        &mut self,
        at: &str,
        countries: &[String],
        continents: &[String],
        subdivisions: &[String],
        default: bool,
    ) -> Vec<Place> {
        type Read = fn(&str) -> Option<Place>;
        let lists: [(&str, &[String], Read, &str); 3] = [
            ("countries", countries, country, "use a code of two letters (ISO 3166-1 alpha-2), like \"TW\""),
            ("continents", continents, continent, "use one of AF, AN, AS, EU, NA, OC, SA"),
            ("subdivisions", subdivisions, subdivision, "use a code of ISO 3166-2, like \"US-CA\""),
        ];
        let mut places = Vec::new();
        for (field, codes, read, remedy) in lists {
            for (index, code) in codes.iter().enumerate() {
                match read(code) {
                    Some(place) => places.push(place),
                    None => self.errors.add(format!("{at}.{field}[{index}]"), format!("\"{code}\""), remedy),
                }
            }
        }
        places.extend(default.then_some(Place::Default));
        places
    }

    /// The number of this value; what is the same has the same.
    fn value(&mut self, at: &str, value: Value) -> Option<ValueId> {
        if let Some(known) = self.numbers.get(&value) {
            return Some(*known);
        }
        let Some(id) = number(Some(self.values.len())).map(ValueId) else {
            self.errors.add(at, "", "is one answer too many: at most 65,536 different ones");
            return None;
        };
        self.values.push(value.clone());
        self.numbers.insert(value, id);
        Some(id)
    }
}

/// What a region claims. Whether its codes are right is told with the region.
fn claims_of(region: &Region) -> Vec<Place> {
    let countries = region.countries.iter().filter_map(|code| country(code));
    countries.chain(region.continents.iter().filter_map(|code| continent(code))).collect()
}

fn country(code: &str) -> Option<Place> {
    Country::parse(code.as_bytes()).map(Place::Country)
}

fn continent(code: &str) -> Option<Place> {
    Continent::parse(code.as_bytes()).map(Place::Continent)
}

fn subdivision(code: &str) -> Option<Place> {
    Subdivision::parse(code).map(Place::Subdivision)
}

fn word(place: &Place) -> String {
    match place {
        Place::Subdivision(part) => part.to_string(),
        Place::Country(country) => country.as_str().to_owned(),
        Place::Continent(continent) => format!("{continent:?}"),
        Place::Default => "default".to_owned(),
    }
}

fn number(index: Option<usize>) -> Option<u16> {
    u16::try_from(index?).ok()
}
