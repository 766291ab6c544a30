//! Progress for a log or a pipe: one line per second, and one for each thing that moves.

use super::journal::{Breaker, Journal, Region};
use super::now::{Now, now};
use super::stats::{describe, moves};
use std::convert::Infallible;
use std::time::Duration;

/// Prints until it is dropped. Without `seconds`, only what moves.
pub async fn run(journal: &Journal, seconds: bool) -> Infallible {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let (mut told, mut phase, mut next) = (Duration::ZERO, String::new(), Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let at = journal.now();
        let mut lines = Vec::new();
        {
            let log = journal.log();
            if log.phase != phase {
                phase.clone_from(&log.phase);
                lines.push((at, format!("── {phase}")));
            }
            let moves = moves(&log);
            let news = moves.iter().filter(|m| m.at > told);
            lines.extend(news.map(|m| (m.at, format!("** {}", describe(m)))));
            told = moves.last().map_or(told, |m| m.at);
            if seconds && at >= next {
                next += Duration::from_secs(1);
                lines.push((at, line(&now(&log, at))));
            }
        }
        // A phase is noticed a little after the move that began it.
        lines.sort_by_key(|(at, _)| *at);
        for (at, line) in lines {
            println!("{:6.1} s  {line}", at.as_secs_f64());
        }
    }
}

fn line(now: &Now) -> String {
    let region = |region: Region| {
        let r = now.regions[region as usize];
        let share = r.standing.share.map_or("?".to_owned(), |share| share.to_string());
        let breaker = r.standing.breaker.map_or("?".to_owned(), |b: Breaker| b.to_string());
        let (name, word, rate) = (region.name(), r.word(), r.rate);
        format!("{name} {word:4} {share:>3} % {rate:>4}/s breaker {breaker:9}")
    };
    let p99 = now.latency[1].map_or("-".to_owned(), |p99| format!("{:.0} ms", p99.as_secs_f64() * 1e3));
    format!(
        "{} | {} | failed GET {} POST {} | p99 {p99}",
        region(Region::Taiwan),
        region(Region::Japan),
        now.failed_gets,
        now.failed_posts,
    )
}
