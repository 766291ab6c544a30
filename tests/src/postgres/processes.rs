//! A server's processes, as the kernel sees them.

use std::fs;

/// A server's processes, its postmaster first; it is stopped meanwhile, so that it starts no more.
pub(super) fn family(postmaster: u32) -> Vec<u32> {
    signal(postmaster, libc::SIGSTOP);
    let mut pids = vec![postmaster];
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // "PID (NAME) STATE PARENT …", and the name may hold anything.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if parent.and_then(|parent| parent.parse().ok()) == Some(postmaster) {
            pids.push(pid);
        }
    }
    pids
}

/// Whether a process is there and has not ended.
pub(super) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

/// Sends a signal to a process of a server that belongs to the test.
pub(super) fn signal(pid: u32, number: i32) {
    // SAFETY: the process is a server's that this one started, itself or by a Patroni, and still has.
    unsafe { libc::kill(pid as i32, number) };
}
