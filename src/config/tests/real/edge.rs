//! An Envoy that runs a rendered bootstrap on free ports.

use evenkeel_config::render::{self, FilterSource};
use evenkeel_config::{EnvoyVersion, Plan};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Envoy's binary, or none with the reason printed.
pub fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("EVENKEEL_ENVOY").map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: EVENKEEL_ENVOY does not name an Envoy binary");
    }
    path
}

/// The version that this binary should be rendered for.
pub fn version(envoy: &Path) -> EnvoyVersion {
    let output = Command::new(envoy).arg("--version").output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text
        .rsplit("version: ")
        .next()
        .and_then(|t| t.split('/').nth(1))
        .and_then(|v| v.rsplit_once('.'))
        .map(|(v, _)| v.to_owned());
    let number = number.unwrap_or_else(|| panic!("no version in {text}"));
    number.parse().unwrap_or(EnvoyVersion::V1_40)
}

/// Whether this build of Envoy can run wasm at all: not every one on PyPI can.
pub fn runs_wasm(envoy: &Path) -> bool {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = folder(&format!("runs-wasm-{number}"));
    let module = crate::module::write(&folder).display().to_string();
    let yaml = format!(
        "service: shop\nregions: [{{name: a, address: \"127.0.0.1:1\"}}]\nedge: {{module: \"{module}\"}}\n"
    );
    let bootstrap = bootstrap(&plan(&yaml, envoy), &FilterSource::Static);
    let without = validate(envoy, &folder, &bootstrap).is_err_and(|e| e.contains("compiled without support"));
    let _ = std::fs::remove_dir_all(&folder);
    if without {
        eprintln!("skipped: this Envoy was built without a wasm runtime");
    }
    !without
}

pub fn plan(yaml: &str, envoy: &Path) -> Plan {
    let mut plan = Plan::read(yaml.as_bytes(), Path::new("."), None).unwrap_or_else(|p| panic!("{p}"));
    plan.file.edge.envoy_version = version(envoy);
    plan
}

/// The rendered bootstrap as a value, with free ports.
pub fn bootstrap(plan: &Plan, source: &FilterSource) -> Value {
    let text = render::bootstrap(plan, source).unwrap_or_else(|p| panic!("{p}"));
    let mut value: Value = serde_saphyr::from_str(&text).expect("it is YAML");
    value["admin"]["address"]["socket_address"]["port_value"] = 0.into();
    value["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = 0.into();
    value
}

/// The connection manager of a bootstrap.
pub fn manager(bootstrap: &mut Value) -> &mut Value {
    let filters = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
        .as_array_mut()
        .expect("there are filters");
    &mut filters.last_mut().expect("the last is the manager")["typed_config"]
}

/// Takes the filter out, and lets a request's own headers choose as the filter's would.
pub fn without_filter(mut bootstrap: Value) -> Value {
    let manager = manager(&mut bootstrap);
    let filters = manager["http_filters"].as_array_mut().expect("a list");
    filters.retain(|filter| filter["name"] != "evenkeel");
    let mutations =
        manager["early_header_mutation_extensions"][0]["typed_config"]["mutations"].as_array_mut();
    let mutations = mutations.expect("a list");
    mutations.retain(|m| m["remove"] != "x-evenkeel-region" && m["remove"] != "x-evenkeel-fallback");
    bootstrap
}

/// Writes what `format` says of each request as the response header `x-seen`.
pub fn showing(mut bootstrap: Value, format: &str) -> Value {
    let host = &mut manager(&mut bootstrap)["route_config"]["virtual_hosts"][0];
    host["response_headers_to_add"] = json!([{"header": {"key": "x-seen", "value": format}}]);
    bootstrap
}

/// A running Envoy. It ends with the test.
pub struct Edge {
    child: Child,
    pub listener: SocketAddr,
    pub admin: SocketAddr,
    pub folder: PathBuf,
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A failed test leaves its bootstrap and Envoy's log to look at.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// A folder of this test's own.
pub fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("evenkeel-config-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// Writes a MaxMind database: 127.0.0.0/8 is in Taiwan, and nothing else is known.
pub fn places(folder: &Path) -> PathBuf {
    let path = folder.join("places.mmdb");
    crate::mmdb::write(&path, &[("127.0.0.0/8", "AS", "TW", "")]);
    path
}

/// What Envoy says of a bootstrap without serving it.
pub fn validate(envoy: &Path, folder: &Path, bootstrap: &Value) -> Result<String, String> {
    let path = folder.join("bootstrap.json");
    std::fs::write(&path, bootstrap.to_string()).expect("the folder is ours");
    let output = Command::new(envoy).args(["--mode", "validate", "-c"]).arg(&path).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

impl Edge {
    pub fn start(envoy: &Path, folder: PathBuf, bootstrap: &Value) -> Edge {
        let path = folder.join("bootstrap.json");
        std::fs::write(&path, bootstrap.to_string()).expect("the folder is ours");
        let admin_path = folder.join("admin");
        let _ = std::fs::remove_file(&admin_path);
        let log = std::fs::File::create(folder.join("envoy.log")).expect("the folder is ours");
        let child = Command::new(envoy)
            .args(["--concurrency", "2", "--use-dynamic-base-id", "--log-level", "warn", "-c"])
            .arg(&path)
            .arg("--admin-address-path")
            .arg(&admin_path)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("Envoy starts");
        let nowhere: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let mut edge = Edge { child, listener: nowhere, admin: nowhere, folder };
        edge.admin =
            edge.until("the admin address", || std::fs::read_to_string(&admin_path).ok()?.parse().ok());
        let admin = edge.admin;
        edge.until("readiness", || call(admin, "GET", "/ready", &[], "").1.contains("LIVE").then_some(()));
        let listeners = call(admin, "GET", "/listeners", &[], "").1;
        edge.listener = listeners
            .lines()
            .find_map(|line| line.strip_prefix("edge::")?.parse().ok())
            .unwrap_or_else(|| panic!("no listener in {listeners}"));
        edge
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("envoy.log")).unwrap_or_default()
    }

    /// Waits for `condition`, at most 20 s.
    pub fn until<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(found) = condition() {
                return found;
            }
            assert!(Instant::now() < end, "no {what} within 20 s; Envoy says:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Status, head and body of one request.
    pub fn get(&self, method: &str, headers: &[(&str, &str)]) -> Answer {
        let began = Instant::now();
        let body = if method == "POST" || method == "PUT" { "abc" } else { "" };
        let (status, text) = call(self.listener, method, "/", headers, body);
        let region = text.lines().find_map(|l| l.strip_prefix("region: ")).unwrap_or("none").to_owned();
        Answer { status, region, text, took: began.elapsed() }
    }

    pub fn stats(&self) -> String {
        call(self.admin, "GET", "/stats", &[], "").1
    }
}

pub struct Answer {
    pub status: u16,
    pub region: String,
    pub text: String,
    pub took: Duration,
}

/// One HTTP/1.1 request on a connection of its own; status 0 if there is no answer.
pub fn call(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let attempt = || {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let headers: String = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let text = attempt().unwrap_or_default();
    (text.get(9..12).and_then(|s| s.parse().ok()).unwrap_or(0), text)
}
