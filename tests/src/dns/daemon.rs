//! A DNS server in a process of its own, in a folder of its own.

use crate::port::Port;
use crate::process::Process;
use crate::wait::until;
use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(20);

/// `version.bind CH TXT`: whatever a server thinks of it, it answers at once and asks nobody else.
const HELLO: &[u8] = b"\x45\x4b\0\0\0\x01\0\0\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";

/// A server. Ends with its owner; says the end of its log if that owner panics.
pub struct Daemon {
    name: &'static str,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    port: Port,
    folder: TempDir,
    process: Process,
}

impl Daemon {
    /// A folder for one, into which its configuration is put first.
    ///
    /// # Panics
    /// If it cannot be made.
    pub(super) fn folder(name: &str) -> TempDir {
        tempfile::Builder::new().prefix(&format!("evenkeel-{name}-")).tempdir().expect("a directory")
    }

    /// Starts one, which listens on `port` by UDP and TCP.
    ///
    /// # Panics
    /// If it cannot be started, or does not answer in time.
    pub(super) async fn start(
        name: &'static str,
        port: Port,
        folder: TempDir,
        command: impl Fn() -> Command + Send + Sync + 'static,
    ) -> Self {
        let process = spawn(name, command(), folder.path());
        let mut daemon = Daemon { name, command: Box::new(command), port, folder, process };
        daemon.answers().await;
        daemon
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP, until all its threads have come to rest: nothing is ever answered.
    ///
    /// # Panics
    /// If they do not.
    pub async fn freeze(&self) {
        let pid = self.process.pid();
        self.process.freeze();
        until("all threads are stopped", START, async || is_stopped(pid).then_some(())).await;
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// Starts it again at the same port, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn restore(&mut self) {
        self.process = spawn(self.name, (self.command)(), self.folder.path());
        self.answers().await;
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn answers(&mut self) {
        let (name, address) = (self.name, self.port.address());
        let process = &mut self.process;
        let log = self.folder.path().join("log");
        until(&format!("{name} answers"), START, async || {
            if let Some(status) = process.ended() {
                panic!("{name} ended by itself ({status}): {}", fs::read_to_string(&log).unwrap_or_default());
            }
            TcpStream::connect(address).await.ok()?;
            tokio::task::spawn_blocking(move || greeted(address)).await.expect("no panic")
        })
        .await;
    }
}

/// By the states of its threads.
fn is_stopped(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a child's threads");
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // "PID (NAME) STATE …", and the name may hold anything.
        let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
        state.is_none_or(|state| state == "T")
    })
}

fn greeted(address: SocketAddr) -> Option<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time-out");
    socket.send_to(HELLO, address).ok()?;
    let mut answer = [0; 512];
    let (length, _) = socket.recv_from(&mut answer).ok()?;
    answer[..length].starts_with(&HELLO[..2]).then_some(())
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
            eprintln!("the log of {} ends:\n{}", self.name, end.join("\n"));
        }
    }
}

fn spawn(name: &str, mut command: Command, folder: &Path) -> Process {
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("the log");
    let errors = log.try_clone().expect("the log");
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    Process::start(name, command)
}
