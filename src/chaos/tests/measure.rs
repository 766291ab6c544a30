//! Figures and verdicts from journals written by hand and by chance: nothing that goes wrong may make a run
//! look better.

use evenkeel_chaos::experiment::Experiment;
use evenkeel_chaos::figures::{Figures, Verdict};
use evenkeel_chaos::journal::{
    Activity, ActivityPart, Audit, CompanionView, EdgeView, Environment, Fate, Journal, Ms, Observer, Order,
    Request, Sample, Seen, Status, SteadyState, order_key,
};
use evenkeel_chaos::measure::figures;
use evenkeel_chaos::verdict::judge;
use proptest::prelude::*;
use serde_json::{Value, json};

const FAULT: Ms = 20_000.0;
const UNDONE: Ms = 70_000.0;
const END: Ms = 90_000.0;

fn experiment(criteria: Value, load: Value) -> Experiment {
    serde_json::from_value(json!({
        "title": "t", "description": "d", "kind": "region-failure", "load": load,
        "steady-state-hypothesis": {"title": "s", "probes": []}, "method": [], "criteria": criteria
    }))
    .unwrap()
}

fn all_criteria() -> Value {
    json!({
        "rto-reads": "5s", "rto-orders": "5s", "rpo": {"rpo0": "0s"}, "lost-orders": {"rpo0": 0},
        "corrupt-orders": 0, "unanswered-orders": 0, "error-rate-percent": 0.1, "read-error-rate-percent": 0.0,
        "latency-increase-percent": 50.0, "detection": "1s", "settled": "10s", "healed": "30s"
    })
}

fn request(n: u32, due: Ms) -> Request {
    let order = n.is_multiple_of(5);
    let region = Some((n % 2) as u8);
    let client = (n % 2) as u8;
    Request { due, end: due + 8.0, client, order, status: 200, region, sent: due + 0.5, reads: None }
}

fn order(n: u32, due: Ms, fate: Fate) -> Order {
    Order { key: order_key("run", n), due, end: due + 8.0, client: 0, total_cents: 100, fate }
}

fn edge(at: Ms, taiwan: EdgeView) -> Sample {
    let whole = EdgeView { healthy: true, breaker: 0, share: 100.0 };
    let views = [("taiwan".to_owned(), taiwan), ("japan".to_owned(), whole)];
    let seen = Some(Seen::Edge(views.into()));
    Sample { asked: at - 2.0, at, observer: Observer::Edge, region: "japan".to_owned(), seen }
}

fn companion(at: Ms, region: &str, view: CompanionView) -> Sample {
    let seen = Some(Seen::Companion(view));
    Sample { asked: at - 2.0, at, observer: Observer::Companion, region: region.to_owned(), seen }
}

fn view(ready: bool, taiwan: f64) -> CompanionView {
    CompanionView {
        ready,
        down: if ready { vec![] } else { vec!["redis".to_owned()] },
        writer: Some("a".to_owned()),
        dns: [("taiwan".to_owned(), taiwan), ("japan".to_owned(), 100.0)].into(),
        ..CompanionView::default()
    }
}

/// Taiwan's cache dies at 20 s: its requests fail for 200 ms, its companion notices after 300 ms, the edges
/// after 800 ms, DNS after 2 s; undone at 70 s. 200 requests per second, and every criterion holds.
fn good() -> Journal {
    let requests = (0..(END / 5.0) as u32).map(|n| {
        let due = Ms::from(n) * 5.0;
        let mut request = request(n, due);
        if (FAULT..UNDONE).contains(&due) {
            request.region = Some(1);
        }
        // One order: 0.008 % of 12,000.
        if n == 4_005 {
            request.status = 503;
        }
        request
    });
    let whole = EdgeView { healthy: true, breaker: 0, share: 100.0 };
    let out = EdgeView { healthy: false, breaker: 0, share: 0.0 };
    let samples = (0..450).flat_map(|n| {
        let at = Ms::from(n) * 200.0 + 100.0;
        let since = |late: Ms| (FAULT + late..UNDONE).contains(&at);
        let dns = if since(2_000.0) { 0.0 } else { 100.0 };
        [
            edge(at, if since(800.0) { out } else { whole }),
            companion(at, "taiwan", view(!since(300.0), dns)),
            companion(at, "japan", view(true, dns)),
        ]
    });
    let steady = SteadyState { met: true, at: 0.0, probes: vec![] };
    Journal {
        version: 1,
        run: "run".to_owned(),
        began: "2026-01-05T02:00:00.000Z".to_owned(),
        name: "cache-failure".to_owned(),
        experiment: experiment(all_criteria(), json!({})),
        environment: Environment {
            profile: Some("rpo0".to_owned()),
            round_trip: Some(35.0),
            ..Environment::default()
        },
        status: Status::Completed,
        reason: None,
        before: steady.clone(),
        after: Some(steady),
        injected: Some(FAULT),
        rollback: Some(UNDONE),
        healed: Some(UNDONE + 5_000.0),
        ended: END,
        activities: vec![],
        clients: vec!["taiwan".to_owned(), "japan".to_owned()],
        regions: vec!["taiwan".to_owned(), "japan".to_owned()],
        requests: requests.collect(),
        samples: samples.collect(),
        alerts: None,
        ledger: (0..3_600)
            .map(|n| order(n * 5, Ms::from(n) * 25.0, Fate::Acknowledged(format!("id-{n}"))))
            .collect(),
        audit: Some(Audit::default()),
    }
}

fn missed(journal: &Journal) -> Vec<&'static str> {
    let outcome = judge(journal, &figures(journal));
    let missed = outcome.criteria.iter().filter(|judged| judged.verdict == Verdict::Missed);
    let missed: Vec<&str> = missed.map(|judged| judged.criterion).collect();
    assert!(!outcome.passed || missed.is_empty());
    missed
}

#[test]
fn a_good_run_passes_with_its_figures() {
    let journal = good();
    let figures = figures(&journal);
    let outcome = judge(&journal, &figures);
    assert!(outcome.passed, "{outcome:?}");
    assert_eq!(outcome.criteria.len(), 12);
    assert_eq!((figures.orders.rto, figures.orders.outage, figures.orders.failed), (Some(58.0), 8.0, 1));
    assert_eq!((figures.reads.rto, figures.reads.outage), (Some(13.0), 0.0));
    assert_eq!((figures.window.requests, figures.window.failed), (12_001, 1));
    assert_eq!((figures.rate, figures.window_length, figures.lateness), (200.0, 60_000.0, 0.5));
    assert_eq!(figures.detection, Some(300.0));
    let layers: Vec<(&str, &str, Ms)> =
        figures.layers.iter().map(|acted| (acted.layer, acted.what.as_str(), acted.after)).collect();
    assert_eq!(
        layers,
        [
            ("readiness", "redis is down in taiwan", 300.0),
            ("readiness", "taiwan is not ready", 300.0),
            ("edge", "taiwan is unhealthy to its probes", 900.0),
            ("edge", "taiwan gets less than its share", 900.0),
            ("dns", "taiwan gets less than its share of the answers", 2_100.0),
        ]
    );
    assert_eq!((figures.settled, figures.healed), (Some(2_100.0), Some(5_000.0)));
    assert!((figures.look_resolution - 200.0).abs() < 1e-6 && figures.request_resolution == 25.0);
    let increase = figures.latency.increase_percent.unwrap();
    assert!((increase - 100.0 * (8.0 / 43.0 - 1.0)).abs() < 1e-9, "{increase}");
    // The file alone gives the same.
    let again: Journal = serde_json::from_str(&serde_json::to_string(&journal).unwrap()).unwrap();
    assert_eq!(again, journal);
}

#[test]
fn each_thing_that_goes_wrong_misses_its_own_criterion() {
    type Change = fn(&mut Journal);
    fn each(journal: &mut Journal, order: bool, from: Ms, to: Ms, change: impl Fn(&mut Request)) {
        let met = |r: &&mut Request| r.order == order && r.due >= from && r.due < to;
        journal.requests.iter_mut().filter(met).for_each(change);
    }
    let audited = |change: fn(&mut Audit)| {
        let mut journal = good();
        change(journal.audit.as_mut().unwrap());
        missed(&journal)
    };
    assert_eq!(audited(|audit| audit.lost.push(order_key("run", 3_995))), ["lost-orders", "rpo"]);
    assert_eq!(audited(|audit| audit.doubled.push(order_key("run", 5))), ["corrupt-orders"]);
    assert_eq!(audited(|audit| audit.corrupt.push(order_key("run", 5))), ["corrupt-orders"]);
    assert_eq!(audited(|audit| audit.unasked.push(order_key("run", 6))), ["corrupt-orders"]);
    assert_eq!(audited(|audit| audit.diverged.push("b: run-5".to_owned())), ["corrupt-orders"]);
    assert_eq!(audited(|audit| audit.unknown_present = 7), [""; 0]);
    let cases: [(&[&str], Change); 13] = [
        // Held for 10 s and then answered: no error, and no recovery before.
        (&["rto-orders"], |j| {
            each(j, true, FAULT, FAULT + 9_000.0, |r| r.end = FAULT + 10_000.0);
        }),
        // Late until the end: there is nothing after recovery to compare the latency of, either.
        (&["rto-orders", "latency-increase-percent"], |j| {
            each(j, true, FAULT, UNDONE, |r| r.end = r.due + 1_500.0);
        }),
        (&["read-error-rate-percent"], |j| each(j, false, FAULT + 1.0, FAULT + 10.0, |r| r.status = 404)),
        (&["rto-reads", "error-rate-percent", "read-error-rate-percent"], |j| {
            each(j, false, FAULT, FAULT + 6_000.0, |r| r.status = 0);
        }),
        // After the fault was undone, within 60 s of the fault… and it is no part of the RTO.
        (&["error-rate-percent"], |j| each(j, true, 75_000.0, 77_000.0, |r| r.status = 503)),
        (&["latency-increase-percent"], |j| each(j, false, FAULT, UNDONE, |r| r.end = r.due + 65.0)),
        (&["detection", "settled"], |j| j.samples.clear()),
        (&["settled"], |j| {
            let silent = j.samples.iter_mut().filter(|s| s.observer == Observer::Edge && s.at > 60_000.0);
            silent.for_each(|sample| sample.seen = None);
        }),
        // A region that is not ready answers one request.
        (&["settled"], |j| j.requests[12_000].region = Some(0)),
        (&["unanswered-orders"], |j| j.ledger[7].fate = Fate::Unknown),
        (&["healed"], |j| j.healed = None),
        (&["rpo", "lost-orders", "corrupt-orders"], |j| j.audit = None),
        (&["error-rate-percent", "read-error-rate-percent"], |j| {
            j.ended = 75_000.0;
            j.requests.retain(|request| request.due < 75_000.0);
        }),
    ];
    for (number, (expected, change)) in cases.into_iter().enumerate() {
        let mut journal = good();
        change(&mut journal);
        let mut found = missed(&journal);
        let mut expected = expected.to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "case {number}");
        assert!(!judge(&journal, &figures(&journal)).passed, "case {number}");
    }
}

#[test]
fn a_run_that_nobody_can_believe_is_not_passed() {
    let activity = |error: Option<&str>| Activity {
        name: "kill it".to_owned(),
        part: ActivityPart::Method,
        began: 0.0,
        ended: 1.0,
        met: vec![],
        error: error.map(str::to_owned),
    };
    type Change = Box<dyn Fn(&mut Journal)>;
    let cases: Vec<(&str, Change)> = vec![
        ("nothing was injected", Box::new(|j| j.injected = None)),
        ("no criterion", Box::new(|j| j.experiment = experiment(json!({}), json!({})))),
        (
            "nothing is promised",
            Box::new(|j| {
                // Promised to another profile alone.
                j.experiment = experiment(json!({"rpo": {"rpo1s": "1s"}}), json!({}));
            }),
        ),
        ("no baseline", Box::new(|j| j.requests.retain(|r| r.due > FAULT))),
        ("nobody saw it", Box::new(|j| j.requests.retain(|r| r.due < FAULT))),
        ("fell behind", Box::new(|j| j.requests[5_000].sent += 600.0)),
        (
            "fell behind",
            Box::new(|j| {
                // A generator that leaves out what it has no time for.
                let mut n = 0;
                j.requests.retain(|_| {
                    n += 1;
                    n % 10 != 0
                });
            }),
        ),
        ("stopped by hand", Box::new(|j| j.status = Status::Interrupted)),
        ("nothing was done", Box::new(|j| j.status = Status::Failed)),
        ("no container", Box::new(move |j| j.activities.push(activity(Some("no container"))))),
        ("did not hold before", Box::new(|j| j.before.met = false)),
        ("did not hold again", Box::new(|j| j.after.as_mut().unwrap().met = false)),
        ("nobody looked", Box::new(|j| j.after = None)),
    ];
    for (reason, change) in cases {
        let mut journal = good();
        change(&mut journal);
        let outcome = judge(&journal, &figures(&journal));
        assert!(!outcome.passed, "{reason}");
        assert!(outcome.reason.as_deref().is_some_and(|why| why.contains(reason)), "{reason}: {outcome:?}");
    }
    let mut slow = good();
    slow.experiment = experiment(json!({"error-rate-percent": 0.1}), json!({"rate": 100}));
    let outcome = judge(&slow, &figures(&slow));
    assert!(outcome.passed, "{outcome:?}");
    slow.requests.retain(|request| ((request.due / 5.0) as u32).is_multiple_of(2));
    let outcome = judge(&slow, &figures(&slow));
    assert!(outcome.passed && outcome.criteria[0].measured.contains("at 100/s only"), "{outcome:?}");
}

#[test]
fn the_oldest_lost_order_counts_and_reads_of_it_tell_of_the_loss() {
    let mut journal = good();
    let lost = [3_000, 3_990, 4_400].map(|n| order_key("run", n));
    journal.audit.as_mut().unwrap().lost = lost.to_vec();
    for number in [7_001, 7_003] {
        let request = &mut journal.requests[number];
        (request.status, request.reads) = (404, Some(3_990));
    }
    let with = figures(&journal);
    let loss = with.loss.unwrap();
    // Acknowledged at 15,008; and one after the fault at 22,008, which is nearer.
    assert_eq!((loss.lost, loss.rpo, loss.reads_of_lost), (3, 4_992.0, 2));
    assert_eq!((with.reads.failed, with.rate), (0, 200.0));
    // The same answer for an order that is there is a failure.
    journal.requests[7_001].reads = Some(3_995);
    assert_eq!(figures(&journal).reads.failed, 1);
}

/// What must never shrink when a run gets worse.
fn badness(figures: &Figures) -> [f64; 8] {
    let never = |time: Option<Ms>| time.unwrap_or(Ms::INFINITY);
    [
        never(figures.reads.rto),
        never(figures.orders.rto),
        figures.reads.outage,
        figures.orders.outage,
        figures.window.percent().unwrap_or(0.0),
        figures.window_reads.percent().unwrap_or(0.0),
        figures.reads.failed as f64,
        figures.orders.failed as f64,
    ]
}

prop_compose! {
    fn any_request()(
        due in 0.0..END, took in prop_oneof![4 => 1.0..50.0, 1 => 50.0..30_000.0], order: bool,
        status in prop_oneof![6 => Just(200_u16), 1 => Just(503), 1 => Just(0)], region in 0..2_u8,
    ) -> Request {
        Request { due, end: due + took, client: region, order, status, region: Some(region), sent: due, reads: None }
    }
}

prop_compose! {
    fn any_journal()(requests in prop::collection::vec(any_request(), 1..300)) -> Journal {
        let mut journal = Journal { requests, samples: vec![], ..good() };
        journal.requests.sort_by(|a, b| a.due.total_cmp(&b.due));
        journal
    }
}

fn with(journal: &Journal, request: Request) -> Journal {
    let mut journal = journal.clone();
    journal.requests.push(request);
    journal.requests.sort_by(|a, b| a.due.total_cmp(&b.due));
    journal
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_more_failure_makes_nothing_better(
        journal in any_journal(), mut failed in any_request(), status in prop_oneof![Just(0_u16), Just(404), Just(503)],
    ) {
        failed.status = status;
        let before = badness(&figures(&journal));
        let after = badness(&figures(&with(&journal, failed)));
        for (before, after) in before.into_iter().zip(after) {
            // One more request has a share in the denominator too, where it does not fail in the window.
            prop_assert!(after >= before - 1e-9, "{before} {after}");
        }
    }

    #[test]
    fn an_answer_that_fails_or_comes_later_makes_nothing_better(
        journal in any_journal(), at: prop::sample::Index, later in 0.0..20_000.0, fails: bool,
    ) {
        let before = badness(&figures(&journal));
        let mut worse = journal.clone();
        let request = &mut worse.requests[at.index(journal.requests.len())];
        if fails { request.status = 503 } else { request.end += later }
        let after = badness(&figures(&worse));
        for (number, (before, after)) in before.into_iter().zip(after).enumerate() {
            // An answer that comes after the fault instead of before it is one more of those that met it.
            if !(4..6).contains(&number) {
                prop_assert!(after >= before - 1e-9, "{number}: {before} {after}");
            }
        }
    }

    #[test]
    fn another_beginning_of_time_changes_nothing(mut journal in any_journal(), later in 0_u32..100_000) {
        journal.samples = good().samples;
        let before = figures(&journal);
        let later = Ms::from(later);
        for request in &mut journal.requests {
            request.due += later;
            request.end += later;
            request.sent += later;
        }
        for sample in &mut journal.samples {
            sample.asked += later;
            sample.at += later;
        }
        for order in &mut journal.ledger {
            order.end += later;
        }
        let ms = |at: &mut Option<Ms>| *at = at.map(|at| at + later);
        ms(&mut journal.injected);
        ms(&mut journal.rollback);
        ms(&mut journal.healed);
        journal.ended += later;
        let after = figures(&journal);
        for (before, after) in badness(&before).into_iter().zip(badness(&after)) {
            prop_assert!(before == after || (before - after).abs() < 1e-6);
        }
        prop_assert_eq!(before.layers.len(), after.layers.len());
        prop_assert_eq!(before.settled.is_some(), after.settled.is_some());
    }

    #[test]
    fn the_ledgers_order_and_the_audits_change_nothing(
        ledger in Just(good().ledger).prop_shuffle(), lost in Just(vec![100_u32, 200, 300]).prop_shuffle(),
    ) {
        let mut journal = good();
        journal.audit.as_mut().unwrap().lost = [100, 200, 300].map(|n| order_key("run", n)).to_vec();
        let before = figures(&journal);
        journal.ledger = ledger;
        journal.audit.as_mut().unwrap().lost = lost.into_iter().map(|n| order_key("run", n)).collect();
        prop_assert_eq!(before, figures(&journal));
    }
}
