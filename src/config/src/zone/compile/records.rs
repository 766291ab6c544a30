//! One record: its members as they are written, or as they follow from the regions.

use super::{Work, claims_of, number, word};
use crate::Region;
use crate::dns::{Member, Record, RecordPolicy};
use crate::zone::{Check, Labels, Value};
use evenkeel_policy::dns::{CheckId, Member as Chosen, Place, Policy, Set, SetId, Target, ValueId};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::settings::{DefaultPolicy, RoutingPolicy};
use std::collections::HashMap;

impl Work<'_> {
    pub(super) fn record(&mut self, index: usize, record: &Record, checks: &[Check]) {
        let policy = record.policy.map_or_else(|| self.usual(record), policy);
        if record.members.is_empty() {
            return self.by_regions(index, record, policy);
        }
        let at = format!("dns.records[{index}]");
        let mut members = Vec::new();
        let mut labels: Vec<String> = Vec::new();
        for (place, member) in record.members.iter().enumerate() {
            let at = format!("{at}.members[{place}]");
            let label = label(member, place);
            if labels.contains(&label) {
                let remedy = "another member is called so already: give each its own id";
                self.errors.add(format!("{at}.id"), format!("\"{label}\""), remedy);
            }
            labels.push(label);
            members.extend(self.member(&at, member, policy, checks).map(|chosen| (place, chosen)));
        }
        if policy == Policy::Geolocation {
            self.claims(&at, &members);
        }
        if policy == Policy::Simple && record.members.len() > 1 {
            let remedy = "simple has one member: choose another policy, or leave the others out";
            self.errors.add(format!("{at}.policy"), "simple", remedy);
        }
        let primaries = record.members.iter().filter(|member| member.primary).count();
        if policy == Policy::Failover && primaries != 1 {
            let remedy = "failover needs one member with primary: true";
            self.errors.add(format!("{at}.members"), format!("{primaries} primaries"), remedy);
        }
        let members = members.into_iter().map(|(_, chosen)| chosen).collect();
        self.put(index, Set { policy, members }, Labels { set: record.name.clone(), members: labels });
    }

    /// Each place belongs to one member.
    fn claims(&mut self, at: &str, members: &[(usize, Chosen)]) {
        let mut claimed: HashMap<Place, usize> = HashMap::new();
        for (place, chosen) in members {
            let at = format!("{at}.members[{place}]");
            for claim in &chosen.places {
                if let Some(first) = claimed.insert(*claim, *place) {
                    let remedy = format!("members[{first}] serves it already: name each place once");
                    self.errors.add(&at, word(claim), remedy);
                }
            }
        }
    }

    fn put(&mut self, index: usize, set: Set, labels: Labels) {
        if let (Some(place), Some(names)) = (self.sets.get_mut(index), self.labels.get_mut(index)) {
            *place = set;
            *names = labels;
        }
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
            let (Some(id), Some(check)) = (RegionId::new(at), number(Some(at))) else { continue };
            let Some(value) = self.region_value(id, region, &record.name) else { continue };
            members.push(Chosen {
                check: Some(CheckId(check)),
                weight: region.weight,
                places: if policy == Policy::Geolocation { claims_of(region) } else { Vec::new() },
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
        // Two sets for each of the records at most, of which there are few enough.
        let Some(next) = number(Some(self.sets.len())) else { return };
        let mut claiming: Vec<Chosen> =
            members.iter().filter(|member| !member.places.is_empty()).cloned().collect();
        let mut labels = Labels { set: record.name.clone(), members: names(&claiming) };
        labels.members.push("everyone else".to_owned());
        let all = Labels { set: format!("{}, everyone else", record.name), members: names(&members) };
        let rest = Target::Set(SetId(next));
        claiming.push(Chosen { places: vec![Place::Default], ..Chosen::new(rest) });
        members.iter_mut().for_each(|member| member.places.clear());
        self.sets.push(Set { policy: others, members });
        self.labels.push(all);
        self.put(index, Set { policy, members: claiming }, labels);
    }

    /// What a region answers. One that answers nothing is told of once.
    pub(super) fn region_value(&mut self, id: RegionId, region: &Region, record: &str) -> Option<ValueId> {
        let dns = &region.dns;
        let at = format!("regions[{}].dns", id.index());
        if dns.a.is_empty() && dns.aaaa.is_empty() && dns.cname.is_none() {
            if !self.mute.contains(&id.index()) {
                self.mute.push(id.index());
                let remedy = format!(
                    "give the region's public addresses, a or aaaa, or a cname: record {record} answers them"
                );
                self.errors.add(at, "", remedy);
            }
            return None;
        }
        let value = Value {
            region: Some(id),
            a: dns.a.clone(),
            aaaa: dns.aaaa.clone(),
            cname: dns.cname.clone(),
            txt: Vec::new(),
        };
        self.value(&at, value)
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
