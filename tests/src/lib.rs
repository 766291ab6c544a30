//! What the end-to-end tests share: regions that fail on command ([`region`]), a real Envoy with the
//! rendered configuration ([`edge`]), clients ([`client`]), load ([`load`]), and real PostgreSQL clusters
//! ([`postgres`]), real DNS servers, resolvers and clients ([`dns`]).
//!
//! Nothing here stands in for a part of Evenkeel: the configuration comes from `evenkeel-config`,
//! the filter is the module that is shipped, and Envoy is Envoy. Everything listens on 127.0.0.1.

pub mod client;
pub mod companion;
pub mod dns;
pub mod edge;
pub mod etcd;
pub mod figures;
pub mod kafka;
pub mod link;
pub mod load;
pub mod parts;
pub mod port;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod region;
pub mod server;
pub mod shop;
pub mod topology;
pub mod verdict;
pub mod wait;

pub use client::{Reply, Request};
pub use companion::{Companion, Role};
pub use edge::Edge;
pub use etcd::Etcd;
pub use link::Link;
pub use load::{Load, Shots};
pub use process::RegionProcess;
pub use region::{Answer, Region};
pub use server::Server;
pub use shop::Shop;
pub use topology::Topology;
pub use wait::until;
