//! Whether memory stays where it is.

use crate::front::{IN_TAIWAN, evenkeel};
use evenkeel_tests::dns::Scene;
use evenkeel_tests::dns::dnsperf::{self, Load};
use evenkeel_tests::figures::resident_kib;
use evenkeel_tests::verdict::Verdict;
use serde_json::{Value, json};
use std::fmt::{self, Display};
use std::time::Duration;

/// What a process' memory may move by itself.
const BOUND_KIB: i64 = 1024;

/// What came of it: queries so far, and resident memory then.
pub struct Memory(Vec<(u64, u64)>);

/// Asks so many questions.
pub async fn run(queries: u64) -> anyhow::Result<Memory> {
    let evenkeel = evenkeel(&Scene::of_two_regions(), json!({})).await;
    let pid = evenkeel.companion.pid();
    let (mut asked, mut seen) = (0, Vec::new());
    while asked < queries {
        let names = ["api", "spread", "main", "nobody"];
        let load = Load {
            questions: names.map(|name| (format!("{name}.example.com"), "A".to_owned())).to_vec(),
            client_subnet: Some(IN_TAIWAN),
            ..Load::of("api.example.com", "A", Duration::from_secs(5))
        };
        asked += dnsperf::run(load, evenkeel.address()).await.map_err(anyhow::Error::msg)?.completed;
        seen.push((asked, resident_kib(pid)?));
        eprint!("\rmemory: {asked} of {queries} queries ");
    }
    eprintln!();
    Ok(Memory(seen))
}

impl Memory {
    /// From after the first five seconds to the end.
    fn grown_kib(&self) -> i64 {
        let at = |point: Option<&(u64, u64)>| point.map_or(0, |(_, kib)| *kib as i64);
        at(self.0.last()) - at(self.0.first())
    }

    fn queries(&self) -> u64 {
        self.0.last().map_or(0, |(queries, _)| *queries)
    }

    /// The promise.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let promise = format!("memory is flat over {} queries", self.queries());
        vec![Verdict::of(promise, format!("{:+} KiB", self.grown_kib()), self.grown_kib() <= BOUND_KIB)]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        self.0.iter().map(|(queries, kib)| json!({"queries": queries, "resident_kib": kib})).collect()
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.0.first().copied().unwrap_or_default();
        let last = self.0.last().copied().unwrap_or_default();
        writeln!(
            f,
            "resident memory: {:.1} MB after {} queries, {:.1} MB after {}",
            first.1 as f64 / 1024.0,
            first.0,
            last.1 as f64 / 1024.0,
            last.0
        )
    }
}
