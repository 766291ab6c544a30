//! One member: what it answers, on which check it depends, whom it serves.

use super::{Work, claims_of, number};
use crate::Region;
use crate::dns::Member;
use crate::zone::{Check, Value};
use evenkeel_policy::dns::{CheckId, Member as Chosen, Place, Policy, SetId, Target};
use evenkeel_policy::region::RegionId;

/// The region that a member names.
type Named<'a> = Option<(RegionId, &'a Region)>;

impl Work<'_> {
    /// None if something is wrong with it.
    pub(super) fn member(
        &mut self,
        at: &str,
        member: &Member,
        policy: Policy,
        checks: &[Check],
    ) -> Option<Chosen> {
        let region: Named = match &member.region {
            None => None,
            Some(name) => {
                let found = self.region(name);
                if found.is_none() {
                    self.errors.add(format!("{at}.region"), format!("\"{name}\""), self.known_regions());
                    return None;
                }
                found
            }
        };
        let target = self.target(at, member, region)?;
        self.effects(at, member, policy);
        if policy == Policy::Latency && region.is_none() {
            let remedy = "name the region it stands for: dns.latencies tells how far that is";
            self.errors.add(format!("{at}.region"), "", remedy);
        }
        Some(Chosen {
            target,
            check: self.check(at, member, region, checks),
            evaluate_target: member.evaluate_target_health.unwrap_or(true),
            weight: member.weight.or(region.map(|(_, region)| region.weight)).unwrap_or(1),
            places: if policy == Policy::Geolocation { self.served(at, member, region) } else { Vec::new() },
            region: region.map(|(id, _)| id),
            primary: member.primary,
        })
    }

    fn target(&mut self, at: &str, member: &Member, region: Named) -> Option<Target> {
        let own = Value {
            region: region.map(|(id, _)| id),
            a: member.a.clone(),
            aaaa: member.aaaa.clone(),
            cname: member.cname.clone(),
            txt: member.txt.clone(),
        };
        let has_own = !(own.a.is_empty() && own.aaaa.is_empty() && own.cname.is_none() && own.txt.is_empty());
        match (&member.alias, has_own, region) {
            (Some(alias), true, _) => {
                let remedy = "give either alias or what the member answers itself";
                self.errors.add(format!("{at}.alias"), format!("\"{alias}\""), remedy);
                None
            }
            (Some(alias), false, _) => {
                let found = number(self.dns.records.iter().position(|record| record.name == *alias));
                if found.is_none() {
                    let remedy = "name another entry of dns.records, as it is written there";
                    self.errors.add(format!("{at}.alias"), format!("\"{alias}\""), remedy);
                }
                found.map(|found| Target::Set(SetId(found)))
            }
            (None, true, _) => self.value(at, own).map(Target::Value),
            (None, false, Some((id, region))) => self.region_value(id, region, at).map(Target::Value),
            (None, false, None) => {
                self.errors.add(at, "", "answers nothing: give a, aaaa, cname, txt, alias or region");
                None
            }
        }
    }

    /// Notes what has no effect where it stands.
    fn effects(&mut self, at: &str, member: &Member, policy: Policy) {
        let mut without = |given: bool, field: &str, matters: &str| {
            if given {
                self.errors.add(
                    format!("{at}.{field}"),
                    "",
                    format!("it matters with {matters} alone: drop it"),
                );
            }
        };
        let place = |given: bool| given && policy != Policy::Geolocation;
        without(place(member.countries.is_some()), "countries", "policy: geolocation");
        without(place(member.continents.is_some()), "continents", "policy: geolocation");
        without(place(!member.subdivisions.is_empty()), "subdivisions", "policy: geolocation");
        without(place(member.default), "default", "policy: geolocation");
        without(member.primary && policy != Policy::Failover, "primary", "policy: failover");
        without(member.weight.is_some() && policy != Policy::Weighted, "weight", "policy: weighted");
        let evaluates = member.evaluate_target_health.is_some() && member.alias.is_none();
        without(evaluates, "evaluate_target_health", "alias");
    }

    fn check(&mut self, at: &str, member: &Member, region: Named, checks: &[Check]) -> Option<CheckId> {
        let name = match (member.health_check.as_deref(), region) {
            (Some("none"), _) | (None, None) => return None,
            (Some(name), _) => name,
            (None, Some((_, region))) => &region.name,
        };
        let found = number(checks.iter().position(|check| check.name == name));
        if found.is_none() {
            let remedy = "name a region, one of dns.health_checks, or none";
            self.errors.add(format!("{at}.health_check"), format!("\"{name}\""), remedy);
        }
        found.map(CheckId)
    }

    /// Its own places, and only where it has none the region's.
    fn served(&mut self, at: &str, member: &Member, region: Named) -> Vec<Place> {
        let Member { countries, continents, subdivisions, default, .. } = member;
        let explicit = countries.is_some() || continents.is_some() || !subdivisions.is_empty() || *default;
        if let (Some((_, region)), false) = (region, explicit) {
            let claims = claims_of(region);
            if claims.is_empty() {
                let remedy =
                    format!("serves nobody: region {} claims no place, so give one here", region.name);
                self.errors.add(at, "", remedy);
            }
            return claims;
        }
        let (countries, continents) =
            (countries.as_deref().unwrap_or_default(), continents.as_deref().unwrap_or_default());
        if countries.is_empty() && continents.is_empty() && subdivisions.is_empty() && !default {
            let remedy = "serves nobody: give countries, continents, subdivisions or default: true";
            self.errors.add(at, "", remedy);
        }
        self.places(at, countries, continents, subdivisions, *default)
    }
}
