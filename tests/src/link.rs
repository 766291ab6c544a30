//! The network between two places, one direction: cut, silenced, and back.

use crate::postgres::door::{Door, Network};
use std::net::SocketAddr;

/// The way to one address.
#[derive(Debug)]
pub struct Link(Door);

impl Link {
    /// Leads to `inner`.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn to(inner: SocketAddr) -> Self {
        Link(Door::open(&tokio::runtime::Handle::current(), inner))
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Connections break, and new ones are refused.
    pub fn cut(&self) {
        self.0.set(Network::Cut);
    }

    /// Connections are made and kept, and nothing gets through.
    pub fn silence(&self) {
        self.0.set(Network::Silent);
    }

    /// It carries again what it gets. What got stuck in between stays stuck.
    pub fn restore(&self) {
        self.0.set(Network::Cut);
        self.0.set(Network::Open);
    }
}
