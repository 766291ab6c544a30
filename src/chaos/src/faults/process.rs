//! Processes of this machine: which one a pid file means, and that it is still that one.

use crate::target::Process;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

/// One process for its whole life: a number is given again to others, with another start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it began, in the kernel's ticks since the machine did.
    pub started: u64,
}

/// What the kernel says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which one it is.
    pub identity: Identity,
    /// It is stopped by a signal.
    pub frozen: bool,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// The process of this number, if it runs. What has ended and waits for its parent does not.
#[cfg(target_os = "linux")]
pub fn known(pid: u32) -> Option<Known> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let (state, started) = state_and_start(&stat)?;
    let command = String::from_utf8_lossy(&command);
    let command = command.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
    let known = Known { identity: Identity { pid, started }, frozen: matches!(state, 'T' | 't'), command };
    (!matches!(state, 'Z' | 'X')).then_some(known)
}

/// The process of this number, if it runs. Where there is no `/proc`, `ps` tells when it began, and its
/// arguments parted by spaces.
#[cfg(not(target_os = "linux"))]
pub fn known(pid: u32) -> Option<Known> {
    let said = |what: &str| {
        let output =
            std::process::Command::new("ps").args(["-ww", "-o", what, "-p", &pid.to_string()]).output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let state = said("stat=")?.chars().next()?;
    let began: String = said("lstart=")?.chars().filter(char::is_ascii_digit).collect();
    let command = said("args=")?.split(' ').map(str::to_owned).collect();
    let identity = Identity { pid, started: began.parse().ok()? };
    (state != 'Z').then_some(Known { identity, frozen: state == 'T', command })
}

/// The name, in brackets, may hold anything.
#[cfg(any(target_os = "linux", test))]
fn state_and_start(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // The 22nd of all; the state is the third.
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// The process that the pid file means, if it runs.
///
/// # Errors
/// If there is no such file, or the number is another process' by now.
pub fn find(part: &str, process: &Process) -> Result<Option<Known>> {
    let file = process.pid_file.display();
    let text = std::fs::read_to_string(&process.pid_file)
        .with_context(|| format!("{part}: {file}: cannot be read: is the target running (make up)?"))?;
    let pid = text.trim();
    let number = pid.parse().with_context(|| format!("{part}: {file}: {pid:?} is no process number"))?;
    let Some(known) = known(number) else { return Ok(None) };
    ensure!(
        is_started_by(&known.command, &process.start),
        "{part}: {file}: process {number} is another one by now ({}): nothing is done to it",
        known.command.join(" ")
    );
    Ok(Some(known))
}

/// The program may be said with or without its folder; the arguments are the same.
fn is_started_by(command: &[String], start: &[String]) -> bool {
    let name = |program: &String| program.rsplit('/').next().unwrap_or_default().to_owned();
    match (command.split_first(), start.split_first()) {
        (Some((program, arguments)), Some((wanted, wanted_arguments))) => {
            name(program) == name(wanted) && arguments == wanted_arguments
        }
        _ => false,
    }
}

/// Signals this very process.
///
/// # Errors
/// If it is gone, or is not ours.
pub fn signal(part: &str, identity: Identity, signal: Signal) -> Result<()> {
    let pid = i32::try_from(identity.pid).ok().and_then(Pid::from_raw);
    let alive = known(identity.pid).is_some_and(|known| known.identity == identity);
    let Some(pid) = pid.filter(|_| alive) else { bail!("{part}: process {} has ended", identity.pid) };
    kill_process(pid, signal).with_context(|| format!("{part}: process {} cannot be signalled", identity.pid))
}

/// Starts it, and writes its number where the old one stood.
///
/// # Errors
/// If it cannot be started.
pub fn start(part: &str, process: &Process) -> Result<()> {
    let (program, arguments) =
        process.start.split_first().with_context(|| format!("{part}: start: is empty"))?;
    let mut command = std::process::Command::new(program);
    // It outlives the run, so nothing that ends the run by its terminal may end it.
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    match &process.log {
        Some(log) => {
            let file = OpenOptions::new().create(true).append(true).open(log);
            let file = file.with_context(|| format!("{part}: {}: cannot be written", log.display()))?;
            command.stdout(file.try_clone()?).stderr(file);
        }
        None => {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
    }
    let child = command.spawn().with_context(|| format!("{part}: cannot start {program}"))?;
    write_whole(&process.pid_file, format!("{}\n", child.id()).as_bytes())
        .with_context(|| format!("{part}: {}: cannot be written", process.pid_file.display()))
}

/// Writes a file that is there whole or not at all, whatever ends the writer.
///
/// # Errors
/// The system's.
pub fn write_whole(path: &std::path::Path, content: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = std::fs::File::create(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    // The name too must be on disk.
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => std::fs::File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_confuse() {
        let stat = "12 (a) b) T 1 12 12 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 1";
        assert_eq!(state_and_start(stat), Some(('T', 987_654)));
        assert_eq!(state_and_start("12 (a"), None);
    }

    #[test]
    fn this_test_is_a_process_and_another_command_is_another_process() {
        let own = known(std::process::id()).expect("it runs");
        assert!(!own.frozen && own.identity.started > 0);
        let dir = tempfile::tempdir().expect("a folder");
        let pid_file = dir.path().join("pid");
        std::fs::write(&pid_file, std::process::id().to_string()).expect("written");
        let process =
            |start: &[String]| Process { pid_file: pid_file.clone(), start: start.to_vec(), log: None };
        assert_eq!(find("own", &process(&own.command)).expect("it is it"), Some(own.clone()));
        let error = find("own", &process(&["sleep".to_owned()])).expect_err("another command");
        assert!(error.to_string().contains("another one by now"), "{error}");
        let older = Identity { started: own.identity.started - 1, ..own.identity };
        assert!(signal("own", older, Signal::KILL).is_err(), "another process of the same number");
    }
}
