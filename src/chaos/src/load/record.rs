//! Every request from the moment that it is due: one whose answer never comes stands there as a failure.

use super::basket::Basket;
use super::client::Came;
use crate::clock::Clock;
use crate::figures::Errors;
use crate::journal::{Fate, Order, Request};
use evenkeel_policy::time::Millis;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How requests fare at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Answered of late, well or not, or given up.
    pub ended: Errors,
    /// Still without an answer after longer than `slow`.
    pub waiting: u64,
}

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

    /// What ended in the last `window`, whenever it was due, and what waits. Nothing that is due waits longer
    /// than `patience`.
    pub fn traffic(&self, window: Millis, patience: Millis) -> Traffic {
        let now = self.clock.now();
        let (since, oldest) = (now - window.get() as f64, now - (window.get() + patience.get()) as f64);
        let mut traffic = Traffic::default();
        for (request, ended) in
            self.log().requests.iter().rev().take_while(|(request, _)| request.due >= oldest)
        {
            if *ended && request.end >= since {
                traffic.ended.requests += 1;
                traffic.ended.failed += u64::from(!request.is_good());
            }
            traffic.waiting += u64::from(!*ended && now - request.due > self.slow);
        }
        traffic
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_too_long_is_a_failure_before_it_is_given_up() {
        let clock = Clock::start();
        let record = Record::new(clock.clone(), Millis::new(100), vec!["taiwan".to_owned()]);
        // The clock is past all of these.
        while clock.now() < 3.0 {}
        let due = |due| Request {
            due,
            end: due + 30_000.0,
            client: 0,
            order: true,
            status: 0,
            region: None,
            sent: due + 30_000.0,
            reads: None,
        };
        let came = |status, fate| Some(Came { status, region: Some("taiwan".to_owned()), fate });
        let places: Vec<usize> = [-500.0, 0.0, 1.0, 2.0].into_iter().map(|at| record.due(due(at))).collect();
        // One has waited for half a second, the others for milliseconds.
        assert_eq!(record.recent(Millis::new(10_000)), Errors { requests: 1, failed: 1 });
        let traffic = |patience| record.traffic(Millis::new(10_000), Millis::new(patience));
        assert_eq!(traffic(30_000), Traffic { ended: Errors::default(), waiting: 1 });
        let key = |n| Some(format!("run-{n}"));
        record.ended(places[2], 1.0, 2.0, came(201, Fate::Acknowledged("x".to_owned())), key(2));
        record.ended(places[1], 0.5, 2.0, came(503, Fate::Refused(503)), key(1));
        record.ended(places[3], 2.0, 3.0, None, key(3));
        assert_eq!(record.recent(Millis::new(10_000)), Errors { requests: 4, failed: 3 });
        assert_eq!(traffic(30_000), Traffic { ended: Errors { requests: 3, failed: 2 }, waiting: 1 });
        // What ended long ago is not told again.
        let now = record.traffic(Millis::new(0), Millis::new(30_000));
        assert_eq!(now, Traffic { ended: Errors::default(), waiting: 1 });
        let (requests, ledger) = record.whole();
        let statuses: Vec<u16> = requests.iter().map(|request| request.status).collect();
        assert_eq!(statuses, [0, 503, 201, 0]);
        assert_eq!((requests[1].region, requests[0].region), (Some(0), None));
        let fates: Vec<&Fate> = ledger.iter().map(|order| &order.fate).collect();
        assert_eq!(fates, [&Fate::Refused(503), &Fate::Acknowledged("x".to_owned()), &Fate::Unknown]);
        assert_eq!(ledger[0].total_cents, Basket::of("run-1").total_cents());
    }
}
