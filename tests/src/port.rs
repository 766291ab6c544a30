//! Ports that stay one's own while nothing listens on them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use tokio::net::{TcpListener, TcpSocket};

/// A port of 127.0.0.1. A socket that is bound but does not listen keeps it: connections are
/// refused, no one else is given it, and whoever sets `SO_REUSEADDR` (as Envoy does) can listen.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _keeper: TcpSocket,
    /// Keeps the number for UDP, where it is kept.
    _beside: Option<UdpSocket>,
}

/// Another address of this machine: a UDP socket bound to the port's own one would take its datagrams.
const BESIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How often a number that is free at one place may be taken at another.
const TRIES: usize = 100;

impl Port {
    /// A free port.
    ///
    /// # Panics
    /// If the system has none left.
    pub fn free() -> Self {
        let keeper = reusable(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into());
        let address = keeper.local_addr().expect("a bound socket has an address");
        Port { address, _keeper: keeper, _beside: None }
    }

    /// A port that is free for UDP and TCP, as DNS needs it. Meanwhile the system gives it to nobody: a
    /// socket that binds to all addresses would meet the one at [`BESIDE`].
    ///
    /// # Panics
    /// If the system has none left.
    pub fn free_for_dns() -> Self {
        for _ in 0..TRIES {
            let beside = UdpSocket::bind((BESIDE, 0)).expect("a socket at 127.0.0.2");
            let number = beside.local_addr().expect("a bound socket has an address").port();
            let address: SocketAddr = SocketAddrV4::new(Ipv4Addr::LOCALHOST, number).into();
            let Some(keeper) = bound(address) else { continue };
            if UdpSocket::bind(address).is_ok() {
                return Port { address, _keeper: keeper, _beside: Some(beside) };
            }
        }
        panic!("no port is free for UDP and TCP");
    }

    /// This very port, which another process may keep in the same way.
    ///
    /// # Panics
    /// If it is taken.
    pub fn at(port: u16) -> Self {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into();
        Port { address, _keeper: reusable(address), _beside: None }
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
    bound(address).expect("the port can be bound")
}

fn bound(address: SocketAddr) -> Option<TcpSocket> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("SO_REUSEADDR");
    socket.bind(address).ok()?;
    Some(socket)
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

    #[tokio::test]
    async fn a_port_for_dns_carries_both_and_is_given_to_nobody_else() {
        let port = Port::free_for_dns();
        let number = port.address().port();
        assert!(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, number)).is_err(), "others may take it");
        let socket = UdpSocket::bind(port.address()).expect("its owner may take it");
        let listener = port.listen();
        assert!(TcpStream::connect(port.address()).await.is_ok());
        let client = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
        client.send_to(b"here", port.address()).expect("it is sent");
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).expect("a time-out");
        let mut buffer = [0; 8];
        assert_eq!(socket.recv_from(&mut buffer).expect("it arrives").0, 4);
        drop(listener);
    }
}
