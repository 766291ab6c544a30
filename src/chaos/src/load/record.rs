//! Every request from the moment that it is due: one whose answer never comes stands there as a failure.

use super::basket::Basket;
use super::client::Came;
use crate::clock::Clock;
use crate::figures::Errors;
use crate::journal::{Fate, Order, Request};
use evenkeel_policy::time::Millis;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The requests in the order in which they were due, and the ledger.
#[derive(Debug)]
pub struct Record {
    clock: Clock,
    slow: f64,
    regions: Vec<String>,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    requests: Vec<(Request, bool)>,
    ledger: Vec<Order>,
}

impl Record {
    /// Nothing yet.
    pub fn new(clock: Clock, slow: Millis, regions: Vec<String>) -> Record {
        Record { clock, slow: slow.get() as f64, regions, log: Mutex::default() }
    }

    /// A request is due; it is written down as one that is never answered. Gives its place.
    pub fn due(&self, request: Request) -> usize {
        let mut log = self.log();
        log.requests.push((request, false));
        log.requests.len() - 1
    }

    /// The request at this place was answered, or given up (none). `key`: it is an order.
    pub fn ended(&self, place: usize, sent: f64, end: f64, came: Option<Came>, key: Option<String>) {
        let came = came.unwrap_or(Came { status: 0, region: None, fate: Fate::Unknown });
        let region = came.region.and_then(|name| self.regions.iter().position(|region| *region == name));
        let mut log = self.log();
        let Some((request, ended)) = log.requests.get_mut(place) else { return };
        *ended = true;
        request.sent = sent;
        request.end = end;
        request.status = came.status;
        request.region = region.map(|region| region as u8);
        let request = *request;
        if let Some(key) = key {
            let total_cents = Basket::of(&key).total_cents();
            let Request { due, client, .. } = request;
            log.ledger.push(Order { key, due, end, client, total_cents, fate: came.fate });
        }
    }

    /// Requests of the last `window`; those unanswered for longer than `slow` are failures.
    pub fn recent(&self, window: Millis) -> Errors {
        let now = self.clock.now();
        let mut errors = Errors::default();
        for (request, ended) in self.log().requests.iter().rev() {
            if request.due < now - window.get() as f64 {
                break;
            }
            if *ended || now - request.due > self.slow {
                errors.requests += 1;
                errors.failed += u64::from(!(*ended && request.is_good()));
            }
        }
        errors
    }

    /// All of it, in the order in which it was due.
    pub fn whole(&self) -> (Vec<Request>, Vec<Order>) {
        let mut log = std::mem::take(&mut *self.log());
        log.ledger.sort_by(|a, b| a.due.total_cmp(&b.due));
        (log.requests.into_iter().map(|(request, _)| request).collect(), log.ledger)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
