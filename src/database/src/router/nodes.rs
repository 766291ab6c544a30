//! Where the nodes are and how they are reached: replaced as a whole when the configuration is.

use super::tls::NodeSide;
use arc_swap::{ArcSwap, Guard};
use evenkeel_config::HostPort;
use std::sync::Arc;

/// One node's address, with its place in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// Its place in `database.nodes`.
    pub index: usize,
    /// Its name, for logs and errors.
    pub name: String,
    /// Where it listens.
    pub address: HostPort,
}

/// All nodes at one moment.
#[derive(Clone, Default)]
pub struct Known {
    /// In configuration order.
    pub addresses: Vec<NodeAddress>,
    /// TLS towards them; none: plain TCP.
    pub tls: Option<NodeSide>,
}

/// All nodes, now.
#[derive(Clone)]
pub struct Nodes(Arc<ArcSwap<Known>>);

impl Nodes {
    /// Begins with these.
    pub fn new(known: Known) -> Self {
        Nodes(Arc::new(ArcSwap::from_pointee(known)))
    }

    /// All of them.
    pub fn load(&self) -> Guard<Arc<Known>> {
        self.0.load()
    }

    /// Takes these from now on; gives what was known before.
    pub fn replace(&self, known: Known) -> Arc<Known> {
        self.0.swap(Arc::new(known))
    }
}
