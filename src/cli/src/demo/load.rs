//! The load: an open loop. Requests leave when the schedule says, whether or not earlier ones
//! were answered, and latency counts from the schedule, so a stall cannot hide itself.

use super::journal::{Country, Journal, Method, Record, Region};
use super::region::REGION_HEADER;
use bytes::Bytes;
use evenkeel_chaos::http::{NoAnswer, Pool};
use evenkeel_chaos::load::pace::{self, scatter};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long the client waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Connections opened before the first request.
const CONNECTIONS: usize = 64;

/// The response header in which the filter tells its decision.
const DECISION_HEADER: &str = "x-evenkeel-decision";

/// A request as planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub due: Duration,
    pub method: Method,
    pub country: Country,
}

/// The schedule: evenly spaced arrivals, mixed by a fixed hash, so that two runs send the same.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    pub first: Duration,
    /// Requests per second.
    pub rate: u32,
}

impl Schedule {
    /// The n-th request: 20 % POST; 40 % TW, 30 % JP, 15 % DE, 15 % US.
    pub fn request(&self, n: u64) -> Planned {
        let draw = scatter(n);
        Planned {
            due: self.first + pace::due(n, self.rate),
            method: if draw % 100 < 20 { Method::Post } else { Method::Get },
            country: match (draw >> 32) % 100 {
                0..40 => Country::Taiwan,
                40..70 => Country::Japan,
                70..85 => Country::Germany,
                _ => Country::UnitedStates,
            },
        }
    }
}

/// Sends until `stop` turns true, then waits for the last answers (as long as [`PATIENCE`]).
pub async fn run(edge: SocketAddr, rate: u32, journal: Arc<Journal>, stop: watch::Receiver<bool>) {
    let pool = Arc::new(Pool::new(edge));
    // Without them the first requests open their own; nothing is lost.
    pool.warm(CONNECTIONS).await.ok();
    let schedule = Schedule { first: journal.now(), rate };
    let first = journal.instant(schedule.first);
    let leave = |n, _| send(pool.clone(), journal.clone(), schedule.request(n), n);
    pace::run(first, rate, stop, leave).await;
}

async fn send(pool: Arc<Pool>, journal: Arc<Journal>, planned: Planned, n: u64) {
    let Some(request) = request(&planned, n) else { return };
    let sent = journal.now();
    journal.sent();
    let deadline = journal.instant(planned.due + PATIENCE);
    let answer = match tokio::time::timeout_at(deadline.into(), pool.send(request)).await {
        Ok(answer) => answer,
        Err(_) => Err(NoAnswer::Timeout),
    };
    journal.ended(record(&planned, sent, journal.now(), answer));
}

fn request(planned: &Planned, n: u64) -> Option<Request<Full<Bytes>>> {
    let request = Request::builder()
        .uri(format!("/orders/{n}"))
        .header(HOST, "demo.example")
        .header("x-country-code", planned.country.code());
    match planned.method {
        Method::Get => request.method("GET").body(Full::default()),
        Method::Post => request
            .method("POST")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(format!("{{\"order\":{n}}}")))),
    }
    .ok()
}

fn record(
    planned: &Planned,
    sent: Duration,
    end: Duration,
    answer: Result<Response<Bytes>, NoAnswer>,
) -> Record {
    let headers = answer.as_ref().map(|response| response.headers().clone()).unwrap_or_default();
    let decision = text(&headers, DECISION_HEADER);
    Record {
        due: planned.due,
        sent,
        end,
        method: planned.method,
        country: planned.country,
        outcome: answer.map(|response| response.status().as_u16()),
        answered_by: Region::from_name(text(&headers, REGION_HEADER)),
        first_choice: word(decision, "region").and_then(Region::from_name),
        trial: word(decision, "reason") == Some("trial"),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The value of `key=value` in a decision such as `region=japan reason=failover from=taiwan`.
fn word<'a>(decision: &'a str, key: &str) -> Option<&'a str> {
    decision.split_whitespace().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_even_and_keeps_its_mix() {
        let schedule = Schedule { first: Duration::from_secs(2), rate: 300 };
        let planned: Vec<_> = (0..30_000).map(|n| schedule.request(n)).collect();
        assert_eq!(planned[0].due, Duration::from_secs(2));
        assert_eq!(planned[29_999].due.as_millis(), 2_000 + 99_996);
        for pair in planned.windows(2) {
            let gap = pair[1].due - pair[0].due;
            assert!((3_333_333..=3_333_334).contains(&gap.as_nanos()), "{gap:?}");
        }
        let part = |f: &dyn Fn(&Planned) -> bool| planned.iter().filter(|p| f(p)).count() as f64 / 300.0;
        assert!((part(&|p| p.method == Method::Post) - 20.0).abs() < 1.0);
        assert!((part(&|p| p.country == Country::Taiwan) - 40.0).abs() < 1.0);
        assert!((part(&|p| p.country == Country::Germany) - 15.0).abs() < 1.0);
        // Method and country are drawn apart from each other.
        let both = part(&|p| p.method == Method::Post && p.country == Country::Taiwan);
        assert!((both - 8.0).abs() < 0.6, "{both}");
        assert_eq!(schedule.request(77), schedule.request(77));
    }

    #[test]
    fn a_decision_is_read_word_by_word() {
        let decision = "region=japan reason=failover from=taiwan cause=breaker_open";
        assert_eq!(word(decision, "region"), Some("japan"));
        assert_eq!(word(decision, "cause"), Some("breaker_open"));
        assert_eq!(word(decision, "reg"), None);
        assert_eq!(word("", "region"), None);
    }

    #[test]
    fn a_record_tells_who_answered_and_who_was_asked_first() {
        let planned = Schedule { first: Duration::ZERO, rate: 100 }.request(0);
        let answer = Response::builder()
            .header(REGION_HEADER, "japan")
            .header(DECISION_HEADER, "region=taiwan reason=trial")
            .body(Bytes::new())
            .unwrap();
        let ms = Duration::from_millis;
        let good = record(&planned, ms(1), ms(9), Ok(answer));
        assert_eq!((good.answered_by, good.first_choice), (Some(Region::Japan), Some(Region::Taiwan)));
        assert!(good.trial && !good.failed());
        assert_eq!(good.latency(), ms(9));
        assert!(good.in_flight_at(ms(1)) && good.in_flight_at(ms(8)) && !good.in_flight_at(ms(9)));

        let bad = record(&planned, ms(1), ms(9), Err(NoAnswer::Broken));
        assert!(bad.failed() && bad.answered_by.is_none() && bad.first_choice.is_none());
        let unavailable = Response::builder().status(503).body(Bytes::new()).unwrap();
        assert!(record(&planned, ms(1), ms(9), Ok(unavailable)).failed());
    }
}
