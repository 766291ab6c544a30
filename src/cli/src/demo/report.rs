//! `report.json`: every figure of a run, for machines.

use super::journal::{Log, Method, Region};
use super::stats::{describe, moves, slices};
use super::target::{Bound, Quantity, Target};
use super::verdict::{Chapter, Verdict};
use serde_json::{Value, json};
use std::time::Duration;

/// The report. Fields that end in `_s` are seconds (from the run's start where they name a
/// moment); a bound is `at_most`, `below` or `at_least`.
pub fn report(log: &Log, verdict: &Verdict, settings: Value, end: Duration) -> Value {
    let width = Duration::from_secs(1);
    let timeline: Vec<Value> = (0u32..)
        .zip(slices(&log.records, Duration::ZERO, end, width))
        .map(|(n, slice)| {
            json!({
                "at_s": n,
                "answered": {"taiwan": slice.answered[0], "japan": slice.answered[1]},
                "failed_get": slice.failed_get,
                "failed_post": slice.failed_post,
                "longest_get_s": seconds(slice.longest_get),
            })
        })
        .collect();
    let samples: Vec<Value> = log
        .samples
        .iter()
        .map(|sample| {
            let standing = |region| {
                let standing = sample.of(region);
                let breaker = standing.breaker.map(|breaker| breaker.to_string());
                json!({"healthy": standing.healthy, "share": standing.share, "breaker": breaker})
            };
            json!({
                "at_s": seconds(sample.at),
                "taiwan": standing(Region::Taiwan),
                "japan": standing(Region::Japan),
            })
        })
        .collect();
    let load = &verdict.load;
    let [median, p99, longest] = load.undisturbed.map(|time| time.map(seconds));
    let [late, latest] = load.lateness.map(|time| time.map(seconds));
    json!({
        "evenkeel": env!("CARGO_PKG_VERSION"),
        "settings": settings,
        "passed": verdict.holds(),
        "length_s": seconds(end),
        "load": {
            "requests": load.requests,
            "failed_get": load.failed_gets,
            "failed_post": load.failed_posts,
            "undisturbed_latency": {"median_s": median, "p99_s": p99, "longest_s": longest},
            "generator_lateness": {"p99_s": late, "longest_s": latest},
        },
        "before": {"targets": targets(&verdict.before)},
        "chapters": verdict.chapters.iter().map(chapter).collect::<Vec<_>>(),
        "marks": log.marks.iter().map(|m| json!({"at_s": seconds(m.at), "blow": m.blow.title()})).collect::<Vec<_>>(),
        "moves": moves(log).iter().map(|m| json!({"at_s": seconds(m.at), "what": describe(m)})).collect::<Vec<_>>(),
        "timeline": timeline,
        "samples": samples,
    })
}

/// `requests.csv`: each request of the load, in the order of completion, so that every figure can
/// be checked.
pub fn requests(log: &Log) -> String {
    let name = |region: Option<Region>| region.map_or("", Region::name);
    let mut text = "due_s,sent_s,end_s,method,country,status,answered_by,first_choice,trial\n".to_owned();
    for r in &log.records {
        let times = [r.due, r.sent, r.end].map(|time| format!("{:.6}", time.as_secs_f64())).join(",");
        let method = if r.method == Method::Get { "GET" } else { "POST" };
        let outcome = r.outcome.map_or_else(|error| format!("{error:?}"), |status| status.to_string());
        let (answered, first) = (name(r.answered_by), name(r.first_choice));
        text += &format!("{times},{method},{},{outcome},{answered},{first},{}\n", r.country.code(), r.trial);
    }
    text
}

fn chapter(chapter: &Chapter) -> Value {
    let back = &chapter.back;
    let parts: Vec<Value> = back
        .parts
        .iter()
        .map(|part| {
            json!({
                "from_s": seconds(part.from), "to_s": seconds(part.to),
                "admitted_low": part.admitted.0, "admitted_high": part.admitted.1,
                "tw_requests": part.tw, "tw_answered_by_taiwan": part.tw_by_taiwan,
            })
        })
        .collect();
    json!({
        "blow": chapter.blow.title(),
        "at_s": seconds(chapter.at),
        "relieved_s": seconds(chapter.relieved),
        "until_s": seconds(chapter.until),
        "detected_by_metrics_s": chapter.seen_in_metrics.map(|(after, _)| seconds(after)),
        "metrics_resolution_s": chapter.seen_in_metrics.map(|(_, resolution)| seconds(resolution)),
        "detected_by_traffic_s": chapter.seen_in_traffic.map(seconds),
        "gets": chapter.gets, "failed_gets": chapter.failed_gets,
        "posts": chapter.posts, "failed_posts": chapter.failed_posts,
        "in_flight": {"get": chapter.in_flight.0, "post": chapter.in_flight.1},
        "asked_taiwan_answered_by_japan": chapter.rescued,
        "longest_get_s": seconds(chapter.longest_get),
        "longest_post_s": seconds(chapter.longest_post),
        "japan_out_s": chapter.japan_out.map(seconds),
        "back": {
            "well_s": back.well.map(seconds),
            "admitted_s": back.admitted.map(seconds),
            "whole_s": back.whole.map(seconds),
            "steps": back.steps.iter().map(|(at, share)| json!([seconds(*at), share])).collect::<Vec<_>>(),
            "parts": parts,
        },
        "targets": targets(&chapter.targets),
    })
}

fn targets(targets: &[Target]) -> Vec<Value> {
    targets
        .iter()
        .map(|target| {
            let (name, bound) = match target.bound {
                Bound::AtMost(bound) => ("at_most", bound),
                Bound::Below(bound) => ("below", bound),
                Bound::AtLeast(bound) => ("at_least", bound),
            };
            let mut value = json!({
                "what": target.what,
                "unit": match bound {
                    Quantity::Count(_) => "requests",
                    Quantity::Time(_) => "s",
                    Quantity::Percent(_) => "percent",
                },
                "measured": target.measured.map(number),
                "holds": target.holds(),
                "note": target.note,
            });
            value[name] = number(bound);
            value
        })
        .collect()
}

fn number(quantity: Quantity) -> Value {
    match quantity {
        Quantity::Count(count) => json!(count),
        Quantity::Time(time) => json!(seconds(time)),
        Quantity::Percent(percent) => json!(percent),
    }
}

/// To the millisecond: finer digits would be noise.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::super::verdict::judge;
    use super::super::verdict_tests::{PROMISE, run};
    use super::*;

    #[test]
    fn the_report_carries_every_figure_and_the_csv_every_request() {
        let (log, end) = (run(), Duration::from_secs(70));
        let report = report(&log, &judge(&log, &PROMISE, end), json!({"rate": 100}), end);
        assert_eq!((&report["passed"], &report["settings"]["rate"]), (&json!(true), &json!(100)));
        let [kill, freeze] = [&report["chapters"][0], &report["chapters"][1]];
        assert_eq!((&kill["blow"], &freeze["blow"]), (&json!("kill"), &json!("freeze")));
        assert_eq!(freeze["detected_by_traffic_s"], 2.04);
        assert_eq!(freeze["longest_get_s"], 2.01);
        assert_eq!(kill["back"]["steps"][0], json!([21.0, 5]));
        let target = &kill["targets"][1];
        assert_eq!(target["what"], "failed POST");
        assert_eq!((&target["measured"], &target["at_most"]), (&json!(2), &json!(13)));
        assert_eq!(report["timeline"].as_array().unwrap().len(), 70);
        assert_eq!(report["timeline"][5]["answered"]["taiwan"], 100);

        let requests = requests(&log);
        assert_eq!(requests.lines().count(), 7_001);
        assert_eq!(
            requests.lines().nth(1_001),
            Some("10.000000,10.000000,10.005000,POST,TW,503,,taiwan,false")
        );
    }
}
