//! The clients of one region: what they send where, and what they know of their orders.
//!
//! A client repeats nothing: a request that fails has failed, and an order without an answer has an unknown
//! fate. It keeps its connections and makes new ones where they are closed, as a browser or an SDK does.

use super::basket::{Basket, Said};
use super::dns::Resolvers;
use super::pace::scatter;
use crate::http::{Connection, NoAnswer, Pool};
use crate::journal::{Fate, Ms};
use crate::target::Client as Place;
use anyhow::{Context, Result};
use bytes::Bytes;
use evenkeel_config::HostPort;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// An order is read when it was acknowledged so long ago: replication has had its time by then, and an
/// order that is not found is a failure.
const SETTLED: Ms = 3_000.0;

/// Of the settled orders, the last so many are read.
const REMEMBERED: usize = 1_000;

/// How long a client that has another address tries to connect to one: until TCP would try again.
const CONNECT: Duration = Duration::from_secs(1);

/// Connections opened before the first request.
const WARM: usize = 16;

/// The clients of one region.
#[derive(Debug)]
pub struct Client {
    country: String,
    way: Way,
    orders_path: String,
    region_header: String,
    known: Mutex<VecDeque<Known>>,
}

/// Where its requests go.
#[derive(Debug)]
enum Way {
    /// To its region's edge.
    Edge(Pool),
    /// To what DNS says.
    Dns { resolvers: Resolvers, edges: BTreeMap<IpAddr, Pool> },
}

/// An order that was acknowledged.
#[derive(Clone, Debug)]
struct Known {
    number: u32,
    key: String,
    id: String,
    /// Whether the shop says what an order is.
    telling: bool,
    since: Ms,
}

/// A request to send.
#[derive(Debug)]
pub enum Asked {
    /// A new order under this key.
    Order(String),
    /// An order that was acknowledged.
    Read(Read),
    /// The front page: no order is settled yet.
    Front,
}

/// Which order is read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its number in the run.
    pub number: u32,
    key: String,
    id: String,
    telling: bool,
}

/// What came of a request.
#[derive(Debug)]
pub struct Came {
    /// The answer's status; 0: none, or not the order asked for.
    pub status: u16,
    /// The region that says that it answered.
    pub region: Option<String>,
    /// An order's fate.
    pub fate: Fate,
}

impl Client {
    /// Clients that stay with their edge.
    ///
    /// # Errors
    /// If its address has no IP address.
    pub fn of_edge(place: &Place, orders_path: &str, region_header: &str) -> Result<Client> {
        let way = Way::Edge(Pool::new(socket_address(&place.edge)?));
        Ok(Client::new(place, way, orders_path, region_header))
    }

    /// Clients that follow DNS to any of these places.
    ///
    /// # Errors
    /// If a place has no address that DNS could give.
    pub fn of_dns(
        place: &Place,
        resolvers: Resolvers,
        places: &[Place],
        orders_path: &str,
        region_header: &str,
    ) -> Result<Client> {
        let mut edges = BTreeMap::new();
        for place in places {
            let address = place.dns_address.as_deref().and_then(|address| address.parse().ok());
            let address: IpAddr = address.with_context(|| {
                let region = &place.region;
                format!("clients of {region}: dns-address: give the address that DNS has for {region}'s edge")
            })?;
            edges.insert(address, Pool::new(socket_address(&place.edge)?));
        }
        Ok(Client::new(place, Way::Dns { resolvers, edges }, orders_path, region_header))
    }

    fn new(place: &Place, way: Way, orders_path: &str, region_header: &str) -> Client {
        Client {
            country: place.country.clone(),
            way,
            orders_path: orders_path.to_owned(),
            region_header: region_header.to_owned(),
            known: Mutex::default(),
        }
    }

    /// Opens connections ahead of use. Without them the first requests open their own.
    pub async fn warm(&self) {
        if let Way::Edge(pool) = &self.way {
            timeout(CONNECT, pool.warm(WARM)).await.ok();
        }
    }

    /// What a read at this moment asks for.
    pub fn read(&self, draw: u64, now: Ms) -> Asked {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settled = known.partition_point(|known| known.since <= now - SETTLED);
        while settled > REMEMBERED {
            known.pop_front();
            settled -= 1;
        }
        if settled == 0 {
            return Asked::Front;
        }
        let Known { number, key, id, telling, .. } = known[(scatter(draw) % settled as u64) as usize].clone();
        Asked::Read(Read { number, key, id, telling })
    }

    /// An order was acknowledged at this moment.
    pub fn learn(&self, number: u32, key: &str, id: &str, telling: bool, since: Ms) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, id) = (key.to_owned(), id.to_owned());
        known.push_back(Known { number, key, id, telling, since });
    }

    /// Sends a request and waits for its answer as long as it takes.
    pub async fn send(&self, asked: &Asked) -> Came {
        let answer = match &self.way {
            Way::Edge(pool) => match self.request(asked) {
                Ok(request) => pool.send(request).await,
                Err(_) => Err(NoAnswer::Broken),
            },
            Way::Dns { resolvers, edges } => match (connected(resolvers, edges).await, self.request(asked)) {
                (Some((pool, connection)), Ok(request)) => pool.send_on(connection, request).await,
                _ => Err(NoAnswer::Connect),
            },
        };
        let Ok(answer) = answer else {
            return Came { status: 0, region: None, fate: Fate::Unknown };
        };
        let region = answer.headers().get(&self.region_header).and_then(|value| value.to_str().ok());
        let region = region.map(str::to_owned);
        let (status, fate) = judged(asked, answer.status().as_u16(), answer.body());
        Came { status, region, fate }
    }

    fn request(&self, asked: &Asked) -> Result<Request<Full<Bytes>>> {
        let request = Request::builder().header(HOST, "shop.example").header("x-country-code", &self.country);
        let request = match asked {
            Asked::Front => request.uri("/").body(Full::default()),
            Asked::Read(read) => {
                request.uri(format!("{}/{}", self.orders_path, read.id)).body(Full::default())
            }
            Asked::Order(key) => request
                .method("POST")
                .uri(&self.orders_path)
                .header("idempotency-key", key)
                .header(CONTENT_TYPE, "application/json")
                .body(Full::from(Basket::of(key).body())),
        };
        Ok(request?)
    }
}

/// A connection to the first address that takes one, and its pool.
async fn connected<'a>(
    resolvers: &Resolvers,
    edges: &'a BTreeMap<IpAddr, Pool>,
) -> Option<(&'a Pool, Connection)> {
    for address in resolvers.addresses().await {
        let Some(pool) = edges.get(&address) else { continue };
        if let Ok(Ok(connection)) = timeout(CONNECT, pool.ready()).await {
            return Some((pool, connection));
        }
    }
    None
}

/// An answer is good when it says of the order what was asked for.
fn judged(asked: &Asked, status: u16, body: &[u8]) -> (u16, Fate) {
    let good = (200..300).contains(&status);
    match asked {
        Asked::Order(_) if !good => (status, Fate::Refused(status)),
        Asked::Order(key) => {
            let said = Said::read(body);
            match &said.id {
                // A target without orders of its own: its answer is all there is.
                None => (status, Fate::Acknowledged(key.clone())),
                Some(id) => (if said.is(key) { status } else { 0 }, Fate::Acknowledged(id.clone())),
            }
        }
        Asked::Read(read) if good && read.telling => {
            let said = Said::read(body);
            let right = said.id.as_deref() == Some(&read.id) && said.is(&read.key);
            (if right { status } else { 0 }, Fate::Unknown)
        }
        Asked::Read(_) | Asked::Front => (status, Fate::Unknown),
    }
}

/// The first IP address of a place.
///
/// # Errors
/// If it has none.
pub fn socket_address(place: &HostPort) -> Result<SocketAddr> {
    let found = (place.host(), place.port()).to_socket_addrs();
    let found = found.ok().and_then(|mut found| found.next());
    found.with_context(|| {
        format!("{place}: has no address: give a name that this machine knows, or an IP address")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn client() -> Client {
        let place = Place {
            region: "taiwan".to_owned(),
            edge: "127.0.0.1:1".parse().unwrap(),
            country: "TW".to_owned(),
            dns_address: None,
        };
        Client::of_edge(&place, "/orders", "x-demo-region").unwrap()
    }

    #[test]
    fn an_order_is_read_when_it_is_settled_and_not_before() {
        let client = client();
        assert!(matches!(client.read(1, 9_999.0), Asked::Front));
        client.learn(5, "run-5", "five", true, 1_000.0);
        client.learn(6, "run-6", "six", true, 2_000.0);
        assert!(matches!(client.read(1, 3_999.0), Asked::Front));
        for draw in 0..20 {
            assert!(matches!(client.read(draw, 4_000.0), Asked::Read(Read { number: 5, .. })));
        }
        let both =
            (0..20).filter(|draw| matches!(client.read(*draw, 5_000.0), Asked::Read(Read { number: 6, .. })));
        assert!((1..20).contains(&both.count()));
    }

    #[test]
    fn an_answer_that_is_not_what_was_asked_for_is_none() {
        let body = |customer: &str, id: &str, more: i64| {
            let total = Basket::of("run-5").total_cents() + more;
            json!({"id": id, "customer": customer, "total_cents": total}).to_string().into_bytes()
        };
        let read = Asked::Read(Read { number: 5, key: "run-5".into(), id: "five".into(), telling: true });
        let order = Asked::Order("run-5".to_owned());
        let five = Fate::Acknowledged("five".to_owned());
        assert_eq!(judged(&read, 200, &body("run-5", "five", 0)).0, 200);
        assert_eq!(judged(&read, 200, &body("run-5", "six", 0)).0, 0);
        assert_eq!(judged(&read, 200, &body("run-5", "five", 1)).0, 0);
        assert_eq!(judged(&read, 200, b"").0, 0);
        assert_eq!(judged(&read, 404, b"").0, 404);
        assert_eq!(judged(&order, 201, &body("run-5", "five", 0)), (201, five.clone()));
        assert_eq!(judged(&order, 201, &body("run-5", "five", 1)), (0, five));
        assert_eq!(judged(&order, 503, b"{}"), (503, Fate::Refused(503)));
        // A demo region knows no orders.
        assert_eq!(judged(&order, 200, b"{}"), (200, Fate::Acknowledged("run-5".to_owned())));
    }
}
