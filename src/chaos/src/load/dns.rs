//! Clients' resolvers: each asks whoever of the zone's servers answers, and keeps the answer as long as its TTL
//! says, as browsers and systems do. Without an answer there is no address: an old one is not taken.
//!
//! There are many, since one alone would stand for all: by luck every client of a region, or none, would
//! remember the address that is about to die.

use anyhow::{Context, Result};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::A;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long one server may take before the next is asked.
const PATIENCE: Duration = Duration::from_secs(1);

/// Resolvers of one region's clients.
const RESOLVERS: u32 = 32;

/// The resolvers of one region's clients, which take turns.
#[derive(Debug)]
pub struct Resolvers {
    all: Vec<Resolver>,
    turn: AtomicUsize,
}

impl Resolvers {
    /// `servers` in the order in which they are asked. What resolvers remember at first is of every age, as
    /// everywhere where people come and go: they do not all ask again in the same moment.
    ///
    /// # Errors
    /// If the name is none.
    pub fn new(name: &str, servers: &[SocketAddr]) -> Result<Resolvers> {
        let age = |number: u32| f64::from(number) / f64::from(RESOLVERS);
        let resolver = |number| Resolver::new(name, servers.to_vec(), age(number));
        Ok(Resolvers { all: (0..RESOLVERS).map(resolver).collect::<Result<_>>()?, turn: AtomicUsize::new(0) })
    }

    /// The addresses that the next client has, in the order of the answer; none if nobody answers.
    pub async fn addresses(&self) -> Vec<IpAddr> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match self.all.get(turn % self.all.len().max(1)) {
            Some(resolver) => resolver.addresses().await,
            None => Vec::new(),
        }
    }
}

/// One resolver.
#[derive(Debug)]
struct Resolver {
    name: Name<Vec<u8>>,
    servers: Vec<SocketAddr>,
    /// How much of its first answer's life has passed, of 1.
    age: f64,
    /// Held while it asks, so that all who wait share the answer.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    addresses: Vec<IpAddr>,
    until: Instant,
}

impl Resolver {
    fn new(name: &str, servers: Vec<SocketAddr>, age: f64) -> Result<Resolver> {
        let name = name.parse().with_context(|| format!("dns-name: \"{name}\" is no name of DNS"))?;
        Ok(Resolver { name, servers, age, kept: Mutex::new(None) })
    }

    async fn addresses(&self) -> Vec<IpAddr> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.until) {
            return kept.addresses.clone();
        }
        let lives = if kept.is_none() { 1.0 - self.age } else { 1.0 };
        // It stays where it was, so that its next answer is no first one; but nobody is given it.
        for server in &self.servers {
            if let Ok(Ok((addresses, ttl))) = timeout(PATIENCE, self.ask(*server)).await {
                *kept =
                    Some(Kept { addresses: addresses.clone(), until: Instant::now() + ttl.mul_f64(lives) });
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::Ttl;
    use std::sync::Arc;

    /// Answers every question with two addresses, or says nothing.
    async fn server(ttl: u32, answers: bool) -> (SocketAddr, Arc<AtomicUsize>) {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counter = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                counter.fetch_add(1, Ordering::SeqCst);
                let question = Message::from_octets(&buffer[..length]).unwrap();
                let mut answer = MessageBuilder::new_vec().start_answer(&question, Rcode::NOERROR).unwrap();
                for last in [10, 20] {
                    let name = question.sole_question().unwrap().into_qname();
                    let address = A::new(Ipv4Addr::new(192, 0, 2, last));
                    answer.push((name, Class::IN, Ttl::from_secs(ttl), address)).unwrap();
                }
                if answers {
                    // Nobody asked for it: it must not be taken.
                    let mut other = answer.clone();
                    other.header_mut().set_id(question.header().id().wrapping_add(1));
                    other.header_mut().set_rcode(Rcode::SERVFAIL);
                    socket.send_to(&other.finish(), from).await.unwrap();
                    socket.send_to(&answer.finish(), from).await.unwrap();
                }
            }
        });
        (address, asked)
    }

    fn both() -> Vec<IpAddr> {
        vec![Ipv4Addr::new(192, 0, 2, 10).into(), Ipv4Addr::new(192, 0, 2, 20).into()]
    }

    #[tokio::test]
    async fn an_answer_is_kept_for_its_ttl_and_no_longer() {
        for (ttl, questions) in [(3600, 1), (0, 3)] {
            let (address, asked) = server(ttl, true).await;
            let resolver = Resolver::new("api.example.com", vec![address], 0.0).unwrap();
            for _ in 0..3 {
                assert_eq!(resolver.addresses().await, both());
            }
            assert_eq!(asked.load(Ordering::SeqCst), questions, "TTL {ttl}");
        }
    }

    #[tokio::test]
    async fn each_resolver_remembers_by_itself_and_first_answers_are_of_every_age() {
        let (address, asked) = server(2, true).await;
        let resolvers = Resolvers::new("api.example.com", &[address]).unwrap();
        let ask_all = async || {
            for _ in 0..RESOLVERS {
                assert_eq!(resolvers.addresses().await, both());
            }
        };
        ask_all().await;
        assert_eq!(asked.load(Ordering::SeqCst), RESOLVERS as usize);
        // Half of a first life later about half of them ask again, and not all.
        tokio::time::sleep(Duration::from_secs(1)).await;
        ask_all().await;
        let again = asked.load(Ordering::SeqCst) - RESOLVERS as usize;
        assert!((10..=24).contains(&again), "{again} of {RESOLVERS}");
    }

    #[tokio::test]
    async fn who_is_silent_is_passed_over_and_nobody_gives_no_address() {
        let (silent, asked) = server(0, false).await;
        let (speaking, _) = server(0, true).await;
        let resolver = Resolver::new("api.example.com", vec![silent, speaking], 0.0).unwrap();
        assert_eq!(resolver.addresses().await, both());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let resolver = Resolver::new("api.example.com", vec![silent], 0.0).unwrap();
        assert_eq!(resolver.addresses().await, Vec::<IpAddr>::new());
        assert!(Resolvers::new("no name..", &[]).is_err());
    }
}
