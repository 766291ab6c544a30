//! `render route53` and `render zone` as a person calls them.

use std::path::{Path, PathBuf};
use std::process::Command;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy").join(name)
}

/// What it wrote to standard output and to standard error.
#[track_caller]
fn render(arguments: &[&str], file: &str, code: i32) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .arg("render")
        .args(arguments)
        .arg(example(file))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    (out, err)
}

#[test]
fn the_examples_are_written() {
    let standing = |name: &str| std::fs::read_to_string(example(name)).unwrap();
    let written = |arguments: &[&str]| render(arguments, "evenkeel-dns.yaml", 0).0;
    assert_eq!(written(&["route53"]), standing("route53.json"));
    assert_eq!(written(&["route53", "--format", "change-batch"]), standing("route53.json"));
    assert_eq!(written(&["route53", "--format", "terraform"]), standing("route53.tf"));
    assert_eq!(written(&["zone"]), standing("zone.db"));
    let zone = written(&["zone", "--serial", "2026112401"]);
    assert_eq!(zone, standing("zone.db").replace(" hostmaster 1 ", " hostmaster 2026112401 "));
}

#[test]
fn without_the_section_nothing_is_written() {
    for arguments in [&["route53"][..], &["route53", "--format", "terraform"], &["zone"]] {
        let (out, err) = render(arguments, "evenkeel.yaml", 1);
        assert_eq!(out, "");
        assert!(err.contains("evenkeel.yaml: dns: give this section"), "{err}");
    }
}

#[test]
fn the_help_says_what_the_form_is() {
    let help =
        Command::new(env!("CARGO_BIN_EXE_evenkeel")).args(["render", "route53", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for part in ["HealthChecks", "ChangeBatch", "docs/route53.md", "terraform"] {
        assert!(help.contains(part), "no {part} in {help}");
    }
}
