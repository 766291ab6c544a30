//! Which alerts a Prometheus calls pending or firing, looked at for as long as a run lasts.

use super::{Looks, Stopped, lock};
use crate::clock::Clock;
use crate::http::{self, Pool};
use crate::journal::{Alert, AlertState, AlertWatch};
use crate::load::socket_address;
use anyhow::{Context, Result};
use evenkeel_config::HostPort;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The page.
const PAGE: &str = "/api/v1/alerts";

/// Between two looks: the resolution of everything that is told of alerts. Rules are evaluated less often.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// What was seen so far.
pub type Seen = Arc<Mutex<AlertWatch>>;

/// Who looks.
pub struct Eye {
    pool: Pool,
    clock: Clock,
    interval: Duration,
    seen: Seen,
}

impl Eye {
    /// It has not looked yet.
    ///
    /// # Errors
    /// If the Prometheus has no address; the message names the field.
    pub fn new(address: &HostPort, interval: Duration, clock: &Clock) -> Result<Eye> {
        let pool = Pool::new(socket_address(address).context("alerts")?);
        let seen = Arc::new(Mutex::new(AlertWatch::new(interval.as_secs_f64() * 1000.0)));
        Ok(Eye { pool, clock: clock.clone(), interval, seen })
    }

    /// Where it puts what it sees.
    pub fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// Looks until it is stopped.
    pub async fn look_on(self, stop: Stopped) {
        let mut looks = Looks::every(self.interval, stop);
        while looks.next().await {
            let asked = self.clock.now();
            let active = http::get(&self.pool, PAGE).await.ok().and_then(|page| read(&page));
            let at = self.clock.now();
            lock(&self.seen).note(asked, at, active);
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    alerts: Vec<Told>,
}

#[derive(Deserialize)]
struct Told {
    labels: BTreeMap<String, String>,
    state: String,
}

/// Reads the page; none if it is not one.
fn read(page: &str) -> Option<Vec<(Alert, AlertState)>> {
    let answer: Answer = serde_json::from_str(page).ok()?;
    (answer.status == "success").then(|| answer.data.alerts.into_iter().filter_map(alert).collect())
}

/// What is neither pending nor firing is not active.
fn alert(told: Told) -> Option<(Alert, AlertState)> {
    let state = match told.state.as_str() {
        "firing" => AlertState::Firing,
        "pending" => AlertState::Pending,
        _ => return None,
    };
    let mut labels = told.labels;
    let name = labels.remove("alertname")?;
    Some((Alert { name, labels }, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::ActiveAlerts;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    fn page(alerts: &str) -> String {
        format!("{{\"status\": \"success\", \"data\": {{\"alerts\": [{alerts}]}}}}")
    }

    /// As Prometheus 2.42 writes one.
    fn told(name: &str, region: &str, state: &str) -> String {
        format!(
            r#"{{"labels": {{"alertname": "{name}", "region": "{region}", "severity": "critical"}},
                "annotations": {{"summary": "A region is down for every edge."}}, "state": "{state}",
                "activeAt": "2026-11-30T09:50:46.811935043Z", "value": "0e+00"}}"#
        )
    }

    #[test]
    fn a_page_is_read_whatever_else_stands_on_it() {
        let all = [
            told("RegionOut", "taiwan", "firing"),
            told("RegionOut", "japan", "pending"),
            told("RegionOut", "third", "inactive"),
        ];
        let read_all = read(&page(&all.join(","))).unwrap();
        let found: Vec<_> = read_all
            .iter()
            .map(|(alert, state)| (alert.name.as_str(), alert.labels["region"].as_str(), *state))
            .collect();
        let expected =
            [("RegionOut", "taiwan", AlertState::Firing), ("RegionOut", "japan", AlertState::Pending)];
        assert_eq!(found, expected);
        assert!(!read_all[0].0.labels.contains_key("alertname"));
        assert_eq!(read(&page("")), Some(vec![]), "no alert is an answer");
        for bad in ["", "<html>", "{}", r#"{"status": "error", "data": {"alerts": []}}"#] {
            assert_eq!(read(bad), None, "{bad}: a gap, not \"no alert\"");
        }
    }

    #[tokio::test]
    async fn it_looks_on_through_what_is_no_answer() {
        let turns = Arc::new(AtomicUsize::new(0));
        let asked = turns.clone();
        let serve = move || {
            let turn = asked.fetch_add(1, Ordering::SeqCst);
            async move {
                match turn {
                    0..2 => (StatusCode::OK, page("")),
                    2..4 => (StatusCode::OK, page(&told("RegionOut", "taiwan", "pending"))),
                    4..6 => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable".to_owned()),
                    _ => (StatusCode::OK, page(&told("RegionOut", "taiwan", "firing"))),
                }
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: HostPort = listener.local_addr().unwrap().to_string().parse().unwrap();
        let server = axum::serve(listener, Router::new().route(PAGE, get(serve)));
        tokio::spawn(async move { server.await });
        let eye = Eye::new(&address, Duration::from_millis(20), &Clock::start()).unwrap();
        let seen = eye.seen();
        let (stop, stopped) = watch::channel(false);
        let looking = tokio::spawn(eye.look_on(stopped));
        while turns.load(Ordering::SeqCst) < 8 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.send(true).unwrap();
        looking.await.unwrap();
        let seen = seen.lock().unwrap().clone();
        let states: Vec<_> = seen.looks.iter().map(|look| look.seen.clone()).collect();
        let active = |pending: &[u32], firing: &[u32]| {
            Some(ActiveAlerts { pending: pending.to_vec(), firing: firing.to_vec() })
        };
        assert_eq!(states, [active(&[], &[]), active(&[0], &[]), None, active(&[], &[0])]);
        assert_eq!(seen.looks[..3].iter().map(|look| look.times).collect::<Vec<_>>(), [2, 2, 2]);
        assert!(seen.looks.windows(2).all(|pair| pair[0].until < pair[1].asked), "{seen:?}");
        assert!(seen.looks.iter().all(|look| look.asked < look.at && look.at <= look.until), "{seen:?}");
        assert_eq!((seen.interval, seen.known.len()), (20.0, 1));
    }
}
