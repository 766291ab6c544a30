//! `evenkeel run` with a [`Scene`], its two regions healthy.

use super::Scene;
use crate::companion::merged;
use crate::port::Port;
use crate::{Companion, Region};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// One companion that answers the scene's zone, and the regions it probes.
///
/// Besides the scene's names it answers `main`: the first member while it is healthy, else the second.
#[derive(Debug)]
pub struct Evenkeel {
    /// The companion.
    pub companion: Companion,
    /// The regions, in the order of the scene's members.
    pub regions: Vec<Region>,
    port: Port,
}

impl Evenkeel {
    /// Starts one. `database` tells it where clients are; it keeps a copy. `more` is merged over its
    /// topology file.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn start(scene: &Scene, database: &Path, more: Value) -> Self {
        let (port, folder) = (Port::free_for_dns(), Companion::prepare());
        fs::copy(database, folder.path().join("places.mmdb")).expect("a copy of the database");
        let regions: Vec<Region> = scene.members.iter().map(|member| Region::start(&member.name)).collect();
        let described: Vec<Value> = scene
            .members
            .iter()
            .zip(&regions)
            .map(|(member, region)| {
                let countries = member.countries.iter().map(|(_, country)| country.as_str());
                json!({
                    "name": member.name,
                    "weight": member.weight,
                    "countries": countries.collect::<Vec<_>>(),
                    "address": region.address().to_string(),
                    "dns": {"a": [member.address.to_string()]},
                })
            })
            .collect();
        let names: Vec<&str> = scene.members.iter().map(|member| member.name.as_str()).collect();
        let first = scene.members.first().expect("a scene has members");
        let server =
            |label: &str| json!({"name": format!("{label}.{}", scene.zone), "addresses": ["127.0.0.1"]});
        let settings = json!({
            "regions": described,
            "dns": {
                "zone": scene.zone,
                "listen": [port.address().to_string()],
                "ttl": format!("{}s", scene.ttl),
                "nameservers": [server("ns1"), server("ns2")],
                "geoip": {"database": "places.mmdb"},
                "records": [
                    {"name": "api"},
                    {"name": "spread", "policy": "weighted"},
                    {"name": "plain", "members": [{"a": [first.address.to_string()]}]},
                    {"name": "main", "policy": "failover", "members": names.iter().enumerate().map(|(at, name)|
                        json!({"region": name, "primary": at == 0})).collect::<Vec<_>>()},
                ],
            },
        });
        let companion = Companion::start_in(folder, merged(settings, more)).await;
        Evenkeel { companion, regions, port }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Kills the region of this name, as a process that dies, or starts it again.
    ///
    /// # Panics
    /// If there is no such region.
    pub fn set_alive(&self, name: &str, alive: bool) {
        let region = self.regions.iter().find(|region| region.name() == name).expect("a region");
        if alive { region.restore() } else { region.kill() }
    }
}
