//! What is wrong with an experiment that has the right form.

use super::{ActionProvider, Criteria, Experiment, Fault, Hypothesis, Load, ProbeProvider, Schedule};
use super::{Selection, Step, StopCondition};
use crate::selection::{ROLES, WRITER};
use crate::url::Url;
use evenkeel_config::Problems;
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::time::Millis;
use serde_json::Value;
use std::fmt::Display;

/// The longest wait that an experiment may ask for.
const LONGEST: Millis = Millis::from_secs(3600);

/// More than this no machine that also runs the platform can send.
const HIGHEST_RATE: u32 = 5000;

/// Says what becomes of a file that was written for Chaos Toolkit itself.
pub fn in_our_words(mut problems: Problems) -> Problems {
    for problem in problems.0.iter_mut().filter(|problem| problem.error.value == "\"python\"") {
        problem.error.remedy =
            "Python activities are not run: use type: evenkeel, or type: process with path: python3"
                .to_owned();
    }
    problems
}

/// Notes everything.
pub fn check(experiment: &Experiment, errors: &mut ConfigErrors) {
    if !experiment.version.starts_with("1.") {
        errors.add("version", quoted(&experiment.version), "use 1.0.0, the format this is");
    }
    said(&experiment.title, "title", errors);
    said(&experiment.description, "description", errors);
    load(&experiment.load, errors);
    hypothesis(&experiment.steady_state_hypothesis, errors);
    if experiment.method.is_empty() {
        errors.add("method", "", "give at least one step");
    }
    for (index, step) in experiment.method.iter().enumerate() {
        check_step(step, &format!("method[{index}]"), errors);
    }
    for (index, step) in experiment.rollbacks.iter().enumerate() {
        let at = format!("rollbacks[{index}]");
        if let ActionProvider::Evenkeel { .. } = step.provider {
            errors.add(
                format!("{at}.provider.type"),
                "evenkeel",
                "every fault undoes itself: use http or process here, or leave the step out",
            );
        } else {
            check_step(step, &at, errors);
        }
    }
    criteria(&experiment.criteria, errors);
    evacuated(experiment, errors);
    stop_condition(&experiment.stop_condition, errors);
    if let Some(schedule) = &experiment.schedule {
        check_schedule(schedule, errors);
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn said(text: &str, field: &str, errors: &mut ConfigErrors) {
    if text.trim().is_empty() {
        errors.add(field, quoted(text), "say it in words: reports show it");
    }
}

fn load(load: &Load, errors: &mut ConfigErrors) {
    if !(1..=HIGHEST_RATE).contains(&load.rate) {
        errors.add("load.rate", load.rate, format!("use 1 to {HIGHEST_RATE} requests per second"));
    }
    if load.orders > 100 {
        errors.add("load.orders", load.orders, "use 0 to 100: so many of 100 requests are orders");
    }
    span(load.baseline, Millis::from_secs(1), "load.baseline", errors);
    span(load.patience, Millis::new(1), "load.patience", errors);
    span(load.slow, Millis::new(1), "load.slow", errors);
    if load.slow > load.patience {
        errors.add("load.slow", load.slow, "use at most load.patience: nobody waits longer than that");
    }
}

/// From `least` to an hour.
fn span(value: Millis, least: Millis, field: &str, errors: &mut ConfigErrors) {
    if value < least || value > LONGEST {
        errors.add(field, value, format!("use {least} to {LONGEST}"));
    }
}

fn percent(value: f64, field: impl Into<String>, errors: &mut ConfigErrors) {
    if !(0.0..=100.0).contains(&value) {
        errors.add(field, value, "use 0 to 100 per cent");
    }
}

fn hypothesis(hypothesis: &Hypothesis, errors: &mut ConfigErrors) {
    said(&hypothesis.title, "steady-state-hypothesis.title", errors);
    if hypothesis.probes.is_empty() {
        errors.add(
            "steady-state-hypothesis.probes",
            "",
            "give at least one: without it nobody knows whether all was well before, and is again",
        );
    }
    for (index, probe) in hypothesis.probes.iter().enumerate() {
        let at = format!("steady-state-hypothesis.probes[{index}]");
        said(&probe.name, &format!("{at}.name"), errors);
        tolerance(&probe.tolerance, matches!(probe.provider, ProbeProvider::Evenkeel { .. }), &at, errors);
        match &probe.provider {
            ProbeProvider::Evenkeel { .. } => {}
            ProbeProvider::Http { url, timeout } => request(url, *timeout, &at, errors),
            ProbeProvider::Process { path, timeout, .. } => program(path, *timeout, &at, errors),
        }
    }
}

fn tolerance(tolerance: &Value, is_look: bool, at: &str, errors: &mut ConfigErrors) {
    let fits = match tolerance {
        Value::Bool(_) => is_look,
        Value::Number(_) => !is_look,
        Value::Array(range) if !is_look => {
            let range: Option<Vec<f64>> = range.iter().map(Value::as_f64).collect();
            range.is_some_and(|range| matches!(range.as_slice(), [low, high] if low <= high))
        }
        _ => false,
    };
    if !fits {
        let remedy = match is_look {
            true => "use true or false: that is what a look gives",
            false => "use a number or [low, high]: the status of a page, the exit code of a program",
        };
        errors.add(format!("{at}.tolerance"), tolerance, remedy);
    }
}

fn request(url: &str, timeout: Millis, at: &str, errors: &mut ConfigErrors) {
    if let Err(remedy) = url.parse::<Url>() {
        errors.add(format!("{at}.provider.url"), quoted(url), remedy);
    }
    span(timeout, Millis::new(1), &format!("{at}.provider.timeout"), errors);
}

fn program(path: &str, timeout: Millis, at: &str, errors: &mut ConfigErrors) {
    if path.is_empty() {
        errors.add(format!("{at}.provider.path"), "\"\"", "name the program");
    }
    span(timeout, Millis::new(1), &format!("{at}.provider.timeout"), errors);
}

fn check_step(step: &Step, at: &str, errors: &mut ConfigErrors) {
    said(&step.name, &format!("{at}.name"), errors);
    for (pause, name) in [(step.pauses.before, "before"), (step.pauses.after, "after")] {
        span(pause, Millis::ZERO, &format!("{at}.pauses.{name}"), errors);
    }
    match &step.provider {
        ActionProvider::Evenkeel { fault, on } => {
            check_fault(*fault, on, &format!("{at}.provider"), errors);
        }
        ActionProvider::Http { url, method, timeout, .. } => {
            request(url, *timeout, at, errors);
            if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
                let remedy = "use GET, POST, PUT, PATCH or DELETE";
                errors.add(format!("{at}.provider.method"), quoted(method), remedy);
            }
        }
        ActionProvider::Process { path, timeout, .. } => program(path, *timeout, at, errors),
    }
}

fn check_fault(fault: Fault, on: &Selection, at: &str, errors: &mut ConfigErrors) {
    let names_parts = !on.roles.is_empty() || !on.except.is_empty() || !on.parts.is_empty();
    let on_at = format!("{at}.on");
    match fault {
        Fault::Kill | Fault::Pause => {
            if !on.links.is_empty() {
                errors.add(
                    format!("{on_at}.links"),
                    list(&on.links),
                    "a link is cut or impaired: name parts here",
                );
            }
            if on.region.is_none() && on.roles.is_empty() && on.parts.is_empty() {
                errors.add(on_at.clone(), "", "says nobody: give a region, roles or parts");
            }
        }
        Fault::Cut | Fault::Impair { .. } => {
            if on.links.is_empty() {
                errors.add(format!("{on_at}.links"), "", "name the links, or all");
            }
            if names_parts || on.region.is_some() {
                errors.add(on_at.clone(), "", "a cut or impairment meets links alone: name no parts here");
            }
        }
        Fault::Drain { ttl } => {
            if on.region.is_none() || names_parts || !on.links.is_empty() {
                errors.add(on_at.clone(), "", "a drain meets a region: give region alone");
            }
            if ttl == Millis::ZERO || ttl > Millis::from_secs(24 * 3600) {
                errors.add(format!("{at}.fault.ttl"), ttl, "use 1s to 1day: it ends by itself");
            }
        }
    }
    if let Fault::Impair { round_trip, loss_percent } = fault {
        if round_trip.is_none() && loss_percent.is_none() {
            errors.add(format!("{at}.fault"), "", "impairs nothing: give round_trip, loss_percent or both");
        }
        if let Some(loss) = loss_percent {
            percent(loss, format!("{at}.fault.loss_percent"), errors);
        }
        if let Some(round_trip) = round_trip.filter(|time| *time > Millis::from_secs(60)) {
            errors.add(format!("{at}.fault.round_trip"), round_trip, "use at most 60s");
        }
    }
    for (roles, name) in [(&on.roles, "roles"), (&on.except, "except")] {
        for (index, role) in roles.iter().enumerate().filter(|(_, role)| !ROLES.contains(&role.as_str())) {
            errors.add(format!("{on_at}.{name}[{index}]"), quoted(role), format!("use {}", ROLES.join(", ")));
        }
    }
}

fn list(names: &[impl Display]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn criteria(criteria: &Criteria, errors: &mut ConfigErrors) {
    if *criteria == Criteria::default() {
        errors.add("criteria", "", "give at least one: a run without any can only fail");
    }
    for (value, name) in [
        (criteria.error_rate_percent, "error-rate-percent"),
        (criteria.read_error_rate_percent, "read-error-rate-percent"),
    ] {
        if let Some(value) = value {
            percent(value, format!("criteria.{name}"), errors);
        }
    }
    if let Some(increase) =
        criteria.latency_increase_percent.filter(|value| !(0.0..=10_000.0).contains(value))
    {
        errors.add("criteria.latency-increase-percent", increase, "use 0 to 10000 per cent");
    }
}

/// Answers say which region gave them, and no more: the method must name one.
fn evacuated(experiment: &Experiment, errors: &mut ConfigErrors) {
    let Some(bound) = experiment.criteria.evacuated else { return };
    let names_a_region = |step: &Step| match &step.provider {
        ActionProvider::Evenkeel { on, .. } => on.region.as_deref().is_some_and(|name| name != WRITER),
        _ => false,
    };
    if !experiment.method.iter().any(names_a_region) {
        let remedy = "of which region? Name it in on.region of a step (not writer), or leave evacuated out";
        errors.add("criteria.evacuated", bound, remedy);
    }
}

fn stop_condition(stop: &StopCondition, errors: &mut ConfigErrors) {
    percent(stop.error_rate_percent, "stop-condition.error-rate-percent", errors);
    span(stop.over, Millis::from_secs(1), "stop-condition.over", errors);
}

fn check_schedule(schedule: &Schedule, errors: &mut ConfigErrors) {
    if !(1..=4).contains(&schedule.monday) {
        errors.add("schedule.monday", schedule.monday, "use 1 to 4: not every month has a fifth Monday");
    }
    if schedule.time().is_none() {
        errors.add("schedule.at", quoted(&schedule.at), "write hours and minutes in UTC, like \"02:00\"");
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog;
    use crate::experiment::Experiment;

    /// A good file, and the same with one thing wrong.
    fn wrong(good: &str, bad: &str) -> String {
        let text = catalog::find("region-failure").expect("it is there").text;
        assert!(text.contains(good), "{good} is not in the file");
        let changed = text.replacen(good, bad, 1);
        Experiment::read(changed.as_bytes()).expect_err(bad).to_string()
    }

    #[test]
    fn faults_name_the_field_the_value_and_the_remedy() {
        for (good, bad, parts) in [
            (
                "type: evenkeel, look: shares-whole",
                "type: python, module: os",
                &["provider.type", "python", "type: process"][..],
            ),
            (
                "look: shares-whole",
                "look: shares-hole",
                &["provider.look", "\"shares-hole\"", "shares-whole"],
            ),
            ("{name: kill}", "{name: kil}", &["method[0].provider", "\"kil\"", "pause"]),
            ("kind: region-failure", "kind: regionfailure", &["kind", "\"regionfailure\"", "cache-failure"]),
            ("except: [edge]", "except: [egde]", &["method[0].provider.on.except[0]", "\"egde\"", "edge"]),
            ("monday: 1", "monday: 5", &["schedule.monday", "5", "1 to 4"]),
            ("monday: 1", "monday: 1, at: \"25:00\"", &["schedule.at", "\"25:00\"", "02:00"]),
            (
                "error-rate-percent: 0.1",
                "error-rate-percent: 101",
                &["criteria.error-rate-percent", "101", "0 to 100"],
            ),
            ("title: ", "titel: ", &["titel", "no such field"]),
            ("rto-reads: 5s", "rto-reads: 5", &["criteria.rto-reads", "5", "with its unit"]),
        ] {
            let error = wrong(good, bad);
            assert!(parts.iter().all(|part| error.contains(part)), "{bad}: {error}");
            assert!(error.contains("line "), "{bad}: {error}");
        }
    }

    #[test]
    fn an_evacuation_is_of_a_region_that_the_method_names() {
        let text = catalog::find("region-failure").expect("it is there").text;
        let promised = text.replacen("rto-reads: 5s", "evacuated: 10s", 1);
        assert!(promised != text && promised.contains("region: writer"), "{text}");
        let error = Experiment::read(promised.as_bytes()).expect_err("the writer's").to_string();
        for part in ["criteria.evacuated", "10s", "on.region"] {
            assert!(error.contains(part), "{error}");
        }
        let named = promised.replace("region: writer", "region: taiwan");
        let read = Experiment::read(named.as_bytes()).expect("it names one");
        assert_eq!(read.criteria.evacuated.map(|bound| bound.get()), Some(10_000));
    }

    #[test]
    fn no_probe_no_method_and_no_mapping_are_told() {
        let bare = "title: a\ndescription: b\nkind: drill\ncriteria: {}\nmethod: []\n\
                    steady-state-hypothesis: {title: c, probes: []}\n";
        let error = Experiment::read(bare.as_bytes()).expect_err("bare").to_string();
        for part in
            ["steady-state-hypothesis.probes", "method: give at least one", "criteria: give at least one"]
        {
            assert!(error.contains(part), "{error}");
        }
        let error = Experiment::read(b"- 1").expect_err("a list").to_string();
        assert!(error.contains("the experiment: is not a mapping"), "{error}");
    }
}
