//! The servers that are put beside each other, with the same zone.

use crate::mmdb;
use clap::ValueEnum;
use evenkeel_tests::dns::{Gdnsd, PowerDns, Scene};
use evenkeel_tests::port::Port;
use evenkeel_tests::{Companion, Region};
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

/// `evenkeel run` with two healthy regions.
pub struct Evenkeel {
    pub companion: Companion,
    pub taiwan: Region,
    _japan: Region,
    port: Port,
}

impl Evenkeel {
    /// Starts one. `more` is merged over its topology file.
    pub async fn start(scene: &Scene, more: Value) -> Evenkeel {
        let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
        let (port, folder) = (Port::free_for_dns(), Companion::prepare());
        places(&folder.path().join("places.mmdb"));
        let region = |name: &str, region: &Region| {
            let member = scene.members.iter().find(|member| member.name == name).expect("a member");
            let countries: Vec<&str> = member.countries.iter().map(|(_, country)| country.as_str()).collect();
            json!({
                "name": name,
                "weight": member.weight,
                "countries": countries,
                "address": region.address().to_string(),
                "dns": {"a": [member.address.to_string()]},
            })
        };
        let settings = json!({
            "regions": [region("taiwan", &taiwan), region("japan", &japan)],
            "dns": {
                "zone": scene.zone,
                "listen": [port.address().to_string()],
                "ttl": format!("{}s", scene.ttl),
                "nameservers": [
                    {"name": format!("ns1.{}", scene.zone), "addresses": ["127.0.0.1"]},
                    {"name": format!("ns2.{}", scene.zone), "addresses": ["127.0.0.1"]},
                ],
                "geoip": {"database": "places.mmdb"},
                // It counts, and never says no: what it costs is a part of what is measured.
                "rate_limit": {"responses_per_second": 100_000_000},
                "records": [
                    {"name": "api"},
                    {"name": "spread", "policy": "weighted"},
                    {"name": "main", "policy": "failover",
                     "members": [{"region": "taiwan", "primary": true}, {"region": "japan"}]},
                ],
            },
        });
        let companion = Companion::start_in(folder, evenkeel_tests::companion::merged(settings, more)).await;
        Evenkeel { companion, taiwan, _japan: japan, port }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }
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
            Kind::Evenkeel => Front::Evenkeel(Box::new(Evenkeel::start(scene, json!({})).await)),
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
