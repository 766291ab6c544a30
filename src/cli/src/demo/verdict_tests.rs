//! Runs invented record by record, with a known verdict.

use super::journal::{Blow, Breaker, Country, Log, Mark, Method, Record, Region};
use super::stats::tests::{good, ms, sample};
use super::target::{Bound, Quantity, Target};
use super::verdict::{Promise, judge};
use evenkeel_chaos::http::NoAnswer;

pub const PROMISE: Promise =
    Promise { breaker_window: 10, per_try_timeout: ms(2_000), whole_again: ms(30_000) };

/// 100 requests a second from Taiwan, every fifth a POST; Taiwan is killed at 10 s, seen at
/// 10.1 s, started again at 15 s, and frozen at 40 s, seen at 42.1 s, thawed at 45 s.
pub fn run() -> Log {
    let mut log = Log::default();
    for (at, blow) in
        [(10_000, Blow::Kill), (15_000, Blow::Restart), (40_000, Blow::Freeze), (45_000, Blow::Thaw)]
    {
        log.marks.push(Mark { at: ms(at), blow });
    }
    for due in (0..70_000u64).step_by(10) {
        let method = if due % 50 == 0 { Method::Post } else { Method::Get };
        let record = Record { method, ..good(due) };
        let japan = Record { answered_by: Some(Region::Japan), ..record.clone() };
        log.records.push(match due {
            // Asked first and retried elsewhere, or failed.
            10_000..10_060 | 40_000..42_050 => {
                let end = ms(due + if due < 40_000 { 5 } else { 2_010 });
                match method {
                    Method::Get => Record { end, ..japan },
                    Method::Post => Record { end, outcome: Ok(503), answered_by: None, ..record },
                }
            }
            10_060..21_000 | 42_050..51_000 => Record { first_choice: Some(Region::Japan), ..japan },
            _ => record,
        });
    }
    let taiwan = |at: u64| match at {
        10_100..16_000 | 42_100..46_000 => (false, Breaker::Open, 0),
        16_000..17_000 | 46_000..47_000 => (true, Breaker::HalfOpen, 0),
        17_000..21_000 | 47_000..51_000 => (true, Breaker::Closed, 0),
        21_000..31_000 => (true, Breaker::Closed, (5 + (at - 21_000) * 95 / 10_000) as u8),
        51_000..61_000 => (true, Breaker::Closed, (5 + (at - 51_000) * 95 / 10_000) as u8),
        _ => (true, Breaker::Closed, 100),
    };
    for at in (100..70_000).step_by(100) {
        let (healthy, breaker, share) = taiwan(at);
        log.samples.push(sample(at, healthy, breaker, share));
    }
    log
}

fn target<'a>(targets: &'a [Target], what: &str) -> &'a Target {
    targets.iter().find(|target| target.what == what).unwrap()
}

#[test]
fn a_good_run_holds_with_every_figure_right() {
    let verdict = judge(&run(), &PROMISE, ms(70_000));
    let missed: Vec<_> = verdict.targets().filter(|target| !target.holds()).collect();
    assert!(missed.is_empty() && verdict.holds(), "{missed:?}");

    let [kill, freeze] = verdict.chapters.as_slice() else { panic!("{:?}", verdict.chapters) };
    assert_eq!((kill.at, kill.relieved, kill.until), (ms(10_000), ms(15_000), ms(40_000)));
    assert_eq!(kill.seen_in_metrics, Some((ms(100), ms(101))));
    assert_eq!(kill.seen_in_traffic, Some(ms(50)));
    // Due at 10.00 and 10.05; the first left at the very moment of the kill.
    assert_eq!((kill.failed_gets, kill.failed_posts, kill.in_flight), (0, 2, (0, 1)));
    assert_eq!(kill.rescued, 4);
    // POSTs arrive at 20 a second.
    assert_eq!(target(&kill.targets, "failed POST").bound, Bound::AtMost(Quantity::Count(1 + 10 + 2)));
    assert_eq!((kill.back.well, kill.back.admitted), (Some(ms(16_000)), Some(ms(21_000))));
    assert_eq!(kill.back.whole, Some(ms(31_000)));
    assert_eq!(kill.back.steps.first(), Some(&(ms(21_000), 5)));
    assert_eq!(kill.back.parts.len(), 4);
    assert_eq!(kill.back.parts[0].admitted, (5, 27));
    assert_eq!((kill.back.parts[0].tw, kill.back.parts[0].tw_by_taiwan), (250, 250));

    assert_eq!(freeze.seen_in_traffic, Some(ms(2_040)));
    assert_eq!(freeze.longest_get, ms(2_010));
    assert_eq!(freeze.failed_posts, 41);
    assert_eq!(verdict.load.requests, 7_000);
    assert_eq!(verdict.load.undisturbed[2], Some(ms(2)));
}

#[test]
fn each_broken_promise_is_named() {
    type Harm = fn(&mut Log);
    let cases: [(&str, usize, Harm); 7] = [
        ("failed GET", 0, |log| log.records.push(Record { outcome: Ok(503), ..good(20_001) })),
        // In flight when the next blow falls: that blow's chapter owns it.
        ("failed GET", 1, |log| {
            log.records.push(Record { outcome: Err(NoAnswer::Timeout), end: ms(49_999), ..good(39_999) });
        }),
        ("failed POST", 0, |log| {
            let post = Record { method: Method::Post, outcome: Ok(503), ..good(10_300) };
            log.records.extend(vec![post; 12]);
        }),
        ("longest GET", 1, |log| log.records.push(Record { end: ms(43_260), ..good(41_009) })),
        ("detected, by metrics", 0, |log| {
            log.samples.retain(|s| s.at < ms(10_100) || s.at > ms(10_999));
            log.samples.iter_mut().filter(|s| s.at == ms(11_000)).for_each(|s| s.asked = ms(10_990));
        }),
        ("detected, by traffic", 1, |log| log.records.push(good(42_501))),
        ("whole share back", 1, |log| log.samples.retain(|s| s.at < ms(60_000))),
    ];
    for (what, chapter, harm) in cases {
        let mut log = run();
        harm(&mut log);
        let verdict = judge(&log, &PROMISE, ms(70_000));
        let missed: Vec<_> = verdict
            .chapters
            .iter()
            .enumerate()
            .flat_map(|(n, c)| c.targets.iter().filter(|t| !t.holds()).map(move |t| (t.what, n)))
            .collect();
        // A GET that never ends is a long one too.
        assert!(missed.contains(&(what, chapter)), "{what}: {missed:?}");
        assert!(missed.len() <= 2 && !verdict.holds(), "{what}: {missed:?}");
    }
}

#[test]
fn a_run_that_measured_nothing_does_not_hold() {
    assert!(!judge(&Log::default(), &PROMISE, ms(70_000)).holds());

    let mut blind = run();
    blind.samples.clear();
    blind.records.iter_mut().for_each(|r| r.first_choice = None);
    let verdict = judge(&blind, &PROMISE, ms(70_000));
    assert!(verdict.chapters.iter().all(|c| c.seen_in_metrics.is_none() && c.seen_in_traffic.is_none()));
    assert!(!verdict.holds());

    let mut elsewhere = run();
    for record in elsewhere.records.iter_mut().filter(|r| r.end < ms(5_000)) {
        record.answered_by = Some(Region::Japan);
    }
    assert!(!judge(&elsewhere, &PROMISE, ms(70_000)).holds());
}

#[test]
fn japan_out_is_noticed() {
    let mut log = run();
    let clean = judge(&log, &PROMISE, ms(70_000));
    assert!(clean.chapters.iter().all(|chapter| chapter.japan_out.is_none()));
    log.samples.iter_mut().filter(|s| s.at > ms(43_000)).for_each(|s| s.standings.swap(0, 1));
    let verdict = judge(&log, &PROMISE, ms(70_000));
    assert_eq!(verdict.chapters[0].japan_out, None);
    assert_eq!(verdict.chapters[1].japan_out, Some(ms(43_100)));
}

#[test]
fn half_open_trials_are_no_late_detection() {
    let mut log = run();
    log.records.push(Record { trial: true, ..good(14_000) });
    log.records.push(Record { country: Country::Germany, trial: true, ..good(44_000) });
    assert!(judge(&log, &PROMISE, ms(70_000)).holds());
}
