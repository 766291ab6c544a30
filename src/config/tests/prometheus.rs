//! What Prometheus and Alertmanager load: the examples, and what promtool and amtool say of them.
//!
//! After a change that is meant: `EVENKEEL_UPDATE=1 cargo test -p evenkeel-config --test prometheus`.
//! The tools are found by `scripts/program.sh promtool amtool`; without them these tests fail and say so.

use evenkeel_config::Plan;
use evenkeel_config::render::prometheus::{self, ALERTMANAGER, RUNBOOKS};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn observability(name: &str) -> PathBuf {
    project().join("observability").join(name)
}

fn plan() -> Plan {
    let plan = Plan::load(&observability("evenkeel.yaml"), None).unwrap_or_else(|faults| panic!("{faults}"));
    let [admin] = &plan.warnings[..] else { panic!("{:?}", plan.warnings) };
    assert!(admin.starts_with("edge.admin: 0.0.0.0:9901 can be reached"), "{admin}");
    plan
}

fn read(text: &str) -> Plan {
    let base = "service: shop\nregions: [{name: taiwan, address: \"127.0.0.1:1\"}]\n";
    Plan::read((base.to_owned() + text).as_bytes(), Path::new("."), None).unwrap()
}

#[track_caller]
fn tool(name: &str, arguments: &[&str], file: &Path) -> Output {
    let output = Command::new(name).args(arguments).arg(file).output();
    output.unwrap_or_else(|error| panic!("no program {name} ({error}): run scripts/program.sh {name}"))
}

#[track_caller]
fn accepts(name: &str, arguments: &[&str], file: &Path) {
    let output = tool(name, arguments, file);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?} {}: {said}", file.display());
}

#[test]
fn the_examples_are_what_is_rendered() {
    let plan = plan();
    are_rendered([
        (observability("rules.yaml"), prometheus::rules(&plan, RUNBOOKS)),
        (observability("prometheus.yml"), prometheus::config(&plan, ALERTMANAGER)),
        (observability("alertmanager.yml"), prometheus::alertmanager(&plan).unwrap()),
    ]);
}

#[track_caller]
fn are_rendered(files: [(PathBuf, String); 3]) {
    for (path, rendered) in files {
        if std::env::var_os("EVENKEEL_UPDATE").is_some() {
            std::fs::write(&path, &rendered).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == rendered,
            "{} is not what is rendered now: run this test with EVENKEEL_UPDATE=1",
            path.display()
        );
    }
}

/// They are checked in, so that the image that holds Prometheus needs nothing of Evenkeel, and so that what is
/// wrong with them shows here rather than in a container.
#[test]
fn the_compose_platform_runs_what_is_rendered() {
    let folder = project().join("compose");
    let plan = Plan::load_anywhere(&folder.join("evenkeel.yaml")).unwrap_or_else(|faults| panic!("{faults}"));
    are_rendered([
        (folder.join("rules.yaml"), prometheus::rules(&plan, RUNBOOKS)),
        (folder.join("prometheus.yml"), prometheus::config(&plan, "alertmanager:9093")),
        (folder.join("alertmanager.yml"), prometheus::alertmanager(&plan).unwrap()),
    ]);
    accepts("promtool", &["check", "rules", "--lint=all", "--lint-fatal"], &folder.join("rules.yaml"));
    accepts("promtool", &["check", "config"], &folder.join("prometheus.yml"));
    accepts("amtool", &["check-config"], &folder.join("alertmanager.yml"));
    let config = prometheus::config(&plan, "alertmanager:9093");
    for part in ["- taiwan-edge:9901", "- japan-companion:9903", "- witness:9902", "- alertmanager:9093"] {
        assert!(config.contains(part), "{part} is missing: {config}");
    }
}

#[test]
fn prometheus_and_alertmanager_take_the_examples() {
    accepts("promtool", &["check", "rules", "--lint=all", "--lint-fatal"], &observability("rules.yaml"));
    accepts("amtool", &["check-config"], &observability("alertmanager.yml"));
    // Beside its token, which is never in the project.
    let folder = tempfile::tempdir().unwrap();
    for name in ["rules.yaml", "prometheus.yml"] {
        std::fs::copy(observability(name), folder.path().join(name)).unwrap();
    }
    let config = folder.path().join("prometheus.yml");
    assert!(!tool("promtool", &["check", "config"], &config).status.success(), "it names the token's file");
    std::fs::write(folder.path().join("companion.token"), "a token of many letters").unwrap();
    accepts("promtool", &["check", "config"], &config);
}

#[test]
fn the_smallest_file_gives_rules_and_configurations_too() {
    let (plan, folder) = (read(""), tempfile::tempdir().unwrap());
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let rules = prometheus::rules(&plan, "https://docs.example.com/runbooks");
    assert!(rules.contains("https://docs.example.com/runbooks#evenkeelregionout"), "{rules}");
    assert!(!rules.contains("evenkeel_db_") && !rules.contains("evenkeel_vote"), "{rules}");
    accepts("promtool", &["check", "rules", "--lint=all", "--lint-fatal"], &put("rules.yaml", rules));
    accepts(
        "promtool",
        &["check", "config"],
        &put("prometheus.yml", prometheus::config(&plan, ALERTMANAGER)),
    );
    accepts("amtool", &["check-config"], &put("alertmanager.yml", prometheus::alertmanager(&plan).unwrap()));
}

#[test]
fn alerts_fire_beyond_their_thresholds_and_not_at_them() {
    let folder = project().join("tests/prometheus");
    let mut tested = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        accepts("promtool", &["test", "rules"], &path);
        let text = std::fs::read_to_string(&path).unwrap();
        // Annotations are expected of what fires alone.
        let checks = text.split("alertname: ").skip(1);
        let fires = checks.filter(|check| check.contains("exp_annotations"));
        tested.extend(fires.map(|after| after.split_whitespace().next().unwrap().to_owned()));
    }
    let rules = prometheus::rules(&plan(), RUNBOOKS);
    assert_eq!(tested, alerts(&rules), "each alert has a test in which it fires");
}

/// The names of all alerts.
fn alerts(rules: &str) -> BTreeSet<String> {
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 20, "{names:?}");
    names
}

/// Both ways: no alert without a section, no section without an alert.
#[test]
fn each_alert_has_its_runbook() {
    let rules = prometheus::rules(&plan(), RUNBOOKS);
    let text = std::fs::read_to_string(project().join(RUNBOOKS)).unwrap();
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    let named: BTreeSet<String> =
        sections.iter().map(|section| section.lines().next().unwrap_or_default().to_owned()).collect();
    assert_eq!(named, alerts(&rules));
    for section in sections {
        for part in ["**Clients notice**", "**Look**", "**Do**", "**Wake**"] {
            assert!(section.contains(part), "{part} is missing: {section}");
        }
        let name = section.lines().next().unwrap_or_default();
        let link = format!("runbook_url: {RUNBOOKS}#{}\n", name.to_lowercase());
        let rule = rules.split("- alert: ").find(|rule| rule.starts_with(&format!("{name}\n"))).unwrap();
        assert!(rule.contains(&link), "{rule}");
        // The severity that it says is the rule's.
        let severity = section.split('*').nth(1).unwrap_or_default().trim_end_matches('.');
        assert!(rule.contains(&format!("severity: {severity}\n")), "{name} is not {severity}: {rule}");
    }
}

#[test]
fn an_address_of_a_webhook_is_never_rendered() {
    let plan = read("alerts: {webhooks: [{name: chat, url: \"https://chat.example.com/s3cret\"}]}");
    let said = prometheus::alertmanager(&plan).unwrap_err().to_string();
    assert!(said.contains("alerts.webhooks[0].url") && said.contains("url_file"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let json =
        read("alerts: {webhooks: [{name: chat, url_file: chat.url}, {name: more, url_file: more.url}]}");
    let written = prometheus::alertmanager(&json).unwrap();
    for part in ["webhook_configs:", "url_file: chat.url", "url_file: more.url"] {
        assert!(written.contains(part), "{written}");
    }
}

#[test]
fn the_goal_is_checked() {
    for bad in ["100", "94.9", "-1"] {
        let text = format!("service: shop\nregions: [{{name: taiwan}}]\nslo: {{availability: {bad}}}\n");
        let faults = Plan::read(text.as_bytes(), Path::new("."), None).unwrap_err().to_string();
        assert!(faults.contains("slo.availability"), "{bad}: {faults}");
    }
    assert!(
        prometheus::rules(&read("slo: {availability: 99.9}"), RUNBOOKS)
            .contains("(14.4 * (100 - 99.9) / 100)")
    );
}

/// A time that ends in a failed check is never measured: thresholds stay below what checks wait for.
#[test]
fn slow_alerts_can_fire() {
    let dns = "companion: {address: \"127.0.0.1:2\"}\ndns: {zone: example.com, nameservers: [{name: ns.example.net}], records: [{name: \"@\", members: [{txt: [x]}]}]";
    let above = |more: &str, metric: &str| {
        let rules = prometheus::rules(&read(&format!("{dns}{more}}}")), RUNBOOKS);
        let line = rules.lines().find(|line| line.contains(metric)).unwrap().to_owned();
        line.rsplit("> ").next().unwrap_or_default().trim().to_owned()
    };
    assert_eq!(above("", "check_connect_seconds"), "2.4");
    let patient = ", health_check: {connect_timeout: 20s, response_timeout: 20s}";
    assert_eq!(above(patient, "check_connect_seconds"), "5");
    assert_eq!(above(patient, "check_tls_seconds"), "3");
    assert_eq!(above(patient, "check_first_byte_seconds"), "10");
}
