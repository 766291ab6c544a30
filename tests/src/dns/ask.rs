//! One question by kdig or dig, and its answer read.

use super::program;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

/// Who asks. Two that have nothing in common, so that neither's forgiveness hides a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Knot's.
    Kdig,
    /// BIND's.
    Dig,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    tool: Tool,
    name: String,
    kind: String,
    flags: Vec<String>,
}

impl Question {
    /// Asks for the records of this type (`A`, `ANY`, `TYPE65`, …) by kdig, by UDP.
    pub fn new(name: &str, kind: &str) -> Self {
        Question { tool: Tool::Kdig, name: name.to_owned(), kind: kind.to_owned(), flags: Vec::new() }
    }

    /// By this tool.
    pub fn by(mut self, tool: Tool) -> Self {
        self.tool = tool;
        self
    }

    /// From this network, as a resolver tells it (EDNS Client Subnet): `203.0.113.0/24`.
    pub fn from(self, network: &str) -> Self {
        self.flag(&format!("+subnet={network}"))
    }

    /// By TCP.
    pub fn tcp(self) -> Self {
        self.flag("+tcp")
    }

    /// Whatever else both tools understand: `+bufsize=512`, `+norecurse`, …
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// Asks once.
    ///
    /// # Errors
    /// What the tool said, if there was no answer within two seconds.
    ///
    /// # Panics
    /// If the tool is not there, or answers in a form that is not known.
    pub async fn ask(&self, server: SocketAddr) -> Result<Reply, String> {
        let question = self.clone();
        tokio::task::spawn_blocking(move || question.ask_now(server)).await.expect("no panic")
    }

    fn ask_now(&self, server: SocketAddr) -> Result<Reply, String> {
        let tool = match self.tool {
            Tool::Kdig => "kdig",
            Tool::Dig => "dig",
        };
        let mut command = Command::new(program(tool));
        if self.tool == Tool::Dig {
            // No habits of this machine's user.
            command.arg("-r");
        }
        command
            .arg(format!("@{}", server.ip()))
            .args(["-p", &server.port().to_string(), "-t", &self.kind, "-q", &self.name])
            .args(["+timeout=2", "+retry=0", "+ignore"])
            .args(&self.flags)
            .stdin(Stdio::null());
        let output = command.output().expect("the tool starts");
        read(&output)
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// `NOERROR`, `NXDOMAIN`, …
    pub status: String,
    /// `qr aa rd`, …
    pub flags: Vec<String>,
    /// The network it holds for, if it says: address, source length, scope.
    pub subnet: Option<(String, u8, u8)>,
    /// The records of the answer.
    pub answer: Vec<Record>,
    /// The records of the authority section.
    pub authority: Vec<Record>,
    /// The records of the additional section.
    pub additional: Vec<Record>,
    /// Everything that was said.
    pub text: String,
}

impl Reply {
    /// The data of the answer's records of this type, in the order they came.
    pub fn data(&self, kind: &str) -> Vec<&str> {
        self.answer.iter().filter(|record| record.kind == kind).map(|record| record.data.as_str()).collect()
    }

    /// Whether the answer has this flag.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|given| given == flag)
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name, with the last dot.
    pub name: String,
    /// Its time to live, in seconds.
    pub ttl: u32,
    /// Its type.
    pub kind: String,
    /// Its data.
    pub data: String,
}

fn read(output: &Output) -> Result<Reply, String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // kdig complains on its standard error, dig within its output.
    let Some(head) = text.lines().find(|line| line.contains("->>HEADER<<-")) else {
        return Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    };
    let mut reply = Reply { status: word_after(head, "status: "), ..Reply::default() };
    let mut section = None;
    for line in text.lines() {
        let comment = line.trim_start_matches([';', ' ']);
        if line.starts_with(';') {
            let lower = comment.to_ascii_lowercase();
            if let Some(flags) = lower.strip_prefix("flags: ").filter(|_| reply.flags.is_empty()) {
                let flags = flags.split(';').next().unwrap_or_default();
                reply.flags = flags.split_whitespace().map(str::to_owned).collect();
            } else if let Some(subnet) = comment.strip_prefix("CLIENT-SUBNET: ") {
                reply.subnet = Some(subnet_of(subnet));
            } else if let Some(name) = comment.strip_suffix(" SECTION:") {
                section = Some(name.to_owned());
            }
            continue;
        }
        let records = match section.as_deref() {
            Some("ANSWER") => &mut reply.answer,
            Some("AUTHORITY") => &mut reply.authority,
            Some("ADDITIONAL") => &mut reply.additional,
            _ => continue,
        };
        records.extend(record(line));
    }
    reply.text = text;
    Ok(reply)
}

/// kdig ends it by a semicolon, dig by a comma.
fn word_after(line: &str, label: &str) -> String {
    let rest = line.split_once(label).map_or("", |(_, rest)| rest);
    rest.split([';', ',']).next().unwrap_or_default().to_owned()
}

fn subnet_of(text: &str) -> (String, u8, u8) {
    let parts: Vec<&str> = text.trim().split('/').collect();
    match parts[..] {
        [address, source, scope] => (
            address.to_owned(),
            source.parse().expect("a length is a number"),
            scope.parse().expect("a scope is a number"),
        ),
        _ => panic!("no subnet: {text:?}"),
    }
}

fn record(line: &str) -> Option<Record> {
    let mut words = line.split_whitespace();
    let (name, ttl, _class, kind) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let data = words.collect::<Vec<_>>().join(" ");
    Some(Record { name: name.to_owned(), ttl: ttl.parse().ok()?, kind: kind.to_owned(), data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn output(text: &str) -> Output {
        Output { status: ExitStatus::from_raw(0), stdout: text.as_bytes().to_vec(), stderr: Vec::new() }
    }

    #[test]
    fn both_tools_are_read_alike() {
        let kdig = ";; ->>HEADER<<- opcode: QUERY; status: NOERROR; id: 22472\n\
            ;; Flags: qr aa rd; QUERY: 1; ANSWER: 1; AUTHORITY: 0; ADDITIONAL: 1\n\n\
            ;; EDNS PSEUDOSECTION:\n;; Version: 0; flags: do; UDP size: 1232 B; ext-rcode: NOERROR\n\
            ;; CLIENT-SUBNET: 127.1.2.0/24/8\n\n\
            ;; QUESTION SECTION:\n;; api.example.com.    \t\tIN\tA\n\n\
            ;; ANSWER SECTION:\napi.example.com.    \t60\tIN\tA\t192.0.2.10\n\n;; Received 71 B\n";
        let dig = ";; Got answer:\n;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 27236\n\
            ;; flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1\n\n\
            ;; OPT PSEUDOSECTION:\n; EDNS: version: 0, flags: do; udp: 1024\n\
            ; CLIENT-SUBNET: 127.1.2.0/24/8\n;; QUESTION SECTION:\n;api.example.com.\t\tIN\tA\n\n\
            ;; ANSWER SECTION:\napi.example.com.\t60\tIN\tA\t192.0.2.10\n\n;; Query time: 0 msec\n";
        let [mut one, mut other] = [kdig, dig].map(|text| read(&output(text)).expect("an answer"));
        assert_eq!(one.subnet, Some(("127.1.2.0".to_owned(), 24, 8)));
        assert_eq!(one.data("A"), ["192.0.2.10"]);
        assert_eq!((one.status.as_str(), one.answer[0].ttl), ("NOERROR", 60));
        assert!(one.has("aa") && !one.has("do"), "{:?}", one.flags);
        (one.text, other.text) = (String::new(), String::new());
        assert_eq!(one, other);
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let said = read(&output(";; no servers could be reached\n")).expect_err("no answer");
        assert!(said.contains("could be reached"), "{said}");
    }
}
