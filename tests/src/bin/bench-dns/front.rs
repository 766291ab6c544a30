//! The servers that are put beside each other, with the same zone.

use crate::mmdb;
use clap::ValueEnum;
use evenkeel_tests::companion::merged;
use evenkeel_tests::dns::{Evenkeel, Gdnsd, PowerDns, Scene};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};

/// A client's network that the database knows, in Taiwan.
pub const IN_TAIWAN: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 0);

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    Gdnsd,
    Evenkeel,
    Powerdns,
}

impl Kind {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Gdnsd => "gdnsd",
            Kind::Evenkeel => "Evenkeel",
            Kind::Powerdns => "PowerDNS geoip",
        }
    }
}

/// One that runs.
pub enum Front {
    Gdnsd(Box<Gdnsd>),
    Powerdns(Box<PowerDns>),
    Evenkeel(Box<Evenkeel>),
}

/// Starts Evenkeel. `more` is merged over its topology file.
pub async fn evenkeel(scene: &Scene, more: Value) -> Evenkeel {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("places.mmdb");
    places(&database);
    // It counts, and never says no: what it costs is a part of what is measured.
    let unlimited = json!({"dns": {"rate_limit": {"responses_per_second": 100_000_000}}});
    Evenkeel::start(scene, &database, merged(unlimited, more)).await
}

impl Front {
    /// Starts one.
    pub async fn start(kind: Kind, scene: &Scene) -> Front {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("places.mmdb");
        places(&database);
        match kind {
            Kind::Gdnsd => Front::Gdnsd(Box::new(Gdnsd::start(scene, &database).await)),
            Kind::Powerdns => Front::Powerdns(Box::new(PowerDns::start(scene, &database).await)),
            Kind::Evenkeel => Front::Evenkeel(Box::new(evenkeel(scene, json!({})).await)),
        }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        match self {
            Front::Gdnsd(server) => server.address(),
            Front::Powerdns(server) => server.address(),
            Front::Evenkeel(server) => server.address(),
        }
    }

    /// Its process.
    pub fn pid(&mut self) -> u32 {
        match self {
            Front::Gdnsd(server) => server.daemon().pid(),
            Front::Powerdns(server) => server.daemon().pid(),
            Front::Evenkeel(server) => server.companion.pid(),
        }
    }
}

fn places(path: &std::path::Path) {
    mmdb::write(path, &[("203.0.113.0/24", "AS", "TW", ""), ("100.64.0.0/16", "AS", "JP", "")]);
}
