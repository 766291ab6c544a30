//! gdnsd: the rival that answers by place and health.

use super::daemon::Daemon;
use super::{Member, Scene, program};
use crate::port::Port;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

/// Its file of health, which it watches.
const HEALTH: &str = "health";

/// A gdnsd with a [`Scene`].
pub struct Gdnsd {
    daemon: Daemon,
    members: Vec<Ipv4Addr>,
    down: HashSet<Ipv4Addr>,
}

impl Gdnsd {
    /// Starts one, all members up. `database` tells it where clients are; it keeps a copy.
    ///
    /// # Panics
    /// If there is none here, or it does not answer in time.
    pub async fn start(scene: &Scene, database: &Path) -> Self {
        let (port, folder) = (Port::free_for_dns(), Daemon::folder("gdnsd"));
        let path = folder.path().to_owned();
        let copy = path.join("places.mmdb");
        fs::copy(database, &copy).expect("a copy of the database");
        fs::create_dir_all(path.join("zones")).expect("its folder");
        fs::create_dir_all(path.join("state")).expect("its folder");
        fs::write(path.join("config"), config(scene, &path, &copy, port.address())).expect("its settings");
        fs::write(path.join("zones").join(&scene.zone), zone(scene)).expect("its zone");
        let members: Vec<Ipv4Addr> = scene.members.iter().map(|member| member.address).collect();
        write_health(&path, &members, &HashSet::new());
        let program = program("gdnsd");
        let daemon = Daemon::start("gdnsd", port, folder, move || {
            let mut command = Command::new(&program);
            command.arg("-c").arg(&path).arg("start");
            command
        })
        .await;
        Gdnsd { daemon, members, down: HashSet::new() }
    }

    /// Says whether a member is healthy. gdnsd takes it up after a second of settling.
    ///
    /// # Panics
    /// If its file cannot be written.
    pub fn set_health(&mut self, address: Ipv4Addr, up: bool) {
        if up {
            self.down.remove(&address);
        } else {
            self.down.insert(address);
        }
        write_health(self.daemon.path(), &self.members, &self.down);
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

fn write_health(folder: &Path, members: &[Ipv4Addr], down: &HashSet<Ipv4Addr>) {
    let mut text = String::new();
    for member in members {
        let _ = writeln!(text, "{member} => {}", if down.contains(member) { "DOWN" } else { "UP" });
    }
    // At once: half a file would be a member that is not there.
    let aside = folder.join("health.new");
    fs::write(&aside, text).expect("the file of health");
    fs::rename(aside, folder.join(HEALTH)).expect("the file's place");
}

fn config(scene: &Scene, folder: &Path, database: &Path, listen: SocketAddr) -> String {
    let names = |first: &Member| {
        let rest = scene.members.iter().filter(|member| member.name != first.name);
        let order: Vec<&str> = [first].into_iter().chain(rest).map(|member| member.name.as_str()).collect();
        order.join(", ")
    };
    // Countries by continents: that is how its map is read.
    let mut map: BTreeMap<&str, String> = BTreeMap::new();
    for member in &scene.members {
        for (continent, country) in &member.countries {
            let _ = write!(map.entry(continent).or_default(), "{country} => [{}], ", names(member));
        }
    }
    let mut continents = String::new();
    for (continent, countries) in map {
        let _ = write!(continents, "{continent} => {{ {countries} default => [everyone] }}, ");
    }
    let all: Vec<&str> = scene.members.iter().map(|member| member.name.as_str()).collect();
    let draw: Vec<String> = scene
        .members
        .iter()
        .map(|member| format!("{} => [{}, {}]", member.name, member.address, member.weight))
        .collect();
    let draw = draw.join(", ");
    let each: String = scene
        .members
        .iter()
        .map(|member| format!("{} => {{ plugin => multifo, only => {} }}, ", member.name, member.address))
        .collect();
    format!(
        "options => {{ listen => [ {listen} ], run_dir => {run}, state_dir => {state}, min_ttl => 1 }}\n\
         service_types => {{ live => {{ plugin => extfile, file => {health}, direct => true, interval => 2 }} }}\n\
         plugins => {{\n\
           weighted => {{ spread => {{ service_types => live, {draw} }} }}\n\
           geoip => {{\n\
             maps => {{ clients => {{ geoip2_db => {database}, datacenters => [{all}, everyone],\n\
               map => {{ {continents} default => [everyone] }} }} }},\n\
             resources => {{ api => {{ map => clients, service_types => live, dcmap => {{\n\
               {each} everyone => {{ plugin => weighted, {draw} }} }} }} }}\n\
           }}\n\
         }}\n",
        run = folder.join("run").display(),
        state = folder.join("state").display(),
        health = folder.join(HEALTH).display(),
        database = database.display(),
        all = all.join(", "),
    )
}

fn zone(scene: &Scene) -> String {
    let Scene { ttl, members, .. } = scene;
    let plain = members.first().expect("a scene has members").address;
    format!(
        "$TTL {ttl}\n\
         @ SOA ns1 hostmaster 1 7200 900 1209600 60\n\
         @ NS ns1\n@ NS ns2\nns1 A 127.0.0.1\nns2 A 127.0.0.1\n\
         api {ttl} DYNA geoip!api\n\
         spread {ttl} DYNA weighted!spread\n\
         plain A {plain}\n"
    )
}
