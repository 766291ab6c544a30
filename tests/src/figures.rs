//! Figures of a run, and of the machine and the processes they were measured on.

use anyhow::Context;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The value below which such a part of the others lies; between two, their mean by distance. NaN of
/// none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
    at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
}

/// The CPU time that all threads of a process have used. A thread that ended takes its time with it.
///
/// # Errors
/// Where there is no Linux to ask.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(proc(pid, "task")).context("CPU time is read from Linux's /proc")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory of a process, in KiB.
///
/// # Errors
/// Where there is no Linux to ask.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(proc(pid, "status")).context("memory is read from Linux's /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn proc(pid: u32, what: &str) -> PathBuf {
    format!("/proc/{pid}/{what}").into()
}

/// The load average of the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(f64::NAN)
}

/// How many processors of which kind.
pub fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> =
        cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).collect();
    format!("{} × {}", models.len(), models.first().unwrap_or(&"unknown CPU"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        for (part, value) in [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (0.25, 1.75)] {
            assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], part), value);
        }
        assert!(quantile(&[], 0.5).is_nan());
    }
}
