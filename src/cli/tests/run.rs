//! `evenkeel run` where it cannot begin, and orders to a companion that is not there.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("evenkeel-run-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn evenkeel(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(arguments)
        .env_remove("EVENKEEL_TOKEN")
        .output()
        .unwrap()
}

/// It ends with 2, and the last thing it says holds these parts.
#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.lines().last().unwrap_or_default();
    for part in parts {
        assert!(last.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn what_keeps_it_from_beginning_is_said_in_one_line_with_the_remedy() {
    let folder = folder("begin");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    std::fs::write(folder.join("short"), "0123456789").unwrap();
    std::fs::write(folder.join("empty"), "\n").unwrap();
    std::fs::write(folder.join("file"), "").unwrap();
    let regions = "service: shop\nregions: [{name: taiwan}, {name: japan}]\n";
    let with = |companion: &str| {
        format!("{regions}local_region: taiwan\ncompanion: {{address: \"127.0.0.1:1\", {companion}}}\n")
    };
    let free = "listen: \"127.0.0.1:28431\", admin: \"127.0.0.1:28432\"";
    let cases: &[(String, &[&str])] = &[
        (regions.to_owned(), &["companion: is missing", "companion.address"]),
        (
            format!("{regions}companion: {{address: \"127.0.0.1:1\"}}\n"),
            &["local_region: is missing", "--region", "taiwan, japan"],
        ),
        (
            with(&format!("listen: \"{taken}\"")),
            &["companion.listen", &taken.to_string(), "stop what listens there"],
        ),
        (
            with(&format!("listen: \"127.0.0.1:28431\", admin: \"{taken}\"")),
            &["companion.admin", &taken.to_string()],
        ),
        (with("listen: \"192.0.2.1:9902\""), &["companion.listen", "no such address"]),
        (with("admin: \"0.0.0.0:9903\""), &["companion.admin: 0.0.0.0:9903", "token_file", "127.0.0.1"]),
        (with("token_file: none"), &["companion.token_file", "none", "cannot be read"]),
        (with("token_file: short"), &["companion.token_file", "at least 16"]),
        (with("token_file: empty"), &["companion.token_file", "is empty"]),
        (with(&format!("{free}, data_dir: file/data")), &["companion.data_dir", "cannot be made"]),
        (
            with(&format!("{free}, data_dir: data")) + "alerts: {webhooks: [{name: ops, url_file: empty}]}\n",
            &["alerts.webhooks[0].url_file", "is empty"],
        ),
        (with("adress: x"), &["companion.adress: there is no such field"]),
    ];
    for (yaml, parts) in cases {
        let file = folder.join("evenkeel.yaml");
        std::fs::write(&file, yaml).unwrap();
        refused(&evenkeel(&["run", file.to_str().unwrap()]), parts);
    }
    refused(
        &evenkeel(&["run", folder.join("nowhere.yaml").to_str().unwrap()]),
        &["nowhere.yaml", "cannot be read"],
    );
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["run", folder.join("evenkeel.yaml").to_str().unwrap()])
        .env("EVENKEEL_LOG", "evenkeel=loud")
        .output()
        .unwrap();
    refused(&output, &["EVENKEEL_LOG", "is not understood"]);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_companion_that_is_not_there_is_said_to_be_none() {
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    for command in [
        &["db", "status"][..],
        &["db", "pause"],
        &["db", "drain", "tw-a"],
        &["drain", "taiwan", "--for", "10m"],
        &["undrain", "taiwan"],
    ] {
        let output = evenkeel(&[command, &["--admin", &free]].concat());
        refused(&output, &["no companion at", &free, "--admin"]);
    }
    let missing = Path::new("/nonexistent/token");
    let output = evenkeel(&["db", "pause", "--token-file", missing.to_str().unwrap()]);
    refused(&output, &["--token-file /nonexistent/token", "cannot be read"]);
}
