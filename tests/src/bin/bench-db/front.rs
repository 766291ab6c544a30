//! What stands in front of PostgreSQL: nothing, PgBouncer, HAProxy or Evenkeel, each as a child
//! process with a configuration written for the run.

use crate::session;
use anyhow::{Context, bail, ensure};
use evenkeel_tests::parts;
use evenkeel_tests::port::Port;
use evenkeel_tests::postgres::{PASSWORD, WATCHER};
use evenkeel_tests::process::end_with_parent;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What can stand in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    /// Nothing.
    Direct,
    /// PgBouncer in session mode.
    #[value(name = "pgbouncer")]
    PgBouncer,
    /// HAProxy in TCP mode; where nodes fail, as Patroni's documentation configures it.
    #[value(name = "haproxy")]
    HaProxy,
    /// HAProxy with checks as frequent as Evenkeel's probes. Only where nodes fail.
    #[value(name = "haproxy-fast")]
    HaProxyFast,
    /// Evenkeel.
    Evenkeel,
}

impl Kind {
    /// Its name in tables and pictures.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::PgBouncer => "PgBouncer",
            Kind::HaProxy => "HAProxy",
            Kind::HaProxyFast => "HAProxy, fast checks",
            Kind::Evenkeel => "Evenkeel",
        }
    }

    /// Its name in JSON and in the ledger.
    pub fn id(self) -> &'static str {
        match self {
            Kind::Direct => "direct",
            Kind::PgBouncer => "pgbouncer",
            Kind::HaProxy => "haproxy",
            Kind::HaProxyFast => "haproxy-fast",
            Kind::Evenkeel => "evenkeel",
        }
    }
}

/// A node behind the front.
pub struct Behind {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its region, which only Evenkeel asks for.
    pub region: &'static str,
    /// Where its role is told over HTTP, as Patroni does: HAProxy's check. Without one it is not
    /// checked.
    pub role: Option<SocketAddr>,
}

/// A running front.
pub struct Front {
    /// What it is.
    pub kind: Kind,
    /// Where clients connect.
    pub address: SocketAddr,
    child: Option<Child>,
}

impl Front {
    /// Starts one before `nodes` and waits until a client can log in. Files go to `folder/KIND*`.
    /// `listener` is Evenkeel's `database.listeners[0].mode`.
    ///
    /// # Errors
    /// If nobody can log in after 20 s; the log is named.
    pub async fn start(kind: Kind, listener: &str, nodes: &[Behind], folder: &Path) -> anyhow::Result<Front> {
        let first = nodes.first().context("no node")?;
        if kind == Kind::Direct {
            return Ok(Front { kind, address: first.address, child: None });
        }
        let port = Port::free();
        let address = port.address();
        let file = folder.join(kind.id());
        let log = file.with_extension("log");
        let mut command = match kind {
            Kind::PgBouncer => pgbouncer(&file, address, first)?,
            Kind::HaProxy => haproxy(&file, address, nodes, "inter 3s fall 3 rise 2")?,
            Kind::HaProxyFast => haproxy(&file, address, nodes, "inter 200ms fall 2 rise 1 fastinter 50ms")?,
            Kind::Evenkeel | Kind::Direct => evenkeel(folder, address, listener, nodes)?,
        };
        end_with_parent(&mut command);
        drop(port);
        command
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?);
        let child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let mut front = Front { kind, address, child: Some(child) };
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = session::open(address).await {
            let ended = front.child.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || Instant::now() > deadline {
                bail!("nobody can log in to {}: {error:#} ({ended:?}): see {}", kind.title(), log.display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(front)
    }

    /// Its process, if it is one.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn pgbouncer(file: &Path, address: SocketAddr, node: &Behind) -> anyhow::Result<Command> {
    let (config, users) = (file.with_extension("ini"), file.with_extension("users"));
    fs::write(&users, format!("\"app\" \"{PASSWORD}\"\n"))?;
    let text = format!(
        "[databases]\n* = host={} port={}\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\n\
         unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = session\n\
         default_pool_size = 100\nmax_client_conn = 2000\n",
        node.address.ip(),
        node.address.port(),
        address.ip(),
        address.port(),
        users.display()
    );
    fs::write(&config, text)?;
    let mut command = Command::new(program("EVENKEEL_PGBOUNCER", "/usr/sbin/pgbouncer", "pgbouncer")?);
    // SAFETY: geteuid cannot fail and touches nothing.
    if unsafe { libc::geteuid() } == 0 {
        // It refuses to run as root, and changes to this user by itself.
        command.args(["-u", "postgres"]);
        fs::set_permissions(&users, Permissions::from_mode(0o644))?;
    }
    command.arg("-q").arg(config);
    Ok(command)
}

fn haproxy(file: &Path, address: SocketAddr, nodes: &[Behind], check: &str) -> anyhow::Result<Command> {
    let config = file.with_extension("cfg");
    let mut text = "global\n  maxconn 4000\ndefaults\n  mode tcp\n  retries 2\n  timeout client 30m\n  \
                    timeout connect 4s\n  timeout server 30m\n  timeout check 5s\n"
        .to_owned();
    writeln!(text, "listen postgres\n  bind {address}")?;
    if nodes.iter().any(|node| node.role.is_some()) {
        writeln!(text, "  option httpchk OPTIONS /primary\n  http-check expect status 200")?;
        writeln!(text, "  default-server {check} on-marked-down shutdown-sessions")?;
    }
    for node in nodes {
        write!(text, "  server {} {}", node.name, node.address)?;
        match node.role {
            Some(role) => writeln!(text, " maxconn 1000 check port {}", role.port())?,
            None => writeln!(text)?,
        }
    }
    fs::write(&config, text)?;
    let mut command = Command::new(program("EVENKEEL_HAPROXY", "/usr/sbin/haproxy", "haproxy")?);
    command.arg("-db").arg("-f").arg(config);
    Ok(command)
}

fn evenkeel(folder: &Path, address: SocketAddr, listener: &str, nodes: &[Behind]) -> anyhow::Result<Command> {
    let home = folder.join("evenkeel");
    fs::create_dir_all(home.join("data"))?;
    fs::write(home.join("credentials.yaml"), format!("users: [{{name: app, password: {PASSWORD}}}]\n"))?;
    fs::write(home.join("password"), PASSWORD)?;
    fs::write(home.join("token"), "bench-db-needs-no-secret\n")?;
    let [companion, admin] = [Port::free(), Port::free()].map(|port| port.address());
    let mut regions: Vec<&str> = nodes.iter().map(|node| node.region).collect();
    regions.sort_unstable();
    regions.dedup();
    let mut text = "service: bench\nlocal_region: near\nregions:\n".to_owned();
    for region in regions {
        writeln!(text, "- {{name: {region}, address: \"127.0.0.1:1\"}}")?;
    }
    write!(
        text,
        "companion: {{address: \"{companion}\", listen: \"{companion}\", admin: \"{admin}\", data_dir: data, \
         token_file: token, drain_timeout: 1s}}\n\
         components: {{database: {{required: false}}}}\n\
         database:\n  login: {{user: {WATCHER}, password_file: password}}\n  credentials: credentials.yaml\n  \
         listeners: [{{listen: \"{address}\", mode: {listener}}}]\n  nodes:\n"
    )?;
    for node in nodes {
        writeln!(
            text,
            "  - {{name: {}, region: {}, address: \"{}\"}}",
            node.name, node.region, node.address
        )?;
    }
    let file = home.join("evenkeel.yaml");
    fs::write(&file, text)?;
    let mut command = Command::new(parts::evenkeel());
    command.current_dir(&home).arg("run").arg(file).args(["--region", "near"]);
    Ok(command)
}

fn program(variable: &str, usual: &str, name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| usual.into(), PathBuf::from);
    ensure!(path.is_file(), "no file {} ({variable}): run scripts/program.sh {name}", path.display());
    Ok(path)
}
