//! The network in front of one node: a relay of TCP connections that can be cut, silenced or slowed.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::port::Port;

/// What the network to a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// It carries what it gets.
    Open,
    /// Connections break, and new ones are refused.
    Cut,
    /// Connections are made and kept, and nothing gets through: not even their end.
    Silent,
    /// Everything arrives later by this much, each way.
    Slow(Duration),
}

/// A node's address as the clients know it.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    network: watch::Sender<Network>,
}

impl Door {
    /// Opens one in front of `inner`, served by `runtime`.
    pub(crate) fn open(runtime: &tokio::runtime::Handle, inner: SocketAddr) -> Door {
        let port = Port::free();
        let address = port.address();
        let (network, changes) = watch::channel(Network::Open);
        runtime.spawn(serve(port, inner, changes));
        Door { address, network }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn serve(port: Port, inner: SocketAddr, mut network: watch::Receiver<Network>) {
    loop {
        if network.wait_for(|now| *now != Network::Cut).await.is_err() {
            return;
        }
        let listener = port.listen();
        tokio::select! {
            () = accept(&listener, inner, &network) => {}
            cut = cut(network.clone()) => if cut.is_err() { return },
        }
    }
}

async fn accept(listener: &TcpListener, inner: SocketAddr, network: &watch::Receiver<Network>) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            let network = network.clone();
            tokio::spawn(async move {
                tokio::select! {
                    _ = relay(client, inner, &network) => {}
                    _ = cut(network.clone()) => {}
                }
            });
        }
    }
}

async fn relay(
    client: TcpStream,
    inner: SocketAddr,
    network: &watch::Receiver<Network>,
) -> std::io::Result<()> {
    carried(&mut network.clone()).await?;
    // A dropped client is told by a reset, as by a kernel without a listener.
    let node = match TcpStream::connect(inner).await {
        Ok(node) => node,
        Err(error) => {
            client.set_zero_linger()?;
            return Err(error);
        }
    };
    client.set_nodelay(true)?;
    node.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_node, to_node) = node.into_split();
    // Either end's end is the connection's: PostgreSQL knows no half-open ones.
    tokio::select! {
        end = pump(from_client, to_node, network.clone()) => end,
        end = pump(from_node, to_client, network.clone()) => end,
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        carried(&mut network).await?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..length]).await?;
    }
}

/// Waits until what was read may arrive.
async fn carried(network: &mut watch::Receiver<Network>) -> std::io::Result<()> {
    let closed = |_| std::io::Error::other("the door is gone");
    let now =
        *network.wait_for(|now| matches!(now, Network::Open | Network::Slow(_))).await.map_err(closed)?;
    if let Network::Slow(late) = now {
        tokio::time::sleep(late).await;
    }
    Ok(())
}

async fn cut(mut network: watch::Receiver<Network>) -> Result<(), watch::error::RecvError> {
    network.wait_for(|now| *now == Network::Cut).await.map(|_| ())
}
