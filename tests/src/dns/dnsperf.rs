//! dnsperf: as many questions as a server can answer.

use super::program;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What is asked, and how hard.
#[derive(Clone, Debug)]
pub struct Load {
    /// Names with their types, in turn: `("api.example.com", "A")`.
    pub questions: Vec<(String, String)>,
    /// How long.
    pub span: Duration,
    /// Questions that may be under way at once.
    pub outstanding: u32,
    /// Sockets and threads to ask from.
    pub clients: u32,
    /// A client's network, /24, as a resolver tells it. None: no option.
    pub client_subnet: Option<Ipv4Addr>,
    /// By TCP. False: by UDP.
    pub tcp: bool,
}

impl Load {
    /// One name from one place, by UDP, as dnsperf does by itself: 100 under way, one thread.
    pub fn of(name: &str, kind: &str, span: Duration) -> Self {
        Load {
            questions: vec![(name.to_owned(), kind.to_owned())],
            span,
            outstanding: 100,
            clients: 1,
            client_subnet: None,
            tcp: false,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Questions sent.
    pub sent: u64,
    /// Questions answered.
    pub completed: u64,
    /// Questions whose answer did not come within five seconds.
    pub lost: u64,
    /// Answers in a second.
    pub per_second: f64,
    /// The mean time to an answer, in seconds.
    pub latency: f64,
    /// Answers by their code: `("NOERROR", 108807)`.
    pub codes: Vec<(String, u64)>,
}

/// Asks.
///
/// # Errors
/// What dnsperf said, if it gave no figures.
///
/// # Panics
/// If there is no dnsperf here.
pub async fn run(load: Load, server: SocketAddr) -> Result<Figures, String> {
    tokio::task::spawn_blocking(move || run_now(&load, server)).await.expect("no panic")
}

fn run_now(load: &Load, server: SocketAddr) -> Result<Figures, String> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    for (name, kind) in &load.questions {
        writeln!(file, "{name} {kind}").expect("the questions");
    }
    let mut command = Command::new(program("dnsperf"));
    command
        .args(["-s", &server.ip().to_string(), "-p", &server.port().to_string(), "-d"])
        .arg(file.path())
        .args(["-l", &load.span.as_secs().max(1).to_string()])
        .args(["-q", &load.outstanding.to_string(), "-c", &load.clients.to_string()])
        .args(["-T", &load.clients.to_string(), "-m", if load.tcp { "tcp" } else { "udp" }])
        .stdin(Stdio::null());
    if let Some(network) = load.client_subnet {
        let [a, b, c, _] = network.octets();
        // RFC 7871: family 1, source 24, scope 0, three bytes of the address.
        command.args(["-e", "-E", &format!("8:00011800{a:02x}{b:02x}{c:02x}")]);
    }
    let output = command.output().expect("dnsperf starts");
    let text = String::from_utf8_lossy(&output.stdout);
    figures(&text).ok_or_else(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn figures(text: &str) -> Option<Figures> {
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label))?;
        Some(line.trim_start())
    };
    let first = |label: &str| after(label)?.split_whitespace().next();
    let codes = after("Response codes:").unwrap_or_default();
    let code = |part: &str| {
        let mut words = part.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    Some(Figures {
        sent: first("Queries sent:")?.parse().ok()?,
        completed: first("Queries completed:")?.parse().ok()?,
        lost: first("Queries lost:")?.parse().ok()?,
        per_second: first("Queries per second:")?.parse().ok()?,
        latency: first("Average Latency (s):")?.parse().ok()?,
        codes: codes.split(',').filter_map(code).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_figures_are_read() {
        let text = "[Status] Testing complete (time limit)\n\nStatistics:\n\n  \
            Queries sent:         108810\n  Queries completed:    108807 (100.00%)\n  \
            Queries lost:         3 (0.00%)\n\n  Response codes:       NOERROR 108800 (99.99%), REFUSED 7 (0.01%)\n  \
            Average packet size:  request 55, response 71\n  Run time (s):         1.004261\n  \
            Queries per second:   108345.340504\n\n  \
            Average Latency (s):  0.000641 (min 0.000015, max 0.014054)\n";
        let found = figures(text).expect("figures");
        assert_eq!((found.sent, found.completed, found.lost), (108_810, 108_807, 3));
        assert_eq!(found.codes, [("NOERROR".to_owned(), 108_800), ("REFUSED".to_owned(), 7)]);
        assert!((found.per_second - 108_345.34).abs() < 0.01 && (found.latency - 0.000_641).abs() < 1e-9);
        assert_eq!(figures("[Status] Sending queries\n"), None);
    }
}
