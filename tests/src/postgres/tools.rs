//! PostgreSQL's own programs: where they are, and as whom they run.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tempfile::TempDir;

use crate::process::end_with_parent;

/// Bytes that must be free in memory for a cluster to live there: it takes 100 MB and what is written.
const ROOM: u64 = 2 << 30;

/// How the names of our folders begin; the number of the process that made them follows.
const PREFIX: &str = "evenkeel-pg-";

/// PostgreSQL's programs.
#[derive(Debug)]
pub(super) struct Tools {
    folder: PathBuf,
    /// PostgreSQL refuses to run as root: then the programs run as this user and group.
    user: Option<(u32, u32)>,
}

impl Tools {
    /// # Panics
    /// If there is no PostgreSQL; the message says how to get one.
    pub(super) fn find() -> Tools {
        let folder = folders()
            .find(|folder| folder.join("postgres").is_file() && folder.join("initdb").is_file())
            .unwrap_or_else(|| {
                panic!(
                    "no PostgreSQL server found: apt-get install postgresql-15 (macOS: brew install \
                     postgresql@15), or name the folder of its programs in EVENKEEL_PG_BIN"
                )
            });
        // SAFETY: geteuid cannot fail and touches nothing.
        let root = unsafe { libc::geteuid() } == 0;
        let user = root.then(|| (id("-u"), id("-g")));
        Tools { folder, user }
    }

    /// Where the programs are.
    pub(super) fn programs(&self) -> &Path {
        &self.folder
    }

    /// One of the programs, as the user who may run it, ending with this process.
    pub(super) fn command(&self, program: &str) -> Command {
        self.foreign(&self.folder.join(program))
    }

    /// Another program, as the same user.
    pub(super) fn foreign(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        end_with_parent(&mut command);
        // The user may not enter the test's own folder.
        command.current_dir("/").stdin(Stdio::null());
        command
    }

    /// Runs one to its end.
    ///
    /// # Panics
    /// If it fails; the message holds what it said.
    pub(super) fn run(&self, command: &mut Command) {
        let output = command.output().expect("PostgreSQL's programs start");
        assert!(
            output.status.success(),
            "{command:?} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// A new folder that the programs may use: in memory if there is room, since a cluster of four
    /// starts there in 0.8 s and on a disk in up to 5 s.
    pub(super) fn folder(&self) -> TempDir {
        let memory = PathBuf::from("/dev/shm");
        let parent = if free(&memory) > ROOM { memory } else { std::env::temp_dir() };
        sweep(&parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent).expect("a temporary folder");
        self.own(folder.path());
        folder
    }

    /// Makes a certificate for 127.0.0.1 and its key.
    pub(super) fn certificate(&self, folder: &Path) -> [PathBuf; 2] {
        let files = [folder.join("server.crt"), folder.join("server.key")];
        let mut command = Command::new("openssl");
        command.args(
            "req -x509 -days 2 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=evenkeel"
                .split(' '),
        );
        // Its own authority, yet no authority: rustls takes none as a server's certificate.
        command.args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]);
        let output = command.arg("-out").arg(&files[0]).arg("-keyout").arg(&files[1]).output();
        let output = output.expect("openssl starts: get it with apt-get install openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for file in &files {
            self.own(file);
        }
        files
    }

    /// Gives a file or folder to the programs' user.
    pub(super) fn own(&self, path: &Path) {
        if let Some((user, group)) = self.user {
            std::os::unix::fs::chown(path, Some(user), Some(group)).expect("root may give files away");
        }
    }
}

/// An empty database that every cluster of this process is a copy of: made once, and gone with the
/// last cluster.
pub(super) fn template(tools: &Tools) -> Arc<TempDir> {
    static TEMPLATE: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut kept = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(template) = kept.upgrade() {
        return template;
    }
    let template = Arc::new(empty(tools));
    *kept = Arc::downgrade(&template);
    template
}

/// A new, empty database, in the folder `data`.
pub(super) fn empty(tools: &Tools) -> TempDir {
    let folder = tools.folder();
    // Small segments: a promotion copies one.
    tools.run(tools.command("initdb").arg("-D").arg(folder.path().join("data")).args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--wal-segsize=4",
    ]));
    folder
}

/// Bytes free in a file system; none if there is no such folder.
fn free(folder: &Path) -> u64 {
    use std::os::unix::ffi::OsStrExt;
    let Ok(path) = std::ffi::CString::new(folder.as_os_str().as_bytes()) else { return 0 };
    // SAFETY: a structure of integers may be all zeros, and the path ends with a zero.
    let (answer, numbers) = unsafe {
        let mut numbers: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(path.as_ptr(), &mut numbers), numbers)
    };
    if answer == 0 { numbers.f_bavail.saturating_mul(numbers.f_frsize) } else { 0 }
}

/// Removes the folders of processes that were killed before they could.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok());
        // SAFETY: signal 0 asks whether there is such a process, and does nothing.
        if maker.is_some_and(|pid: i32| unsafe { libc::kill(pid, 0) } != 0) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn folders() -> impl Iterator<Item = PathBuf> {
    let named = std::env::var_os("EVENKEEL_PG_BIN").map(PathBuf::from);
    // Debian's packages, the newest version first.
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    debian.sort_by_key(|folder| {
        std::cmp::Reverse(
            folder.parent().and_then(|version| version.file_name()?.to_str()?.parse::<u32>().ok()),
        )
    });
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    named.into_iter().chain(debian).chain(told).chain(path)
}

/// The number of the user (`-u`) or group (`-g`) `postgres`.
fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output().expect("id starts");
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| {
        panic!("PostgreSQL does not run as root and there is no user postgres: useradd --system postgres")
    })
}
