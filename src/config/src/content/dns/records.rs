//! What one record, one member and one region may answer.

use super::{check_ips, check_ttl};
use crate::DnsName;
use crate::dns::{Dns, Member, RegionDns};
use evenkeel_policy::error::ConfigErrors;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one answer can hold without being cut.
const MAX_ADDRESSES: usize = 100;

/// Bytes of text in one member: eight of them must fit into one answer.
const MAX_TEXT: usize = 4000;

/// As for a region.
const MAX_WEIGHT: u32 = 1_000_000;

/// Route 53's limit of a set identifier.
const MAX_ID: usize = 128;

pub(super) fn check(dns: &Dns, errors: &mut ConfigErrors) {
    for (index, record) in dns.records.iter().enumerate() {
        let at = format!("dns.records[{index}]");
        if let Some(ttl) = record.ttl {
            check_ttl(ttl, &format!("{at}.ttl"), errors);
        }
        for (place, member) in record.members.iter().enumerate() {
            check_member(member, &format!("{at}.members[{place}]"), errors);
        }
    }
}

/// What a region answers.
pub(super) fn check_region(region: &RegionDns, at: &str, errors: &mut ConfigErrors) {
    let RegionDns { a, aaaa, cname } = region;
    check_hosts(a, aaaa, cname.as_ref(), at, errors);
}

fn check_member(member: &Member, at: &str, errors: &mut ConfigErrors) {
    let Member { id, a, aaaa, cname, txt, weight, .. } = member;
    if let Some(id) = id
        && (!(1..=MAX_ID).contains(&id.len()) || id.chars().any(char::is_control))
    {
        errors.add(format!("{at}.id"), format!("{id:?}"), "use 1 to 128 printable characters");
    }
    check_hosts(a, aaaa, cname.as_ref(), at, errors);
    if cname.is_some() && !txt.is_empty() {
        errors.add(format!("{at}.txt"), "", "a cname stands alone: leave the texts out");
    }
    for (index, text) in txt.iter().enumerate().filter(|(_, text)| text.len() > 255) {
        let remedy = "at most 255: give several, which readers put together again";
        errors.add(format!("{at}.txt[{index}]"), format!("{} bytes", text.len()), remedy);
    }
    let bytes: usize = txt.iter().map(|text| text.len() + 1).sum();
    if bytes > MAX_TEXT {
        errors.add(format!("{at}.txt"), format!("{bytes} bytes"), format!("at most {MAX_TEXT} in all"));
    }
    if let Some(weight) = weight.filter(|weight| *weight > MAX_WEIGHT) {
        errors.add(format!("{at}.weight"), weight, "0 to 1,000,000");
    }
}

fn check_hosts(
    a: &[Ipv4Addr],
    aaaa: &[Ipv6Addr],
    cname: Option<&DnsName>,
    at: &str,
    errors: &mut ConfigErrors,
) {
    if let Some(name) = cname.filter(|_| !(a.is_empty() && aaaa.is_empty())) {
        errors.add(format!("{at}.cname"), name, "a cname stands alone: leave the addresses out, or it");
    }
    for (field, many) in [("a", a.len()), ("aaaa", aaaa.len())] {
        if many > MAX_ADDRESSES {
            errors.add(
                format!("{at}.{field}"),
                format!("{many} of them"),
                format!("at most {MAX_ADDRESSES}"),
            );
        }
    }
    check_ips(a.iter().copied().map(IpAddr::V4), &format!("{at}.a"), errors);
    check_ips(aaaa.iter().copied().map(IpAddr::V6), &format!("{at}.aaaa"), errors);
}
