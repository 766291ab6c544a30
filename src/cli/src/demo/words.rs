//! The verdict in words.

use super::journal::Blow;
use super::target::{Quantity, Target};
use super::verdict::{Chapter, Return, Verdict};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

/// Whether standard output is a person's terminal that wants colour.
pub fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// The whole verdict, ready to print.
pub fn verdict(verdict: &Verdict, coloured: bool) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    write(&mut text, verdict, coloured).ok();
    text
}

fn write(out: &mut String, verdict: &Verdict, coloured: bool) -> std::fmt::Result {
    let load = &verdict.load;
    let [median, p99, longest] = load.undisturbed.map(millis);
    let [late, latest] = load.lateness.map(millis);
    writeln!(out, "Load: {} requests, latency from the scheduled start.", load.requests)?;
    writeln!(out, "      Undisturbed: median {median}, 99 % {p99}, longest {longest}.")?;
    writeln!(out, "      The generator itself was late by {late} (99 %), {latest} at most.")?;
    writeln!(out, "\nBefore any fault")?;
    for target in &verdict.before {
        line(out, target, coloured)?;
    }
    for chapter in &verdict.chapters {
        self::chapter(out, chapter, coloured)?;
    }
    let missed = verdict.targets().filter(|target| !target.holds()).count();
    let all = verdict.targets().count();
    if verdict.holds() {
        writeln!(out, "\n{}", paint(&format!("All {all} targets hold."), GREEN, coloured))
    } else {
        writeln!(out, "\n{}", paint(&format!("{missed} of {all} targets are missed."), RED, coloured))?;
        if load.starved() {
            writeln!(out, "The machine was too busy to measure this: the generator was late by {latest},")?;
            writeln!(out, "which counts in every latency. Try again when it is idle.")?;
        }
        Ok(())
    }
}

fn chapter(out: &mut String, chapter: &Chapter, coloured: bool) -> std::fmt::Result {
    let (title, relief) = match chapter.blow {
        Blow::Freeze | Blow::Thaw => ("Freeze: Taiwan stopped answering (SIGSTOP)", "thawed"),
        Blow::Kill | Blow::Restart => ("Kill: Taiwan's process died (SIGKILL)", "started again"),
    };
    let (at, relieved) = (chapter.at.as_secs_f64(), chapter.relieved.as_secs_f64());
    writeln!(out, "\n{title} at {at:.1} s, {relief} at {relieved:.1} s")?;
    for target in &chapter.targets {
        line(out, target, coloured)?;
    }
    if chapter.blow == Blow::Kill {
        writeln!(out, "    longest GET {}, POST {}", time(chapter.longest_get), time(chapter.longest_post))?;
    } else {
        let (get, post) = chapter.in_flight;
        writeln!(
            out,
            "    {} of {} POST failed: what may have been processed is never sent twice",
            chapter.failed_posts, chapter.posts
        )?;
        writeln!(out, "    {get} GET and {post} POST were waiting for Taiwan's answer when it froze")?;
    }
    if let Some(at) = chapter.japan_out {
        writeln!(out, "    Japan was out as well, from {:.1} s", at.as_secs_f64())?;
    }
    way_back(out, chapter.relieved, &chapter.back)
}

fn way_back(out: &mut String, relieved: Duration, back: &Return) -> std::fmt::Result {
    let (Some(well), Some(admitted)) = (back.well, back.admitted) else {
        return writeln!(out, "    Taiwan was not admitted again");
    };
    let probes = well.saturating_sub(relieved);
    let hold = admitted.saturating_sub(well);
    write!(out, "    way back: {} until well, {} hold", time(probes), time(hold))?;
    match back.whole {
        Some(whole) => writeln!(out, ", {} ramp", time(whole - admitted))?,
        None => writeln!(out, ", the ramp did not reach 100 %")?,
    }
    let shares: Vec<u8> = back.steps.iter().map(|(_, share)| *share).collect();
    writeln!(out, "    shares seen: {} %", thinned(&shares, 12))?;
    for part in &back.parts {
        let came = 100.0 * f64::from(part.tw_by_taiwan) / f64::from(part.tw.max(1));
        let (low, high) = part.admitted;
        writeln!(
            out,
            "      admitted {low:3} to {high:3} %: Taiwan answered {came:5.1} % of {} from TW",
            part.tw
        )?;
    }
    Ok(())
}

fn line(out: &mut String, target: &Target, coloured: bool) -> std::fmt::Result {
    let mark = if target.holds() { paint("✔", GREEN, coloured) } else { paint("✘", RED, coloured) };
    let measured = target.measured.map_or("not seen".to_owned(), |quantity| quantity.to_string());
    writeln!(out, "  {mark} {:21}{measured:>8}  {:9} {}", target.what, target.bound, target.note)
}

/// At most `limit` of the values, evenly chosen, the first and last among them.
fn thinned(values: &[u8], limit: usize) -> String {
    let last = values.len().saturating_sub(1);
    let mut chosen: Vec<usize> = match last {
        _ if last < limit => (0..values.len()).collect(),
        _ => (0..limit).map(|n| n * last / (limit - 1)).collect(),
    };
    chosen.dedup();
    let words: Vec<String> = chosen.into_iter().filter_map(|n| values.get(n)).map(u8::to_string).collect();
    words.join(" ")
}

fn time(time: Duration) -> Quantity {
    Quantity::Time(time)
}

fn millis(time: Option<Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3))
}

const GREEN: &str = "32;1";
const RED: &str = "31;1";

fn paint(text: &str, colour: &str, coloured: bool) -> String {
    if coloured { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::judge;
    use super::super::verdict_tests::{PROMISE, run};
    use super::*;

    fn words(log: &super::super::journal::Log) -> String {
        verdict(&judge(log, &PROMISE, Duration::from_secs(70)), false)
    }

    #[test]
    fn a_verdict_fits_a_terminal_and_says_what_was_measured() {
        let words = words(&run());
        for line in [
            "Kill: Taiwan's process died (SIGKILL) at 10.0 s, started again at 15.0 s",
            "  ✔ failed POST                 2  ≤ 13      1 in flight + 10 breaker window + 2 in 100 ms",
            "  ✔ longest GET            2.01 s  ≤ 2.25 s  per-try time-out + 250 ms",
            "    way back: 1.00 s until well, 5.00 s hold, 10.00 s ramp",
            "All 12 targets hold.",
        ] {
            assert!(words.lines().any(|l| l == line), "{line}\n{words}");
        }
        assert!(words.lines().all(|line| line.chars().count() <= 100), "{words}");
    }

    #[test]
    fn a_starved_machine_is_told_from_a_broken_promise() {
        let mut log = run();
        log.records.iter_mut().filter(|r| r.due > Duration::from_secs(41)).for_each(|r| r.end += r.end / 9);
        assert!(!words(&log).contains("too busy"), "{}", words(&log));
        log.records[4_150].sent += Duration::from_millis(400);
        assert!(words(&log).contains("the generator was late by 400.0 ms"), "{}", words(&log));
    }

    #[test]
    fn a_missed_target_is_marked_and_counted() {
        let mut log = run();
        log.samples.clear();
        let words = words(&log);
        assert!(words.contains("  ✘ detected, by metrics not seen  < 1.00 s"), "{words}");
        assert!(words.contains("Taiwan was not admitted again"), "{words}");
        assert!(words.ends_with("4 of 12 targets are missed.\n"), "{words}");
    }

    #[test]
    fn thinning_keeps_the_ends() {
        let all: Vec<u8> = (5..=100).collect();
        assert_eq!(thinned(&all, 4), "5 36 68 100");
        assert_eq!(thinned(&[5, 40, 100], 12), "5 40 100");
        assert_eq!(thinned(&[], 12), "");
    }
}
