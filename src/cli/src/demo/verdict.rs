//! The verdict: what the run's records say about each blow, against the bounds promised.

use super::journal::{Blow, Breaker, Country, Log, Method, Record, Region, Sample};
use super::stats::slices;
use super::target::{Bound, Quantity, Target};
use evenkeel_chaos::measure::percentile;
use std::time::Duration;

/// What was promised, from the demo's own topology.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// The breaker's sliding window, in calls.
    pub breaker_window: u32,
    /// After this an attempt is given up and, if it is safe to repeat, made in the other region.
    pub per_try_timeout: Duration,
    /// A region with its fault gone has its whole share back within this.
    pub whole_again: Duration,
}

/// What a GET that meets a frozen region may take beyond the per-try time-out.
pub const FREEZE_MARGIN: Duration = Duration::from_millis(250);

/// A part of the ramp: what was admitted, and what really came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RampPart {
    pub from: Duration,
    pub to: Duration,
    /// The lowest and highest share admitted, per cent.
    pub admitted: (u8, u8),
    /// Requests with country TW, and those of them that Taiwan answered.
    pub tw: u32,
    pub tw_by_taiwan: u32,
}

/// How Taiwan came back. Times count from the run's start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Return {
    /// Healthy by probes and the breaker no longer open: the hold begins.
    pub well: Option<Duration>,
    /// The first share above 0: the ramp begins.
    pub admitted: Option<Duration>,
    pub whole: Option<Duration>,
    /// Each share seen and when it was first seen, from the first above 0 to 100.
    pub steps: Vec<(Duration, u8)>,
    pub parts: Vec<RampPart>,
}

/// One blow with all that followed until the next.
#[derive(Clone, Debug)]
pub struct Chapter {
    pub blow: Blow,
    pub at: Duration,
    /// When the fault was taken away.
    pub relieved: Duration,
    pub until: Duration,
    /// From the blow to the first look at the metrics that shows it; with the time between that
    /// look and the one before it.
    pub seen_in_metrics: Option<(Duration, Duration)>,
    /// From the blow to the last request that was still sent to Taiwan first (trials left out).
    pub seen_in_traffic: Option<Duration>,
    pub gets: usize,
    pub failed_gets: usize,
    pub posts: usize,
    pub failed_posts: usize,
    /// Requests that waited for Taiwan's answer when the blow fell: GET, POST.
    pub in_flight: (usize, usize),
    /// GETs sent to Taiwan first and answered by Japan.
    pub rescued: usize,
    pub longest_get: Duration,
    pub longest_post: Duration,
    pub back: Return,
    /// When Japan, to which nothing was done, was first seen out: the filter blamed the wrong
    /// region, or the machine was too busy for Japan to answer.
    pub japan_out: Option<Duration>,
    pub targets: Vec<Target>,
}

/// The load as a whole.
#[derive(Clone, Debug)]
pub struct LoadFigures {
    pub requests: usize,
    pub failed_gets: usize,
    pub failed_posts: usize,
    /// Latency before the first blow: median, 99 %, longest.
    pub undisturbed: [Option<Duration>; 3],
    /// How late requests left behind their schedule: 99 %, most. It is part of every latency.
    pub lateness: [Option<Duration>; 2],
}

impl LoadFigures {
    /// The generator was kept waiting for a processor so long that its latencies say more about
    /// the machine than about the edge.
    pub fn starved(&self) -> bool {
        self.lateness[1].is_some_and(|latest| latest > Duration::from_millis(150))
    }
}

#[derive(Clone, Debug)]
pub struct Verdict {
    pub load: LoadFigures,
    /// Before the first blow.
    pub before: Vec<Target>,
    pub chapters: Vec<Chapter>,
}

impl Verdict {
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.before.iter().chain(self.chapters.iter().flat_map(|chapter| &chapter.targets))
    }

    pub fn holds(&self) -> bool {
        !self.chapters.is_empty() && self.targets().all(Target::holds)
    }
}

/// Judges a whole run that ended at `end`.
pub fn judge(log: &Log, promise: &Promise, end: Duration) -> Verdict {
    let blows: Vec<_> = log.marks.iter().filter(|m| matches!(m.blow, Blow::Kill | Blow::Freeze)).collect();
    let first = blows.first().map_or(end, |mark| mark.at);
    let chapters = blows
        .iter()
        .enumerate()
        .map(|(n, mark)| {
            let until = blows.get(n + 1).map_or(end, |next| next.at);
            let relief = |m: &&super::journal::Mark| {
                matches!(m.blow, Blow::Restart | Blow::Thaw) && m.at > mark.at && m.at <= until
            };
            let relieved = log.marks.iter().find(relief).map_or(until, |m| m.at);
            chapter(log, promise, mark.blow, [mark.at, relieved, until])
        })
        .collect();
    Verdict { load: load_figures(&log.records, first), before: before(&log.records, first), chapters }
}

fn load_figures(records: &[Record], first: Duration) -> LoadFigures {
    let failed = |method| records.iter().filter(|r| r.method == method && r.failed()).count();
    let mut calm: Vec<_> = records.iter().filter(|r| r.end < first).map(Record::latency).collect();
    let mut late: Vec<_> = records.iter().map(|r| r.sent.saturating_sub(r.due)).collect();
    LoadFigures {
        requests: records.len(),
        failed_gets: failed(Method::Get),
        failed_posts: failed(Method::Post),
        undisturbed: [50.0, 99.0, 100.0].map(|p| percentile(&mut calm, p)),
        lateness: [99.0, 100.0].map(|p| percentile(&mut late, p)),
    }
}

/// Without these two, zero failures later would prove nothing.
fn before(records: &[Record], first: Duration) -> Vec<Target> {
    let calm: Vec<_> = records.iter().filter(|r| r.end < first).collect();
    let tw = calm.iter().filter(|r| r.country == Country::Taiwan).count();
    let home = calm.iter().filter(|r| r.country == Country::Taiwan && r.answered_by == Some(Region::Taiwan));
    let part = (tw > 0).then(|| Quantity::Percent(100.0 * home.count() as f64 / tw as f64));
    vec![
        Target {
            what: "failed requests",
            measured: Some(Quantity::Count(calm.iter().filter(|r| r.failed()).count())),
            bound: Bound::AtMost(Quantity::Count(0)),
            note: format!("of {}", calm.len()),
        },
        Target {
            what: "TW answered by Taiwan",
            measured: part,
            bound: Bound::AtLeast(Quantity::Percent(100.0)),
            note: format!("of {tw} requests from TW"),
        },
    ]
}

fn chapter(log: &Log, promise: &Promise, blow: Blow, [at, relieved, until]: [Duration; 3]) -> Chapter {
    // A chapter owns every request that was not answered when its blow fell, or began after it.
    let own: Vec<_> = log.records.iter().filter(|r| r.end >= at && r.end < until).collect();
    let of = |method: Method| own.iter().copied().filter(move |r| r.method == method);
    let failed = |method| of(method).filter(|r| r.failed()).count();
    let longest = |method| of(method).map(Record::latency).max().unwrap_or_default();
    let in_flight = |method| of(method).filter(|r| r.in_flight_at(at) && bound_for_taiwan(r)).count();
    let rescued = of(Method::Get)
        .filter(|r| r.first_choice == Some(Region::Taiwan) && r.answered_by == Some(Region::Japan));
    let mut chapter = Chapter {
        blow,
        at,
        relieved,
        until,
        seen_in_metrics: seen_in_metrics(&log.samples, at, relieved),
        seen_in_traffic: seen_in_traffic(&own, at, relieved),
        gets: of(Method::Get).count(),
        failed_gets: failed(Method::Get),
        posts: of(Method::Post).count(),
        failed_posts: failed(Method::Post),
        in_flight: (in_flight(Method::Get), in_flight(Method::Post)),
        rescued: rescued.count(),
        longest_get: longest(Method::Get),
        longest_post: longest(Method::Post),
        back: way_back(log, relieved, until),
        japan_out: during(&log.samples, at, until).find(|s| s.of(Region::Japan).is_out()).map(|s| s.at),
        targets: Vec::new(),
    };
    chapter.targets = targets(&chapter, promise, posts_per_100_ms(&log.records, at));
    chapter
}

/// Taiwan was its first choice; where the filter's word is missing, its country says so.
fn bound_for_taiwan(record: &Record) -> bool {
    match record.first_choice.or(record.answered_by) {
        Some(region) => region == Region::Taiwan,
        None => record.country == Country::Taiwan,
    }
}

fn during(samples: &[Sample], from: Duration, to: Duration) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(move |s| s.at > from && s.asked < to)
}

fn seen_in_metrics(samples: &[Sample], at: Duration, relieved: Duration) -> Option<(Duration, Duration)> {
    let seen = during(samples, at, relieved).find(|s| s.of(Region::Taiwan).is_out())?;
    let before = samples.iter().rev().find(|s| s.at < seen.at);
    let resolution = before.map_or(seen.at - at, |before| seen.at - before.asked);
    Some((seen.at - at, resolution))
}

fn seen_in_traffic(own: &[&Record], at: Duration, relieved: Duration) -> Option<Duration> {
    let during = || own.iter().filter(|r| r.due >= at && r.due < relieved);
    // Without a single decision header nothing can be said.
    during().find(|r| r.first_choice.is_some())?;
    let last = during().filter(|r| r.first_choice == Some(Region::Taiwan) && !r.trial).map(|r| r.due).max();
    Some(last.map_or(Duration::ZERO, |due| due - at))
}

/// POSTs for Taiwan in 100 ms, from the 5 s before the blow, rounded up.
fn posts_per_100_ms(records: &[Record], at: Duration) -> usize {
    let from = at.saturating_sub(Duration::from_secs(5));
    let posts = records
        .iter()
        .filter(|r| r.due >= from && r.due < at && r.method == Method::Post && bound_for_taiwan(r))
        .count();
    (posts as f64 * 0.1 / (at - from).as_secs_f64().max(0.1)).ceil() as usize
}

fn way_back(log: &Log, relieved: Duration, until: Duration) -> Return {
    let looks = || log.samples.iter().filter(|s| s.asked >= relieved && s.at < until);
    let well = |s: &&Sample| {
        let taiwan = s.of(Region::Taiwan);
        taiwan.healthy == Some(true) && taiwan.breaker.is_some_and(|b| b != Breaker::Open)
    };
    // The last time it became well: probes may still fail once after the relief.
    let mut back = Return::default();
    for sample in looks() {
        match (well(&sample), back.well) {
            (true, None) => back.well = Some(sample.at),
            (false, Some(_)) if back.admitted.is_none() => back.well = None,
            _ => (),
        }
        let share = sample.of(Region::Taiwan).share.unwrap_or(0);
        if back.well.is_none() || back.whole.is_some() || share == 0 {
            continue;
        }
        back.admitted.get_or_insert(sample.at);
        if back.steps.last().is_none_or(|(_, last)| *last != share) {
            back.steps.push((sample.at, share));
        }
        if share == 100 {
            back.whole = Some(sample.at);
        }
    }
    if let (Some(from), Some(to)) = (back.admitted, back.whole) {
        back.parts = ramp_parts(log, &back.steps, from, to);
    }
    back
}

/// The ramp in four equal parts of time.
fn ramp_parts(log: &Log, steps: &[(Duration, u8)], from: Duration, to: Duration) -> Vec<RampPart> {
    let width = (to - from).max(Duration::from_millis(4)) / 4;
    let counts = slices(&log.records, from, from + width * 4, width);
    (0u32..)
        .zip(counts)
        .map(|(n, slice)| {
            let (begin, end) = (from + width * n, from + width * (n + 1));
            let at_begin = steps.iter().rev().find(|(at, _)| *at <= begin).map(|(_, share)| *share);
            let within = steps.iter().filter(|(at, _)| (begin..end).contains(at)).map(|(_, share)| *share);
            let shares: Vec<u8> = at_begin.into_iter().chain(within).collect();
            let low = shares.iter().min().copied().unwrap_or(0);
            let high = shares.iter().max().copied().unwrap_or(0);
            RampPart {
                from: begin,
                to: end,
                admitted: (low, high),
                tw: slice.tw,
                tw_by_taiwan: slice.tw_by_taiwan,
            }
        })
        .collect()
}

fn targets(chapter: &Chapter, promise: &Promise, arrivals: usize) -> Vec<Target> {
    let mut targets = vec![Target {
        what: "failed GET",
        measured: Some(Quantity::Count(chapter.failed_gets)),
        bound: Bound::AtMost(Quantity::Count(0)),
        note: format!("of {}; {} moved from Taiwan to Japan on the way", chapter.gets, chapter.rescued),
    }];
    let detection = if chapter.blow == Blow::Kill {
        let window = promise.breaker_window as usize;
        targets.push(Target {
            what: "failed POST",
            measured: Some(Quantity::Count(chapter.failed_posts)),
            bound: Bound::AtMost(Quantity::Count(chapter.in_flight.1 + window + arrivals)),
            note: format!(
                "{} in flight + {window} breaker window + {arrivals} in 100 ms",
                chapter.in_flight.1
            ),
        });
        Bound::Below(Quantity::Time(Duration::from_secs(1)))
    } else {
        targets.push(Target {
            what: "longest GET",
            measured: (chapter.gets > 0).then_some(Quantity::Time(chapter.longest_get)),
            bound: Bound::AtMost(Quantity::Time(promise.per_try_timeout + FREEZE_MARGIN)),
            note: "per-try time-out + 250 ms".to_owned(),
        });
        Bound::AtMost(Quantity::Time(promise.per_try_timeout + Duration::from_millis(500)))
    };
    targets.push(Target {
        what: "detected, by metrics",
        measured: chapter.seen_in_metrics.map(|(after, _)| Quantity::Time(after)),
        bound: detection,
        note: match chapter.seen_in_metrics {
            Some((_, resolution)) => format!("breaker open or unhealthy; at most {resolution:.0?} late"),
            None => "Envoy's metrics never showed it".to_owned(),
        },
    });
    targets.push(Target {
        what: "detected, by traffic",
        measured: chapter.seen_in_traffic.map(Quantity::Time),
        bound: detection,
        note: match chapter.seen_in_traffic {
            Some(_) => "last request sent to Taiwan first, trials left out".to_owned(),
            None => "no answer carried x-evenkeel-decision".to_owned(),
        },
    });
    targets.push(Target {
        what: "whole share back",
        measured: chapter.back.whole.map(|whole| Quantity::Time(whole - chapter.relieved)),
        bound: Bound::AtMost(Quantity::Time(promise.whole_again)),
        note: "probes, hold and ramp".to_owned(),
    });
    targets
}
