//! One PostgreSQL server and its processes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::door::{Door, Network};
use super::processes::{family, is_alive, signal};
use super::tools::Tools;
use crate::port::Port;
use crate::wait::until;

/// How long a server may take to start or to stop. Far more than it needs, for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a query answered: rows of values as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// One PostgreSQL server. All its methods can be called from several tasks.
#[derive(Debug)]
pub struct Node {
    name: String,
    folder: PathBuf,
    port: Port,
    door: Door,
    tools: Arc<Tools>,
    process: Mutex<Option<Child>>,
}

impl Node {
    pub(super) fn new(name: String, folder: PathBuf, port: Port, door: Door, tools: Arc<Tools>) -> Node {
        Node { name, folder, port, door, tools, process: Mutex::new(None) }
    }

    /// Its name: `node0`, `node1`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients reach it, through the network that [`cut`](Self::cut) and its like act on.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// Where the server itself listens: for measurements without the network in between, and for the
    /// test's own questions.
    pub fn direct(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its data directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A setting's new value, in force at once if the setting allows it, else from the next start.
    ///
    /// # Panics
    /// If the server does not take it.
    pub async fn set(&self, name: &str, value: &str) {
        self.sql(&format!("ALTER SYSTEM SET {name} = '{}'", value.replace('\'', "''"))).await;
        self.sql("SELECT pg_reload_conf()").await;
    }

    /// Asks the server itself, as the superuser, in the database `postgres`.
    ///
    /// # Panics
    /// If it does not answer, or with an error.
    pub async fn sql(&self, query: &str) -> Rows {
        match self.try_sql(query).await {
            Ok(rows) => rows,
            Err(error) => panic!("{}: {query}: {error:?}", self.name),
        }
    }

    /// The same for one value; empty for none.
    ///
    /// # Panics
    /// As [`sql`](Self::sql).
    pub async fn value(&self, query: &str) -> String {
        let first = self.sql(query).await.into_iter().next();
        first.and_then(|row| row.into_iter().next()).flatten().unwrap_or_default()
    }

    /// The same, where an error is an answer too.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub async fn try_sql(&self, query: &str) -> Result<Rows, tokio_postgres::Error> {
        let session = Session::open(self.direct()).await?;
        session.rows(query).await
    }

    /// Starts the server, and waits until it answers.
    ///
    /// # Panics
    /// If it does not; the message holds the end of its log.
    pub async fn start(&self) {
        self.spawn();
        self.ready().await;
    }

    pub(super) fn spawn(&self) {
        let mut process = self.lock();
        assert!(process.is_none(), "{} runs already", self.name);
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("a log file");
        let mut command = self.tools.command("postgres");
        command.arg("-D").arg(&self.folder).stdout(Stdio::null()).stderr(log);
        *process = Some(command.spawn().expect("postgres starts"));
    }

    pub(super) async fn ready(&self) {
        until(&format!("{} answers", self.name), PATIENCE, async || {
            if let Ok(Some(status)) = self.lock().as_mut().expect("it was started").try_wait() {
                panic!("{} ended at once ({status}): {}", self.name, self.log_end());
            }
            self.try_sql("SELECT 1").await.ok()
        })
        .await;
    }

    /// Stops the server as `systemctl stop` does (`fast`).
    ///
    /// # Panics
    /// If it does not end.
    pub async fn stop(&self) {
        self.signal(libc::SIGINT);
        until(&format!("{} ends", self.name), PATIENCE, async || self.ended().then_some(())).await;
    }

    /// SIGKILL to every process of the server, as when a machine loses its power.
    pub fn kill(&self) {
        if let Some(mut postmaster) = self.lock().take() {
            let family = family(postmaster.id());
            for pid in &family {
                signal(*pid, libc::SIGKILL);
            }
            let _ = postmaster.wait();
            // The next start refuses while one of them still holds the shared memory.
            let begun = Instant::now();
            while family.iter().any(|pid| is_alive(*pid)) && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.forget_shared_memory();
        }
    }

    /// SIGSTOP to every process: the kernel goes on accepting connections, and nothing is answered.
    pub fn freeze(&self) {
        self.signal_all(libc::SIGSTOP);
    }

    /// SIGCONT to every process.
    pub fn thaw(&self) {
        self.signal_all(libc::SIGCONT);
    }

    /// Breaks the node's connections and refuses new ones, until [`heal`](Self::heal).
    pub fn cut(&self) {
        self.door.set(Network::Cut);
    }

    /// Keeps the node's connections and accepts new ones, and lets nothing through until
    /// [`heal`](Self::heal): as a firewall that drops packets.
    pub fn blackhole(&self) {
        self.door.set(Network::Silent);
    }

    /// Delivers everything later by `late`, each way.
    pub fn slow(&self, late: Duration) {
        self.door.set(Network::Slow(late));
    }

    /// The network works again.
    pub fn heal(&self) {
        self.door.set(Network::Open);
    }

    /// Promotes a standby. Gives the moments at which it was asked to and at which it accepted writes.
    ///
    /// # Panics
    /// If it does not become a primary.
    pub async fn promote(&self) -> (Instant, Instant) {
        let session = Session::open(self.direct()).await.expect("the standby answers");
        let asked = Instant::now();
        session.rows("SELECT pg_promote(false)").await.expect("a standby can be promoted");
        loop {
            let recovers = session.rows("SELECT pg_is_in_recovery()").await.expect("it goes on answering");
            if recovers[0][0].as_deref() == Some("f") {
                return (asked, Instant::now());
            }
            assert!(asked.elapsed() < PATIENCE, "{} was not promoted: {}", self.name, self.log_end());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Makes a running standby follow another primary.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn follow(&self, primary: &Node) {
        self.set("primary_conninfo", &primary.conninfo(&self.name)).await;
    }

    /// Throws away the node's data and makes it a standby of `primary` with a new copy of its data.
    ///
    /// # Panics
    /// If that cannot be done.
    pub async fn rejoin(&self, primary: &Node) {
        self.kill();
        fs::remove_dir_all(&self.folder).expect("the old data can be removed");
        let (command, folder) = (self.tools.command("pg_basebackup"), self.folder.clone());
        let (tools, port) = (self.tools.clone(), primary.direct().port());
        let copied = tokio::task::spawn_blocking(move || {
            let mut command = command;
            command.arg("-D").arg(folder).args(["-h", "127.0.0.1", "-U", "postgres", "-p"]);
            tools.run(command.arg(port.to_string()).args(["--checkpoint=fast", "--no-sync", "-X", "stream"]));
        });
        copied.await.expect("a base backup");
        let mut settings = read_settings(&self.folder.join("node.conf"));
        settings.extend(self.own_settings());
        write_settings(&self.folder.join("node.conf"), &settings);
        // What the primary was told at run time is not meant for this node.
        fs::write(self.folder.join("postgresql.auto.conf"), "").expect("the data directory can be written");
        self.stand_by(primary);
        self.start().await;
    }

    /// Marks a data directory as a standby's.
    pub(super) fn stand_by(&self, primary: &Node) {
        let mut settings = read_settings(&self.folder.join("node.conf"));
        settings.insert("primary_conninfo".to_owned(), primary.conninfo(&self.name));
        write_settings(&self.folder.join("node.conf"), &settings);
        fs::write(self.folder.join("standby.signal"), "").expect("the data directory can be written");
        for file in ["standby.signal", "node.conf"] {
            self.tools.own(&self.folder.join(file));
        }
    }

    /// Writes the node's settings into a fresh data directory.
    pub(super) fn configure(&self, settings: &[(String, String)], hba: &str) {
        let include = "\ninclude 'node.conf'\n";
        let path = self.folder.join("postgresql.conf");
        let conf = fs::read_to_string(&path).expect("initdb wrote it");
        fs::write(&path, conf + include).expect("the data directory can be written");
        fs::write(self.folder.join("pg_hba.conf"), hba).expect("the data directory can be written");
        let settings = settings.iter().cloned().chain(self.own_settings()).collect();
        write_settings(&self.folder.join("node.conf"), &settings);
        self.tools.own(&self.folder.join("node.conf"));
    }

    fn own_settings(&self) -> [(String, String); 3] {
        [
            ("port".to_owned(), self.direct().port().to_string()),
            ("cluster_name".to_owned(), self.name.clone()),
            ("unix_socket_directories".to_owned(), String::new()),
        ]
    }

    /// How a standby reaches this node: through the same network as the clients.
    fn conninfo(&self, standby: &str) -> String {
        let at = self.address();
        format!("host={} port={} user=postgres application_name={standby}", at.ip(), at.port())
    }

    fn signal(&self, number: i32) {
        if let Some(postmaster) = self.lock().as_ref() {
            signal(postmaster.id(), number);
        }
    }

    fn signal_all(&self, number: i32) {
        if let Some(postmaster) = self.lock().as_ref() {
            for pid in family(postmaster.id()) {
                signal(pid, number);
            }
        }
    }

    /// Whether the server has ended; if so it can be started anew.
    fn ended(&self) -> bool {
        let mut process = self.lock();
        let ended =
            process.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()));
        if ended {
            *process = None;
        }
        ended
    }

    /// A killed server leaves a small System V segment behind, and the system has few of them.
    fn forget_shared_memory(&self) {
        let lock = fs::read_to_string(self.folder.join("postmaster.pid")).unwrap_or_default();
        let id = lock.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        if let Some(id) = id {
            // SAFETY: the server that made the segment is dead; IPC_RMID takes no buffer.
            unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        }
    }

    /// The server's log, for a test's message.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn log(&self) -> PathBuf {
        self.folder.with_extension("log")
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    /// Ends the server at once, yet in a way that leaves no shared memory and no orphan behind.
    fn drop(&mut self) {
        self.thaw();
        self.signal(libc::SIGQUIT);
        let begun = Instant::now();
        while !self.ended() && begun.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }
}

/// A session of the test's own.
struct Session {
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Session {
    async fn open(address: SocketAddr) -> Result<Session, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host(address.ip().to_string()).port(address.port()).user("postgres").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Session { client, driver })
    }

    async fn rows(&self, query: &str) -> Result<Rows, tokio_postgres::Error> {
        let messages = self.client.simple_query(query).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn read_settings(path: &Path) -> HashMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let setting = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    };
    text.lines().filter_map(setting).collect()
}

fn write_settings(path: &Path, settings: &HashMap<String, String>) {
    let mut text = String::new();
    for (name, value) in settings {
        let _ = writeln!(text, "{name} = '{value}'");
    }
    fs::write(path, text).expect("the data directory can be written");
}
