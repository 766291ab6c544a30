//! What `make compose-up` says where it cannot do its work, and that it leaves nothing behind. These need a
//! machine without the platform: `make compose-test` runs them before it brings one up.

use crate::platform::said;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn up(settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new("/bin/bash");
    command.arg("scripts/compose.sh").arg("up").current_dir(project()).stdin(Stdio::null());
    command.envs(settings.iter().copied()).output().expect("the script starts")
}

/// It fails, its last line has these words, and nothing of the platform is there.
#[track_caller]
fn refused(output: &Output, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.lines().last().unwrap_or_default().contains(words), "{words:?}: {text}");
    for kind in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        let ours = ["--quiet", "--filter", "label=com.docker.compose.project=evenkeel"];
        let arguments: Vec<&str> = kind.iter().copied().chain(ours).collect();
        assert_eq!(said("docker", &arguments), "", "{arguments:?} after: {text}");
    }
}

/// A folder with the machine's programs, of which some are left out and some are replaced.
fn programs(without: &[&str], scripts: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for place in ["/usr/bin", "/bin", "/usr/sbin"] {
        for program in std::fs::read_dir(place).expect("programs").flatten() {
            let name = program.file_name();
            if !without.iter().any(|left| name == *left) {
                let _ = symlink(program.path(), folder.path().join(name));
            }
        }
    }
    for (name, text) in scripts {
        let path = folder.path().join(name);
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, text).expect("a script");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("a program");
    }
    folder
}

#[test]
fn a_missing_engine_is_named_with_its_package() {
    let programs = programs(&["docker"], &[]);
    let path = programs.path().to_str().expect("a path");
    refused(&up(&[("PATH", path)]), "missing: docker. Get it with: apt-get install docker.io");
}

#[test]
fn a_missing_compose_is_named_with_its_package() {
    // The plugin lies beside no program of PATH.
    let docker = said("bash", &["-c", "command -v docker"]);
    let plain = format!("#!/bin/sh\n[ \"$1\" != compose ] || exit 1\nexec {docker} \"$@\"\n");
    let programs = programs(&["docker-compose"], &[("docker", &plain)]);
    let path = programs.path().to_str().expect("a path");
    refused(&up(&[("PATH", path)]), "missing: docker compose. Get it with: apt-get install docker-compose");
}

#[test]
fn an_engine_that_does_not_answer_is_to_be_started() {
    let nobody = ("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    refused(&up(&[nobody]), "the Docker engine does not answer: start it");
}

#[test]
fn an_engine_with_too_little_memory_is_refused() {
    // As an engine of 2 GB tells of itself.
    let docker = said("bash", &["-c", "command -v docker"]);
    let small = format!("#!/bin/sh\n[ \"$2\" != --format ] || exec echo 2000000000\nexec {docker} \"$@\"\n");
    let programs = programs(&[], &[("docker", &small)]);
    let path = programs.path().to_str().expect("a path");
    let words = "too little memory: the Docker engine has 2000 MB, and the platform needs 4000 MB";
    refused(&up(&[("PATH", path)]), words);
}

#[test]
fn an_unknown_profile_is_refused() {
    refused(&up(&[("EVENKEEL_PROFILE", "rpo2")]), "EVENKEEL_PROFILE: 'rpo2': use rpo0 or rpo1s");
}

#[test]
fn a_half_started_run_is_removed_and_a_taken_port_is_named() {
    let script = "cd .. && if docker compose version >/dev/null 2>&1; then c='docker compose'; else c=docker-compose; fi \
                  && $c -p evenkeel up --no-start third-etcd";
    said("bash", &["-c", script]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port().to_string();
    let output = up(&[("JAPAN_PORT", &port)]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("an earlier run was left half-started: removing it first"), "{text}");
    refused(
        &output,
        &format!("port {port} of 127.0.0.1 is taken: stop what listens there, or choose another"),
    );
}
