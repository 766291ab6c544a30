//! What `dns` may say but probably does not mean.

use crate::dns::{Dns, Record, RecordPolicy};
use crate::zone::CheckKind;
use crate::{File, Zone};
use evenkeel_policy::dns::{Member, Place, Policy, SetId, Target};
use evenkeel_policy::time::Millis;

/// Clients keep a dead region's answer so long (R31).
const LONG: Millis = Millis::from_secs(60);

/// `zone` is what the section means; none where something is wrong with it.
pub(in crate::content) fn warnings(file: &File, zone: Option<&Zone>, warnings: &mut Vec<String>) {
    let (Some(dns), Some(zone)) = (&file.dns, zone) else { return };
    if dns.nameservers.len() == 1 && file.regions.len() > 1 {
        warnings
            .push("dns.nameservers: only one: when it is gone, resolvers have nobody else to ask".to_owned());
    }
    of_times(dns, zone, warnings);
    of_checks(zone, warnings);
    for (index, record) in dns.records.iter().enumerate() {
        of_record(file, record, index, zone, warnings);
    }
}

fn of_times(dns: &Dns, zone: &Zone, warnings: &mut Vec<String>) {
    let depends = |index: usize| zone.names.get(index).is_some_and(|name| depends_on_checks(zone, name.set));
    let kept = "clients keep a dead region's answer for so long: use 60s or less";
    for (index, record) in dns.records.iter().enumerate() {
        if record.ttl.is_some_and(|ttl| ttl > LONG) && depends(index) {
            let ttl = record.ttl.unwrap_or_default();
            warnings.push(format!("dns.records[{index}].ttl: {ttl}: {kept}"));
        }
    }
    if dns.ttl > LONG
        && dns.records.iter().enumerate().any(|(index, record)| record.ttl.is_none() && depends(index))
    {
        warnings.push(format!("dns.ttl: {}: {kept}", dns.ttl));
    }
}

/// Whether a check anywhere below decides what is answered.
fn depends_on_checks(zone: &Zone, id: SetId) -> bool {
    let Some(set) = zone.records.set(id) else { return false };
    let checked = |member: &Member| set.policy != Policy::Simple && member.check.is_some();
    set.members.iter().any(|member| {
        checked(member)
            || match member.target {
                Target::Set(next) => depends_on_checks(zone, next),
                Target::Value(_) => false,
            }
    })
}

fn of_checks(zone: &Zone, warnings: &mut Vec<String>) {
    for check in &zone.checks {
        let CheckKind::Calculated { of, at_least } = &check.kind else { continue };
        let means = match *at_least {
            0 => "is always healthy",
            needed if needed > of.len() => "is never healthy",
            _ => continue,
        };
        warnings.push(format!(
            "dns.health_checks: {} {means}: it needs {at_least} of {}",
            check.name,
            of.len()
        ));
    }
}

fn of_record(file: &File, record: &Record, index: usize, zone: &Zone, warnings: &mut Vec<String>) {
    let Some(set) = zone.names.get(index).and_then(|name| zone.records.set(name.set)) else { return };
    let at = format!("dns.records[{index}]");
    let explicit = !record.members.is_empty();
    match set.policy {
        Policy::Geolocation if !set.members.iter().any(|member| member.places.contains(&Place::Default)) => {
            warnings.push(format!(
                "{at}.members: none is the default, so clients elsewhere get no answer for {}",
                record.name
            ));
        }
        // Regions that all have the weight 0 are the topology's own warning.
        Policy::Weighted if explicit && set.members.iter().all(|member| member.weight == 0) => {
            warnings.push(format!("{at}.members: all weights are 0, which counts as equal weights"));
        }
        Policy::Failover if set.members.iter().any(|member| member.primary && !may_fail(zone, member)) => {
            warnings.push(format!(
                "{at}.members: the primary depends on no health check, so the others are never answered"
            ));
        }
        Policy::Multivalue => {
            if let Some(cname) =
                zone.names.get(index).and_then(|name| zone.cnames_below(name.set).first().copied())
            {
                warnings.push(format!(
                    "{at}.members: {cname} is a cname, which stands alone: when its turn comes first, nothing else is answered"
                ));
            }
        }
        Policy::Latency => {
            let named = |name: &str| zone_names_latency(file, name);
            let regions = set.members.iter().filter_map(|member| file.regions.get(member.region?.index()));
            for region in regions.filter(|region| !named(&region.name)) {
                warnings.push(format!(
                    "dns.latencies: no row names {}, so {} answers it only when nothing else is left",
                    region.name, record.name
                ));
            }
        }
        _ => {}
    }
    if record.policy == Some(RecordPolicy::Simple) && explicit {
        let checked = record
            .members
            .iter()
            .any(|member| member.health_check.as_ref().is_some_and(|name| name != "none"));
        if checked {
            warnings.push(format!("{at}.policy: simple answers its member whatever its health check says"));
        }
    }
}

fn zone_names_latency(file: &File, region: &str) -> bool {
    file.dns.iter().flat_map(|dns| &dns.latencies).any(|row| row.to.contains_key(region))
}

/// Whether the member can ever be passed over.
fn may_fail(zone: &Zone, member: &Member) -> bool {
    let nothing_is_well = vec![0; zone.checks.len()];
    zone.records.share(member, &nothing_is_well) == 0
}
