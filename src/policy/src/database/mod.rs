//! The database's rules: which node is the writer, which replicas may answer reads.
//!
//! A host observes nodes and passes what it saw to [`Cluster`]; it gets a [`View`] back. Promotion
//! is the engine's own business: these rules follow the writer and guard against two.
//!
//! - The highest timeline wins, at once: it is the last promotion. Once a timeline was seen, no node
//!   below it is the writer again, whatever it says.
//! - On one timeline a node becomes the writer after `healthy_threshold` answers in a row that say
//!   so, or at the first one if it was the last writer of that timeline and said nothing else since.
//! - Two on one timeline: neither is the writer until one goes away or a higher timeline appears.
//! - A writer that says it is a replica, or whose connection is lost, is dropped at once; one that
//!   merely keeps silent after `unhealthy_threshold` probes.

mod cluster;
mod lag;
mod reader;
mod view;

pub use cluster::{Cluster, Event, Observation, Rules, Sample};
pub use reader::reader;
pub use view::{Lsn, NodeView, Role, Timeline, View, Writer};
