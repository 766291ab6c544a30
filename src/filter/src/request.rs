//! One request: what it says of itself in, headers and an outcome out.

use crate::edge::Edge;
use crate::host::{Attribute, Exchange, Host};
use crate::outcome::Finish;
use arrayvec::ArrayVec;
use evenkeel_policy::breaker::Permit;
use evenkeel_policy::decision::{Decision, Hop, Refusal, Request, decide};
use evenkeel_policy::engine::Attempt;
use evenkeel_policy::geography::{Continent, Country};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::time::Time;
use evenkeel_policy::topology::{StickyKey, Topology};
use evenkeel_policy::words::{Outcome, Reason};
use http::StatusCode;
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// The region to try first.
pub const REGION: &str = "x-evenkeel-region";
/// The region to try next.
pub const FALLBACK: &str = "x-evenkeel-fallback";
/// Why, on the response.
pub const DECISION: &str = "x-evenkeel-decision";
/// The region whose edge sent the request on.
pub const HOP: &str = "x-evenkeel-hop";
/// What proves that an edge did.
pub const HOP_SECRET: &str = "x-evenkeel-hop-secret";

/// What is remembered of a request until its end.
#[derive(Debug)]
pub struct Tracked {
    configuration: u32,
    /// The regions that Envoy's route may try.
    order: ArrayVec<RegionId, 2>,
    permit: Option<Permit>,
    started: Time,
    grpc: bool,
    /// The response's decision header, where it is asked for.
    shown: Option<String>,
}

/// What a request's headers say.
#[derive(Debug, Default)]
struct Said {
    country: Option<Country>,
    continent: Option<Continent>,
    key: Option<u64>,
    safe: bool,
    grpc: bool,
    hop: Option<Vec<u8>>,
    hop_secret: Option<Vec<u8>>,
    sent_fallback: bool,
    /// Headers that no client may send.
    unwanted: Vec<String>,
}

impl Said {
    fn read(topology: &Topology, exchange: &impl Exchange) -> Self {
        let mut said = Said::default();
        let (country_header, continent_header) =
            (topology.country_header.as_bytes(), topology.continent_header.as_deref().map(str::as_bytes));
        let key_header = match &topology.sticky {
            StickyKey::Header(name) => name.as_bytes(),
            StickyKey::Cookie(_) => b"cookie",
            StickyKey::None | StickyKey::ClientIp => b"",
        };
        exchange.each_request_header(&mut |name, value| {
            if name == b":method" {
                said.safe = topology.is_safe(value);
            } else if name == country_header {
                // The last one counts: what stands in front adds its own behind a client's.
                said.country = Country::parse(value.trim_ascii());
            } else if name == b"content-type" {
                said.grpc = value.starts_with(b"application/grpc");
            } else if let Some(rest) = name.strip_prefix(b"x-e") {
                said.see_own(name, rest, value);
            }
            if continent_header.is_some_and(|header| header == name) {
                said.continent = Continent::parse(value.trim_ascii());
            }
            if !key_header.is_empty() && name == key_header {
                let key = match &topology.sticky {
                    StickyKey::Cookie(cookie) => cookie_value(value, cookie),
                    _ => Some(value),
                };
                said.key = said.key.or(key.map(|key| topology.seed.digest(key)));
            }
        });
        said
    }

    /// A header whose name begins with `x-e`: ours, or one by which Envoy lets clients steer retries.
    fn see_own(&mut self, name: &[u8], rest: &[u8], value: &[u8]) {
        if let Some(own) = rest.strip_prefix(b"venkeel-") {
            match own {
                // Written anew for every request, so it need not be removed first.
                b"region" => return,
                b"fallback" => {
                    self.sent_fallback = true;
                    return;
                }
                b"hop" => self.hop = Some(value.to_vec()),
                b"hop-secret" => self.hop_secret = Some(value.to_vec()),
                _ => {}
            }
        } else if !rest.strip_prefix(b"nvoy-").is_some_and(steers_retries) {
            return;
        }
        if let Ok(name) = std::str::from_utf8(name) {
            self.unwanted.push(name.to_owned());
        }
    }
}

fn steers_retries(name: &[u8]) -> bool {
    name == b"max-retries"
        || name == b"attempt-count"
        || [&b"retry-"[..], b"retriable-", b"hedge-", b"upstream-rq-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// The value of a cookie in a `cookie` header.
fn cookie_value<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    header.split(|byte| *byte == b';').find_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}

impl<H: Host> Edge<H> {
    /// Decides a request and writes the decision where Envoy's route reads it. None if it was
    /// answered here.
    pub fn on_request(&mut self, exchange: &impl Exchange) -> Option<Tracked> {
        let now = self.about_now();
        let topology = self.engine.topology();
        let mut said = Said::read(topology, exchange);
        for name in &said.unwanted {
            exchange.set_request_header(name, None);
        }
        if !topology.trusted_proxies.is_empty() && !topology.trusts(peer(exchange)) {
            (said.country, said.continent) = (None, None);
        }
        if topology.sticky == StickyKey::ClientIp {
            let client = exchange.attribute(Attribute::SourceAddress);
            said.key = client.map(|address| topology.seed.digest(without_port(&address)));
        }
        let request = Request {
            country: said.country,
            continent: said.continent,
            key: said.key,
            safe: said.safe,
            hop: hop(topology, &said),
        };
        let random = if request.key.is_some() { 0.0 } else { self.draws.unit() };
        let (decision, permit) = self.decide(&request, random);
        self.metrics.decided(decision.first(), decision.reason);
        let topology = self.engine.topology();
        let shown = topology.debug_header.then(|| in_words(topology, &decision));
        if let Some(refusal) = decision.refusal() {
            refuse(exchange, refusal, shown.as_deref());
            return None;
        }
        let order: ArrayVec<RegionId, 2> = decision.order.iter().copied().take(2).collect();
        write_order(topology, exchange, &order, said.sent_fallback);
        Some(Tracked {
            configuration: self.configuration,
            order,
            permit,
            started: now,
            grpc: said.grpc,
            shown,
        })
    }

    /// Writes why, if the configuration asks for it.
    pub fn on_response(&self, exchange: &impl Exchange, tracked: &Tracked) {
        if let Some(shown) = &tracked.shown {
            exchange.set_response_header(DECISION, shown.as_bytes());
        }
    }

    /// Takes in what came of each attempt.
    pub fn on_finish(&mut self, exchange: &impl Exchange, tracked: &Tracked) {
        let finish = Finish::of(exchange, tracked.grpc);
        if tracked.configuration != self.configuration {
            // Its regions may stand elsewhere now; a trial's permit comes back by its time-out.
            return;
        }
        let duration = self.about_now().since(tracked.started);
        let attempts = usize::try_from(finish.attempts).unwrap_or(1).max(1);
        let tried = tracked.order.get(..attempts.min(tracked.order.len())).unwrap_or_default();
        let poison = finish.is_poison(tried.len());
        for (place, region) in tried.iter().copied().enumerate() {
            let last = place + 1 == tried.len();
            let outcome = match (poison, last) {
                (true, _) => Outcome::Ignored,
                (false, true) => finish.last(),
                // Envoy left it for the next region: it did not answer as it should.
                (false, false) => Outcome::Error,
            };
            self.metrics.attempted(region, outcome);
            let permit = tracked.permit.filter(|_| place == 0);
            self.note(Attempt { region, permit, outcome, duration });
        }
    }

    fn decide(&mut self, request: &Request, random: f64) -> (Decision, Option<Permit>) {
        let decision = decide(self.engine.topology(), self.engine.view(), request, random);
        if decision.reason == Reason::Trial {
            // The permits of a half-open region are counted over the whole process.
            let now = self.host.now();
            return self.change(now, |engine| engine.route(now, request, random));
        }
        let permit = decision.first().and_then(|first| self.engine.permit(first));
        (decision, permit)
    }
}

fn write_order(topology: &Topology, exchange: &impl Exchange, order: &[RegionId], sent_fallback: bool) {
    let name = |id: RegionId| topology.name(id).as_bytes();
    if let Some(first) = order.first() {
        exchange.set_request_header(REGION, Some(name(*first)));
    }
    match order.get(1) {
        Some(next) => exchange.set_request_header(FALLBACK, Some(name(*next))),
        None if sent_fallback => exchange.set_request_header(FALLBACK, None),
        None => {}
    }
    if let (Some(hop), Some(local)) = (&topology.hop, topology.local) {
        let crosses = |id: &RegionId| *id != local && topology.region(*id).is_some_and(|region| region.edge);
        if order.iter().any(crosses) {
            exchange.set_request_header(HOP, Some(name(local)));
            exchange.set_request_header(HOP_SECRET, Some(hop.secret.as_bytes()));
        }
    }
}

fn hop(topology: &Topology, said: &Said) -> Hop {
    let (Some(hop), Some(mark), Some(secret)) = (&topology.hop, &said.hop, &said.hop_secret) else {
        return Hop::None;
    };
    if !bool::from(hop.secret.as_bytes().ct_eq(secret)) {
        return Hop::None;
    }
    let here = topology.local.is_some_and(|local| topology.name(local).as_bytes() == mark.as_slice());
    if here { Hop::Here } else { Hop::Elsewhere }
}

fn peer(exchange: &impl Exchange) -> Option<IpAddr> {
    let address =
        exchange.attribute(Attribute::Peer).or_else(|| exchange.attribute(Attribute::SourceAddress))?;
    let text = std::str::from_utf8(&address).ok()?;
    text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()
}

/// `10.0.0.1:5000` and `[::1]:5000` without the port: a client keeps its region over connections.
fn without_port(address: &[u8]) -> &[u8] {
    match address.iter().rposition(|byte| *byte == b':') {
        Some(colon) => address.get(..colon).unwrap_or(address),
        None => address,
    }
}

fn refuse(exchange: &impl Exchange, refusal: Refusal, shown: Option<&str>) {
    let (status, body) = match refusal {
        Refusal::NoRegion => (StatusCode::SERVICE_UNAVAILABLE, "no region is eligible\n"),
        Refusal::Loop => (StatusCode::LOOP_DETECTED, "this request was sent round in a circle\n"),
    };
    let headers: &[(&str, &str)] = match &shown {
        Some(shown) => &[(DECISION, shown)],
        None => &[],
    };
    exchange.respond(status, headers, body);
}

fn in_words(topology: &Topology, decision: &Decision) -> String {
    let region = decision.first().map_or("none", |id| topology.name(id));
    let mut words = format!("region={region} reason={}", decision.reason);
    if let Some(from) = decision.from {
        words.push_str(" from=");
        words.push_str(topology.name(from));
    }
    if let Some(cause) = decision.cause {
        words.push_str(" cause=");
        words.push_str(cause.as_str());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let rows: [(&[u8], Option<&[u8]>); 6] = [
            (b"sid=abc", Some(b"abc")),
            (b"a=1; sid=abc; b=2", Some(b"abc")),
            (b"xsid=1;sid=\xff\xfe", Some(b"\xff\xfe")),
            (b"sid=", None),
            (b"sidx=1", None),
            (b"", None),
        ];
        for (header, value) in rows {
            assert_eq!(cookie_value(header, "sid"), value);
        }
    }

    #[test]
    fn a_client_is_known_by_its_address_alone() {
        for (address, client) in [("10.0.0.1:80", "10.0.0.1"), ("[::1]:80", "[::1]"), ("pipe", "pipe")] {
            assert_eq!(without_port(address.as_bytes()), client.as_bytes());
        }
    }
}
