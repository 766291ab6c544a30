//! How many questions a server answers in a second, and what one costs it.

use crate::front::{Front, IN_TAIWAN, Kind};
use anyhow::{Context, ensure};
use evenkeel_tests::dns::Scene;
use evenkeel_tests::dns::dnsperf::{self, Load};
use evenkeel_tests::figures::{cpu_time, quantile};
use evenkeel_tests::verdict::Verdict;
use serde_json::{Value, json};
use std::fmt::{self, Display};
use std::time::Duration;

/// Evenkeel answers at least this part of what gdnsd does.
const BOUND: f64 = 0.8;

/// What is asked.
const QUESTIONS: [(&str, &str); 2] =
    [("by place, with a client's network", "api.example.com"), ("by weight", "spread.example.com")];

/// What came of it, for each server and question.
pub struct Throughput {
    pub lines: Vec<Line>,
}

/// One server with one question.
pub struct Line {
    pub kind: Kind,
    pub question: &'static str,
    pub per_second: Vec<f64>,
    pub cpu_us: Vec<f64>,
    pub latency_us: Vec<f64>,
    pub lost: u64,
}

/// Asks every server every question, `rounds` times in turn.
pub async fn run(kinds: &[Kind], rounds: usize, seconds: u64) -> anyhow::Result<Throughput> {
    let scene = Scene::of_two_regions();
    let mut fronts = Vec::new();
    for kind in kinds {
        fronts.push((*kind, Front::start(*kind, &scene).await));
    }
    let line = |kind, question| Line {
        kind,
        question,
        per_second: Vec::new(),
        cpu_us: Vec::new(),
        latency_us: Vec::new(),
        lost: 0,
    };
    let mut lines: Vec<Line> =
        kinds.iter().flat_map(|kind| QUESTIONS.map(|(question, _)| line(*kind, question))).collect();
    for round in 0..rounds {
        eprint!("\rthroughput: turn {} of {rounds} ", round + 1);
        let count = fronts.len();
        for at in 0..count {
            let (kind, front) = &mut fronts[(at + round) % count];
            for (question, name) in QUESTIONS {
                let load = Load {
                    client_subnet: (question == QUESTIONS[0].0).then_some(IN_TAIWAN),
                    ..Load::of(name, "A", Duration::from_secs(seconds))
                };
                let pid = front.pid();
                let before = cpu_time(pid)?;
                let found = dnsperf::run(load, front.address()).await.map_err(anyhow::Error::msg)?;
                let used = cpu_time(pid)?.saturating_sub(before);
                ensure!(
                    found.codes.len() == 1 && found.codes[0].0 == "NOERROR",
                    "{} did not answer: {:?}",
                    kind.name(),
                    found.codes
                );
                let line = lines.iter_mut().find(|line| line.kind == *kind && line.question == question);
                let line = line.context("a line for each")?;
                line.per_second.push(found.per_second);
                line.cpu_us.push(used.as_secs_f64() * 1e6 / found.completed as f64);
                line.latency_us.push(found.latency * 1e6);
                line.lost += found.lost;
            }
        }
    }
    eprintln!();
    Ok(Throughput { lines })
}

impl Throughput {
    /// The median of a server's ratio to gdnsd, turn by turn.
    pub fn ratio(&self, kind: Kind, question: &str) -> Option<f64> {
        let of = |kind| self.lines.iter().find(|line| line.kind == kind && line.question == question);
        let (own, rival) = (of(kind)?, of(Kind::Gdnsd)?);
        let ratios: Vec<f64> =
            own.per_second.iter().zip(&rival.per_second).map(|(own, rival)| own / rival).collect();
        Some(quantile(&ratios, 0.5))
    }

    /// The promise.
    pub fn verdicts(&self) -> Vec<Verdict> {
        QUESTIONS
            .iter()
            .map(|(question, _)| {
                let promise = format!("{question}: at least {BOUND} of gdnsd's queries per second");
                match self.ratio(Kind::Evenkeel, question) {
                    Some(ratio) => Verdict::of(promise, format!("{ratio:.2}"), ratio >= BOUND),
                    None => Verdict::none(promise, "needs Evenkeel and gdnsd"),
                }
            })
            .collect()
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let line = |line: &Line| {
            json!({
                "server": line.kind.name(),
                "question": line.question,
                "queries_per_second": line.per_second,
                "cpu_us_per_query": line.cpu_us,
                "mean_latency_us": line.latency_us,
                "lost": line.lost,
            })
        };
        self.lines.iter().map(line).collect()
    }
}

impl Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "dnsperf, 100 questions under way, medians")?;
        writeln!(
            f,
            "{:<16}{:<36}{:>11}{:>10}{:>12}{:>13}{:>6}",
            "server", "question", "queries/s", "of gdnsd", "CPU a query", "mean latency", "lost"
        )?;
        for line in &self.lines {
            let ratio = self.ratio(line.kind, line.question).unwrap_or(f64::NAN);
            writeln!(
                f,
                "{:<16}{:<36}{:>11.0}{:>10.2}{:>9.2} µs{:>10.0} µs{:>6}",
                line.kind.name(),
                line.question,
                quantile(&line.per_second, 0.5),
                ratio,
                quantile(&line.cpu_us, 0.5),
                quantile(&line.latency_us, 0.5),
                line.lost
            )?;
        }
        Ok(())
    }
}
