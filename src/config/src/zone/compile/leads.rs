//! What names lead to by their aliases, and what they need to be answered.

use crate::dns::Dns;
use crate::zone::{Labels, Zone};
use evenkeel_policy::dns::records::{Fault, MAX_DEPTH, MAX_WIDTH};
use evenkeel_policy::dns::{Policy, SetId};
use evenkeel_policy::error::ConfigErrors;

/// The record that a fault is at, and what to do.
pub(super) fn told(fault: Fault) -> (u16, String) {
    let (Fault::Empty(SetId(at))
    | Fault::Missing(SetId(at))
    | Fault::Deep(SetId(at))
    | Fault::Wide(SetId(at))) = fault;
    let remedy = match fault {
        Fault::Empty(_) | Fault::Missing(_) => "lead nowhere: give each an address".to_owned(),
        Fault::Deep(_) => format!(
            "lead in a circle by their aliases, or through more than {MAX_DEPTH} of them: lead them to addresses"
        ),
        Fault::Wide(_) => format!("lead to more than {MAX_WIDTH} members by their aliases: use fewer"),
    };
    (at, remedy)
}

/// Notes what may not be led to, and what is missing to choose by. The zone's names are those of
/// `dns.records`, one by one.
pub(super) fn check(dns: &Dns, zone: &Zone, errors: &mut ConfigErrors) {
    for (index, name) in zone.names.iter().enumerate() {
        let at = format!("dns.records[{index}].members");
        let cnames = zone.cnames_below(name.set);
        let Some(first) = cnames.first() else { continue };
        if name.name == zone.origin {
            let remedy = "a cname cannot stand at the zone itself, beside its SOA: answer addresses there";
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

/// The first set that is chosen from by latency.
fn by_latency(zone: &Zone) -> Option<&Labels> {
    zone.labels.iter().enumerate().find_map(|(at, labels)| {
        let set = zone.records.set(SetId(u16::try_from(at).ok()?))?;
        (set.policy == Policy::Latency).then_some(labels)
    })
}
