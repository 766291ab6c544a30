//! A run's figures, from its journal alone.
//!
//! It owns every definition. It must never know what was promised: the same journal gives the same figures
//! whatever the criteria are. Where a definition leaves room, it takes the side that flatters less.

mod alerts;
pub mod evacuated;
mod layers;
mod service;
mod settled;

use crate::figures::{Errors, Figures, Latency, LayerActed, Loss, Percentiles};
use crate::journal::{Fate, Journal, Ms, Request, order_key};
use std::collections::{BTreeMap, BTreeSet};

/// Errors are counted from the fault for so long.
pub const WINDOW: Ms = 60_000.0;

/// All figures of a run.
pub fn figures(journal: &Journal) -> Figures {
    let scene = Scene::of(journal);
    let whole = errors(&scene.requests);
    let lateness = journal.requests.iter().map(|request| request.sent - request.due).fold(0.0, Ms::max);
    let healed = journal.healed.zip(journal.rollback).map(|(healed, rollback)| healed - rollback);
    let Some(injected) = journal.injected else {
        return Figures { whole, lateness, healed, ..Figures::default() };
    };
    let undone = journal.rollback.unwrap_or(journal.ended).min(journal.ended);
    let slow = journal.experiment.load.slow.get() as Ms;
    let of_kind = |order: bool| {
        let requests: Vec<&Request> =
            scene.requests.iter().copied().filter(|request| request.order == order).collect();
        service::service(&requests, injected, undone, slow)
    };
    let (reads, orders) = (of_kind(false), of_kind(true));
    let met = scene.requests.iter().copied();
    let met: Vec<&Request> = met.filter(|r| r.end > injected && r.due < injected + WINDOW).collect();
    let window_length = (journal.ended - injected).clamp(0.0, WINDOW);
    // Those that tell of a lost order too: the generator sent them.
    let due = journal.requests.iter().map(|request| request.due);
    let due = due.filter(|due| (injected..injected + window_length).contains(due)).count() as f64;
    let recovered = [reads, orders].into_iter().filter(|service| service.requests > 0);
    let recovered = recovered.map(|service| service.rto).collect::<Option<Vec<Ms>>>();
    let recovered = recovered.and_then(|all| all.into_iter().reduce(Ms::max)).map(|rto| injected + rto);
    let layers = layers::layers(journal, injected);
    Figures {
        detection: layers.first().map(|first: &LayerActed| first.after),
        layers,
        reads,
        orders,
        window: errors(&met),
        window_reads: errors(&met.iter().copied().filter(|r| !r.order).collect::<Vec<_>>()),
        whole,
        window_length,
        rate: if window_length > 0.0 { due * 1000.0 / window_length } else { 0.0 },
        lateness,
        latency: latency(&scene.requests, journal, injected, recovered, undone),
        loss: scene.loss(injected),
        unanswered_orders: unanswered_orders(journal),
        healed,
        alerts: journal.alerts.as_ref().map(|watch| alerts::alerts(watch, injected)),
        settled: settled::settled(journal, injected, undone),
        evacuated: evacuated::evacuated(journal, injected, undone),
        look_resolution: look_resolution(journal, injected, undone),
        request_resolution: request_resolution(&scene.requests, injected, undone),
    }
}

/// A journal with its requests in order of time, less those that tell of a lost order.
struct Scene<'a> {
    journal: &'a Journal,
    requests: Vec<&'a Request>,
    reads_of_lost: u64,
}

impl<'a> Scene<'a> {
    fn of(journal: &'a Journal) -> Self {
        let requests = counted(journal);
        let reads_of_lost = (journal.requests.len() - requests.len()) as u64;
        Scene { journal, requests, reads_of_lost }
    }

    fn loss(&self, injected: Ms) -> Option<Loss> {
        let audit = self.journal.audit.as_ref()?;
        let acknowledged = self.journal.ledger.iter();
        let acknowledged: BTreeMap<&str, Ms> = acknowledged
            .filter(|order| matches!(order.fate, Fate::Acknowledged(_)))
            .map(|order| (order.key.as_str(), order.end))
            .collect();
        let ages = audit.lost.iter().filter_map(|key| acknowledged.get(key.as_str()));
        let faults = [&audit.doubled, &audit.corrupt, &audit.unasked, &audit.diverged];
        Some(Loss {
            acknowledged: acknowledged.len() as u64,
            lost: audit.lost.len() as u64,
            rpo: ages.map(|end| (injected - end).abs()).fold(0.0, Ms::max),
            corrupt: faults.into_iter().map(|list| list.len() as u64).sum(),
            reads_of_lost: self.reads_of_lost,
        })
    }
}

fn unanswered_orders(journal: &Journal) -> u64 {
    journal.ledger.iter().filter(|order| order.fate == Fate::Unknown).count() as u64
}

/// The requests that figures count, in the order in which they were due: those that tell of a lost order are
/// the loss's matter.
pub fn counted(journal: &Journal) -> Vec<&Request> {
    let lost = journal.audit.iter().flat_map(|audit| &audit.lost);
    let lost: BTreeSet<&str> = lost.map(String::as_str).collect();
    let tells_of_loss = |request: &&Request| {
        request.status == 404
            && request.reads.is_some_and(|n| lost.contains(order_key(&journal.run, n).as_str()))
    };
    let mut requests: Vec<&Request> =
        journal.requests.iter().filter(|request| !tells_of_loss(request)).collect();
    requests.sort_by(|a, b| a.due.total_cmp(&b.due));
    requests
}

fn errors(requests: &[&Request]) -> Errors {
    let failed = requests.iter().filter(|request| !request.is_good()).count() as u64;
    Errors { requests: requests.len() as u64, failed }
}

fn latency(
    requests: &[&Request],
    journal: &Journal,
    injected: Ms,
    recovered: Option<Ms>,
    undone: Ms,
) -> Latency {
    let good = || requests.iter().copied().filter(|request| request.is_good());
    let after = |from: Ms| good().filter(move |request| request.due >= from && request.due < undone);
    let survivors: BTreeSet<Option<u8>> =
        recovered.into_iter().flat_map(after).map(|request| request.region).collect();
    let before = good().filter(|request| request.end <= injected);
    let baseline = percentiles(before.filter(|request| survivors.contains(&request.region)));
    let until = recovered.unwrap_or(undone);
    let during = percentiles(good().filter(|r| r.end > injected && r.due < until));
    let recovered = recovered.and_then(|from| percentiles(after(from)));
    let round_trip = journal.environment.round_trip.unwrap_or(0.0);
    let increase_percent = baseline
        .zip(recovered)
        .map(|(baseline, recovered)| 100.0 * (recovered.p95 / (baseline.p95 + round_trip) - 1.0));
    Latency { baseline, during, recovered, round_trip, increase_percent }
}

fn percentiles<'a>(requests: impl Iterator<Item = &'a Request>) -> Option<Percentiles> {
    let mut values: Vec<Ms> = requests.map(Request::latency).collect();
    let mut at = |percent| percentile(&mut values, percent);
    Some(Percentiles { p50: at(50.0)?, p95: at(95.0)?, p99: at(99.0)? })
}

/// The smallest value that at least `percent` of the values do not exceed; none without values. Sorts them.
pub fn percentile<T: Copy + PartialOrd>(values: &mut [T], percent: f64) -> Option<T> {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

/// A look counts when its answer came, or its failure.
fn look_resolution(journal: &Journal, injected: Ms, undone: Ms) -> Ms {
    let mut last = BTreeMap::new();
    let mut longest: Ms = 0.0;
    for sample in &journal.samples {
        let earlier = last.insert((sample.observer, &sample.region), sample.at);
        if let Some(earlier) = earlier.filter(|earlier| sample.at > injected && *earlier < undone) {
            longest = longest.max(sample.at - earlier);
        }
    }
    longest
}

/// Of the kind that is rarer.
fn request_resolution(requests: &[&Request], injected: Ms, undone: Ms) -> Ms {
    let longest = |order: bool| {
        let of_kind = requests.iter().filter(|request| request.order == order);
        let due: Vec<Ms> =
            of_kind.map(|request| request.due).filter(|due| *due >= injected && *due < undone).collect();
        due.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, Ms::max)
    };
    longest(false).max(longest(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(percentile::<f64>(&mut [], 50.0), None);
        assert_eq!(percentile(&mut [7.0], 1.0), Some(7.0));
        let mut values: Vec<_> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.0), Some(1.0));
        assert_eq!(percentile(&mut values, 50.0), Some(50.0));
        assert_eq!(percentile(&mut values, 99.0), Some(99.0));
        assert_eq!(percentile(&mut values, 99.5), Some(100.0));
        assert_eq!(percentile(&mut values, 100.0), Some(100.0));
    }
}
