//! Ports that stay one's own while nothing listens on them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::net::{TcpListener, TcpSocket};

/// A port of 127.0.0.1. A socket that is bound but does not listen keeps it: connections are
/// refused, no one else is given it, and whoever sets `SO_REUSEADDR` (as Envoy does) can listen.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _keeper: TcpSocket,
}

impl Port {
    /// A free port.
    ///
    /// # Panics
    /// If the system has none left.
    pub fn free() -> Self {
        let keeper = reusable(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into());
        let address = keeper.local_addr().expect("a bound socket has an address");
        Port { address, _keeper: keeper }
    }

    /// This very port, which another process may keep in the same way.
    ///
    /// # Panics
    /// If it is taken.
    pub fn at(port: u16) -> Self {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into();
        Port { address, _keeper: reusable(address) }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to listen.
    ///
    /// # Panics
    /// If something listens already.
    pub fn listen(&self) -> TcpListener {
        reusable(self.address).listen(1024).expect("nobody listens here yet")
    }
}

fn reusable(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("SO_REUSEADDR");
    socket.bind(address).expect("the port can be bound");
    socket
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn a_kept_port_refuses_then_listens_then_refuses_and_listens_again() {
        let port = Port::free();
        for _ in 0..2 {
            assert!(TcpStream::connect(port.address()).await.is_err());
            let listener = port.listen();
            assert!(TcpStream::connect(port.address()).await.is_ok());
            drop(listener);
        }
    }
}
