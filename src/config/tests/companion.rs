//! What the reader says of the companion's, the database's and the alerts' sections.

use evenkeel_config::Plan;
use std::path::Path;

const BASE: &str = "\
service: shop
regions:
- {name: taiwan, address: \"10.0.0.1:80\", companion: {address: \"10.0.0.2:9902\"}}
- {name: japan, address: \"10.1.0.1:80\", companion: {address: \"10.1.0.2:9902\"}}
companion: {address: \"127.0.0.1:9902\", token_file: token}
";

const DATABASE: &str = "\
database:
  nodes:
  - {name: tw-a, region: taiwan, address: \"10.0.0.5:5432\"}
  - {name: jp-a, region: japan, address: \"10.1.0.5:5432\"}
  login: {user: evenkeel}
";

fn read(yaml: &str) -> Result<Plan, Vec<String>> {
    Plan::read(yaml.as_bytes(), Path::new("/nowhere"), None)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

/// Each change to a good file gives one fault that says these things.
#[track_caller]
fn each(base: &str, cases: &[(&str, &str, &[&str])]) {
    if let Err(faults) = read(base) {
        panic!("the file to begin with has faults: {faults:#?}");
    }
    for (from, to, parts) in cases {
        let yaml = if from.is_empty() { format!("{base}{to}\n") } else { base.replacen(from, to, 1) };
        assert_ne!(yaml, base, "{from:?} stands nowhere");
        let faults = read(&yaml).map(|_| ()).expect_err(&format!("was taken: {to}"));
        assert_eq!(faults.len(), 1, "{to}: {faults:#?}");
        for part in *parts {
            assert!(faults[0].contains(part), "{to}: no {part:?} in {}", faults[0]);
        }
    }
}

#[test]
fn faults_of_the_companions_section_name_field_value_and_remedy() {
    let address = "address: \"127.0.0.1:9902\", token_file: token";
    each(
        BASE,
        &[
            (address, "token_file: token", &["companion.address: is missing"]),
            ("token_file: token", "data_dir: \"\"", &["companion.data_dir: \"\": give a path"]),
            ("token_file: token", "token_file: \"\"", &["companion.token_file: \"\": give a path"]),
            ("token_file: token", "authority: \"\"", &["companion.authority: \"\": use a host name"]),
            (
                "token_file: token",
                "admin: \"0.0.0.0:9903\"",
                &["companion.admin: 0.0.0.0:9903", "token_file", "127.0.0.1"],
            ),
            ("token_file: token", "admin: \"localhost:9903\"", &["companion.admin: localhost:9903", "an IP"]),
            (
                "token_file: token",
                "listen: \"127.0.0.1:9903\"",
                &["companion.admin: 127.0.0.1:9903: companion.listen listens there already"],
            ),
            (
                "token_file: token",
                "admin: \"127.0.0.1:9902\"",
                &["companion.admin: 127.0.0.1:9902: companion.address listens there already"],
            ),
            (
                "{address: \"10.1.0.2:9902\"}",
                "{address: \"10.1.0.2:9902\", admin: \"10.1.0.2:9902\"}",
                &["regions[1].companion.admin: 10.1.0.2:9902: companion.address listens there"],
            ),
            (
                "{address: \"10.1.0.2:9902\"}",
                "{listeners: []}",
                &["regions[1].companion.listeners: give database too"],
            ),
        ],
    );
}

#[test]
fn faults_of_the_components_name_field_value_and_remedy() {
    each(
        BASE,
        &[
            (
                "",
                "components: {application: {url: \"https://a/\"}}",
                &["components.application.url", "http://"],
            ),
            (
                "",
                "components: {application: {url: \"http://u:secret@a/\"}}",
                &["components.application.url: leave out"],
            ),
            (
                "",
                "components: {application: {url: \"http://a b/\"}}",
                &["components.application.url: is no address"],
            ),
            ("", "components: {application: {}}", &["components.application.url: is missing"]),
            (
                "",
                "components: {application: {url: \"http://a/\", read_timeout: 0s}}",
                &["components.application.read_timeout: 0s: give a time above 0"],
            ),
            ("", "components: {redis: {url: \"http://a/\"}}", &["components.redis.url: begin with redis://"]),
            (
                "",
                "components: {redis: {url: \"redis://:secret@a/\"}}",
                &["components.redis.url", "password_file"],
            ),
            ("", "components: {kafka: {brokers: []}}", &["components.kafka.brokers: []: give at least one"]),
            (
                "",
                "components: {kafka: {brokers: [\"a:1\"], topic: \"a b\"}}",
                &["components.kafka.topic: \"a b\": use 1 to 249"],
            ),
            ("", "components: {cache_for: 2s}", &["components.cache_for: 2s: at most 1s"]),
            (
                "{address: \"10.1.0.2:9902\"}",
                "{address: \"10.1.0.2:9902\", components: {database: {timeout: 0s}}}",
                &["regions[1].companion.components.database.timeout: 0s"],
            ),
        ],
    );
    let faults =
        read(&format!("{BASE}components: {{redis: {{url: \"redis://:hunter2@a/\"}}}}\n")).unwrap_err();
    assert!(!faults[0].contains("hunter2"), "{faults:?}");
}

#[test]
fn faults_of_the_alerts_name_field_value_and_remedy_and_never_the_url() {
    each(
        BASE,
        &[
            (
                "",
                "alerts: {webhooks: [{name: Ops, url: \"https://a/\"}]}",
                &["alerts.webhooks[0].name: \"Ops\""],
            ),
            ("", "alerts: {webhooks: [{name: ops}]}", &["alerts.webhooks[0]: give either url or url_file"]),
            (
                "",
                "alerts: {webhooks: [{name: ops, url: \"ftp://x\"}]}",
                &["alerts.webhooks[0].url: begin with https"],
            ),
            (
                "",
                "alerts: {webhooks: [{name: ops, url: \"http://a/\"}, {name: ops, url: \"http://b/\"}]}",
                &["alerts.webhooks[1].name: \"ops\": another webhook"],
            ),
            ("", "alerts: {repeat_after: 0s}", &["alerts.repeat_after: 0s"]),
            ("", "alerts: {max_per_minute: 0}", &["alerts.max_per_minute: 0: at least 1"]),
            ("", "alerts: {replication_lag: {periods: 0}}", &["alerts.replication_lag.periods: 0: 1 to 60"]),
            (
                "",
                "alerts: {replication_lag: {period: 10ms}}",
                &["alerts.replication_lag.period: 10ms: at least 1s"],
            ),
        ],
    );
    let secret = "hooks.example.com/T000/secret";
    let faults =
        read(&format!("{BASE}alerts: {{webhooks: [{{name: ops, url: \"{secret}\"}}]}}\n")).unwrap_err();
    assert!(!faults[0].contains("secret"), "{faults:?}");
}

#[test]
fn faults_of_the_database_name_field_value_and_remedy() {
    let base = format!("{BASE}{DATABASE}");
    each(
        &base,
        &[
            ("name: jp-a", "name: tw-a", &["database.nodes[1].name: \"tw-a\": database.nodes[0] has"]),
            ("name: jp-a", "name: JP", &["database.nodes[1].name: \"JP\": use 1 to 63"]),
            (
                "region: japan",
                "region: korea",
                &["database.nodes[1].region: \"korea\": use one of: taiwan, japan"],
            ),
            ("10.1.0.5:5432", "10.0.0.5:5432", &["database.nodes[1].address: 10.0.0.5:5432", "list it once"]),
            (
                "region: japan,",
                "region: japan, patroni: \"a:8008\",",
                &["database.nodes[1].patroni: a:8008", "engine"],
            ),
            ("login: {user: evenkeel}", "login: {user: \"\"}", &["database.login.user: \"\": give a name"]),
            (
                "",
                "  probe: {interval_without_writer: 5ms}",
                &["database.probe.interval_without_writer: 5ms: at least 10ms"],
            ),
            ("", "  probe: {timeout: 0s}", &["database.probe.timeout: 0s"]),
            ("", "  probe: {healthy_threshold: 0}", &["database.probe.healthy_threshold: 0: 1 to 100"]),
            (
                "",
                "  probe: {interval_without_writer: 1s}",
                &["database.probe.interval_without_writer: 1s: at most database.probe.interval (200ms)"],
            ),
            ("", "  pool: {max: 0, pinned_max: 0}", &["database.pool.max: 0: at least 1"]),
            ("", "  pool: {lifetime: 0s}", &["database.pool.lifetime: 0s"]),
            ("", "  max_replica_lag: 0s", &["database.max_replica_lag: 0s"]),
            ("", "  node_tls: {}", &["database.node_tls.server_name: name the server: database.nodes[0]"]),
            (
                "",
                "  listeners: [{listen: \"127.0.0.1:6432\", mode: writer}]",
                &["database.credentials: name the file"],
            ),
        ],
    );
    each(
        &format!(
            "{base}  credentials: c.yaml\n  listeners: [{{listen: \"127.0.0.1:6432\", mode: writer}}]\n"
        ),
        &[
            ("mode: writer", "mode: master", &["database.listeners[0].mode"]),
            ("127.0.0.1:6432", "localhost:6432", &["database.listeners[0].listen: localhost:6432", "an IP"]),
            (
                "127.0.0.1:6432",
                "0.0.0.0:9903",
                &["database.listeners[0].listen: 0.0.0.0:9903", "companion.admin"],
            ),
            (
                "mode: writer",
                "mode: writer, consistency: global",
                &["listeners[0].consistency: global", "mode: auto"],
            ),
            ("mode: writer", "mode: writer, max_clients: 0", &["listeners[0].max_clients: 0: at least 1"]),
            (
                "mode: writer}",
                "mode: writer}, {listen: \"127.0.0.1:6433\", mode: writer}",
                &["database.listeners[1].name: \"writer\": another listener"],
            ),
        ],
    );
    let none = "database: {nodes: [], login: {user: a}}";
    let faults = read(&format!("{BASE}{none}\n")).unwrap_err();
    assert!(faults.len() == 1 && faults[0].contains("database.nodes: 0 nodes: give 1 to 32"), "{faults:?}");
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let yaml = format!("{BASE}{DATABASE}  pool: {{max: 10}}\n")
        .replace(", token_file: token", "")
        .replace(", companion: {address: \"10.1.0.2:9902\"}", "")
        .replace("region: japan,", "region: taiwan,");
    let warnings = read(&yaml).unwrap().warnings;
    for part in [
        "companion.token_file: not set",
        "regions[].companion.address: not set for japan",
        "database.pool.pinned_max: 15",
        "region japan has no database node",
    ] {
        assert!(warnings.iter().any(|warning| warning.contains(part)), "no {part:?} in {warnings:#?}");
    }
}

/// The reference file's commented-out sections are right too, once the comment signs are gone.
#[test]
fn the_reference_files_sections_for_the_companion_are_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy/evenkeel.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let (edge, rest) = text.split_once("# What follows is for `evenkeel run`").expect("the companion's part");
    // What DNS answers for the regions, which records need.
    let mut yaml = edge.replace("  # dns:", "  dns:").replace("  #   a:", "    a:");
    let mut sections = 0;
    for section in rest.split("\n\n").skip(1) {
        let field = |line: &&str| line.starts_with("# ") && !line.starts_with("# Where");
        for line in section.lines().take_while(|line| *line != "#").filter(field) {
            yaml.push_str(&line[2..]);
            yaml.push('\n');
        }
        sections += 1;
    }
    assert_eq!(sections, 6, "{yaml}");
    let plan = read(&yaml).unwrap_or_else(|faults| panic!("{faults:#?}\n{yaml}"));
    let zone = plan.zone.unwrap();
    assert_eq!((zone.names.len(), zone.checks.len()), (5, 5));
    let dns = plan.file.dns.unwrap();
    let defaults = evenkeel_config::dns::RegionCheck::default();
    assert_eq!(dns.health_check, Some(defaults));
    let quorum = plan.file.quorum;
    assert!(quorum.witness.is_some() && quorum.etcd.is_some() && quorum.anchors.len() == 1, "{quorum:?}");
    let database = plan.file.database.unwrap();
    assert_eq!((database.nodes.len(), database.listeners.len()), (3, 3));
    // What the comments call defaults are the defaults.
    assert_eq!(format!("{:?}", database.pool), format!("{:?}", evenkeel_config::database::Pool::default()));
    assert_eq!(format!("{:?}", database.hold), format!("{:?}", evenkeel_config::database::Hold::default()));
    assert_eq!(format!("{:?}", database.probe), format!("{:?}", evenkeel_config::database::Probe::default()));
    let defaults = evenkeel_config::companion::Alerts::default();
    assert_eq!(format!("{:?}", plan.file.alerts.replication_lag), format!("{:?}", defaults.replication_lag));
    assert_eq!(plan.file.alerts.webhooks.len(), 1);
}
