//! The zone as questions find it: names as they are on the wire, and the records that they lead to.

use crate::Settings;
use crate::counts::Series;
use domain::base::{Name, Serial, Ttl};
use domain::rdata::{Soa, Txt};
use evenkeel_config::{DnsName, Zone, zone};
use evenkeel_policy::dns::{SetId, ValueId};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::time::Millis;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

/// A name as it is kept.
pub(crate) type Wire = Name<Vec<u8>>;

/// The zone.
pub(crate) struct Table {
    pub(crate) origin: Wire,
    nodes: HashMap<Vec<u8>, Node>,
    values: Vec<Value>,
    pub(crate) zone: Zone,
    /// The regions' names, by their numbers.
    pub(crate) regions: Vec<String>,
    pub(crate) soa: Soa<Wire>,
    pub(crate) nameservers: Vec<(Wire, Vec<IpAddr>)>,
    pub(crate) ttl: u32,
    failover_ttl: Option<u32>,
    pub(crate) negative_ttl: u32,
    pub(crate) client_subnet: bool,
}

/// One name. One that is only on the way to others has nothing at all.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) entry: Option<Entry>,
    /// A name server's addresses.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) apex: bool,
}

/// A record of the file.
pub(crate) struct Entry {
    pub(crate) set: SetId,
    ttl: Option<u32>,
    /// The answer depends on where the client is.
    pub(crate) by_place: bool,
    /// Where answers are counted: without a region, then by region.
    series: Vec<usize>,
}

/// What a member answers.
pub(crate) struct Value {
    pub(crate) a: Vec<Ipv4Addr>,
    pub(crate) aaaa: Vec<Ipv6Addr>,
    pub(crate) cname: Option<Wire>,
    pub(crate) txt: Vec<Txt<Vec<u8>>>,
}

/// What stands at a name.
pub(crate) enum Found<'a> {
    Node(&'a Node),
    /// The zone has no such name.
    Nothing,
    /// It is not in the zone.
    Elsewhere,
}

impl Entry {
    /// Where an answer of this region is counted.
    pub(crate) fn series(&self, region: Option<RegionId>) -> usize {
        let at = region.map_or(0, |region| region.index() + 1);
        self.series.get(at).or(self.series.first()).copied().unwrap_or(0)
    }
}

impl Table {
    /// `before` is the serial of the zone that this one follows.
    ///
    /// # Errors
    /// A line that names the field.
    pub(crate) fn new(settings: &Settings, series: &Series, before: Option<Serial>) -> Result<Self, String> {
        let Settings { zone, dns, regions, .. } = settings;
        let (origin, nameservers) = (wire(&zone.origin)?, &dns.nameservers);
        let mut nodes: HashMap<Vec<u8>, Node> = HashMap::new();
        nodes.entry(origin.as_slice().to_vec()).or_default().apex = true;
        let mut servers = Vec::new();
        for server in nameservers {
            let name = wire(&server.name)?;
            // Nobody asks this zone for addresses of names elsewhere.
            let addresses =
                if server.name.within(&zone.origin) { server.addresses.clone() } else { Vec::new() };
            if !addresses.is_empty() {
                node(&mut nodes, &origin, &name).addresses.clone_from(&addresses);
            }
            servers.push((name, addresses));
        }
        for entry in &zone.names {
            let name = wire(&entry.name)?;
            let record = within(&entry.name, &zone.origin);
            let regions = std::iter::once("none").chain(regions.iter().map(String::as_str));
            node(&mut nodes, &origin, &name).entry = Some(Entry {
                set: entry.set,
                ttl: entry.ttl.map(seconds),
                by_place: zone.records.depends_on_place(entry.set),
                series: regions.map(|region| series.number(record, region)).collect(),
            });
        }
        let first = servers.first().map_or_else(|| origin.clone(), |(name, _)| name.clone());
        let hostmaster = match &dns.hostmaster {
            Some(name) => wire(name)?,
            None => wire(&zone.origin.below("hostmaster")?)?,
        };
        Ok(Table {
            soa: soa(first, hostmaster, seconds(dns.negative_ttl), before),
            origin,
            nodes,
            values: zone.values.iter().map(value).collect::<Result<_, _>>()?,
            zone: zone.clone(),
            regions: regions.clone(),
            nameservers: servers,
            ttl: seconds(dns.ttl),
            failover_ttl: dns.failover_ttl.map(seconds),
            negative_ttl: seconds(dns.negative_ttl),
            client_subnet: dns.client_subnet,
        })
    }

    /// What stands at a name, which is in lower case.
    pub(crate) fn find(&self, name: &[u8]) -> Found<'_> {
        if let Some(node) = self.nodes.get(name) {
            return Found::Node(node);
        }
        let mut rest = name;
        while rest.len() > self.origin.len() {
            let label = rest.first().map_or(0, |length| usize::from(*length) + 1);
            rest = rest.get(label..).unwrap_or_default();
        }
        if rest == self.origin.as_slice() { Found::Nothing } else { Found::Elsewhere }
    }

    /// The value.
    pub(crate) fn value(&self, id: ValueId) -> Option<&Value> {
        self.values.get(usize::from(id.0))
    }

    /// How long the record's answer may be kept, and whether a fresh failover made that shorter.
    pub(crate) fn ttl(&self, entry: &Entry, fresh: bool) -> (u32, bool) {
        let usual = entry.ttl.unwrap_or(self.ttl);
        match self.failover_ttl.filter(|lower| fresh && *lower < usual) {
            Some(lower) => (lower, true),
            None => (usual, false),
        }
    }
}

/// The name's node, with everything between it and the zone: those names exist too.
fn node<'a>(nodes: &'a mut HashMap<Vec<u8>, Node>, origin: &Wire, name: &Wire) -> &'a mut Node {
    let above = name.iter_suffixes().take_while(|suffix| suffix.as_slice().len() > origin.len());
    for suffix in above {
        nodes.entry(suffix.as_slice().to_vec()).or_default();
    }
    nodes.entry(name.as_slice().to_vec()).or_default()
}

/// Refresh, retry and expiry are for secondaries, which this zone has none of; the values are usual ones.
fn soa(server: Wire, hostmaster: Wire, negative_ttl: u32, before: Option<Serial>) -> Soa<Wire> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Serial(now.as_secs() as u32);
    let serial = before.map_or(now, |before| if now > before { now } else { before.add(1) });
    let hours = |hours: u64| Ttl::from_secs((hours * 3600) as u32);
    Soa::new(server, hostmaster, serial, hours(2), hours(1), hours(14 * 24), Ttl::from_secs(negative_ttl))
}

fn value(value: &zone::Value) -> Result<Value, String> {
    let text = |text: &String| {
        Txt::build_from_slice(text.as_bytes())
            .map_err(|_| format!("dns.records: txt: \"{text}\": too long: give at most 255 bytes"))
    };
    Ok(Value {
        a: value.a.clone(),
        aaaa: value.aaaa.clone(),
        cname: value.cname.as_ref().map(wire).transpose()?,
        txt: value.txt.iter().map(text).collect::<Result<_, _>>()?,
    })
}

/// The name within the zone, as the file has it.
fn within<'a>(name: &'a DnsName, origin: &DnsName) -> &'a str {
    let inner = name.as_str().strip_suffix(origin.as_str()).unwrap_or(name.as_str());
    if inner.is_empty() { "@" } else { inner.trim_end_matches('.') }
}

pub(crate) fn wire(name: &DnsName) -> Result<Wire, String> {
    name.as_str().parse().map_err(|error| format!("dns: \"{name}\" is not a DNS name: {error}"))
}

fn seconds(time: Millis) -> u32 {
    u32::try_from(time.to_duration().as_secs()).unwrap_or(u32::MAX)
}
