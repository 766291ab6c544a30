//! A server in a process of its own, with a network in front of it: killed, frozen, cut off and back.

use crate::port::Port;
use crate::postgres::door::{Door, Network};
use crate::process::Process;
use crate::wait::until;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// A server.
pub struct Server {
    name: &'static str,
    command: Box<dyn Fn(SocketAddr, SocketAddr) -> Command + Send + Sync>,
    port: Port,
    door: Door,
    process: Process,
}

impl Server {
    /// Starts one by a command that is told where to listen, and where clients reach it.
    ///
    /// # Panics
    /// If it cannot be started, or does not listen in time.
    pub async fn start(
        name: &'static str,
        command: impl Fn(SocketAddr, SocketAddr) -> Command + Send + Sync + 'static,
    ) -> Self {
        let port = Port::free();
        let door = Door::open(&tokio::runtime::Handle::current(), port.address());
        let command = Box::new(command);
        let process = spawn(name, command(port.address(), door.address()));
        let server = Server { name, command, port, door, process };
        server.listens().await;
        server
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
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
    /// If it does not listen in time.
    pub async fn restore(&mut self) {
        self.process = spawn(self.name, (self.command)(self.port.address(), self.door.address()));
        self.listens().await;
    }

    /// From now on nothing gets through the network, not even a connection's end.
    pub fn cut_off(&self) {
        self.door.set(Network::Silent);
    }

    /// The network carries again what it gets. What got stuck in between stays stuck.
    pub fn reconnect(&self) {
        self.door.set(Network::Cut);
        self.door.set(Network::Open);
    }

    async fn listens(&self) {
        until(&format!("{} listens", self.name), START, async || {
            TcpStream::connect(self.port.address()).await.ok()
        })
        .await;
    }
}

fn spawn(name: &str, mut command: Command) -> Process {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(name, command)
}
