//! Whether weights hold over many answers.

use crate::front::evenkeel;
use anyhow::{Context, ensure};
use evenkeel_tests::dns::Scene;
use evenkeel_tests::verdict::Verdict;
use serde_json::{Value, json};
use std::fmt::{self, Display};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::UdpSocket;

/// Points that the share may be off: more than eight standard deviations at 10,000 answers.
const BOUND: f64 = 2.0;

/// What came of it.
pub struct Weights {
    answers: usize,
    percent: f64,
}

/// Asks one after the other.
pub async fn run(answers: usize) -> anyhow::Result<Weights> {
    let scene = Scene::of_two_regions();
    let evenkeel = evenkeel(&scene, json!({})).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(evenkeel.address()).await?;
    let mut first = 0;
    for _ in 0..answers {
        let answer = ask(&socket, "spread.example.com").await?.context("an answer")?;
        ensure!(scene.members.iter().any(|member| member.address == answer), "{answer} is nobody's");
        first += usize::from(answer == scene.members[0].address);
    }
    Ok(Weights { answers, percent: first as f64 * 100.0 / answers as f64 })
}

/// The first address that is answered for a name; none if nothing came within a second.
pub async fn ask(socket: &UdpSocket, name: &str) -> anyhow::Result<Option<Ipv4Addr>> {
    let mut question = b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend(b"\x00\x00\x01\x00\x01");
    socket.send(&question).await?;
    let mut buffer = [0; 512];
    let Ok(read) = tokio::time::timeout(Duration::from_secs(1), socket.recv(&mut buffer)).await else {
        return Ok(None);
    };
    let answer = &buffer[..read?];
    // One A record ends with its four bytes; whoever answers several is not asked here.
    ensure!(answer[..2] == question[..2] && answer[3] & 15 == 0, "no answer: {answer:?}");
    ensure!(answer[7] == 1, "{} records", answer[7]);
    let end: [u8; 4] = answer[question.len() + 12..][..4].try_into()?;
    Ok(Some(end.into()))
}

impl Weights {
    /// The promise.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let promise = format!("{} weighted answers within {BOUND} points of 60/40", self.answers);
        let off = (self.percent - 60.0).abs();
        vec![Verdict::of(promise, format!("{:.1} %", self.percent), off <= BOUND)]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({"answers": self.answers, "percent_of_the_first": self.percent})
    }
}

impl Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} answers of weights 60 and 40: {:.1} % and {:.1} %",
            self.answers,
            self.percent,
            100.0 - self.percent
        )
    }
}
