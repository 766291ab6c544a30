//! `render prometheus` as a person calls it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn render(file: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(["render", "prometheus"]).arg(file).args(arguments).output().unwrap()
}

#[test]
fn each_part_is_written_and_rules_are_the_default() {
    let file = project("observability/evenkeel.yaml");
    for (arguments, standing) in [
        (&[][..], "rules.yaml"),
        (&["--part", "rules"], "rules.yaml"),
        (&["--part", "config"], "prometheus.yml"),
        (&["--part", "alertmanager"], "alertmanager.yml"),
    ] {
        let output = render(&file, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let standing = std::fs::read_to_string(project("observability").join(standing)).unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), standing, "{arguments:?}");
    }
    let output = render(&file, &["--runbooks", "https://example.com/runbooks"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("runbook_url: https://example.com/runbooks#evenkeelnowriter"), "{text}");
}

#[test]
fn a_webhooks_address_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evenkeel.yaml");
    let text = "service: shop\nregions: [{name: taiwan}]\n\
                alerts: {webhooks: [{name: chat, url: \"https://chat.example.com/s3cret\"}]}\n";
    std::fs::write(&file, text).unwrap();
    let output = render(&file, &["--part", "alertmanager"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("alerts.webhooks[0].url: give url_file"), "{said}");
    assert!(output.stdout.is_empty() && !said.contains("s3cret"), "{said}");
}

/// One file serves all regions and names none of them its own; what speaks of all must not need one.
#[test]
fn a_file_without_a_region_of_its_own_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evenkeel.yaml");
    let text = "service: shop\nhop: {secret: 0123456789abcdef}\nregions:\n\
                - {name: taiwan, address: \"10.0.0.1:80\", edge_address: \"tw.example.com:80\"}\n\
                - {name: japan, address: \"10.1.0.1:80\", edge_address: \"jp.example.com:80\"}\n";
    std::fs::write(&file, text).unwrap();
    for part in ["rules", "config", "alertmanager"] {
        let output = render(&file, &["--part", part]);
        assert!(output.status.success(), "{part}: {output:?}");
    }
}
