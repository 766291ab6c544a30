//! Two PostgreSQL nodes under a real Patroni, which keeps its lock in a real etcd.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::processes::signal;
use super::tools::Tools;
use crate::port::Port;
use crate::wait::until;

/// Patroni bootstraps a cluster in about ten seconds, and is not to be hurried.
const PATIENCE: Duration = Duration::from_secs(90);

/// Two nodes under Patroni: `node0` and `node1`.
#[derive(Debug)]
pub struct Patroni {
    nodes: Vec<Member>,
    etcd: Child,
    _folder: TempDir,
    _ports: Vec<Port>,
}

#[derive(Debug)]
struct Member {
    process: Child,
    postgres: SocketAddr,
    rest: SocketAddr,
    data: PathBuf,
}

impl Patroni {
    /// Starts etcd and two nodes; ready when the second one streams.
    ///
    /// # Panics
    /// If one of the parts is missing or does not start.
    pub async fn start() -> Patroni {
        let tools = Tools::find();
        let folder = tools.folder();
        let ports: Vec<Port> = (0..6).map(|_| Port::free()).collect();
        let at = |number: usize| ports[number].address();
        let etcd = start_etcd(&tools, folder.path(), at(0), at(1));
        let mut nodes = Vec::new();
        for number in 0..2 {
            let (postgres, rest) = (at(2 + 2 * number), at(3 + 2 * number));
            let data = folder.path().join(format!("node{number}"));
            let text = configuration(number, &tools, at(0), postgres, rest, &data);
            let path = folder.path().join(format!("node{number}.yml"));
            fs::write(&path, text).expect("the folder can be written");
            let log = log(folder.path(), &format!("patroni{number}"));
            let mut command = tools.foreign(Path::new("patroni"));
            let process = command.arg(&path).stdout(Stdio::null()).stderr(log).spawn();
            let process = process.expect("Patroni starts: get it with apt-get install patroni");
            nodes.push(Member { process, postgres, rest, data });
            // The first one is to be the primary.
            let role = if number == 0 { "/primary" } else { "/replica" };
            until(&format!("node{number} is {role}"), PATIENCE, async || {
                let answer = request(rest, "GET", role, "").await;
                answer.is_some_and(|answer| answer.starts_with("HTTP/1.0 200")).then_some(())
            })
            .await;
        }
        Patroni { nodes, etcd, _folder: folder, _ports: ports }
    }

    /// Where a node's PostgreSQL listens; it trusts everyone.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn postgres(&self, node: usize) -> SocketAddr {
        self.nodes[node].postgres
    }

    /// Where its Patroni listens.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn rest(&self, node: usize) -> SocketAddr {
        self.nodes[node].rest
    }

    /// Has Patroni switch over; over when it says that it has.
    ///
    /// # Panics
    /// If it does not.
    pub async fn switch_over(&self, from: usize, to: usize) {
        let order = format!(r#"{{"leader": "node{from}", "candidate": "node{to}"}}"#);
        let answer = request(self.rest(from), "POST", "/switchover", &order).await.unwrap_or_default();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
}

impl Drop for Patroni {
    /// Ends each Patroni so that it ends its PostgreSQL, then etcd.
    fn drop(&mut self) {
        for node in &self.nodes {
            signal(node.process.id(), libc::SIGTERM);
        }
        let begun = Instant::now();
        for node in &mut self.nodes {
            while matches!(node.process.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(15) {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = node.process.kill();
            let _ = node.process.wait();
            // Of a Patroni that did not end by itself PostgreSQL is left.
            let lock = fs::read_to_string(node.data.join("postmaster.pid")).unwrap_or_default();
            if let Some(postmaster) = lock.lines().next().and_then(|pid| pid.trim().parse().ok()) {
                signal(postmaster, libc::SIGQUIT);
            }
        }
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

fn start_etcd(tools: &Tools, folder: &Path, clients: SocketAddr, peers: SocketAddr) -> Child {
    let mut command = tools.foreign(Path::new("etcd"));
    command.arg("--data-dir").arg(folder.join("etcd")).arg("--unsafe-no-fsync");
    for (flag, address) in [
        ("--listen-client-urls", clients),
        ("--advertise-client-urls", clients),
        ("--listen-peer-urls", peers),
        ("--initial-advertise-peer-urls", peers),
    ] {
        command.arg(flag).arg(format!("http://{address}"));
    }
    command.arg("--initial-cluster").arg(format!("default=http://{peers}"));
    command.stdout(Stdio::null()).stderr(log(folder, "etcd"));
    command.spawn().expect("etcd starts: get it with apt-get install etcd-server")
}

fn configuration(
    number: usize,
    tools: &Tools,
    etcd: SocketAddr,
    postgres: SocketAddr,
    rest: SocketAddr,
    data: &Path,
) -> String {
    format!(
        "scope: evenkeel
name: node{number}
restapi: {{listen: '{rest}', connect_address: '{rest}'}}
etcd3: {{host: '{etcd}'}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 4
    postgresql: {{parameters: {{wal_retrieve_retry_interval: 100ms, max_connections: 50}}}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, no-sync]
  pg_hba: ['host replication all 127.0.0.1/32 trust', 'host all all 127.0.0.1/32 trust']
postgresql:
  listen: '{postgres}'
  connect_address: '{postgres}'
  data_dir: '{data}'
  bin_dir: '{programs}'
  pgpass: '{data}.pgpass'
  authentication: {{superuser: {{username: postgres}}, replication: {{username: postgres}}}}
  parameters: {{unix_socket_directories: '', fsync: 'off', shared_buffers: 16MB}}
",
        data = data.display(),
        programs = tools.programs().display(),
    )
}

fn log(folder: &Path, name: &str) -> fs::File {
    fs::File::create(folder.join(format!("{name}.log"))).expect("the folder can be written")
}

/// One request to Patroni's REST interface; none if it does not answer.
async fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head = format!(
        "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}
