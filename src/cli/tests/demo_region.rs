//! A demo region as a real process: it serves, it can be frozen, thawed, killed and started again
//! on the same port, and it never outlives whoever started it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Region {
    process: Child,
    address: SocketAddr,
}

impl Region {
    fn start(port: u16) -> Region {
        Region::start_until(port, std::process::id())
    }

    fn start_until(port: u16, other: u32) -> Region {
        let mut process = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(["demo-region", "--name", "taiwan", "--port", &port.to_string()])
            .args(["--until-ends", &other.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().rsplit_once("http://").unwrap_or_else(|| panic!("{line}")).1.parse().unwrap();
        Region { process, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Head and body of one answer.
fn ask(stream: &mut TcpStream, request: &str) -> std::io::Result<(String, serde_json::Value)> {
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line)? > 2 {
        head.push_str(&std::mem::take(&mut line).to_lowercase());
    }
    // Nothing but the end of the connection has no length either.
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let length = length.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body)?;
    Ok((head, serde_json::from_slice(&body).unwrap()))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: demo\r\n\r\n")
}

#[test]
fn answers_readiness_and_anything_else_on_one_connection() {
    let region = Region::start(0);
    let mut stream = region.connect();
    for path in ["/actuator/health/readiness", "/actuator/health/liveness"] {
        let (head, body) = ask(&mut stream, &get(path)).unwrap();
        assert!(head.starts_with("http/1.1 200") && head.contains("application/json"), "{head}");
        assert_eq!((&body["status"], &body["region"]), (&"UP".into(), &"taiwan".into()));
        assert_eq!(body["components"]["application"]["status"], "UP");
    }
    let post = "POST /orders?x=1 HTTP/1.1\r\nhost: demo\r\ncontent-length: 5\r\n\r\nhello";
    let (head, body) = ask(&mut stream, post).unwrap();
    assert!(head.contains("x-demo-region: taiwan"), "{head}");
    assert_eq!(body, serde_json::json!({"region": "taiwan", "method": "POST", "path": "/orders"}));

    let begun = Instant::now();
    ask(&mut stream, &get("/slow?ms=300")).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_frozen_region_is_silent_and_answers_when_thawed() {
    let region = Region::start(0);
    let mut stream = region.connect();
    ask(&mut stream, &get("/a")).unwrap();
    region.signal("-STOP");
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(ask(&mut stream, &get("/b")).is_err());
    region.signal("-CONT");
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The answer to the request that waited.
    assert_eq!(ask(&mut stream, "").unwrap().1["path"], "/b");
}

#[test]
fn starts_again_on_the_port_where_it_was_killed() {
    let mut region = Region::start(0);
    let mut stream = region.connect();
    ask(&mut stream, &get("/")).unwrap();
    region.signal("-KILL");
    region.process.wait().unwrap();
    assert!(ask(&mut stream, &get("/")).is_err());
    let again = Region::start(region.address.port());
    assert_eq!(again.address, region.address);
    ask(&mut again.connect(), &get("/")).unwrap();
}

#[test]
fn ends_when_the_process_it_is_told_of_has_ended() {
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut region = Region::start_until(0, other.id());
    assert!(region.process.try_wait().unwrap().is_none());
    other.kill().unwrap();
    // Ended, though nobody has asked how: that is no life.
    let deadline = Instant::now() + Duration::from_secs(10);
    while region.process.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "still running");
        std::thread::sleep(Duration::from_millis(10));
    }
    other.wait().unwrap();
}

#[test]
fn a_taken_port_is_named() {
    let region = Region::start(0);
    let port = region.address.port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["demo-region", "--name", "japan", "--port", &port])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains(&format!("--port {port}")), "{error}");
}
