//! The shop's customers.

use crate::platform::{REGIONS, SOON, country, edge};
use evenkeel_tests::{Reply, Request, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Between two orders of a region's customers.
const PACE: Duration = Duration::from_millis(200);

pub fn key(name: &str, number: usize) -> String {
    format!("{name}-{}-{number}", std::process::id())
}

/// An order by a customer of this region, at this region's edge.
pub async fn order(region: &str, key: &str, quantity: u32) -> Result<Reply, String> {
    let body =
        json!({"customer": "ada", "items": [{"sku": "tea", "quantity": quantity, "price_cents": 450}]});
    Request::post()
        .path("/orders")
        .from(country(region))
        .header("idempotency-key", key)
        .header("content-type", "application/json")
        .body(body.to_string().as_bytes())
        .send(edge(region))
        .await
}

pub fn id(reply: &Reply) -> String {
    let order: Value = serde_json::from_slice(&reply.body).expect("an order is JSON");
    order["id"].as_str().expect("an order has a number").to_owned()
}

pub async fn read(region: &str, id: &str) -> Result<Reply, String> {
    Request::get().path(&format!("/orders/{id}")).from(country(region)).send(edge(region)).await
}

/// An order that both regions can read.
pub async fn known_order(name: &str) -> String {
    let reply = order("taiwan", &key(name, 0), 1).await.expect("an answer");
    assert_eq!(reply.status, 201, "{}", reply.text());
    let id = id(&reply);
    for region in REGIONS {
        until("it is read there", SOON, async || {
            read(region, &id).await.ok().filter(|reply| reply.status == 200)
        })
        .await;
    }
    id
}

/// One order of a stream, and what came of it.
#[derive(Debug)]
pub struct Ordered {
    pub key: String,
    pub begun: Instant,
    pub ended: Instant,
    pub answer: Result<Reply, String>,
}

impl Ordered {
    pub fn taken(&self) -> bool {
        self.answer.as_ref().is_ok_and(|reply| [200, 201].contains(&reply.status))
    }

    pub fn took(&self) -> Duration {
        self.ended - self.begun
    }
}

/// Orders in both regions, each on its own way: nobody waits for the customer before.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    customers: JoinSet<Vec<Ordered>>,
}

impl Stream {
    /// Begins in the regions given.
    pub fn start(name: &'static str, regions: &[&'static str]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let taken = Arc::new(AtomicUsize::new(0));
        let mut customers = JoinSet::new();
        for region in regions {
            customers.spawn(customers_of(name, region, Arc::clone(&stop), Arc::clone(&taken)));
        }
        Stream { stop, taken, customers }
    }

    /// Waits until so many more orders have been taken.
    pub async fn taken(&self, more: usize) {
        let enough = self.taken.load(Ordering::Relaxed) + more;
        until(&format!("{more} more orders are taken"), SOON, async || {
            (self.taken.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    }

    /// Takes no more, waits for every answer, and tells them in the order of asking.
    pub async fn stop(mut self) -> Vec<Ordered> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(some) = self.customers.join_next().await {
            all.extend(some.expect("the customers live"));
        }
        all.sort_by_key(|ordered| ordered.begun);
        all
    }
}

async fn customers_of(
    name: &'static str,
    region: &'static str,
    stop: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
) -> Vec<Ordered> {
    let mut ticks = tokio::time::interval(PACE);
    let mut waiting = JoinSet::new();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        number += 1;
        let key = key(&format!("{name}-{region}"), number);
        let taken = Arc::clone(&taken);
        waiting.spawn(async move {
            let begun = Instant::now();
            let answer = order(region, &key, 1).await;
            let ordered = Ordered { key, begun, ended: Instant::now(), answer };
            taken.fetch_add(usize::from(ordered.taken()), Ordering::Relaxed);
            ordered
        });
    }
    let mut all = Vec::new();
    while let Some(one) = waiting.join_next().await {
        all.push(one.expect("a customer lives"));
    }
    all
}
