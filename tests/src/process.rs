//! A region as a process of its own, so that signals to it are real.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::port::Port;

/// A region in a child process.
#[derive(Debug)]
pub struct RegionProcess {
    name: String,
    program: String,
    port: Port,
    child: Child,
}

impl RegionProcess {
    /// Starts one with the program `region` of this crate (`env!("CARGO_BIN_EXE_region")`).
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: &str, name: &str) -> Self {
        let port = Port::free();
        let child = spawn(program, name, port.address());
        RegionProcess { name: name.to_owned(), program: program.to_owned(), port, child }
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
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: connections are still accepted by the kernel, and nothing is ever answered.
    pub fn freeze(&self) {
        signal(self.child.id(), libc::SIGSTOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        signal(self.child.id(), libc::SIGCONT);
    }

    /// Starts it again at the same port, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn restore(&mut self) {
        self.child = spawn(&self.program, &self.name, self.port.address());
    }
}

impl Drop for RegionProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &str, name: &str, address: SocketAddr) -> Child {
    let mut command = Command::new(Path::new(program));
    command.args([name, &address.port().to_string()]).stdin(Stdio::null());
    end_with_parent(&mut command);
    command.spawn().expect("the region's program starts")
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
