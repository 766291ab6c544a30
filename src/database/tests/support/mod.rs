//! A real PostgreSQL of the test's own, and what is needed to reach it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use bytes::BytesMut;
use evenkeel_database::router::credentials::Secret;
use evenkeel_database::router::login::{Identity, Link};
use evenkeel_database::router::nodes::NodeAddress;
use evenkeel_database::router::wire::{HEADER, backend, frontend, outline};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

/// One server. Dropped, it is stopped at once and its folder removed.
pub struct Postgres {
    process: Child,
    folder: TempDir,
    port: u16,
    /// Bound and not listening: nobody else is given the port, and PostgreSQL, which sets
    /// `SO_REUSEADDR`, can still listen on it.
    _keeper: TcpSocket,
}

impl Postgres {
    /// Starts a server with this `pg_hba.conf` after `local all postgres trust`, and these settings.
    pub async fn start(hba: &str, settings: &str, certificate: Option<&Certificate>) -> Self {
        let folder = tempfile::Builder::new().prefix("evenkeel-pg-").tempdir().unwrap();
        let keeper = TcpSocket::new_v4().unwrap();
        keeper.set_reuseaddr(true).unwrap();
        keeper.bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = keeper.local_addr().unwrap().port();
        let owner = Owner::of_servers();
        owner.take(folder.path());

        let data = folder.path().join("data");
        let made = owner
            .command("initdb")
            .arg("-D")
            .arg(&data)
            .args([
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
                "--no-instructions",
            ])
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(data.join("pg_hba.conf"), format!("local all postgres trust\n{hba}")).unwrap();
        let socket = folder.path().display();
        let mut lines = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{socket}'\nfsync = off\n\
             max_connections = 60\nshared_buffers = 16MB\n{settings}\n"
        );
        if let Some(certificate) = certificate {
            lines += "ssl = on\n";
            for (name, text) in [("server.crt", &certificate.certificate), ("server.key", &certificate.key)] {
                let path = data.join(name);
                std::fs::write(&path, text).unwrap();
                owner.take(&path);
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(&path, mode).unwrap();
            }
        }
        let path = data.join("postgresql.auto.conf");
        std::fs::write(&path, lines).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = owner
            .command("postgres")
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres starts");
        let server = Postgres { process, folder, port, _keeper: keeper };
        until("postgres accepts connections", Duration::from_secs(30), async || {
            server.try_sql("select 1").ok()
        })
        .await;
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// It as a node.
    pub fn node(&self) -> NodeAddress {
        let address = format!("127.0.0.1:{}", self.port).parse().unwrap();
        NodeAddress { index: 0, name: "a".to_owned(), address }
    }

    /// Runs SQL as the superuser, past all authentication; gives what psql prints.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn try_sql(&self, sql: &str) -> Result<String, String> {
        let folder = self.folder.path().display().to_string();
        let output = Command::new(program("psql"))
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres"])
            .args(["-h", &folder, "-p", &self.port.to_string(), "-c", sql])
            .output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// What the server wrote into its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Immediate shutdown: its children end with it, which SIGKILL does not promise.
        let _ = Command::new("kill").args(["-QUIT", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

/// Who may run a server: PostgreSQL refuses root.
struct Owner(Option<(u32, u32)>);

impl Owner {
    fn of_servers() -> Self {
        let id = |args: &[&str]| {
            let output = Command::new("id").args(args).output().expect("id runs");
            String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
        };
        if id(&["-u"]) != Some(0) {
            return Owner(None);
        }
        let user = id(&["-u", "postgres"]).zip(id(&["-g", "postgres"]));
        Owner(Some(user.expect("root needs a user postgres to run PostgreSQL as")))
    }

    fn take(&self, path: &Path) {
        if let Some((user, group)) = self.0 {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(program(name));
        command.env("LC_ALL", "C").current_dir("/");
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }
}

/// One of PostgreSQL's programs: from PATH, else where Debian puts the newest.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    // Debian's own psql in PATH is a script that looks for clusters.
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin").join(name))
        .collect();
    debian.sort();
    debian
        .into_iter()
        .rev()
        .chain(in_path)
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("missing: {name}. Get it with: apt-get install postgresql"))
}

/// An authority, and a certificate of its making for `localhost` and 127.0.0.1; all PEM.
pub struct Certificate {
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

impl Certificate {
    pub fn new() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap().pem();
        Certificate { authority, certificate, key: key.serialize_pem() }
    }

    /// Writes the three files: authority, certificate, key.
    pub fn write(&self, folder: &Path) -> [PathBuf; 3] {
        [("ca.pem", &self.authority), ("server.pem", &self.certificate), ("key.pem", &self.key)].map(
            |(name, text)| {
                let path = folder.join(name);
                std::fs::write(&path, text).unwrap();
                path
            },
        )
    }
}

pub fn identity(user: &str, password: Option<&str>) -> Arc<Identity> {
    let password = password.map(Secret::new);
    Arc::new(Identity { user: user.to_owned(), password, database: "postgres".to_owned() })
}

/// Runs one statement; gives the first column, or the error's SQLSTATE.
pub async fn query(link: &mut Link, sql: &str) -> Result<Vec<String>, String> {
    let mut out = BytesMut::new();
    frontend::put_query(&mut out, sql.as_bytes());
    link.stream.write_all(&out).await.map_err(|error| error.to_string())?;
    let (mut rows, mut error) = (Vec::new(), None);
    loop {
        let Some(found) = outline(&link.read).unwrap().filter(|found| found.len <= link.read.len()) else {
            match link.stream.read_buf(&mut link.read).await {
                Ok(0) => return Err(error.unwrap_or_else(|| "closed".to_owned())),
                Ok(_) => continue,
                Err(error) => return Err(error.to_string()),
            }
        };
        let message = link.read.split_to(found.len);
        match found.tag {
            // Count of columns, length of the first, and the first.
            backend::tag::DATA_ROW => {
                let length = u32::from_be_bytes(message[HEADER + 2..HEADER + 6].try_into().unwrap()) as usize;
                rows.push(String::from_utf8_lossy(&message[HEADER + 6..HEADER + 6 + length]).into_owned());
            }
            backend::tag::ERROR => {
                let code = backend::error_code(&message[HEADER..]).unwrap();
                error = Some(String::from_utf8_lossy(&code).into_owned());
            }
            backend::tag::READY => return error.map_or(Ok(rows), Err),
            _ => {}
        }
    }
}

/// Looks again and again until there is something to see.
pub async fn until<T>(what: &str, within: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
