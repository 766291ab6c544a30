//! A static zone in a master file (RFC 1035, 5): what any name server can answer when nothing else does.
//!
//! Nobody knows there which region is healthy or where a client is, so a name has the addresses of every
//! region that a healthy world would answer somebody: clients go round them, and most try the next one
//! when the first does not connect. A CNAME stands alone, so it is the heaviest member's.

use crate::dns::{Dns, Nameserver};
use crate::{DnsName, Plan, Problem, Problems, Zone};
use evenkeel_policy::dns::{Member, Place, Policy, Set, SetId, Target};
use evenkeel_policy::error::FieldError;
use evenkeel_policy::time::Millis;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// For secondaries: when they ask again, after a failure too, and when they give up. In seconds.
const REFRESH: u32 = 7200;
const RETRY: u32 = 3600;
const EXPIRE: u32 = 1_209_600;

/// The zone as a master file. `serial` is the SOA record's: secondaries take a zone up when it grows.
///
/// # Errors
/// If there is no `dns` section, or a CNAME is all there is where none may stand.
pub fn zone(plan: &Plan, serial: u32) -> Result<String, Problems> {
    let (Some(zone), Some(dns)) = (&plan.zone, &plan.file.dns) else { return Err(super::without_dns()) };
    let mut file = Master { origin: &zone.origin, lines: Vec::new(), width: 1 };
    let Nameserver { name: primary, .. } =
        dns.nameservers.first().ok_or_else(|| problem("dns.nameservers", "", "give at least one"))?;
    let hostmaster = match &dns.hostmaster {
        Some(name) => file.name(name),
        None => "hostmaster".to_owned(),
    };
    let negative = seconds(dns.negative_ttl);
    let soa = format!("{} {hostmaster} {serial} {REFRESH} {RETRY} {EXPIRE} {negative}", file.name(primary));
    file.add(&zone.origin, dns.ttl, "SOA", soa);
    for server in &dns.nameservers {
        let server = file.name(&server.name);
        file.add(&zone.origin, dns.ttl, "NS", server);
    }
    let mut problems = Vec::new();
    for (index, entry) in zone.names.iter().enumerate() {
        let answers = Answers::of(zone, entry.set);
        let ttl = entry.ttl.unwrap_or(dns.ttl);
        let alone = answers.a.is_empty() && answers.aaaa.is_empty() && answers.txt.is_empty();
        let other = entry.name == zone.origin || dns.nameservers.iter().any(|s| s.name == entry.name);
        match &answers.cname {
            Some(_) if alone && other => {
                let remedy = format!(
                    "a cname stands alone, and {} has other records in any case: give addresses",
                    entry.name
                );
                problems.extend(problem(&format!("dns.records[{index}].members"), "", &remedy).0);
            }
            Some((target, _)) if alone => {
                let target = file.name(target);
                file.add(&entry.name, ttl, "CNAME", target);
            }
            _ => {
                answers.a.iter().for_each(|address| file.add(&entry.name, ttl, "A", address.to_string()));
                answers
                    .aaaa
                    .iter()
                    .for_each(|address| file.add(&entry.name, ttl, "AAAA", address.to_string()));
                answers.txt.iter().for_each(|text| file.add(&entry.name, ttl, "TXT", quoted(text)));
            }
        }
    }
    glue(&mut file, zone, dns);
    if problems.is_empty() { Ok(file.write(plan)) } else { Err(Problems(problems)) }
}

/// The addresses of name servers in the zone, which nobody else knows.
fn glue(file: &mut Master, zone: &Zone, dns: &Dns) {
    for server in dns.nameservers.iter().filter(|server| server.name.within(&zone.origin)) {
        for address in &server.addresses {
            let kind = if matches!(address, IpAddr::V4(_)) { "A" } else { "AAAA" };
            file.add(&server.name, dns.ttl, kind, address.to_string());
        }
    }
}

/// What a name answers.
#[derive(Default)]
struct Answers {
    a: Vec<Ipv4Addr>,
    aaaa: Vec<Ipv6Addr>,
    txt: Vec<String>,
    /// The heaviest one with its weight; of equals the first.
    cname: Option<(DnsName, u32)>,
}

impl Answers {
    fn of(zone: &Zone, id: SetId) -> Self {
        let mut answers = Answers::default();
        answers.add_set(zone, id, u32::MAX);
        answers
    }

    /// `weight`: of the lightest member on the way here.
    fn add_set(&mut self, zone: &Zone, id: SetId, weight: u32) {
        let Some(set) = zone.records.set(id) else { return };
        for member in serving(set) {
            let weight = match set.policy {
                Policy::Weighted | Policy::Latency | Policy::Multivalue => weight.min(member.weight),
                Policy::Simple | Policy::Geolocation | Policy::Failover => weight,
            };
            match member.target {
                Target::Set(next) => self.add_set(zone, next, weight),
                Target::Value(value) => {
                    let Some(value) = zone.value(value) else { continue };
                    add_new(&mut self.a, &value.a);
                    add_new(&mut self.aaaa, &value.aaaa);
                    add_new(&mut self.txt, &value.txt);
                    let heavier = |known: &(DnsName, u32)| weight > known.1;
                    if let Some(name) = &value.cname
                        && self.cname.as_ref().is_none_or(heavier)
                    {
                        self.cname = Some((name.clone(), weight));
                    }
                }
            }
        }
    }
}

fn add_new<T: Clone + PartialEq>(known: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !known.contains(one) {
            known.push(one.clone());
        }
    }
}

/// The members that somebody of whom nothing is known may be answered while all are healthy.
fn serving(set: &Set) -> Vec<&Member> {
    let members = set.members.iter();
    let chosen: Vec<&Member> = match set.policy {
        Policy::Simple => members.take(1).collect(),
        // Weight 0 serves only when nothing else is left.
        Policy::Weighted => members.filter(|member| member.weight > 0).collect(),
        Policy::Failover => {
            let first = set.members.iter().find(|member| member.primary).or(set.members.first());
            first.into_iter().collect()
        }
        Policy::Geolocation => members.filter(|member| member.places.contains(&Place::Default)).collect(),
        Policy::Latency | Policy::Multivalue => members.collect(),
    };
    // Without a default every member is somebody's, and an answer is better than none.
    if chosen.is_empty() { set.members.iter().collect() } else { chosen }
}

/// The file in the making.
struct Master<'a> {
    origin: &'a DnsName,
    /// Owner, time to live, type, data.
    lines: Vec<(String, u32, &'static str, String)>,
    width: usize,
}

impl Master<'_> {
    /// A name as it stands in the file: short within the zone.
    fn name(&self, name: &DnsName) -> String {
        match name.as_str().strip_suffix(self.origin.as_str()) {
            Some("") => "@".to_owned(),
            Some(inner) if inner.ends_with('.') => inner.trim_end_matches('.').to_owned(),
            _ => format!("{name}."),
        }
    }

    fn add(&mut self, owner: &DnsName, ttl: Millis, kind: &'static str, data: String) {
        let owner = self.name(owner);
        self.width = self.width.max(owner.len());
        // Records of one name and type have one time to live (RFC 2181, 5.2).
        let same = self.lines.iter().find(|line| (&line.0, line.2) == (&owner, kind));
        let ttl = same.map_or(seconds(ttl), |line| line.1);
        // A name server may have a record of its own with the same address.
        let known = self.lines.iter().any(|line| (&line.0, line.2, &line.3) == (&owner, kind, &data));
        if !known {
            self.lines.push((owner, ttl, kind, data));
        }
    }

    fn write(&self, plan: &Plan) -> String {
        let mut text = format!(
            "; The zone {} of the service {}, written by `evenkeel render zone`.\n\
             ; A fallback for any name server: every region counts as healthy, and clients are not told apart.\n\
             $ORIGIN {}.\n",
            self.origin, plan.file.service, self.origin
        );
        for (owner, ttl, kind, data) in &self.lines {
            text.push_str(&format!("{owner:width$} {ttl} IN {kind} {data}\n", width = self.width));
        }
        text
    }
}

fn problem(field: &str, value: &str, remedy: &str) -> Problems {
    let error = FieldError { field: field.to_owned(), value: value.to_owned(), remedy: remedy.to_owned() };
    Problems(vec![Problem { error, place: None }])
}

/// Whole seconds, in the 31 bits that a time to live has (RFC 2181, 8).
fn seconds(span: Millis) -> u32 {
    u32::try_from(span.get().div_ceil(1000)).unwrap_or(u32::MAX).min(u32::MAX / 2)
}

/// A character string: in quotes, and what is not printable in decimal.
fn quoted(text: &str) -> String {
    let mut data = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => data.extend(['\\', char::from(byte)]),
            b' '..=b'~' => data.push(char::from(byte)),
            byte => data.push_str(&format!("\\{byte:03}")),
        }
    }
    data + "\""
}
