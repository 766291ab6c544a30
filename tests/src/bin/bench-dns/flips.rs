//! From a health flip to the first answer that follows it.

use crate::front::evenkeel;
use crate::weights::ask;
use anyhow::{Context, ensure};
use evenkeel_tests::dns::Scene;
use evenkeel_tests::figures::quantile;
use evenkeel_tests::region::unix_ms;
use evenkeel_tests::verdict::Verdict;
use serde_json::{Value, json};
use std::fmt::{self, Display};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// An answer follows its health within this.
const BOUND: Duration = Duration::from_secs(1);

/// A flip that is not seen within this is not coming.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came of it, in milliseconds.
pub struct Flips {
    /// From the settled flip to the first answer that follows it.
    followed_ms: Vec<f64>,
    /// From the fault, or its end, to that answer: the probes' share included.
    whole_ms: Vec<f64>,
}

/// Kills and restores a region, and asks all the while.
pub async fn run(flips: usize) -> anyhow::Result<Flips> {
    let scene = Scene::of_two_regions();
    // Without hold and ramp the way back is a flip like the other.
    let more = json!({
        "health_check": {"interval": "500ms", "timeout": "400ms"},
        "failback": {"hold": "0s", "ramp": "0s"},
    });
    let evenkeel = evenkeel(&scene, more).await;
    let [taiwan, japan] = [0, 1].map(|at| scene.members[at].address);
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(evenkeel.address()).await?;
    let mut found = Flips { followed_ms: Vec::new(), whole_ms: Vec::new() };
    wait(&socket, taiwan).await.context("the first answer")?;
    for flip in 0..flips {
        eprint!("\rflips: {} of {flips} ", flip + 1);
        let (down, wanted) = (flip % 2 == 0, if flip % 2 == 0 { japan } else { taiwan });
        let begun = Instant::now();
        evenkeel.set_alive("taiwan", !down);
        let answered = wait(&socket, wanted).await?;
        found.whole_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        let status = evenkeel.companion.status().await;
        let check =
            status["checks"].as_array().and_then(|checks| checks.iter().find(|c| c["name"] == "taiwan"));
        let check = check.context("a check of taiwan")?;
        ensure!(check["up"] == !down, "the answer came before its health: {check}");
        let since = check["since_ms"].as_u64().context("since when")?;
        let now = status["now"].as_u64().context("a time")?;
        // Both clocks are this machine's; a millisecond is their grain.
        found.followed_ms.push(answered.saturating_sub(now - since) as f64);
    }
    eprintln!();
    Ok(found)
}

/// Asks until the answer is this one; when that was.
async fn wait(socket: &UdpSocket, wanted: std::net::Ipv4Addr) -> anyhow::Result<u64> {
    let by = Instant::now() + PATIENCE;
    while Instant::now() < by {
        if ask(socket, "main.example.com").await? == Some(wanted) {
            return Ok(unix_ms());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    anyhow::bail!("{wanted} was not answered within {PATIENCE:?}")
}

impl Flips {
    /// The promise.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let worst = quantile(&self.followed_ms, 1.0);
        let promise = format!("answers follow a health flip within {BOUND:?}");
        let found = format!("worst of {}: {worst:.0} ms", self.followed_ms.len());
        vec![Verdict::of(promise, found, worst < BOUND.as_secs_f64() * 1e3)]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({"from_the_settled_flip_ms": self.followed_ms, "from_the_fault_ms": self.whole_ms})
    }
}

impl Display for Flips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |name: &str, values: &[f64]| {
            let at = |part| quantile(values, part);
            format!("{name:<48} p50 {:>6.0} ms, worst {:>6.0} ms", at(0.5), at(1.0))
        };
        writeln!(f, "{} flips, probes every 500 ms, asked every millisecond", self.followed_ms.len())?;
        writeln!(f, "{}", line("from the settled flip to the answer", &self.followed_ms))?;
        writeln!(f, "{}", line("from the fault (or its end) to the answer", &self.whole_ms))
    }
}
