//! What holds while all is well, looked at once.

use crate::clock::Clock;
use crate::experiment::{Hypothesis, Look, Probe, ProbeProvider};
use crate::faults::action;
use crate::journal::{Probed, SteadyState};
use crate::load::basket::{Basket, Said};
use crate::target::{Client, Target};
use crate::watch::gauges;
use crate::{ask, companions};
use anyhow::{Context, Result, bail, ensure};
use evenkeel_companion::readiness;
use evenkeel_companion::status::Status;
use evenkeel_policy::breaker;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How long one page may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long an order may take while all is well, and its way to a replica.
const ORDER: Duration = Duration::from_secs(5);

/// Between two looks for an order on a replica.
const AGAIN: Duration = Duration::from_millis(100);

/// Looks at everything once, one after the other: a look must not disturb the next.
pub async fn look(hypothesis: &Hypothesis, target: &Target, clock: &Clock) -> SteadyState {
    let mut probes = Vec::new();
    for probe in &hypothesis.probes {
        let output = output(probe, target).await;
        let met = output.as_ref().is_ok_and(|output| tolerated(output, &probe.tolerance));
        let output = output.unwrap_or_else(|error| Value::String(format!("{error:#}")));
        probes.push(Probed { name: probe.name.clone(), met, output });
    }
    SteadyState { met: probes.iter().all(|probe| probe.met), at: clock.now(), probes }
}

/// A probe's output for people.
pub fn in_words(output: &Value) -> String {
    output.as_str().map_or_else(|| output.to_string(), str::to_owned)
}

async fn output(probe: &Probe, target: &Target) -> Result<Value> {
    match &probe.provider {
        ProbeProvider::Evenkeel { look } => {
            // Why it is not so, or that it is.
            match seen(*look, target).await {
                Ok(()) => Ok(Value::Bool(true)),
                Err(error) if probe.tolerance == Value::Bool(true) => Err(error),
                Err(_) => Ok(Value::Bool(false)),
            }
        }
        ProbeProvider::Http { url, timeout } => {
            Ok(action::request(url, "GET", "", timeout.to_duration()).await?.into())
        }
        ProbeProvider::Process { path, arguments, timeout } => {
            Ok(action::program(path, arguments, timeout.to_duration()).await?.into())
        }
    }
}

fn tolerated(output: &Value, tolerance: &Value) -> bool {
    match tolerance.as_array().map(Vec::as_slice) {
        Some([low, high]) => match (output.as_f64(), low.as_f64(), high.as_f64()) {
            (Some(output), Some(low), Some(high)) => (low..=high).contains(&output),
            _ => false,
        },
        Some(_) => false,
        None => output == tolerance || output.is_number() && output.as_f64() == tolerance.as_f64(),
    }
}

async fn seen(look: Look, target: &Target) -> Result<()> {
    match look {
        Look::SharesWhole => shares_whole(target).await,
        Look::DatabaseWhole => each_status(target, database_whole).await,
        Look::CompanionsReady => each_status(target, ready).await,
        Look::OrdersTaken => {
            for client in &target.clients {
                order_taken(target, client).await.with_context(|| format!("at {}'s edge", client.region))?;
            }
            Ok(())
        }
    }
}

async fn shares_whole(target: &Target) -> Result<()> {
    for place in &target.edges {
        let (status, page) = ask::get(&place.address, gauges::PAGE, PATIENCE).await?;
        let edge = &place.region;
        ensure!(status == 200, "{edge}'s edge: status {status}");
        let page = gauges::read(&page);
        ensure!(!page.regions.is_empty(), "{edge}'s edge: shows no region: does the filter run?");
        for (region, shown) in page.regions {
            let whole = shown.healthy == Some(true)
                && shown.share == Some(100)
                && shown.breaker == Some(breaker::State::Closed);
            ensure!(
                whole,
                "{edge}'s edge: {region} is healthy: {}, share {}, breaker {}",
                shown.healthy.map_or("unknown".to_owned(), |healthy| healthy.to_string()),
                shown.share.map_or("unknown".to_owned(), |share| format!("{share} %")),
                shown.breaker.map_or("unknown", |state| state.as_str()),
            );
        }
    }
    Ok(())
}

async fn each_status(target: &Target, fits: impl Fn(&Status) -> Result<()>) -> Result<()> {
    for (region, status) in companions::statuses(target).await {
        fits(&status?).with_context(|| format!("{region}'s companion"))?;
    }
    Ok(())
}

fn database_whole(status: &Status) -> Result<()> {
    let database = status.database.as_ref().context("watches no database")?;
    for node in &database.nodes {
        ensure!(node.reachable, "{} is not reachable", node.name);
    }
    let writers = database.nodes.iter().filter(|node| node.writer).count();
    ensure!(
        writers == 1 && !database.conflict,
        "sees {writers} writers{}",
        match database.conflict {
            true => " and a conflict",
            false => "",
        }
    );
    Ok(())
}

fn ready(status: &Status) -> Result<()> {
    let up = status.readiness.status == readiness::Status::Up;
    ensure!(!status.stopping && up, "is not ready");
    ensure!(status.drain_ms.is_none(), "its region is drained");
    if let Some(votes) = &status.votes {
        ensure!(
            votes.in_force == votes.configured,
            "hears {} of {} voters",
            votes.in_force,
            votes.configured
        );
    }
    Ok(())
}

/// An order, and its way back. Its key is none of a run's, so that no audit counts it.
async fn order_taken(target: &Target, client: &Client) -> Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let key = format!("look-{}-{}", since.as_nanos(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let by = |request: hyper::http::request::Builder| request.header("x-country-code", &client.country);
    let request = by(Request::post(&target.orders_path))
        .header("idempotency-key", &key)
        .header(CONTENT_TYPE, "application/json");
    let (status, body) = ask::ask(&client.edge, request, Basket::of(&key).body(), ORDER).await?;
    ensure!((200..300).contains(&status), "an order got status {status}");
    // A target without orders of its own has whatever is asked for.
    let id = Said::read(body.as_bytes()).id.unwrap_or(key);
    let path = format!("{}/{id}", target.orders_path);
    let deadline = Instant::now() + ORDER;
    loop {
        let (status, _) = ask::ask(&client.edge, by(Request::get(&path)), "", ORDER).await?;
        match status {
            200..300 => return Ok(()),
            // A replica may not have it yet.
            _ if Instant::now() < deadline => tokio::time::sleep(AGAIN).await,
            _ => bail!("the order {id} cannot be read: status {status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_tolerated_is_a_value_or_a_range() {
        for (output, tolerance, fits) in [
            (json!(true), json!(true), true),
            (json!(false), json!(true), false),
            (json!("why not"), json!(true), false),
            (json!(200), json!(200), true),
            (json!(204), json!([200, 299]), true),
            (json!(300), json!([200, 299]), false),
            (json!(true), json!([0, 1]), false),
        ] {
            assert_eq!(tolerated(&output, &tolerance), fits, "{output} {tolerance}");
        }
    }
}
