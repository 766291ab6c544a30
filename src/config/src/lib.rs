//! # evenkeel-config: the topology file and what is written from it
//!
//! What lives here: `evenkeel.yaml` ([`File`]), how it is read and checked ([`Plan`]), and the
//! renderings that other systems load ([`render`]): Envoy's bootstrap, the plugin configuration,
//! an ECDS file, manifests for Istio and Envoy Gateway. No number is typed twice.
//!
//! What must not: decisions (they are `evenkeel-policy`'s) and sockets. The only files it reads
//! are the topology file and the secret it names.

#![forbid(unsafe_code)]

mod address;
mod business;
mod clusters;
pub mod companion;
mod content;
pub mod database;
pub mod dns;
mod file;
mod name;
mod plan;
mod problem;
mod reader;
pub mod render;
mod slo;
pub mod zone;

pub use address::HostPort;
pub use business::{Business, Decimal};
pub use clusters::{Clusters, missing_clusters};
pub use companion::Companion;
pub use database::Database;
pub use dns::{Dns, Quorum, RecordPolicy};
pub use file::{Ecds, Edge, EnvoyVersion, File, Geoip, HopFile, Readiness, Region, RegionAws, Tls, schema};
pub use name::DnsName;
pub use plan::Plan;
pub use problem::{Place, Problem, Problems};
pub use slo::Slo;
pub use zone::Zone;
