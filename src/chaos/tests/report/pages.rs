//! What stands in a page, and what cannot break one.

use crate::fixture;
use evenkeel_chaos::journal::{AlertState, Journal};
use evenkeel_chaos::report::{self, Promise, page};
use evenkeel_config::{Business, Decimal};
use std::path::Path;
use std::time::Instant;

/// The page's words, without markup.
fn words(page: &str) -> String {
    let body = page.split("<body>").nth(1).unwrap();
    let mut text = String::new();
    let mut inside = false;
    for letter in body.chars() {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(letter),
            _ => (),
        }
    }
    text
}

#[track_caller]
fn holds(page: &str, parts: &[&str]) {
    let words = words(page);
    for part in parts {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
}

#[test]
fn the_verdict_comes_first_and_says_what_a_manager_reads() {
    let passed = page(&fixture::region_failure());
    let words = words(&passed);
    let place = |part: &str| words.find(part).unwrap_or_else(|| panic!("no {part:?} in {words}"));
    assert!(
        place("Passed") < place("All 7 criteria hold.")
            && place("All 7 criteria hold.") < place("Recovery time (RTO)")
    );
    assert!(place("Error rate") < place("Promised") && place("Promised") < place("Timeline"));
    holds(
        &page(&fixture::missed()),
        &[
            "✕ Missed",
            "The steady state did not hold again after everything was undone.",
            "criteria missed. Reads recover: ",
            "Acknowledged orders are lost: 3 of ",
            "held before, not after",
        ],
    );
}

#[test]
fn the_timeline_is_measured_in_utc_and_from_the_fault() {
    let page = page(&fixture::region_failure());
    holds(
        &page,
        &[
            "2026-12-07",
            "02:00:20.250",
            "+0.000 s",
            "Kill all of Taiwan (taiwan-app-1, taiwan-app-2, taiwan-companion, taiwan-redis)",
            "First failure: an order due now from a client of taiwan got 503",
            "+0.403 s",
            "the breaker of taiwan opens",
            "taiwan gets less than its share of the answers",
            "Orders recovered",
            "Undoing begins",
            "Healed: the steady state holds again",
            "clients served",
        ],
    );
}

#[test]
fn the_engines_share_is_told_where_it_dominates() {
    holds(
        &page(&fixture::database_failure()),
        &[
            "Where the time went",
            "tw-a → tw-b",
            "20.0 s of that, 97 %",
            "The engine's own promotion dominates",
        ],
    );
    assert!(!page(&fixture::region_failure()).contains("Where the time went"), "the writer did not change");
}

#[test]
fn a_game_day_report_holds_what_it_must() {
    holds(
        &page(&fixture::region_failure()),
        &[
            "Hypothesis",
            "held before and again after",
            "Expected",
            "Observed",
            "Blast radius",
            "Stop condition",
            "did not trip",
            "Rollback tested",
            "yes: 1 step undone, the steady state held again after 12.4 s",
            "Layers that acted",
            "edge after 0.40 s, then dns after 7.20 s",
            "Did an alert fire?",
            "Before, during, after",
            "Severity",
            "Ticket",
            "2027-01-04 02:00",
            "evenkeel chaos run region-failure --target compose/target.yaml",
            "steady-state-hypothesis:",
            "rto-reads: 5s",
            "33 ms",
            "2 CPUs",
        ],
    );
}

#[track_caller]
fn lacks(page: &str, parts: &[&str]) {
    let words = words(page);
    for part in parts {
        assert!(!words.contains(part), "{part:?} in {words}");
    }
}

#[test]
fn an_alert_that_fired_is_told_and_what_was_there_before_is_told_so() {
    let page = page(&fixture::region_failure());
    holds(
        &page,
        &[
            "yes (looked every second): EvenkeelRegionOut (taiwan), critical: pending after 5.11 s, firing after \
             20.1 s, resolved after 75.1 s",
            "Before the fault already:EvenkeelDatabaseCpu (taiwan, tw-a), critical: pending before the fault",
            // The timeline's rows.
            "+20.110 salertAlert EvenkeelRegionOut (taiwan) fires",
            "+75.110 salertAlert EvenkeelRegionOut (taiwan) is resolved",
            "Whom alerts reached is not in the journal",
            "alerts to within 1.00 s (between two looks at the Prometheus)",
        ],
    );
    lacks(&page, &["Alert EvenkeelDatabaseCpu", "No Prometheus was asked", "which, when, and to whom"]);
}

#[test]
fn no_alert_a_silent_prometheus_and_none_at_all_are_three_answers() {
    let none = page(&fixture::database_failure());
    holds(&none, &["none fired within the run (looked every second)"]);
    lacks(&none, &["to whom", "No Prometheus was asked"]);
    let silent = page(&fixture::missed());
    holds(
        &silent,
        &[
            "the target's Prometheus never answered which, when, and to whom",
            "The target's Prometheus never answered when it was asked for alerts",
        ],
    );
    lacks(&silent, &["none fired"]);
    // As journals before the field were.
    let mut old = serde_json::to_value(fixture::region_failure()).unwrap();
    assert!(old.as_object_mut().unwrap().remove("alerts").is_some());
    let old = page(&serde_json::from_value(old).unwrap());
    holds(
        &old,
        &[
            "Did an alert fire?which, when, and to whom",
            "No Prometheus was asked for alerts (give alerts: HOST:PORT in the target file)",
        ],
    );
    lacks(&old, &["none fired", "EvenkeelRegionOut"]);
    holds(&page(&fixture::bare()), &["Did an alert fire?no fault was done"]);
}

#[test]
fn an_alert_from_before_that_fires_later_and_one_of_a_gap_are_not_the_faults() {
    let mut journal = fixture::region_failure();
    journal.alerts = fixture::alerts(|at| match at {
        ..15_000.0 => Some(vec![("EvenkeelDatabaseCpu", "taiwan", AlertState::Pending)]),
        15_000.0..30_000.0 => None,
        _ => Some(vec![
            ("EvenkeelDatabaseCpu", "taiwan", AlertState::Firing),
            ("EvenkeelRegionOut", "taiwan", AlertState::Firing),
        ]),
    });
    let page = page(&journal);
    holds(
        &page,
        &[
            "none fired within the run that was not there before the fault (looked every second; 15 looks not answered)",
            "Before the fault already:EvenkeelDatabaseCpu (taiwan, tw-a), critical: pending before the fault, firing \
             after 10.1 s, not resolved by the end of the run (known to within 16.0 s)",
            "Come while nobody answered, before the fault or after it:EvenkeelRegionOut (taiwan), critical: firing \
             after 10.1 s, not resolved by the end of the run (known to within 16.0 s)",
            "Alert EvenkeelDatabaseCpu (taiwan, tw-a) fires; it was pending before the fault (known to within 16.0 s)",
            "Alert EvenkeelRegionOut (taiwan) is firing; whether since before the fault is not known (known to within 16.0 s)",
            "did not answer for up to 10.1 s after the fault",
        ],
    );
    lacks(&page, &["yes (looked", "Whom alerts reached"]);
}

#[test]
fn what_could_not_be_measured_is_said() {
    let bare = page(&fixture::bare());
    holds(
        &bare,
        &[
            "Not run",
            "The steady state did not hold before: nothing was done.",
            "Nothing was done to the platform.",
            "No request was recorded",
            "No edge answered",
            "No companion answered",
            "RPO, are unknown",
            "No link told the round trip",
        ],
    );
    for nonsense in ["NaN", "inf ", "None", "Some("] {
        assert!(!words(&bare).contains(nonsense), "{nonsense}");
    }
}

#[test]
fn hostile_names_stay_names() {
    let journal = fixture::hostile();
    let index = report::trends(std::slice::from_ref(&journal), None);
    for page in [page(&journal), index] {
        assert!(page.contains("&lt;script&gt;"), "it is shown");
        assert!(!page.contains("<script") && !page.contains("<img"), "and is no markup");
        // In an attribute a quote would end it.
        assert!(!page.contains("\"'&<") && !page.contains("=\"<"), "nor in attributes");
    }
}

#[test]
fn a_huge_run_is_a_small_page_soon() {
    let mut journal = fixture::region_failure();
    let requests = journal.requests.clone();
    for more in 1..3 {
        journal.requests.extend(requests.iter().map(|request| {
            let mut request = *request;
            request.due += f64::from(more) * 120_000.0;
            request.end += f64::from(more) * 120_000.0;
            request
        }));
    }
    journal.ended = 360_000.0;
    assert!(journal.requests.len() > 60_000);
    // The quickest of some: others use the machine too.
    let rendered = (0..5).map(|_| {
        let began = Instant::now();
        (page(&journal).len(), began.elapsed())
    });
    let (bytes, took) = rendered.min_by_key(|(_, took)| *took).unwrap();
    println!("{} requests: {bytes} bytes in {took:?}", journal.requests.len());
    assert!(bytes < 1_000_000, "{bytes} bytes");
    assert!(took.as_millis() < 1000, "{took:?}");
}

#[test]
fn times_that_cannot_be_are_drawn_on_the_sheet() {
    let mut journal = fixture::region_failure();
    journal.rollback = Some(1.0);
    journal.healed = Some(1e12);
    journal.ended = -5.0;
    journal.requests[5].due = 1e15;
    journal.requests[6].region = Some(250);
    journal.requests[7].client = 250;
    journal.samples[3].at = -1e9;
    let page = page(&journal);
    assert!(!page.contains("NaN") && !page.contains("=\"inf"));
}

fn business() -> Business {
    Business {
        orders_per_minute: Decimal::from_thousandths(60_000),
        order_value: Decimal::from_thousandths(85_000),
        currency: "USD".to_owned(),
    }
}

/// A folder of runs of several months, some of them missed, and one whose journal is cut off.
pub fn archive() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |run: &str, bytes: &[u8]| {
        std::fs::create_dir_all(folder.path().join(run)).unwrap();
        std::fs::write(folder.path().join(run).join("journal.json"), bytes).unwrap();
    };
    let scenes = [fixture::region_failure(), fixture::database_failure(), fixture::missed()];
    let add = |scene: usize, began: String, slower: f64| {
        let mut journal: Journal = scenes[scene].clone();
        journal.run = format!("run-{}", began.replace(':', ""));
        journal.began = began;
        // Those that the fault met wait a little more or less.
        for request in &mut journal.requests {
            if request.latency() > 100.0 {
                request.end = request.due + request.latency() * slower;
            }
        }
        write(&journal.run, &serde_json::to_vec(&journal).unwrap());
    };
    for (month, slower) in [(10, 1.1), (11, 0.9), (12, 1.0)] {
        let began = |day: u32| format!("2026-{month:02}-{day:02}T02:00:00Z");
        add(if month == 11 { 2 } else { 0 }, began(7), slower);
        add(1, began(14), slower);
    }
    write("run-20260101T020000Z", b"{\"version\": 1, \"run\": \"run-20260101T02");
    folder
}

/// The index over it.
pub fn index() -> String {
    let folder = archive();
    let promise = Promise { availability: 99.99, business: Some(business()) };
    let page = report::index(folder.path(), &promise).unwrap().html;
    page.replace(folder.path().to_str().unwrap(), "chaos-out")
}

#[test]
fn the_index_tells_kinds_months_and_the_price() {
    let page = index();
    holds(
        &page,
        &[
            "5 of 6 runs passed",
            "Not read chaos-out/run-20260101T020000Z/journal.json: it is cut off",
            "Complete region failure compose, rpo0",
            "Database primary failure compose, rpo0",
            "not recovered",
            "2026-12",
            "during experiments",
            "4.3 minutes",
            "USD 5,100 a minute",
            "USD 306,000 an hour",
            // A fault of 60 s.
            "USD 5,100",
        ],
    );
    assert!(page.contains("href=\"./run-2026-12-14T020000Z/report.html\""));
    let newest = page.find("run-2026-12-14").unwrap();
    assert!(newest < page.find("run-2026-10-07").unwrap(), "the newest first");
    holds(
        &report::trends(&[], None),
        &["No run yet", "evenkeel chaos run NAME", "4.3 minutes", "no section business"],
    );
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_the_others_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let journal = fixture::region_failure();
    let whole = serde_json::to_vec(&journal).unwrap();
    let write = |run: &str, bytes: &[u8]| {
        std::fs::create_dir_all(folder.path().join(run)).unwrap();
        std::fs::write(folder.path().join(run).join("journal.json"), bytes).unwrap();
    };
    write("good", &whole);
    write("cut", &whole[..whole.len() / 2]);
    write("empty", b"\n");
    write("old", b"{\"version\": 0, \"runs\": []}");
    write("other", b"{\"version\": 1, \"run\": 5}");
    write("text", b"hello");
    std::fs::create_dir(folder.path().join("unfinished")).unwrap();
    let promise = Promise { availability: 99.99, business: None };
    let index = report::index(folder.path(), &promise).unwrap();
    assert!(index.html.contains("href=\"./good/report.html\""));
    let errors: Vec<(&str, &str)> = index
        .unreadable
        .iter()
        .map(|one| {
            (one.path.parent().and_then(Path::file_name).unwrap().to_str().unwrap(), one.error.as_str())
        })
        .collect();
    let expected = [
        ("cut", "it is cut off at line 1"),
        ("empty", "it is empty"),
        ("old", "its version is 0, and this Evenkeel reads 1"),
        ("other", "it is not a journal of a run: invalid type"),
        ("text", "it is not a journal of a run"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for ((run, error), (expected_run, begins)) in errors.iter().zip(expected) {
        assert_eq!(*run, expected_run);
        assert!(error.starts_with(begins), "{error}");
        assert!(!error.contains('\n'));
        assert!(index.html.contains(&format!("{run}/journal.json")));
    }
    assert_eq!(report::read(&folder.path().join("good/journal.json")).unwrap().run, journal.run);
    assert!(report::index(&folder.path().join("nowhere"), &promise).is_err());
}
