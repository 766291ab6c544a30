//! The processes of the demo: two regions and one Envoy. However the demo ends, they end too.

use super::journal::Region;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};

/// Where everything listens, all on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub edge: u16,
    pub admin: u16,
    /// In the order of [`Region::ALL`].
    pub regions: [u16; 2],
}

impl Ports {
    /// Free ports outside the range that systems take for outgoing connections. Inside it, a
    /// connection to a killed region's port may be given that very port as its own, and TCP then
    /// connects the socket to itself: the dead region would seem to accept.
    pub fn free() -> Result<Ports> {
        let start = 18_000 + (std::process::id() % 100) as u16 * 100;
        let mut held = Vec::new();
        for port in start..start + 2_000 {
            // Held until all are chosen, so that no port is chosen twice.
            held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
            if let [edge, admin, taiwan, japan] = held.as_slice() {
                let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
                return Ok(Ports {
                    edge: port(edge)?,
                    admin: port(admin)?,
                    regions: [port(taiwan)?, port(japan)?],
                });
            }
        }
        bail!("no four free ports on 127.0.0.1 between {start} and {}", start + 2_000)
    }

    pub fn region(&self, region: Region) -> u16 {
        self.regions[region as usize]
    }
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A running process that is killed when this is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a demo region as a process of its own, from this same binary.
    pub fn region(region: Region, port: u16, out: &Path) -> Result<Process> {
        let mut command = region_command(region, port)?.into_iter();
        let mut this = Command::new(command.next().unwrap_or_default());
        this.args(command).stdin(Stdio::null());
        start(region.name(), this, &region_log(region, out))
    }

    /// Starts Envoy with two workers on this bootstrap.
    pub fn envoy(envoy: &Path, bootstrap: &Path, out: &Path) -> Result<Process> {
        let mut command = Command::new(envoy);
        command.arg("--config-path").arg(bootstrap).args(["--concurrency", "2", "--disable-hot-restart"]);
        command.args(["--log-level", "warning", "--component-log-level", "wasm:info"]).stdin(Stdio::null());
        start("envoy", command, &out.join("envoy.log"))
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal; an error if the process is already gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id as i32));
        let pid = pid.with_context(|| format!("{} has already ended", self.name))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// An error with the last lines it wrote if the process has ended.
    pub fn alive(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(8)..].join("\n  ");
        bail!("{} ended by itself ({status}); {} says:\n  {last}", self.name, self.log.display())
    }
}

/// What starts a region, the first time and after it was killed.
pub fn region_command(region: Region, port: u16) -> Result<Vec<String>> {
    let this = std::env::current_exe().context("cannot find the running binary")?;
    let (port, demo) = (port.to_string(), std::process::id().to_string());
    let arguments = ["demo-region", "--name", region.name(), "--port", &port, "--until-ends", &demo];
    let program = this.to_string_lossy().into_owned();
    Ok([program].into_iter().chain(arguments.map(str::to_owned)).collect())
}

/// What a region says.
pub fn region_log(region: Region, out: &Path) -> PathBuf {
    out.join(format!("{}.log", region.name()))
}

fn start(name: &str, mut command: Command, log: &Path) -> Result<Process> {
    // Appending: a region that is started again must not wipe out what it said before.
    let file = fs::OpenOptions::new().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot write {}", log.display()))?;
    command.stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
    // Ctrl-C in a terminal goes to the whole group: the demo itself must be the one to react.
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: between fork and exec the closure makes one system call (prctl), which is
    // async-signal-safe, and allocates nothing.
    unsafe {
        // A demo that is itself killed, or aborts, drops nothing; then the kernel ends its children.
        // The signal comes when the thread that started the child ends, so start from the main one.
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into)
        });
    }
    let program = command.as_std().get_program().to_owned();
    let child = command.spawn().with_context(|| format!("cannot start {name}: {}", program.display()))?;
    Ok(Process { name: name.to_owned(), child, log: log.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_free_and_outside_the_outgoing_range() {
        let ports = Ports::free().unwrap();
        let mut all = vec![ports.edge, ports.admin, ports.regions[0], ports.regions[1]];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|port| (18_000..30_000).contains(port)), "{all:?}");
        // Another test that forks at this moment holds a copy of the sockets until it execs.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while all.iter().any(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err()) {
            assert!(std::time::Instant::now() < deadline, "{all:?}");
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_process_that_fails_is_quoted() {
        let dir = std::env::temp_dir().join(format!("evenkeel-children-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo it went wrong >&2; exit 3"]);
        let mut process = start("sh", command, &dir.join("sh.log")).unwrap();
        process.ended().await.unwrap();
        let message = process.alive().unwrap_err().to_string();
        assert!(message.contains("it went wrong") && message.contains("exit status: 3"), "{message}");
        assert!(process.signal(Signal::KILL).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
