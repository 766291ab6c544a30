//! PowerDNS with its geoip backend: the rival that answers by place, and knows no health.

use super::daemon::Daemon;
use super::{Scene, program};
use crate::port::Port;
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// A PowerDNS with a [`Scene`].
pub struct PowerDns {
    daemon: Daemon,
}

impl PowerDns {
    /// Starts one. `database` tells it where clients are; it keeps a copy.
    ///
    /// # Panics
    /// If there is none here, or it does not answer in time.
    pub async fn start(scene: &Scene, database: &Path) -> Self {
        let (port, folder) = (Port::free_for_dns(), Daemon::folder("pdns"));
        let path = folder.path().to_owned();
        let copy = path.join("places.mmdb");
        fs::copy(database, &copy).expect("a copy of the database");
        // JSON is YAML.
        fs::write(path.join("zones.yaml"), zones(scene).to_string()).expect("its zones");
        fs::write(path.join("pdns.conf"), config(&path, &copy, port.address())).expect("its settings");
        let program = program("pdns_server");
        let daemon = Daemon::start("PowerDNS", port, folder, move || {
            let mut command = Command::new(&program);
            command.arg(format!("--config-dir={}", path.display()));
            command
        })
        .await;
        PowerDns { daemon }
    }

    /// Its process.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.daemon.address()
    }
}

fn config(folder: &Path, database: &Path, listen: SocketAddr) -> String {
    let (ip, port) = (listen.ip(), listen.port());
    let (folder, database) = (folder.display(), database.display());
    format!(
        "launch=geoip\nlocal-address={ip}\nlocal-port={port}\nsocket-dir={folder}\n\
         geoip-database-files={database}\ngeoip-zones-file={folder}/zones.yaml\nedns-subnet-processing=yes\n\
         zone-cache-refresh-interval=0\ndaemon=no\nguardian=no\ndisable-syslog=yes\n\
         security-poll-suffix=\nsetuid=\nsetgid=\n"
    )
}

fn zones(scene: &Scene) -> Value {
    let Scene { zone, ttl, members } = scene;
    let at = |name: &str| format!("{name}.{zone}");
    let draw: Vec<Value> = members
        .iter()
        .map(|member| json!({"a": {"content": member.address.to_string(), "weight": member.weight}}))
        .collect();
    let plain = members.first().expect("a scene has members").address.to_string();
    let soa = format!("ns1.{zone} hostmaster.{zone} 1 7200 900 1209600 60");
    let mut records = json!({
        zone: [{"soa": soa}, {"ns": at("ns1")}, {"ns": at("ns2")}],
        at("ns1"): [{"a": "127.0.0.1"}],
        at("ns2"): [{"a": "127.0.0.1"}],
        at("spread"): draw,
        at("plain"): [{"a": plain}],
    });
    for member in members {
        for (_, country) in &member.countries {
            let name = format!("{}.api.{zone}", country.to_lowercase());
            records[name] = json!([{"a": member.address.to_string()}]);
        }
    }
    json!({
        "domains": [{
            "domain": zone,
            "ttl": ttl,
            "records": records,
            // The first of these names that there is.
            "services": {at("api"): [format!("%cc.api.{zone}"), at("spread")]},
        }]
    })
}
