//! A real Envoy with the rendered configuration.

use crate::port::Port;
use crate::process::end_with_parent;
use crate::topology::Topology;
use crate::{Reply, Request, parts, until};
use evenkeel_config::render::{ECDS_FILE, FilterSource, bootstrap, ecds};
use serde_json::json;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How long Envoy may take to start: seconds, where the machine is busy.
const START: Duration = Duration::from_secs(30);

/// What one worker learns, all know after this: the promise that every test here relies on.
const ALL_KNOW: Duration = Duration::from_millis(100);

/// An Envoy under test, with two workers. Ends with its owner; says the end of its log if that
/// owner panics.
#[derive(Debug)]
pub struct Edge {
    child: Child,
    listen: SocketAddr,
    admin: SocketAddr,
    directory: TempDir,
    _ports: Vec<Port>,
}

/// A line of Envoy's log.
#[derive(Clone, Debug)]
pub struct Line {
    /// Milliseconds since 1970.
    pub at: u64,
    /// The thread that wrote it.
    pub thread: u32,
    /// What it says.
    pub text: String,
}

impl Edge {
    /// Starts one with the filter in its bootstrap, and waits until it probes.
    pub async fn start(topology: &Topology) -> Self {
        Edge::launch(topology, false).await
    }

    /// Starts one that takes the filter from a file, which [`replace`](Self::replace) replaces.
    pub async fn start_with_ecds(topology: &Topology) -> Self {
        Edge::launch(topology, true).await
    }

    async fn launch(topology: &Topology, discovered: bool) -> Self {
        let directory = tempfile::Builder::new().prefix("evenkeel-").tempdir().expect("a directory");
        let mut ports = Vec::new();
        let mut address = |pointer: &str| match topology.field(pointer).and_then(|known| known.as_str()) {
            Some(known) => known.parse().expect("an address"),
            None => {
                ports.push(Port::free());
                ports.last().expect("just added").address()
            }
        };
        let (listen, admin) = (address("/edge/listen"), address("/edge/admin"));
        let topology = topology
            .clone()
            .with(json!({"edge": {"listen": listen.to_string(), "admin": admin.to_string()}}));
        let plan = topology.plan();
        let source = if discovered {
            fs::write(directory.path().join(ECDS_FILE), ecds(&plan)).expect("the ECDS file");
            FilterSource::Ecds(directory.path().to_path_buf())
        } else {
            FilterSource::Static
        };
        let rendered = bootstrap(&plan, &source).expect("every region has an address");
        Edge::run(directory, &rendered, listen, admin, ports).await
    }

    /// Starts one with a bootstrap as it is given.
    pub async fn start_with_bootstrap(rendered: &str, listen: Port, admin: Port) -> Self {
        let directory = tempfile::Builder::new().prefix("evenkeel-").tempdir().expect("a directory");
        let (to, from) = (listen.address(), admin.address());
        Edge::run(directory, rendered, to, from, vec![listen, admin]).await
    }

    async fn run(
        directory: TempDir,
        rendered: &str,
        listen: SocketAddr,
        admin: SocketAddr,
        ports: Vec<Port>,
    ) -> Self {
        let config = directory.path().join("envoy.yaml");
        fs::write(&config, rendered).expect("the bootstrap");
        let log = File::create(directory.path().join("envoy.log")).expect("the log");
        let mut command = Command::new(parts::envoy());
        command
            .arg("--config-path")
            .arg(&config)
            .args(["--concurrency", "2", "--disable-hot-restart", "--log-level", "info"])
            // Seconds since 1970 with milliseconds, the thread, the level: what tests compare with.
            .args(["--log-format", "%E.%e %t [%l] [%n] %v"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        end_with_parent(&mut command);
        let child = command.spawn().expect("Envoy starts");
        let mut edge = Edge { child, listen, admin, directory, _ports: ports };
        until("Envoy is ready", START, async || {
            if let Ok(Some(status)) = edge.child.try_wait() {
                panic!("Envoy ended: {status}");
            }
            let ready = Request::get().path("/ready").send(edge.admin).await;
            ready.is_ok_and(|reply| reply.status == 200).then_some(())
        })
        .await;
        edge
    }

    /// Waits until every region was probed once, so that what follows does not race with the start.
    pub async fn probed(self, regions: &[&str]) -> Self {
        for region in regions {
            let ok = [("region", *region), ("result", "ok")];
            until(&format!("{region} is probed"), START, async || {
                self.metric("evenkeel_health_checks_total", &ok).await.filter(|count| *count > 0.0)
            })
            .await;
        }
        self
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request to it.
    ///
    /// # Panics
    /// If there is no whole answer.
    pub async fn send(&self, request: Request) -> Reply {
        match request.send(self.listen).await {
            Ok(reply) => reply,
            Err(problem) => panic!("{} {}: {problem}", request.method, request.path),
        }
    }

    /// Which region serves a GET from a country.
    pub async fn region_of(&self, country: &str) -> String {
        let reply = self.send(Request::get().from(country)).await;
        assert_eq!(reply.status, 200, "GET from {country}: {}", reply.text());
        reply.region().to_owned()
    }

    /// Replaces the filter's configuration, as an operator does: by a rename.
    pub fn replace(&self, topology: &Topology) {
        self.replace_text(&ecds(&topology.plan()));
    }

    /// The same with any text.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn replace_text(&self, text: &str) {
        let (aside, file) = (self.directory.path().join("ecds.new"), self.directory.path().join(ECDS_FILE));
        fs::write(&aside, text).and_then(|()| fs::rename(&aside, &file)).expect("the ECDS file is replaced");
    }

    /// Asks the admin interface.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn admin(&self, path: &str) -> String {
        match Request::get().path(path).send(self.admin).await {
            Ok(reply) => reply.text(),
            Err(problem) => panic!("admin {path}: {problem}"),
        }
    }

    /// All of Evenkeel's metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> String {
        self.admin("/stats/prometheus?filter=evenkeel").await
    }

    /// One metric, summed over the labels that are not given; none if there is no such series.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        sum(&self.metrics().await, name, labels)
    }

    /// One of Envoy's own counters or gauges.
    pub async fn stat(&self, name: &str) -> u64 {
        let text = self.admin(&format!("/stats?filter=^{}$", name.replace('.', "\\."))).await;
        text.lines().find_map(|line| line.split_once(": ")?.1.parse().ok()).unwrap_or(0)
    }

    /// Waits until a metric is what is wanted, and until all workers know what it says.
    pub async fn until_metric(&self, name: &str, labels: &[(&str, &str)], wanted: f64, within: Duration) {
        let what = format!("{name} {labels:?} is {wanted}");
        until(&what, within, async || self.metric(name, labels).await.filter(|now| *now == wanted)).await;
        tokio::time::sleep(ALL_KNOW).await;
    }

    /// Waits until these regions get their whole share.
    pub async fn until_whole(&self, regions: &[&str], within: Duration) {
        for region in regions {
            self.until_metric("evenkeel_region_share", &[("region", region)], 100.0, within).await;
        }
    }

    /// The log so far.
    pub fn log(&self) -> Vec<Line> {
        let text = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(Line::read).collect()
    }

    /// The lines of the log that hold all these words.
    pub fn lines(&self, words: &[&str]) -> Vec<Line> {
        self.log().into_iter().filter(|line| words.iter().all(|word| line.text.contains(word))).collect()
    }

    /// Waits for a line of the log that holds all these words, written at or after a moment
    /// (milliseconds since 1970).
    pub async fn line(&self, words: &[&str], since: u64, within: Duration) -> Line {
        let what = format!("the log says {words:?}");
        until(&what, within, async || self.lines(words).into_iter().find(|line| line.at >= since)).await
    }

    /// Panics if Envoy is gone.
    pub fn assert_running(&mut self) {
        assert!(matches!(self.child.try_wait(), Ok(None)), "Envoy ended");
    }

    /// Panics if the filter panicked or Envoy complained of it, or Envoy is gone.
    pub fn assert_sound(&mut self) {
        self.assert_running();
        for word in ["panicked", "Function: proxy_", "Uncaught RuntimeError"] {
            let lines = self.lines(&[word]);
            assert!(lines.is_empty(), "the filter broke: {lines:?}");
        }
    }

    fn log_file(&self) -> PathBuf {
        self.directory.path().join("envoy.log")
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = fs::read(self.log_file()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            // What Envoy says of itself at the start is long and helps nobody.
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains("[info] [main]")).collect();
            let tail = lines.get(lines.len().saturating_sub(40)..).unwrap_or_default();
            eprintln!("--- the end of Envoy's log ---\n{}\n---", tail.join("\n"));
        }
    }
}

impl Line {
    fn read(line: &str) -> Option<Self> {
        let (at, rest) = line.split_once(' ')?;
        let (seconds, millis) = at.split_once('.')?;
        let (thread, text) = rest.split_once(' ')?;
        let at = seconds.parse::<u64>().ok()? * 1000 + millis.parse::<u64>().ok()?;
        Some(Line { at, thread: thread.parse().ok()?, text: text.to_owned() })
    }
}

/// A metric's value in a Prometheus text, summed over the labels that are not given.
pub fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |line: &&str| {
        let Some(rest) = line.strip_prefix(name) else { return false };
        (rest.starts_with('{') || rest.starts_with(' '))
            && labels.iter().all(|(key, value)| {
                rest.contains(&format!("{{{key}=\"{value}\""))
                    || rest.contains(&format!(",{key}=\"{value}\""))
            })
    };
    let values: Vec<f64> =
        text.lines().filter(fits).filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_labels() {
        let text =
            "# TYPE a counter\na{region=\"x\",outcome=\"ok\"} 3\na{region=\"y\",outcome=\"ok\"} 4\nab{} 9\n";
        assert_eq!(sum(text, "a", &[("region", "y")]), Some(4.0));
        assert_eq!(sum(text, "a", &[("outcome", "ok")]), Some(7.0));
        assert_eq!(sum(text, "a", &[("outcome", "error")]), None);
    }
}
