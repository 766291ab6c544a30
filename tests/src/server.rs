//! A server in a process of its own, with a network in front of it: killed, frozen, cut off and back.

use crate::port::Port;
use crate::postgres::door::{Door, Network};
use crate::process::{end_with_parent, signal};
use crate::wait::until;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
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
    child: Child,
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
        let child = spawn(command(port.address(), door.address()));
        let server = Server { name, command, port, door, child };
        server.listens().await;
        server
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
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
    /// If it does not listen in time.
    pub async fn restore(&mut self) {
        self.child = spawn((self.command)(self.port.address(), self.door.address()));
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

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    end_with_parent(&mut command);
    command.spawn().expect("the server's program starts")
}
