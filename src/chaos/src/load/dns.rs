//! A client's resolver: asks whoever of the zone's servers answers, and keeps the answer as long as its TTL
//! says, as browsers and systems do. Without an answer there is no address: an old one is not taken.

use anyhow::{Context, Result};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::A;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long one server may take before the next is asked.
const PATIENCE: Duration = Duration::from_secs(1);

/// The resolver of one region's clients.
#[derive(Debug)]
pub struct Resolver {
    name: Name<Vec<u8>>,
    servers: Vec<SocketAddr>,
    /// Held while it asks, so that all who wait share the answer.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Resolver {
    /// `servers` in the order in which they are asked.
    ///
    /// # Errors
    /// If the name is none.
    pub fn new(name: &str, servers: Vec<SocketAddr>) -> Result<Resolver> {
        let name = name.parse().with_context(|| format!("dns-name: \"{name}\" is no name of DNS"))?;
        Ok(Resolver { name, servers, kept: Mutex::new(None) })
    }

    /// The name's addresses, in the order of the answer; none if nobody answers.
    pub async fn addresses(&self) -> Vec<IpAddr> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.until) {
            return kept.addresses.clone();
        }
        *kept = None;
        for server in &self.servers {
            if let Ok(Ok((addresses, ttl))) = timeout(PATIENCE, self.ask(*server)).await {
                *kept = Some(Kept { addresses: addresses.clone(), until: Instant::now() + ttl });
                return addresses;
            }
        }
        Vec::new()
    }

    async fn ask(&self, server: SocketAddr) -> Result<(Vec<IpAddr>, Duration)> {
        let mut question = MessageBuilder::new_vec();
        let id: u16 = rand::random();
        question.header_mut().set_id(id);
        question.header_mut().set_rd(true);
        let mut question = question.question();
        question.push((&self.name, Rtype::A, Class::IN))?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(server).await?;
        socket.send(&question.finish()).await?;
        let mut buffer = [0; 1500];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let Some(Ok(answer)) = buffer.get(..length).map(Message::from_octets) else { continue };
            // What belongs to another question is nobody's.
            if answer.header().id() == id && answer.header().qr() {
                return read(&answer);
            }
        }
    }
}

fn read(answer: &Message<&[u8]>) -> Result<(Vec<IpAddr>, Duration)> {
    let rcode = answer.header().rcode();
    anyhow::ensure!(rcode == Rcode::NOERROR, "{rcode}");
    let mut ttl = Duration::MAX;
    let mut addresses = Vec::new();
    for record in answer.answer()?.limit_to::<A>() {
        let record = record?;
        ttl = ttl.min(record.ttl().into_duration());
        addresses.push(IpAddr::V4(record.data().addr()));
    }
    anyhow::ensure!(!addresses.is_empty(), "no address");
    Ok((addresses, ttl))
}
