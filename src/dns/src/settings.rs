//! What the responder is started with.

use evenkeel_config::{Dns, Zone};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What it answers, where, and what tells it where clients are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The zone, worked out.
    pub zone: Zone,
    /// The `dns` section that it was worked out of.
    pub dns: Dns,
    /// The regions' names, by [`evenkeel_policy::region::RegionId`].
    pub regions: Vec<String>,
    /// Where it listens, UDP and TCP. A port of 0 is chosen by the system.
    pub listen: Vec<SocketAddr>,
    /// The MaxMind database, as an absolute path. None: nobody knows where clients are.
    pub geoip: Option<PathBuf>,
}
