//! A run on the terminal: what happens, how it stands, and the verdict.

use evenkeel_chaos::figures::{Outcome, Verdict};
use evenkeel_chaos::journal::{Journal, Ms};
use evenkeel_chaos::runner::{Now, Progress};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

/// Between two lines where nobody watches.
const QUIET: Duration = Duration::from_secs(5);

/// Lines on standard output.
pub struct Console {
    every: Ms,
    last: Option<Ms>,
}

impl Console {
    /// A line a second for people, one every five seconds for logs.
    pub fn new() -> Self {
        let every = if std::io::stdout().is_terminal() { 0.0 } else { QUIET.as_secs_f64() * 1000.0 };
        Console { every, last: None }
    }
}

impl Progress for Console {
    fn event(&mut self, at: Ms, text: &str) {
        // A reader that has gone away is no reason to leave a platform broken.
        let _ = crate::print(&format!("{}  {text}\n", clock(at)));
    }

    fn now(&mut self, now: &Now) {
        if self.last.is_some_and(|last| now.at - last < self.every) {
            return;
        }
        self.last = Some(now.at);
        let _ = crate::print(&format!("{}\n", line(now)));
    }
}

fn clock(at: Ms) -> String {
    format!("{:>7.1} s", at / 1000.0)
}

/// `  12.0 s    198/s, 0 failed, 4 wait | taiwan's edge: taiwan 100 % japan 100 % | writer taiwan-a`.
fn line(now: &Now) -> String {
    let (ended, waiting) = (now.traffic.ended, now.traffic.waiting);
    let mut line = format!("{}    {:>4}/s, {} failed", clock(now.at), ended.requests, ended.failed);
    if waiting > 0 {
        let _ = write!(line, ", {waiting} wait");
    }
    for (edge, views) in &now.edges {
        let _ = write!(line, " | {edge}'s edge:");
        for (region, view) in views {
            let state = match (view.healthy, view.breaker) {
                (false, _) => "down".to_owned(),
                (true, 2) => "open".to_owned(),
                _ => format!("{:.0} %", view.share),
            };
            let _ = write!(line, " {region} {state}");
        }
    }
    if let Some(writer) = &now.writer {
        let _ = write!(line, " | writer {writer}");
    }
    line
}

/// The verdict first, then each criterion.
pub fn verdict(journal: &Journal, outcome: &Outcome) -> String {
    let word = if outcome.passed { "PASSED" } else { "MISSED" };
    let mut text = format!("{word}: {} ({})\n", journal.experiment.title, journal.run);
    for reason in outcome.reason.iter().chain(journal.reason.iter().filter(|_| outcome.reason.is_none())) {
        let _ = writeln!(text, "  {reason}");
    }
    let width = |cells: &dyn Fn(usize) -> usize| (0..outcome.criteria.len()).map(cells).max().unwrap_or(0);
    let titles = width(&|at| outcome.criteria[at].title.chars().count());
    let promises = width(&|at| outcome.criteria[at].promised.chars().count());
    for judged in &outcome.criteria {
        let mark = match judged.verdict {
            Verdict::Held => "held  ",
            Verdict::Missed => "MISSED",
        };
        let _ = writeln!(
            text,
            "  {mark}  {:titles$}  {:promises$}  {}",
            judged.title, judged.promised, judged.measured
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_chaos::figures::Errors;
    use evenkeel_chaos::journal::EdgeView;
    use evenkeel_chaos::load::Traffic;
    use std::collections::BTreeMap;

    #[test]
    fn a_line_says_rate_failures_what_waits_shares_and_writer() {
        let taiwan = EdgeView { healthy: false, breaker: 2, share: 0.0 };
        let japan = EdgeView { healthy: true, breaker: 0, share: 100.0 };
        let views = BTreeMap::from([("taiwan".to_owned(), taiwan), ("japan".to_owned(), japan)]);
        let now = Now {
            at: 12_000.0,
            traffic: Traffic { ended: Errors { requests: 198, failed: 2 }, waiting: 0 },
            edges: BTreeMap::from([("japan".to_owned(), views)]),
            writer: Some("japan-a".to_owned()),
        };
        let expected =
            "   12.0 s     198/s, 2 failed | japan's edge: japan 100 % taiwan down | writer japan-a";
        assert_eq!(line(&now), expected);
        let traffic = Traffic { waiting: 7, ..now.traffic };
        assert!(line(&Now { traffic, ..now }).contains("198/s, 2 failed, 7 wait | japan's edge"));
    }
}
