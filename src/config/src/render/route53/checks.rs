//! Health checks as Route 53 has them: what its checkers, all over the world, ask of an endpoint.

use crate::dns::{Dns, NamedCheck, RegionCheck};
use crate::render::cluster;
use crate::zone::CheckKind;
use crate::{File, HostPort, Region, Zone};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::time::Millis;
use std::net::IpAddr;

/// Its checkers wait so long for a connection, by TCP alone, and then for a status (R24).
const CONNECT: Millis = Millis::from_secs(4);
const CONNECT_TCP: Millis = Millis::from_secs(10);
const RESPONSE: Millis = Millis::from_secs(2);

/// The longest path that it takes.
const MAX_PATH: usize = 255;

/// One check.
pub(super) struct HealthCheck {
    /// Its name in the topology file.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Healthy counts as unhealthy and the other way round.
    pub inverted: bool,
    /// It is not asked and counts as healthy.
    pub disabled: bool,
    /// For people.
    pub tags: Vec<(&'static str, String)>,
}

/// Asked, or made from others.
pub(super) enum Kind {
    Asked(Asked),
    Calculated { of: Vec<String>, at_least: usize },
}

/// What is asked, and how often.
pub(super) struct Asked {
    /// `HTTP`, `HTTPS` or `TCP`.
    protocol: &'static str,
    pub ip: Option<IpAddr>,
    /// With `ip` it is only the Host header.
    pub name: Option<String>,
    pub port: u16,
    pub path: Option<String>,
    pub search: Option<String>,
    /// 10 or 30 seconds.
    pub interval: u64,
    /// 1 to 10.
    pub threshold: u32,
}

impl Asked {
    /// Route 53's word for it.
    pub fn kind(&self) -> String {
        let searches = if self.search.is_some() { "_STR_MATCH" } else { "" };
        format!("{}{searches}", self.protocol)
    }

    /// Whether the server is named in the TLS handshake.
    pub fn sni(&self) -> Option<bool> {
        (self.protocol == "HTTPS").then_some(true)
    }
}

/// All of them, those that are made from others last.
pub(super) fn all(
    file: &File,
    dns: &Dns,
    zone: &Zone,
    errors: &mut ConfigErrors,
    notes: &mut Vec<String>,
) -> Vec<HealthCheck> {
    if dns.health_check.is_none() {
        notes.push(
            "dns.health_check is not given: regions are asked as often as Route 53 comes near to health_check"
                .to_owned(),
        );
    }
    let mut found = Vec::new();
    for check in &zone.checks {
        let given = dns.health_checks.iter().position(|given| given.name == check.name);
        let (inverted, disabled) = given
            .and_then(|at| dns.health_checks.get(at))
            .map_or((false, false), |given| (given.inverted, given.disabled));
        let at = format!("dns.health_checks[{}]", given.unwrap_or_default());
        let mut tags = vec![("Name", check.name.clone())];
        let kind = match &check.kind {
            CheckKind::Region(id) => {
                let Some(region) = file.regions.get(id.index()) else { continue };
                tags = tags_of(region);
                region_check(file, dns, region, id.index(), errors, notes).map(Kind::Asked)
            }
            CheckKind::Asked(named) => named_check(named, &at, errors, notes).map(Kind::Asked),
            CheckKind::Calculated { of, at_least } => {
                let name = |id: &evenkeel_policy::dns::CheckId| zone.checks.get(usize::from(id.0));
                let of = of.iter().filter_map(name).map(|check| check.name.clone()).collect();
                Some(Kind::Calculated { of, at_least: *at_least })
            }
        };
        let Some(kind) = kind else { continue };
        found.push(HealthCheck { name: check.name.clone(), kind, inverted, disabled, tags });
    }
    found
}

fn tags_of(region: &Region) -> Vec<(&'static str, String)> {
    let mut letters = region.name.chars();
    let name: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let place = region.aws.region.as_ref().unwrap_or(&region.name);
    vec![("Name", format!("{name} Region Health Check")), ("Region", place.clone())]
}

/// Where the region's readiness is asked from outside.
fn region_check(
    file: &File,
    dns: &Dns,
    region: &Region,
    index: usize,
    errors: &mut ConfigErrors,
    notes: &mut Vec<String>,
) -> Option<Asked> {
    let readiness = &region.readiness;
    let at = format!("regions[{index}].readiness");
    let (address, tls) = match &readiness.address {
        Some(address) => (Some(address), readiness.tls.is_some()),
        None => {
            let edge = region.edge_address.as_ref();
            (edge.or_else(|| cluster::addresses(file, region).into_iter().next()), region.tls.is_some())
        }
    };
    let authority = readiness.authority.as_deref().map(|text| match text.parse::<HostPort>() {
        Ok(with_port) => (with_port.host().to_owned(), Some(with_port.port())),
        Err(_) => (text.to_owned(), None),
    });
    let usual = if tls { 443 } else { 80 };
    let own_port = authority.as_ref().and_then(|(_, port)| *port);
    let port = own_port.or(address.map(HostPort::port)).unwrap_or(usual);
    let ip = address.and_then(HostPort::ip).filter(is_public);
    let host = address.filter(|address| address.ip().is_none() && address.host().contains('.'));
    let name = authority.map(|(name, _)| name).or(host.map(|address| address.host().to_owned()));
    if ip.is_none() && name.is_none() {
        let value = address.map(ToString::to_string).unwrap_or_default();
        let remedy = "give the name that the whole world reaches the region by: Route 53 asks from outside";
        errors.add(format!("{at}.authority"), value, remedy);
        return None;
    }
    if let (None, Some(name), Some(address)) = (ip, &name, address)
        && name != address.host()
    {
        notes.push(format!(
            "{at}: Route 53 asks {name} at port {port}, whatever that leads to, and not {address}"
        ));
    }
    let (interval, threshold) = match &dns.health_check {
        Some(check) => {
            let RegionCheck { interval, threshold, connect_timeout, response_timeout } = check;
            let at = "dns.health_check";
            // The same for every region: once is enough.
            let notes = if index == 0 { notes } else { &mut Vec::new() };
            timeouts(*connect_timeout, CONNECT, *response_timeout, at, notes);
            (
                nearest_interval(*interval, at, notes),
                nearest_threshold(*threshold, "dns.health_check.threshold", notes),
            )
        }
        None => {
            let check = &file.health_check;
            let notes = if index == 0 { notes } else { &mut Vec::new() };
            if check.healthy_threshold != check.unhealthy_threshold {
                notes.push(format!(
                    "health_check.healthy_threshold: {}: Route 53 has one threshold for both ways, {}",
                    check.healthy_threshold, check.unhealthy_threshold
                ));
            }
            let field = "health_check.unhealthy_threshold";
            let threshold = nearest_threshold(check.unhealthy_threshold, field, notes);
            (nearest_interval(check.interval, "health_check", notes), threshold)
        }
    };
    path_fits(&readiness.path, &format!("{at}.path"), errors);
    Some(Asked {
        protocol: if tls { "HTTPS" } else { "HTTP" },
        ip,
        name,
        port,
        path: Some(readiness.path.clone()),
        search: None,
        interval,
        threshold,
    })
}

fn named_check(
    check: &NamedCheck,
    at: &str,
    errors: &mut ConfigErrors,
    notes: &mut Vec<String>,
) -> Option<Asked> {
    let (field, protocol, target, path) = match (&check.url, &check.tcp) {
        (Some(url), _) => match read_url(url) {
            Some((protocol, target, path)) => ("url", protocol, target, Some(path)),
            None => {
                let remedy = "write it like \"https://orders.example.com/health\", without user or fragment";
                errors.add(format!("{at}.url"), format!("\"{url}\""), remedy);
                return None;
            }
        },
        (None, Some(tcp)) => ("tcp", "TCP", tcp.clone(), None),
        (None, None) => return None,
    };
    let ip = target.ip();
    if let Some(ip) = ip.filter(|ip| !is_public(ip)) {
        let remedy = "give an address that the whole world reaches: Route 53 asks from outside";
        errors.add(format!("{at}.{field}"), ip, remedy);
        return None;
    }
    let connect = if protocol == "TCP" { CONNECT_TCP } else { CONNECT };
    timeouts(check.connect_timeout.unwrap_or(connect), connect, check.response_timeout, at, notes);
    if let Some(path) = &path {
        path_fits(path, &format!("{at}.{field}"), errors);
    }
    Some(Asked {
        protocol,
        ip,
        name: ip.is_none().then(|| target.host().to_owned()),
        port: target.port(),
        path,
        search: check.search.clone(),
        interval: nearest_interval(check.interval, at, notes),
        threshold: nearest_threshold(check.threshold, &format!("{at}.threshold"), notes),
    })
}

/// The protocol, whom to ask, and for what.
fn read_url(url: &str) -> Option<(&'static str, HostPort, String)> {
    let (protocol, rest, port) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => ("HTTPS", rest, 443),
        (None, Some(rest)) => ("HTTP", rest, 80),
        (None, None) => return None,
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let target = authority.parse().or_else(|_| format!("{authority}:{port}").parse()).ok()?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    (!path.contains('#')).then_some((protocol, target, path))
}

fn path_fits(path: &str, at: &str, errors: &mut ConfigErrors) {
    if path.len() > MAX_PATH {
        errors.add(at, format!("{} bytes", path.len()), "Route 53 takes paths of at most 255 bytes");
    }
}

fn nearest_interval(given: Millis, at: &str, notes: &mut Vec<String>) -> u64 {
    let nearest = if given <= Millis::from_secs(20) { 10 } else { 30 };
    if given != Millis::from_secs(nearest) {
        notes.push(format!("{at}.interval: {given}: Route 53 asks every 10s or 30s: {nearest}s here"));
    }
    nearest
}

fn nearest_threshold(given: u32, at: &str, notes: &mut Vec<String>) -> u32 {
    let nearest = given.clamp(1, 10);
    if nearest != given {
        notes.push(format!("{at}: {given}: Route 53 has 1 to 10: {nearest} here"));
    }
    nearest
}

fn timeouts(connect: Millis, usual: Millis, response: Millis, at: &str, notes: &mut Vec<String>) {
    for (field, given, fixed) in
        [("connect_timeout", connect, usual), ("response_timeout", response, RESPONSE)]
    {
        if given != fixed {
            notes.push(format!("{at}.{field}: {given}: it is {fixed} in Route 53"));
        }
    }
}

/// Route 53 asks no address that only a private network has.
fn is_public(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let read = |url| read_url(url).map(|(protocol, target, path)| format!("{protocol} {target} {path}"));
        for (url, expected) in [
            ("https://a.example.com/health?x=1", "HTTPS a.example.com:443 /health?x=1"),
            ("http://a.example.com", "HTTP a.example.com:80 /"),
            ("http://a.example.com:8080?x", "HTTP a.example.com:8080 /?x"),
            ("https://[2001:db8::1]/", "HTTPS [2001:db8::1]:443 /"),
            ("https://192.0.2.1:8443/a", "HTTPS 192.0.2.1:8443 /a"),
        ] {
            assert_eq!(read(url).as_deref(), Some(expected), "{url}");
        }
        for url in ["", "ftp://a.example.com", "https://", "https://me@a.example.com/", "https://a.b/#c"] {
            assert_eq!(read(url), None, "{url}");
        }
    }
}
