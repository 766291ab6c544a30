//! `evenkeel chaos` on the local processes of `evenkeel demo --keep`: a real Envoy, real processes that are
//! killed and frozen, and a runner that is itself stopped and killed.

use evenkeel_tests::{Request, parts, until};
use serde_json::Value;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Envoy and two regions start within seconds; a region that was out has its share again after 20 s.
const SOON: Duration = Duration::from_secs(120);

/// A process that is ended with the test.
struct Process(Child);

impl Process {
    fn signal(&self, name: &str) {
        signal(self.0.id(), name);
    }

    async fn code(&mut self, what: &str) -> Option<i32> {
        until(what, SOON, async || self.0.try_wait().expect("it is ours")).await.code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status().expect("kill starts");
    assert!(status.success(), "kill {name} {pid}");
}

/// Two regions and an Envoy, and a folder for everything.
struct Scene {
    folder: TempDir,
    _demo: Process,
}

impl Scene {
    async fn start() -> Scene {
        let folder = tempfile::tempdir().expect("a folder");
        let log = File::create(folder.path().join("demo.log")).expect("a log");
        let demo = Command::new(parts::evenkeel())
            .args(["demo", "--keep", "--rate", "10", "--out"])
            .arg(folder.path().join("demo"))
            .arg("--envoy")
            .arg(parts::envoy())
            .arg("--wasm")
            .arg(parts::wasm())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn()
            .expect("the demo starts");
        let scene = Scene { folder, _demo: Process(demo) };
        until("the demo writes its target", SOON, async || scene.target().is_file().then_some(())).await;
        scene
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("demo/target.yaml")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn left(&self) -> PathBuf {
        self.out().join("undo-local.json")
    }

    /// Taiwan's process number, and whether it is stopped.
    fn taiwan(&self) -> (u32, Option<char>) {
        self.process("taiwan")
    }

    /// The same of any region.
    fn process(&self, region: &str) -> (u32, Option<char>) {
        let file = self.folder.path().join("demo").join(region).with_extension("pid");
        let pid = fs::read_to_string(file).expect("a pid file");
        let pid = pid.trim().parse().expect("a number");
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        let state = stat.and_then(|stat| stat.rsplit_once(')')?.1.trim().chars().next());
        (pid, state)
    }

    /// An experiment with this fault on Taiwan, short but for its last pause.
    fn experiment(&self, fault: &str, pause: &str) -> PathBuf {
        self.striking("{region: taiwan, roles: [application]}", fault, pause, "60s")
    }

    /// The same on whom one likes. It is stopped once most requests have failed over such a time.
    fn striking(&self, on: &str, fault: &str, pause: &str, over: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{fault}.yaml"));
        let text = format!(
            "title: An application is struck\n\
             description: As in the catalogue, and shorter.\n\
             kind: application-failure\n\
             load: {{rate: 50, baseline: 2s}}\n\
             steady-state-hypothesis:\n  title: all is well\n  probes:\n  \
             - {{name: shares are whole, provider: {{type: evenkeel, look: shares-whole}}}}\n  \
             - {{name: orders are taken, provider: {{type: evenkeel, look: orders-taken}}}}\n\
             method:\n- name: strike it\n  \
             provider: {{type: evenkeel, fault: {{name: {fault}}}, on: {on}}}\n  \
             pauses: {{after: {pause}}}\n\
             criteria: {{rto-reads: 10s, rto-orders: 30s, healed: 3m}}\n\
             stop-condition: {{error-rate-percent: 50, over: {over}}}\n"
        );
        fs::write(&path, text).expect("written");
        path
    }

    fn chaos(&self, words: &[&str]) -> Command {
        let mut command = Command::new(parts::evenkeel());
        command.arg("chaos").args(words).arg("--target").arg(self.target()).arg("--out").arg(self.out());
        command.stdin(Stdio::null());
        command
    }

    /// A run in the background, and what it says.
    fn run(&self, experiment: &Path) -> (Process, PathBuf) {
        let said = self.folder.path().join("run.log");
        let log = File::create(&said).expect("a log");
        let run = self
            .chaos(&["run", &experiment.to_string_lossy()])
            .stdout(log.try_clone().expect("the log"))
            .stderr(log)
            .spawn()
            .expect("the run starts");
        (Process(run), said)
    }

    fn journal(&self) -> Value {
        let runs = fs::read_dir(self.out()).expect("the folder of runs");
        let mut journals =
            runs.flatten().map(|entry| entry.path().join("journal.json")).filter(|path| path.is_file());
        let path = journals.next().expect("a journal");
        assert!(path.with_file_name("report.html").is_file());
        serde_json::from_slice(&fs::read(path).expect("readable")).expect("JSON")
    }
}

async fn says(said: &Path, words: &str) {
    until(&format!("it says {words:?}"), SOON, async || {
        fs::read_to_string(said).ok().filter(|text| text.contains(words))
    })
    .await;
}

/// Where Taiwan itself listens.
fn address(scene: &Scene) -> SocketAddr {
    let target = fs::read_to_string(scene.target()).expect("the target");
    let json = target.split_once('\n').expect("a comment first").1;
    let target: Value = serde_json::from_str(json).expect("JSON");
    let start = target["parts"][0]["process"]["start"].as_array().expect("a command");
    let port = start.iter().position(|word| word == "--port").expect("a port") + 1;
    format!("127.0.0.1:{}", start[port].as_str().expect("a text")).parse().expect("an address")
}

#[tokio::test]
async fn a_killed_region_is_measured_restored_and_judged() {
    let scene = Scene::start().await;
    let (before, _) = scene.taiwan();
    let (mut run, said) = scene.run(&scene.experiment("kill", "4s"));
    says(&said, "strike it").await;
    assert!(scene.left().is_file(), "on disk before it is done");
    // Whoever comes meanwhile is refused, and told why.
    let second = scene.chaos(&["run", "application-failure"]).output().expect("it ends");
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(2), "{error}");
    assert!(error.contains("another experiment runs"), "{error}");

    let code = run.code("the run ends").await;
    let text = fs::read_to_string(&said).expect("its words");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("PASSED: An application is struck"), "{text}");
    assert!(!scene.left().exists(), "nothing is left to undo");
    let (after, state) = scene.taiwan();
    assert!(after != before && state.is_some(), "another process, running: {before} {after} {state:?}");
    let journal = scene.journal();
    assert_eq!(journal["status"], "completed");
    let parts: Vec<&str> = journal["activities"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|done| done["part"].as_str())
        .collect();
    assert_eq!(parts, ["method", "rollback"]);
    let number =
        |field: &str| journal[field].as_f64().unwrap_or_else(|| panic!("{field}: {}", journal[field]));
    assert!(number("injected") < number("rollback") && number("rollback") < number("healed"));
    assert!(journal["requests"].as_array().expect("a list").len() > 200);
}

#[tokio::test]
async fn ctrl_c_in_the_middle_thaws_what_was_frozen() {
    let scene = Scene::start().await;
    let (mut run, said) = scene.run(&scene.experiment("pause", "10m"));
    says(&said, "strike it").await;
    let (pid, state) = scene.taiwan();
    assert_eq!(state, Some('T'), "it is frozen");
    run.signal("-INT");
    assert_eq!(run.code("the run ends").await, Some(130));
    let (same, state) = scene.taiwan();
    assert!(same == pid && state.is_some_and(|state| state != 'T'), "{pid} {same} {state:?}");
    assert!(!scene.left().exists());
    let reply = Request::get().send(address(&scene)).await.expect("it answers again");
    assert_eq!(reply.status, 200);
    assert_eq!(scene.journal()["status"], "interrupted");
}

#[tokio::test]
async fn what_a_killed_run_left_is_healed_by_abort() {
    let scene = Scene::start().await;
    let (mut run, said) = scene.run(&scene.experiment("kill", "10m"));
    says(&said, "strike it").await;
    run.signal("-KILL");
    run.code("the run is dead").await;
    assert!(scene.left().is_file());
    assert!(Request::get().send(address(&scene)).await.is_err(), "Taiwan is down");

    let healed = scene.chaos(&["abort"]).output().expect("it ends");
    let text = String::from_utf8_lossy(&healed.stdout).into_owned();
    assert!(healed.status.success() && text.contains("restore taiwan"), "{text}");
    until("Taiwan answers again", SOON, async || {
        Request::get().send(address(&scene)).await.ok().filter(|reply| reply.status == 200)
    })
    .await;
    assert!(!scene.left().exists());
    let again = scene.chaos(&["abort"]).output().expect("it ends");
    assert!(String::from_utf8_lossy(&again.stdout).contains("nothing to heal"));
}

#[tokio::test]
async fn a_run_whose_stop_condition_trips_ends_early_and_undoes_everything() {
    let scene = Scene::start().await;
    let regions = ["taiwan", "japan"];
    let before = regions.map(|region| scene.process(region).0);
    let (mut run, said) = scene.run(&scene.striking("{roles: [application]}", "kill", "10m", "5s"));
    says(&said, "strike it").await;
    assert!(scene.left().is_file());
    assert_eq!(run.code("the run ends long before its pause does").await, Some(1));

    let text = fs::read_to_string(&said).expect("its words");
    assert!(text.contains("MISSED: An application is struck"), "{text}");
    assert!(!scene.left().exists(), "nothing is left to undo");
    for (region, before) in regions.into_iter().zip(before) {
        let (after, state) = scene.process(region);
        assert!(after != before && state.is_some(), "{region} runs again: {before} {after} {state:?}");
    }
    let journal = scene.journal();
    assert_eq!(journal["status"], "aborted");
    let reason = journal["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("the stop condition tripped: "), "{reason}");
    assert!(reason.ends_with(" % of requests failed over 5s (at most 50 %)"), "{reason}");
    assert!(text.contains(reason), "{text}");
    let number = |field: &str| journal[field].as_f64().expect("a number");
    let struck = number("rollback") - number("injected");
    // Half of 5 s of requests must have failed first; and the 10 minutes of the pause have not passed.
    assert!((2_000.0..30_000.0).contains(&struck), "{struck} ms");
    let undone = journal["activities"].as_array().expect("a list").iter();
    let undone: Vec<&Value> = undone.filter(|done| done["part"] == "rollback").collect();
    assert!(undone.len() == 1 && undone[0]["error"].is_null(), "{undone:?}");
    assert_eq!(undone[0]["met"], serde_json::json!(regions));
    assert!(journal["healed"].is_number(), "the steady state holds again");
    let reply = Request::get().send(address(&scene)).await.expect("it answers again");
    assert_eq!(reply.status, 200);
}
