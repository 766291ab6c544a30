//! The database's rules: which node is the writer, which replicas may answer reads.
//!
//! A host observes nodes and passes what it saw to [`Cluster`]; it gets a [`View`] back. Promotion
//! is the engine's own business: these rules follow the writer and guard against two.

mod cluster;
mod view;

pub use cluster::{Cluster, Event, Observation, Rules, Sample};
pub use view::{Lsn, NodeView, Role, Timeline, View, Writer};
