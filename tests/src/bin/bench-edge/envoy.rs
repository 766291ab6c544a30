//! A real Envoy as a child process, and what Linux knows of it.

use anyhow::{Context, bail};
use evenkeel_tests::figures;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Envoy with one configuration.
pub struct Envoy {
    child: Child,
    /// Where it takes requests.
    pub address: SocketAddr,
    admin: SocketAddr,
}

impl Envoy {
    /// Starts Envoy with two workers and waits until it is ready. Files go to `folder/NAME.*`.
    ///
    /// # Errors
    /// If Envoy does not become ready; its own words are in the log file, which is named.
    pub fn start(binary: &Path, folder: &Path, name: &str, configuration: &Value) -> anyhow::Result<Envoy> {
        let (config, log) = (folder.join(format!("{name}.json")), folder.join(format!("{name}.log")));
        fs::write(&config, serde_json::to_vec_pretty(configuration)?)?;
        let child = Command::new(binary)
            .args(["--concurrency", "2", "--disable-hot-restart", "--log-level", "warn", "--log-path"])
            .arg(&log)
            .arg("-c")
            .arg(&config)
            .stdout(File::create(log.with_extension("out"))?)
            .stderr(File::create(log.with_extension("err"))?)
            .spawn()
            .with_context(|| format!("{} cannot be started", binary.display()))?;
        let mut envoy = Envoy {
            child,
            address: address_of(&configuration["static_resources"]["listeners"][0])?,
            admin: address_of(&configuration["admin"])?,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while envoy.admin("/ready").is_none_or(|answer| !answer.contains("LIVE")) {
            let ended = envoy.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                bail!("Envoy {name} did not become ready ({ended:?}): see {}", log.display());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(envoy)
    }

    /// The CPU time that all its threads have used.
    ///
    /// # Errors
    /// Where there is no Linux to ask.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        figures::cpu_time(self.child.id())
    }

    /// Resident memory, in KiB.
    ///
    /// # Errors
    /// Where there is no Linux to ask.
    pub fn resident_kib(&self) -> anyhow::Result<u64> {
        figures::resident_kib(self.child.id())
    }

    /// The linear memory of each wasm VM, in KiB. V8 reserves address space of several GiB behind it
    /// that cannot be touched, which is how it is known among the mappings.
    ///
    /// # Errors
    /// Where there is no Linux to ask.
    pub fn linear_memories_kib(&self) -> anyhow::Result<Vec<u64>> {
        const RESERVED: u64 = 1 << 30;
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.child.id()))?;
        let mappings: Vec<(u64, u64, &str)> = maps.lines().filter_map(mapping).collect();
        let followed = mappings.windows(2).filter_map(|pair| match pair {
            [(start, end, "rw-p"), (next, last, "---p")] if end == next && last - next >= RESERVED => {
                Some((end - start) / 1024)
            }
            _ => None,
        });
        Ok(followed.collect())
    }

    /// Asks the admin interface.
    pub fn admin(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.admin, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Start, end and rights of a line of `/proc/PID/maps`.
fn mapping(line: &str) -> Option<(u64, u64, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?, rest.get(..4)?))
}

fn address_of(part: &Value) -> anyhow::Result<SocketAddr> {
    let socket = &part["address"]["socket_address"];
    let (host, port) = (socket["address"].as_str(), socket["port_value"].as_u64());
    let (Some(host), Some(port)) = (host, port) else { bail!("no socket address in {part}") };
    Ok(SocketAddr::new(host.parse()?, u16::try_from(port)?))
}

/// A port that is free now.
///
/// # Errors
/// If there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
