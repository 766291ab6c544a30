//! Processes of our own, so that signals to them are real; and a region as one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::port::Port;

/// A child process. Ends with its owner, and with the thread that started it.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it; `what` it is, for the complaint.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(what: &str, mut command: Command) -> Self {
        end_with_parent(&mut command);
        Process(command.spawn().unwrap_or_else(|error| panic!("{what} does not start: {error}")))
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it did.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child")
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// SIGSTOP: connections are still accepted by the kernel, and nothing is ever answered.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        signal(self.pid(), number);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A region in a child process.
#[derive(Debug)]
pub struct RegionProcess {
    name: String,
    program: String,
    port: Port,
    process: Process,
}

impl RegionProcess {
    /// Starts one with the program `region` of this crate (`env!("CARGO_BIN_EXE_region")`).
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: &str, name: &str) -> Self {
        let port = Port::free();
        let process = spawn(program, name, port.address());
        RegionProcess { name: name.to_owned(), program: program.to_owned(), port, process }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP: connections are still accepted by the kernel, and nothing is ever answered.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    /// Starts it again at the same port, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn restore(&mut self) {
        self.process = spawn(&self.program, &self.name, self.port.address());
    }
}

fn spawn(program: &str, name: &str, address: SocketAddr) -> Process {
    let mut command = Command::new(Path::new(program));
    command.args([name, &address.port().to_string()]).stdin(Stdio::null());
    Process::start("the region", command)
}

/// Makes a child end when the thread that starts it does, so that a test that is killed leaves
/// nothing behind.
pub fn end_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;
        // SAFETY: prctl with these arguments is async-signal-safe and touches no memory.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Sends a signal to a child.
pub(crate) fn signal(pid: u32, signal: i32) {
    // SAFETY: a signal to a child of this process that was not waited for yet.
    unsafe { libc::kill(pid as i32, signal) };
}
