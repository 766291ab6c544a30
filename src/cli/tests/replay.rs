//! `evenkeel replay` as people call it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

fn evenkeel() -> Command {
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
}

fn replay(config: &Path, events: &str) -> Output {
    let mut child = evenkeel()
        .args(["replay", "--events", "-", "--config"])
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("evenkeel starts");
    child.stdin.take().expect("piped").write_all(events.as_bytes()).expect("events are read");
    child.wait_with_output().expect("evenkeel ends")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn a_recorded_story_is_told_again() {
    let output = evenkeel()
        .arg("replay")
        .arg("--config")
        .arg(golden("dies-by-breaker.json"))
        .arg("--events")
        .arg(golden("dies-by-breaker.events.jsonl"))
        .output()
        .expect("evenkeel runs");
    let expected = std::fs::read_to_string(golden("dies-by-breaker.expected.jsonl")).expect("a file");
    assert_eq!(text(&output.stdout), expected);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_fault_names_its_line_and_what_came_before_is_printed() {
    let good = "{\"at_ms\": 5, \"tick\": {}}\n";
    let rows = [
        ("{\"at_ms\": 4, \"tick\": {}}", "line 3: at_ms: 4: time must not go back: use 5 or more"),
        ("{\"at_ms\": 5, \"tock\": {}}", "line 3: column 19: unknown field `tock`"),
        ("{\"at_ms\": 5", "line 3: column "),
        ("{\"at_ms\": 5}", "line 3: give exactly one of probe, request, outcome, override and tick"),
        (
            "{\"at_ms\": 5, \"probe\": {\"region\": \"mars\", \"ok\": true}}",
            "line 3: probe.region: \"mars\": no region has this name: use one of taiwan, japan",
        ),
        (
            "{\"at_ms\": 5, \"outcome\": {\"id\": 9, \"ok\": true}}",
            "line 3: outcome.id: 9: no request has this id",
        ),
        (
            "{\"at_ms\": 5, \"request\": {\"id\": 1, \"random\": 1.0}}",
            "line 3: request.random: 1: use a number",
        ),
        (
            "{\"at_ms\": 5, \"override\": {\"freeze\": true, \"ttl\": \"0s\"}}",
            "line 3: override.ttl: 0s: use",
        ),
        ("{\"at_ms\": 5, \"override\": {\"freeze\": true}}", "line 3: column 41: missing field `ttl`"),
    ];
    for (bad, said) in rows {
        let output = replay(&golden("hop.json"), &format!("{good}\n{bad}\n{good}"));
        assert_eq!(output.status.code(), Some(1), "{bad}");
        assert_eq!(text(&output.stdout).lines().count(), 1, "{bad}");
        assert!(text(&output.stderr).starts_with(&format!("-: {said}")), "{}", text(&output.stderr));
    }
    let request = "{\"at_ms\": 5, \"request\": {\"id\": 1}}\n";
    let output = replay(&golden("hop.json"), &format!("{request}{request}"));
    assert!(text(&output.stderr).starts_with("-: line 2: request.id: 1: is still open"), "{output:?}");
}

/// A program at the other end of a pipe gets each answer before it asks on.
#[test]
fn it_answers_line_by_line() {
    let mut child = evenkeel()
        .args(["replay", "--events", "-", "--config"])
        .arg(golden("hop.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("evenkeel starts");
    let (mut ask, answers) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut answers = BufReader::new(answers).lines();
    for at_ms in 0..3 {
        writeln!(ask, "{{\"at_ms\": {at_ms}, \"tick\": {{}}}}").expect("it listens");
        let answer = answers.next().expect("an answer").expect("a line");
        assert!(answer.starts_with(&format!("{{\"at_ms\":{at_ms},")), "{answer}");
    }
    drop(ask);
    assert!(child.wait().expect("evenkeel ends").success());
}

#[test]
fn exit_codes_tell_bad_input_from_bad_usage() {
    let run = |arguments: &[&str]| evenkeel().arg("replay").args(arguments).output().expect("evenkeel runs");
    let config = golden("hop.json");
    let config = config.to_str().expect("UTF-8");
    let events = golden("hop.events.jsonl");
    let events = events.to_str().expect("UTF-8");
    assert_eq!(run(&["--config", config]).status.code(), Some(2));
    assert_eq!(run(&["--config", config, "--events", "/nowhere"]).status.code(), Some(2));
    assert_eq!(run(&["--config", config, "--events", events, "--start", "noon"]).status.code(), Some(2));
    let output = run(&["--config", events, "--events", events]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with(events), "{output:?}");
}

/// The configuration's own orders end by the wall clock, which begins where it is told to.
#[test]
fn the_start_decides_which_orders_are_in_force() {
    let share = |start: &str| {
        let output = evenkeel()
            .arg("replay")
            .arg("--config")
            .arg(golden("configured-overrides.json"))
            .arg("--events")
            .arg(golden("hop.events.jsonl"))
            .args(["--start", start])
            .output()
            .expect("evenkeel runs");
        text(&output.stdout).lines().next().expect("a line").contains("\"drained\"")
    };
    assert!(share("1970-01-01T00:00:00Z"));
    assert!(!share("1970-01-01T00:00:10Z"));
}
