//! What the sets lead to by their aliases: not to themselves, not to too much, not to what may not
//! stand there.

use crate::dns::Dns;
use crate::zone::Zone;
use crate::{DnsName, zone::Labels};
use evenkeel_policy::dns::records::MAX_DEPTH;
use evenkeel_policy::dns::{Policy, Set, SetId, Target};
use evenkeel_policy::error::ConfigErrors;

/// The most members on all ways from one name: it bounds what one question can cost.
const MAX_WAYS: usize = 10_000;

/// Whether every set leads to values within bounds.
///
/// # Errors
/// The first that does not, and what to do.
pub(super) fn bounded(sets: &[Set]) -> Result<(), (usize, String)> {
    // After n steps: whether a set leads through more than n others, and to how many members. The
    // work is the same whatever the aliases do.
    let mut deep = vec![true; sets.len()];
    let mut ways = vec![0usize; sets.len()];
    for _ in 0..MAX_DEPTH {
        deep =
            sets.iter().map(|set| next_sets(set).any(|to| deep.get(to).is_some_and(|deep| *deep))).collect();
        ways = sets
            .iter()
            .map(|set| {
                let below = next_sets(set).map(|to| ways.get(to).copied().unwrap_or(0));
                below.fold(set.members.len(), usize::saturating_add)
            })
            .collect();
    }
    if let Some(at) = deep.iter().position(|deep| *deep) {
        let remedy = format!(
            "lead in a circle by their aliases, or through more than {MAX_DEPTH} of them: lead them to addresses"
        );
        return Err((at, remedy));
    }
    let over = ways.iter().position(|ways| *ways > MAX_WAYS);
    over.map_or(Ok(()), |at| {
        Err((at, format!("lead to more than {MAX_WAYS} members by their aliases: use fewer")))
    })
}

fn next_sets(set: &Set) -> impl Iterator<Item = usize> {
    set.members.iter().filter_map(|member| match member.target {
        Target::Set(SetId(to)) => Some(usize::from(to)),
        Target::Value(_) => None,
    })
}

/// Notes what may not be led to, and what is missing to choose by. The zone's names are those of
/// `dns.records`, one by one.
pub(super) fn check(dns: &Dns, zone: &Zone, errors: &mut ConfigErrors) {
    for (index, name) in zone.names.iter().enumerate() {
        let at = format!("dns.records[{index}].members");
        let mut cnames = Vec::new();
        cnames_below(zone, name.set, &mut cnames);
        let Some(first) = cnames.first() else { continue };
        let several = zone.records.set(name.set).is_some_and(|set| set.policy == Policy::Multivalue);
        if name.name == zone.origin {
            let remedy = "a cname cannot stand at the zone itself, beside its SOA: answer addresses there";
            errors.add(at, first, remedy);
        } else if several {
            let remedy = "multivalue answers several at once, and a cname stands alone: answer addresses";
            errors.add(at, first, remedy);
        } else if cnames.contains(&&name.name) {
            errors.add(at, &name.name, "is a cname of itself: name another host");
        }
    }
    let by_place = zone.names.iter().position(|name| zone.records.depends_on_place(name.set));
    if let (Some(index), None) = (by_place, &dns.geoip) {
        let remedy = format!(
            "give a MaxMind database: dns.records[{index}] is answered by where clients are, unless it gets \
             another policy, like weighted"
        );
        errors.add("dns.geoip", "", remedy);
    }
    if let (Some(Labels { set, .. }), true) = (by_latency(zone), dns.latencies.is_empty()) {
        errors.add(
            "dns.latencies",
            "[]",
            format!("give the latency from places to regions: {set} is chosen by it"),
        );
    }
}

fn cnames_below<'a>(zone: &'a Zone, id: SetId, found: &mut Vec<&'a DnsName>) {
    for member in zone.records.set(id).into_iter().flat_map(|set| &set.members) {
        match member.target {
            Target::Set(next) => cnames_below(zone, next, found),
            Target::Value(value) => found.extend(zone.value(value).and_then(|value| value.cname.as_ref())),
        }
    }
}

/// The first set that is chosen from by latency.
fn by_latency(zone: &Zone) -> Option<&Labels> {
    zone.labels.iter().enumerate().find_map(|(at, labels)| {
        let set = zone.records.set(SetId(u16::try_from(at).ok()?))?;
        (set.policy == Policy::Latency).then_some(labels)
    })
}
