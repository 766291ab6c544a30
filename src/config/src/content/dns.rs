//! What `dns` may say. How its records hang together is checked where they are worked out
//! (`zone/compile.rs`).

mod checks;
mod records;
mod warnings;

use super::quoted;
use crate::dns::{Dns, Nameserver, RateLimit};
use crate::{File, HostPort};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::time::Millis;
use ipnet::IpNet;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

pub(super) use warnings::warnings;

/// What fits into a referral's 512 bytes, and what the root has.
const MAX_NAMESERVERS: usize = 13;

/// Resolvers keep nothing longer, whatever they are told (RFC 8767, 4).
const LONGEST_TTL: Millis = Millis::from_secs(7 * 24 * 3600);

/// Notes all faults.
pub(super) fn check(file: &File, errors: &mut ConfigErrors) {
    for (index, region) in file.regions.iter().enumerate() {
        records::check_region(&region.dns, &format!("regions[{index}].dns"), errors);
    }
    let Some(dns) = &file.dns else {
        let own = file.regions.iter().position(|region| region.companion.dns_listen.is_some());
        if let Some(index) = own {
            let at = format!("regions[{index}].companion.dns_listen");
            errors.add(at, "", "give dns too: there is nothing that could be answered");
        }
        return;
    };
    if file.companion.is_none() {
        errors.add("dns", "", "give companion too: it is what answers");
    }
    check_listen(file, dns, errors);
    check_nameservers(dns, errors);
    check_times(dns, errors);
    if dns.geoip.as_ref().is_some_and(|geoip| geoip.database.as_os_str().is_empty()) {
        errors.add("dns.geoip.database", "\"\"", "give a path");
    }
    check_latencies(dns, errors);
    checks::check(file, dns, errors);
    records::check(dns, errors);
    check_exempt(&dns.rate_limit, errors);
}

/// The DNS listeners of one region with the names of their fields.
pub(super) fn listeners_of(file: &File, region: usize) -> Vec<(String, &HostPort)> {
    let Some(dns) = &file.dns else { return Vec::new() };
    let own = file.regions.get(region).and_then(|region| region.companion.dns_listen.as_ref());
    let (listen, at) = match own {
        Some(own) => (own, format!("regions[{region}].companion.dns_listen")),
        None => (&dns.listen, "dns.listen".to_owned()),
    };
    listen.iter().enumerate().map(|(index, address)| (format!("{at}[{index}]"), address)).collect()
}

fn check_listen(file: &File, dns: &Dns, errors: &mut ConfigErrors) {
    let own =
        |region: &crate::Region| region.companion.dns_listen.as_ref().is_some_and(|own| !own.is_empty());
    if dns.listen.is_empty() && !file.regions.iter().any(own) {
        errors.add("dns.listen", "[]", "give at least one, like \"0.0.0.0:53\"");
    }
    check_addresses(&dns.listen, "dns.listen", errors);
    for (index, region) in file.regions.iter().enumerate() {
        let own = region.companion.dns_listen.as_deref().unwrap_or_default();
        check_addresses(own, &format!("regions[{index}].companion.dns_listen"), errors);
    }
}

/// Other than elsewhere, `0.0.0.0` and `[::]` may stand side by side: each answers its own family.
fn check_addresses(listen: &[HostPort], at: &str, errors: &mut ConfigErrors) {
    for (index, address) in listen.iter().enumerate() {
        let Some(ip) = address.ip() else {
            errors.add(format!("{at}[{index}]"), address, "listen on an IP address, like \"0.0.0.0:53\"");
            continue;
        };
        let meets = |other: &&HostPort| {
            other.port() == address.port()
                && other.ip().is_some_and(|other| {
                    other == ip
                        || (other.is_ipv4() == ip.is_ipv4()
                            && (other.is_unspecified() || ip.is_unspecified()))
                })
        };
        if let Some(first) = listen.iter().take(index).position(|other| meets(&other)) {
            let remedy = format!("{at}[{first}] listens there already: drop it");
            errors.add(format!("{at}[{index}]"), address, remedy);
        }
    }
}

fn check_nameservers(dns: &Dns, errors: &mut ConfigErrors) {
    let servers = &dns.nameservers;
    if !(1..=MAX_NAMESERVERS).contains(&servers.len()) {
        errors.add("dns.nameservers", format!("{} of them", servers.len()), "give 1 to 13");
    }
    for (index, Nameserver { name, addresses }) in servers.iter().enumerate() {
        let at = format!("dns.nameservers[{index}]");
        if let Some(first) = servers.iter().take(index).position(|other| other.name == *name) {
            let remedy =
                format!("dns.nameservers[{first}] has this name already: put all addresses into one");
            errors.add(format!("{at}.name"), name, remedy);
        }
        if name.within(&dns.zone) && addresses.is_empty() {
            let remedy = format!("give its addresses: {name} lies in the zone, so nobody else knows them");
            errors.add(format!("{at}.addresses"), "", remedy);
        }
        check_ips(addresses.iter().copied(), &format!("{at}.addresses"), errors);
    }
}

/// Addresses that are answered: each once, and such that a client can connect to.
fn check_ips(addresses: impl Iterator<Item = IpAddr>, at: &str, errors: &mut ConfigErrors) {
    let mut seen = HashSet::new();
    for (index, address) in addresses.enumerate() {
        let remedy = if address.is_unspecified() {
            "is no host's address: give the one that clients connect to"
        } else if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
            "is the address of many: give a host's own"
        } else if !seen.insert(address) {
            "stands there twice: give each address once"
        } else {
            continue;
        };
        errors.add(format!("{at}[{index}]"), address, remedy);
    }
}

fn check_times(dns: &Dns, errors: &mut ConfigErrors) {
    check_ttl(dns.ttl, "dns.ttl", errors);
    check_ttl(dns.negative_ttl, "dns.negative_ttl", errors);
    if let Some(ttl) = dns.failover_ttl {
        check_ttl(ttl, "dns.failover_ttl", errors);
        if ttl > dns.ttl {
            let remedy = format!("at most dns.ttl ({}): it is there to be followed sooner", dns.ttl);
            errors.add("dns.failover_ttl", ttl, remedy);
        }
    }
    if dns.failover_fresh_for.get() == 0 {
        errors.add("dns.failover_fresh_for", dns.failover_fresh_for, "give a time above 0");
    }
}

fn check_ttl(ttl: Millis, at: &str, errors: &mut ConfigErrors) {
    if ttl > LONGEST_TTL {
        errors.add(at, ttl, "at most 7d");
    } else if !ttl.get().is_multiple_of(1000) {
        errors.add(at, ttl, "use whole seconds: a time to live has no fractions in DNS");
    }
}

fn check_latencies(dns: &Dns, errors: &mut ConfigErrors) {
    for (index, row) in dns.latencies.iter().enumerate() {
        let at = format!("dns.latencies[{index}].to");
        if row.to.is_empty() {
            errors.add(&at, "{}", "give the latency to each region, like {taiwan: 5ms, japan: 40ms}");
        }
        for (name, latency) in row.to.iter().filter(|(_, latency)| **latency > Millis::from_secs(60)) {
            errors.add(format!("{at}.{name}"), latency, "at most 1m");
        }
    }
}

fn check_exempt(limit: &RateLimit, errors: &mut ConfigErrors) {
    for (index, network) in limit.exempt.iter().enumerate() {
        if network.parse::<IpNet>().is_err() && network.parse::<IpAddr>().is_err() {
            let remedy = "write a network, like \"10.0.0.0/8\", or an address";
            errors.add(format!("dns.rate_limit.exempt[{index}]"), quoted(network), remedy);
        }
    }
}
