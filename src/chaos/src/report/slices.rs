//! Requests gathered into slices of time and into the phases of a run: what is drawn and tabled.

use crate::figures::{Errors, Figures, Percentiles};
use crate::journal::{Journal, Ms, Request};
use crate::measure::{counted, percentile};

/// How one request fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fared {
    /// Answered well and in time.
    Well,
    /// Answered well, later than the load's `slow`.
    Late,
    /// Answered with a failure, or not at all.
    Failed,
}

/// How a request fared, where an answer later than `slow` is late.
pub fn fared(request: &Request, slow: Ms) -> Fared {
    match request.is_good() {
        false => Fared::Failed,
        true if request.latency() > slow => Fared::Late,
        true => Fared::Well,
    }
}

/// The load's `slow`.
pub fn slow(journal: &Journal) -> Ms {
    journal.experiment.load.slow.get() as Ms
}

/// The requests that were due in one slice of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// Where it begins.
    pub from: Ms,
    /// Answered well or late, by region; the last counts answers that named no region.
    pub answered: Vec<u32>,
    /// Reads that failed.
    pub failed_reads: u32,
    /// Orders that failed.
    pub failed_orders: u32,
    /// Answered well, but late.
    pub late: u32,
    /// Of what was answered well or late. None: nothing was.
    pub latency: Option<Percentiles>,
}

impl Slice {
    /// All that failed.
    pub fn failed(&self) -> u32 {
        self.failed_reads + self.failed_orders
    }
}

/// The whole of `from` to `to` in at most `most` slices of a round width, which is given too.
pub fn slices(journal: &Journal, (from, to): (Ms, Ms), most: usize) -> (Ms, Vec<Slice>) {
    let span = (to - from).max(1.0);
    let width = [50.0, 100.0, 200.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 30_000.0, 60_000.0]
        .into_iter()
        .find(|width| span / width <= most as f64)
        .unwrap_or(span / most as f64);
    let regions = journal.regions.len();
    // What is cut short at the end would show as a fall.
    let count = ((span / width) as usize).clamp(1, most.max(1));
    let mut slices: Vec<Slice> = (0..count)
        .map(|n| Slice { from: from + n as f64 * width, answered: vec![0; regions + 1], ..Slice::default() })
        .collect();
    let mut latencies: Vec<Vec<Ms>> = vec![Vec::new(); count];
    let slow = slow(journal);
    for request in counted(journal).into_iter().filter(|request| request.due >= from) {
        let place = ((request.due - from) / width) as usize;
        let (Some(slice), Some(latencies)) = (slices.get_mut(place), latencies.get_mut(place)) else {
            continue;
        };
        let how = fared(request, slow);
        if how == Fared::Failed {
            *(if request.order { &mut slice.failed_orders } else { &mut slice.failed_reads }) += 1;
            continue;
        }
        slice.late += u32::from(how == Fared::Late);
        let region = request.region.map_or(regions, |region| usize::from(region).min(regions));
        slice.answered[region] += 1;
        latencies.push(request.latency());
    }
    for (slice, latencies) in slices.iter_mut().zip(latencies) {
        slice.latency = percentiles(latencies);
    }
    (width, slices)
}

/// None: there is nothing.
fn percentiles(mut latencies: Vec<Ms>) -> Option<Percentiles> {
    let mut at = |percent| percentile(&mut latencies, percent);
    Some(Percentiles { p50: at(50.0)?, p95: at(95.0)?, p99: at(99.0)? })
}

/// A part of the run that has a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// In words.
    pub name: &'static str,
    /// When it began and ended.
    pub span: (Ms, Ms),
    /// Its requests.
    pub errors: Errors,
    /// Answered well, but late.
    pub late: u64,
    /// Of what was answered.
    pub latency: Option<Percentiles>,
    /// Answers by region, in per cent of all answers that name one.
    pub shares: Vec<f64>,
}

/// When clients were served again, reads and orders both. None: they never were, or nothing was done.
pub fn recovered(journal: &Journal, figures: &Figures) -> Option<Ms> {
    let mut services = [figures.reads, figures.orders].into_iter().filter(|service| service.requests > 0);
    let longest = services.try_fold(0.0, |longest: Ms, service| Some(longest.max(service.rto?)))?;
    Some(journal.injected? + longest)
}

/// Before, from the fault to recovery, recovered with the fault still there, and after it was undone.
pub fn phases(journal: &Journal, figures: &Figures) -> Vec<Phase> {
    let end = journal.requests.last().map_or(journal.ended, |last| journal.ended.max(last.due + 1.0));
    let requests = counted(journal);
    let Some(injected) = journal.injected else {
        return vec![phase(journal, &requests, "Whole run", (0.0, end))];
    };
    let undone = journal.rollback.unwrap_or(end).clamp(injected, end.max(injected));
    let recovered = recovered(journal, figures).unwrap_or(undone).clamp(injected, undone);
    let all = [
        ("Before", (0.0, injected)),
        ("Fault to recovery", (injected, recovered)),
        ("Recovered, fault lasts", (recovered, undone)),
        ("After undoing", (undone, end)),
    ];
    all.into_iter()
        .filter(|(_, (from, to))| to > from)
        .map(|(name, span)| phase(journal, &requests, name, span))
        .collect()
}

fn phase(journal: &Journal, requests: &[&Request], name: &'static str, span: (Ms, Ms)) -> Phase {
    let slow = slow(journal);
    let (mut errors, mut late, mut latencies) = (Errors::default(), 0, Vec::new());
    let mut answers = vec![0_u64; journal.regions.len()];
    for request in requests.iter().filter(|request| (span.0..span.1).contains(&request.due)) {
        errors.requests += 1;
        match fared(request, slow) {
            Fared::Failed => {
                errors.failed += 1;
                continue;
            }
            Fared::Late => late += 1,
            Fared::Well => (),
        }
        latencies.push(request.latency());
        if let Some(count) = request.region.and_then(|region| answers.get_mut(usize::from(region))) {
            *count += 1;
        }
    }
    let all = answers.iter().sum::<u64>().max(1) as f64;
    let shares = answers.into_iter().map(|count| 100.0 * count as f64 / all).collect();
    Phase { name, span, errors, late, latency: percentiles(latencies), shares }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::fixture::{empty, request};

    #[test]
    fn a_slice_counts_what_was_due_in_it() {
        let mut journal = empty();
        journal.requests = vec![
            request(10.0, 5.0, false, 200, Some(0)),
            request(600.0, 1_500.0, true, 201, Some(1)),
            request(700.0, 3.0, false, 503, Some(0)),
            request(800.0, 3.0, true, 0, None),
            request(900.0, 7.0, false, 200, None),
            request(5_000.0, 7.0, false, 200, Some(0)),
        ];
        let (width, slices) = slices(&journal, (0.0, 1_000.0), 2);
        assert_eq!((width, slices.len()), (500.0, 2));
        assert_eq!(slices[0].answered, [1, 0, 0]);
        assert_eq!(slices[0].latency, Some(Percentiles { p50: 5.0, p95: 5.0, p99: 5.0 }));
        assert_eq!((slices[1].answered.as_slice(), slices[1].late), (&[0, 1, 1][..], 1));
        assert_eq!((slices[1].failed_reads, slices[1].failed_orders), (1, 1));
    }

    #[test]
    fn slices_are_few_and_round() {
        let journal = empty();
        for (span, width) in [(1_000.0, 50.0), (120_000.0, 500.0), (3_600_000.0, 30_000.0)] {
            let (found, slices) = slices(&journal, (0.0, span), 240);
            assert_eq!((found, slices.len()), (width, (span / width) as usize));
        }
        // Longer than any round width has room for.
        assert_eq!(slices(&journal, (0.0, 1e9), 240).1.len(), 240);
    }

    #[test]
    fn phases_begin_where_something_turns() {
        let mut journal = empty();
        journal.requests =
            (0..1000).map(|n| request(f64::from(n) * 100.0, 4.0, false, 200, Some(0))).collect();
        for request in &mut journal.requests[200..230] {
            (request.status, request.region) = (503, None);
        }
        for request in &mut journal.requests[230..800] {
            request.region = Some(1);
        }
        let figures = crate::measure::figures(&journal);
        let phases = phases(&journal, &figures);
        let seen: Vec<_> = phases
            .iter()
            .map(|one| (one.name, one.errors.requests, one.errors.failed, one.shares.as_slice()))
            .collect();
        assert_eq!(
            seen,
            [
                ("Before", 200, 0, &[100.0, 0.0][..]),
                ("Fault to recovery", 31, 30, &[0.0, 100.0]),
                ("Recovered, fault lasts", 569, 0, &[0.0, 100.0]),
                ("After undoing", 200, 0, &[100.0, 0.0]),
            ]
        );
        journal.injected = None;
        assert_eq!(super::phases(&journal, &Figures::default())[0].name, "Whole run");
    }
}
