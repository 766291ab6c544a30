//! `evenkeel run` as a process, with a topology file of its own.

use crate::port::Port;
use crate::process::Process;
use crate::wait::until;
use crate::{Reply, Request, parts};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The token of every companion under test.
pub const TOKEN: &str = "a token of many letters";

/// How long a companion may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a process is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The companion of this region.
    Region(&'static str),
    /// The witness, which has one listener.
    Witness,
}

/// A companion under test, of region taiwan unless told otherwise. Ends with its owner; says the end of its log if that
/// owner panics.
#[derive(Debug)]
pub struct Companion {
    process: Process,
    role: Role,
    public: Port,
    admin: Port,
    directory: TempDir,
    settings: Value,
}

impl Companion {
    /// Starts one: `settings` are merged over a file with two regions.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn start(settings: Value) -> Self {
        Companion::start_in(Companion::prepare(), settings).await
    }

    /// A folder for one, into which a test may put files first.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn prepare() -> TempDir {
        tempfile::Builder::new().prefix("evenkeel-").tempdir().expect("a directory")
    }

    /// Starts one in a folder that was prepared.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn start_in(directory: TempDir, settings: Value) -> Self {
        Companion::start_as(Role::Region("taiwan"), Port::free(), directory, settings).await
    }

    /// Starts one as told, at a port that others know already.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn start_as(role: Role, public: Port, directory: TempDir, settings: Value) -> Self {
        let admin = Port::free();
        fs::write(directory.path().join("token"), TOKEN).expect("the token");
        let base = json!({
            "service": "shop",
            "local_region": "taiwan",
            "regions": [{"name": "taiwan"}, {"name": "japan"}],
            "companion": {
                "address": public.address().to_string(),
                "listen": public.address().to_string(),
                "admin": admin.address().to_string(),
                "token_file": "token",
                "data_dir": "data",
                "drain_timeout": "2s"
            }
        });
        let settings = merged(base, settings);
        fs::write(directory.path().join("evenkeel.yaml"), settings.to_string()).expect("the topology file");
        let process = spawn(directory.path(), role);
        let companion = Companion { process, role, public, admin, directory, settings };
        companion.alive().await;
        companion
    }

    /// Where readiness is asked.
    pub fn public(&self) -> SocketAddr {
        self.public.address()
    }

    /// Where operators ask.
    pub fn admin(&self) -> SocketAddr {
        match self.role {
            Role::Region(_) => self.admin.address(),
            Role::Witness => self.public.address(),
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.directory.path()
    }

    /// Its topology file.
    pub fn file(&self) -> PathBuf {
        self.folder().join("evenkeel.yaml")
    }

    /// Its settings, to change and write again.
    pub fn settings(&self) -> Value {
        self.settings.clone()
    }

    /// Replaces the topology file, as editors do.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, text: &str) {
        let aside = self.folder().join("evenkeel.yaml.new");
        fs::write(&aside, text).expect("the new topology file");
        fs::rename(aside, self.file()).expect("the topology file's place");
    }

    /// Asks the public listener.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> Reply {
        self.ask(self.public(), path).await
    }

    /// Asks for readiness, and reads its body.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn readiness(&self) -> (Reply, Value) {
        let reply = self.get("/actuator/health/readiness").await;
        let body = serde_json::from_slice(&reply.body).expect("JSON");
        (reply, body)
    }

    /// Everything that `/v1/status` says.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn status(&self) -> Value {
        let reply = self.ask(self.admin(), "/v1/status").await;
        serde_json::from_slice(&reply.body).expect("JSON")
    }

    /// One metric's value; `name` with its labels as it stands on the page.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    /// The whole metrics page.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn metrics(&self) -> String {
        self.ask(self.admin(), "/metrics").await.text()
    }

    /// Runs a command of `evenkeel` against it, with its token.
    ///
    /// # Panics
    /// If the command cannot be started.
    pub fn command(&self, arguments: &[&str]) -> Output {
        Command::new(parts::evenkeel())
            .args(arguments)
            .args(["--admin", &self.admin().to_string()])
            .env("EVENKEEL_TOKEN", TOKEN)
            .output()
            .expect("evenkeel starts")
    }

    /// SIGKILL, and its end.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.ended().await;
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        self.process.signal(number);
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let process = &mut self.process;
        until("the companion has ended", PATIENCE, async || process.ended()).await
    }

    /// Starts it again, after its end.
    ///
    /// # Panics
    /// If it does not answer in time.
    pub async fn restart(&mut self) {
        self.process = spawn(self.directory.path(), self.role);
        self.alive().await;
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("companion.log")).unwrap_or_default()
    }

    async fn alive(&self) {
        until("the companion answers", PATIENCE, async || {
            let request = Request::get().path("/actuator/health/liveness");
            request.send(self.public()).await.ok().filter(|reply| reply.status == 200)
        })
        .await;
    }

    async fn ask(&self, to: SocketAddr, path: &str) -> Reply {
        match Request::get().path(path).send(to).await {
            Ok(reply) => reply,
            Err(problem) => panic!("{path}: {problem}"),
        }
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default();
            eprintln!("the companion's log ends:\n{}", end.join("\n"));
        }
    }
}

fn spawn(folder: &Path, role: Role) -> Process {
    let log = File::options().create(true).append(true).open(folder.join("companion.log")).expect("the log");
    let mut command = Command::new(parts::evenkeel());
    command
        .arg("run")
        .arg(folder.join("evenkeel.yaml"))
        .args(match role {
            Role::Region(region) => vec!["--region", region],
            Role::Witness => vec!["--witness"],
        })
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Process::start("evenkeel", command)
}

/// Maps field by field, anything else as a whole.
pub fn merged(mut into: Value, fields: Value) -> Value {
    match (&mut into, fields) {
        (Value::Object(into), Value::Object(fields)) => {
            for (name, value) in fields {
                let known = into.remove(&name).unwrap_or(Value::Null);
                into.insert(name, merged(known, value));
            }
        }
        (into, value) => *into = value,
    }
    into
}
