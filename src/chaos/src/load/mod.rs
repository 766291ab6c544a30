//! What clients do meanwhile: an open loop of orders and reads through the edges, and the ledger of every
//! order.
//!
//! It owns requests as their clients know them. It must never know what is struck, nor read a database.

pub mod basket;
mod client;
mod dns;
pub mod pace;
mod record;

use crate::aside::Aside;
use crate::clock::Clock;
use crate::experiment::Load;
use crate::figures::Errors;
use crate::journal::{Fate, Order, Request, order_key};
use crate::target::Target;
use anyhow::{Context, Result, ensure};
pub(crate) use client::socket_address;
use client::{Asked, Client};
use dns::Resolvers;
use evenkeel_config::{Plan, RecordPolicy};
use evenkeel_policy::time::Millis;
use record::Record;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

pub use record::Traffic;

/// A shop takes customers' names of at most 100 characters: the run's name, a hyphen and a number.
const LONGEST_RUN: usize = 80;

/// A load that runs, on a thread of its own so that nothing else of the run can hold it up.
#[derive(Debug)]
pub struct Running {
    record: Arc<Record>,
    stop: watch::Sender<bool>,
    thread: Aside<()>,
}

/// Begins at once.
///
/// # Errors
/// If the target has no clients, or they cannot be sent anywhere; the message names the field.
pub fn start(target: &Target, load: &Load, run: &str, clock: &Clock) -> Result<Running> {
    ensure!(!target.clients.is_empty(), "clients: give at least one, or nobody sends anything");
    ensure!(run.len() <= LONGEST_RUN, "the run's name: {run}: use at most {LONGEST_RUN} characters");
    ensure!(load.rate > 0, "load.rate: 0: use at least 1 request per second");
    let clients: Vec<Client> =
        (0..target.clients.len()).map(|place| client(target, load, place)).collect::<Result<_>>()?;
    let regions = regions(target)?;
    let record = Arc::new(Record::new(clock.clone(), load.slow, regions));
    let (stop, stopped) = watch::channel(false);
    let sender = Sender {
        clients: clients.into_iter().map(Arc::new).collect(),
        record: record.clone(),
        clock: clock.clone(),
        run: run.to_owned(),
        orders: load.orders,
        patience: Duration::from_millis(load.patience.get()),
    };
    let rate = load.rate;
    let thread = Aside::start("load", move || async move {
        for client in &sender.clients {
            client.warm().await;
        }
        pace::run(Instant::now(), rate, stopped, |n, due| sender.leave(n, due)).await;
    })?;
    Ok(Running { record, stop, thread })
}

impl Running {
    /// Requests of the last `window`: those answered or given up, and as failures those that wait for longer
    /// than the load's `slow`.
    pub fn recent(&self, window: Millis) -> Errors {
        self.record.recent(window)
    }

    /// What ended in the last `window`, and what waits; nobody waits longer than `patience`.
    pub fn traffic(&self, window: Millis, patience: Millis) -> Traffic {
        self.record.traffic(window, patience)
    }

    /// Lets no more leave, and waits for the last answers, as long as a client's patience at most.
    pub async fn stop(self) -> (Vec<Request>, Vec<Order>) {
        self.stop.send(true).ok();
        // One that panicked has left its requests without answers: they stand as failures.
        self.thread.end().await.ok();
        self.record.whole()
    }
}

/// The regions that answers may come from, as in [`crate::journal::Journal::regions`]: the topology's, in its order.
fn regions(target: &Target) -> Result<Vec<String>> {
    Ok(plan(target)?.file.regions.iter().map(|region| region.name.clone()).collect())
}

fn plan(target: &Target) -> Result<Plan> {
    // Whose edge it would be rendered for does not matter here.
    let region = target.clients.first().map(|client| client.region.as_str());
    let plan = Plan::load(&target.topology, region);
    plan.map_err(|problems| anyhow::anyhow!("topology {}: {problems}", target.topology.display()))
}

fn client(target: &Target, load: &Load, number: usize) -> Result<Client> {
    let place = &target.clients[number];
    let (path, header) = (&target.orders_path, &target.region_header);
    if !load.follow_dns {
        return Client::of_edge(place, path, header);
    }
    ensure!(!target.dns.is_empty(), "dns: give the responders: load.follow-dns asks them");
    // One's own region's first, as a resolver nearby would.
    let (near, far): (Vec<_>, Vec<_>) = target.dns.iter().partition(|dns| dns.region == place.region);
    let servers: Vec<SocketAddr> =
        near.into_iter().chain(far).map(|dns| socket_address(&dns.address)).collect::<Result<_>>()?;
    let name = match &target.dns_name {
        Some(name) => name.clone(),
        None => first_name(&plan(target)?)?,
    };
    Client::of_dns(place, Resolvers::new(&name, &servers)?, &target.clients, path, header)
}

/// The first record that is answered by a policy.
fn first_name(plan: &Plan) -> Result<String> {
    let dns = plan.file.dns.as_ref().context("dns-name: give it: the topology has no dns")?;
    let chosen = |policy: Option<RecordPolicy>| policy.is_some_and(|policy| policy != RecordPolicy::Simple);
    let record = dns.records.iter().find(|record| chosen(record.policy));
    let record = record.context("dns-name: give it: the topology's dns has no record with a policy")?;
    Ok(if record.name == "@" { dns.zone.to_string() } else { format!("{}.{}", record.name, dns.zone) })
}

/// Sends what is due.
struct Sender {
    clients: Vec<Arc<Client>>,
    record: Arc<Record>,
    clock: Clock,
    run: String,
    orders: u8,
    patience: Duration,
}

impl Sender {
    /// The n-th request, on its way to its end.
    fn leave(&self, n: u64, due: Instant) -> impl Future<Output = ()> + Send + use<> {
        let at = (n % self.clients.len() as u64) as usize;
        let client = self.clients[at].clone();
        let (record, clock) = (self.record.clone(), self.clock.clone());
        let number = n as u32;
        let order = pace::scatter(n) % 100 < u64::from(self.orders);
        let asked =
            if order { Asked::Order(order_key(&self.run, number)) } else { client.read(n, clock.at(due)) };
        let given_up = due + self.patience;
        let slot = record.due(Request {
            due: clock.at(due),
            end: clock.at(given_up),
            client: at as u8,
            order,
            status: 0,
            region: None,
            sent: clock.at(given_up),
            reads: if let Asked::Read(read) = &asked { Some(read.number) } else { None },
        });
        async move {
            let sent = clock.now();
            let came = tokio::time::timeout_at(given_up.into(), client.send(&asked)).await.ok();
            let end = clock.now();
            if let (Asked::Order(key), Some(Fate::Acknowledged(id))) =
                (&asked, came.as_ref().map(|came| &came.fate))
            {
                client.learn(number, key, id, id != key, end);
            }
            let key = if let Asked::Order(key) = asked { Some(key) } else { None };
            record.ended(slot, sent, end, came, key);
        }
    }
}
