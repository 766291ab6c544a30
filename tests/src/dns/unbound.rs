//! unbound: the caching resolver between clients and a server.

use super::daemon::Daemon;
use super::program;
use crate::port::Port;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

/// How it resolves.
#[derive(Clone, Debug)]
pub struct Resolving {
    /// The zone that it asks `server` for. It asks nobody else for anything.
    pub zone: String,
    /// Who answers for the zone; several are tried in unbound's own way.
    pub servers: Vec<SocketAddr>,
    /// Whether it tells the server its clients' networks (EDNS Client Subnet), and keeps answers apart by
    /// them. Most resolvers do not.
    pub client_subnet: bool,
}

/// An unbound.
pub struct Unbound {
    daemon: Daemon,
}

impl Unbound {
    /// Starts one with an empty cache.
    ///
    /// # Panics
    /// If there is none here, or it does not answer in time.
    pub async fn start(resolving: &Resolving) -> Self {
        let (port, folder) = (Port::free_for_dns(), Daemon::folder("unbound"));
        let path = folder.path().to_owned();
        let file = path.join("unbound.conf");
        fs::write(&file, config(resolving, &path.display().to_string(), port.address()))
            .expect("its settings");
        // A copy of its own: Debian's AppArmor lets the installed one read nothing but /etc/unbound. Made by
        // another process: a file that this one has open for writing, a server that another test starts
        // right now would have open too, and no such file can be run.
        let program_here = path.join("unbound");
        let copied = Command::new("cp").arg(program("unbound")).arg(&program_here).status();
        assert!(copied.is_ok_and(|status| status.success()), "no copy of unbound in {}", path.display());
        let daemon = Daemon::start("unbound", port, folder, move || {
            let mut command = Command::new(&program_here);
            command.arg("-c").arg(&file);
            command
        })
        .await;
        Unbound { daemon }
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

fn config(resolving: &Resolving, folder: &str, listen: SocketAddr) -> String {
    let Resolving { zone, servers, client_subnet } = resolving;
    let (ip, port) = (listen.ip(), listen.port());
    let subnet = match client_subnet {
        true => {
            "  module-config: \"subnetcache iterator\"\n  send-client-subnet: 127.0.0.1\n  \
             client-subnet-always-forward: yes\n  max-client-subnet-ipv4: 24\n"
        }
        false => "  module-config: \"iterator\"\n",
    };
    let servers: String =
        servers.iter().map(|server| format!("  stub-addr: {}@{}\n", server.ip(), server.port())).collect();
    // Its own questions leave from ports that the system gives, which spares those that tests keep.
    format!(
        "server:\n  interface: {ip}\n  port: {port}\n  directory: \"{folder}\"\n  username: \"\"\n  chroot: \"\"\n  \
         pidfile: \"\"\n  use-syslog: no\n  logfile: \"\"\n  do-daemonize: no\n  num-threads: 1\n  \
         outgoing-port-avoid: 0-65535\n  outgoing-port-permit: 32768-60999\n  do-not-query-localhost: no\n  \
         target-fetch-policy: \"0 0 0 0 0\"\n{subnet}\
         stub-zone:\n  name: \"{zone}\"\n{servers}remote-control:\n  control-enable: no\n"
    )
}
