//! What was measured, in words, as a picture and as JSON; and whether it is what was promised.

use crate::variants::Variant;
use evenkeel_tests::figures::{machine, quantile};
use serde_json::{Value, json};
use std::fmt::{self, Display, Write};

/// What was measured of one variant.
pub struct Measured {
    id: String,
    title: String,
    /// Envoy's CPU time per request in µs, one value for each turn.
    pub cpu_us: Vec<f64>,
    /// Requests per second in the closed loop, one value for each turn.
    pub per_second: Vec<f64>,
    /// Latency of single requests in µs.
    pub latency_us: Vec<f64>,
    /// CPU time of a request that comes alone, in µs.
    pub alone_us: f64,
    /// CPU time per second without requests, in ms.
    pub idle_ms: f64,
    /// Resident memory at the end, in KiB.
    pub resident_kib: u64,
}

impl Measured {
    /// Nothing yet.
    pub fn of(variant: &Variant) -> Self {
        Measured {
            id: variant.id.clone(),
            title: variant.title.clone(),
            cpu_us: Vec::new(),
            per_second: Vec::new(),
            latency_us: Vec::new(),
            alone_us: 0.0,
            idle_ms: 0.0,
            resident_kib: 0,
        }
    }

    /// What it adds to another variant: the difference within each turn, in µs.
    fn over(&self, other: &Measured) -> Vec<f64> {
        self.cpu_us.iter().zip(&other.cpu_us).map(|(own, other)| own - other).collect()
    }
}

/// Memory over a million requests.
pub struct Memory {
    id: String,
    /// Resident set in KiB, at the start and after each 50,000 requests.
    pub resident_kib: Vec<u64>,
    /// Linear memory of each VM in KiB, at the same moments.
    pub linear_kib: Vec<Vec<u64>>,
    /// Envoy's own statistics of its VMs.
    pub wasm_stats: Vec<String>,
}

impl Memory {
    /// Nothing yet.
    pub fn of(id: &str) -> Self {
        Memory { id: id.to_owned(), resident_kib: Vec::new(), linear_kib: Vec::new(), wasm_stats: Vec::new() }
    }

    /// Growth of the resident set in KiB after the first fifth, which warms up.
    fn growth_kib(&self) -> i64 {
        let at = |place: usize| self.resident_kib.get(place).map_or(0, |kib| *kib as i64);
        at(self.resident_kib.len().saturating_sub(1)) - at(self.resident_kib.len() / 5)
    }

    /// Whether no VM's linear memory grew after the first fifth. Where none was found among the
    /// mappings, nothing is known of it.
    fn linear_is_flat(&self) -> bool {
        let warm = self.linear_kib.get(self.linear_kib.len() / 5);
        warm.is_some_and(|memories| !memories.is_empty()) && warm == self.linear_kib.last()
    }
}

/// A whole run.
pub struct Report {
    /// The variants, in order.
    pub measured: Vec<Measured>,
    /// Memory over a million requests, where it was asked for.
    pub memory: Vec<Memory>,
    /// Turns.
    pub rounds: usize,
    /// Requests of one variant in one turn.
    pub requests: u64,
    /// Keep-alive connections.
    pub connections: usize,
    /// Envoy's version.
    pub envoy_version: String,
    /// The filter's size.
    pub module_bytes: u64,
    /// The load average of the last minute, before and after.
    pub load_average: [f64; 2],
}

/// One promise, and what became of it.
struct Verdict {
    promise: String,
    found: String,
    met: bool,
}

/// How much of what Lua adds the default configuration and every feature may add.
const LIMITS: [(&str, &str, f64); 2] = [("e", "the default configuration", 1.0), ("f", "every feature", 1.3)];
/// How much the resident set may grow over 800,000 requests, in KiB: V8 and the allocator keep some.
const GROWTH_KIB: i64 = 4096;

impl Report {
    /// Whether every promise that this run could judge holds.
    pub fn is_met(&self) -> bool {
        self.verdicts().iter().all(|verdict| verdict.met)
    }

    /// Everything, for programs.
    pub fn json(&self) -> Value {
        let variants: Vec<Value> = self
            .measured
            .iter()
            .map(|one| {
                json!({
                    "id": one.id,
                    "title": one.title,
                    "cpu_us_per_request": spread(&one.cpu_us),
                    "added_us_per_request": self.added(&one.id).map(|added| spread(&added)),
                    "ratio_to_lua": self.ratio(&one.id, "c"),
                    "ratio_to_empty_filter": self.ratio(&one.id, "d"),
                    "requests_per_second": spread(&one.per_second),
                    "latency_us": {"p50": quantile(&one.latency_us, 0.5), "p99": quantile(&one.latency_us, 0.99)},
                    "cpu_us_of_a_lone_request": one.alone_us,
                    "idle_cpu_ms_per_second": one.idle_ms,
                    "resident_kib": one.resident_kib,
                    "rounds_cpu_us": one.cpu_us
                })
            })
            .collect();
        let memory: Vec<Value> = self
            .memory
            .iter()
            .map(|memory| {
                json!({
                    "id": memory.id,
                    "resident_kib": memory.resident_kib,
                    "linear_memory_kib": memory.linear_kib,
                    "growth_kib_after_warm_up": memory.growth_kib(),
                    "wasm_stats": memory.wasm_stats
                })
            })
            .collect();
        let verdicts: Vec<Value> = self
            .verdicts()
            .iter()
            .map(|v| json!({"promise": v.promise, "found": v.found, "met": v.met}))
            .collect();
        json!({
            "machine": machine(),
            "load_average": self.load_average,
            "envoy": self.envoy_version,
            "module_bytes": self.module_bytes,
            "rounds": self.rounds,
            "requests_per_round": self.requests,
            "connections": self.connections,
            "variants": variants,
            "memory": memory,
            "verdicts": verdicts
        })
    }

    /// What each variant adds over the static route, as bars.
    pub fn svg(&self) -> String {
        let rows: Vec<(&Measured, f64)> = self
            .measured
            .iter()
            .filter(|one| one.id != "a")
            .filter_map(|one| Some((one, quantile(&self.added(&one.id)?, 0.5))))
            .collect();
        let most = rows.iter().map(|(_, added)| *added).fold(1.0, f64::max);
        let height = 60 + rows.len() * 30;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"720\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text x=\"10\" y=\"24\" font-size=\"15\">CPU time of Envoy {} added to a static route, µs per request</text>\n",
            self.envoy_version
        );
        for (place, (one, added)) in rows.iter().enumerate() {
            let y = 44 + place * 30;
            let width = (added.max(0.0) / most * 360.0).round();
            let colour = if one.title.starts_with("Evenkeel,") { "#1a7f5a" } else { "#8a94a0" };
            let _ = writeln!(
                svg,
                "<text x=\"10\" y=\"{text}\">{title}</text>\
                 <rect x=\"260\" y=\"{y}\" width=\"{width}\" height=\"20\" fill=\"{colour}\"/>\
                 <text x=\"{end}\" y=\"{text}\">{added:.1}</text>",
                text = y + 15,
                title = one.title,
                end = 268.0 + width,
            );
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn find(&self, id: &str) -> Option<&Measured> {
        self.measured.iter().find(|one| one.id == id)
    }

    fn added(&self, id: &str) -> Option<Vec<f64>> {
        Some(self.find(id)?.over(self.find("a")?))
    }

    /// What one variant adds, as a multiple of what another adds.
    fn ratio(&self, id: &str, to: &str) -> Option<f64> {
        Some(quantile(&self.added(id)?, 0.5) / quantile(&self.added(to)?, 0.5))
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for (id, what, limit) in LIMITS {
            if let Some(ratio) = self.ratio(id, "c") {
                verdicts.push(Verdict {
                    promise: format!("{what} adds at most {limit} × what Lua adds"),
                    found: format!("{ratio:.2} ×"),
                    met: ratio <= limit,
                });
            }
        }
        for memory in self.memory.iter().filter(|memory| memory.id == "e") {
            verdicts.push(Verdict {
                promise: "the VMs' linear memory stays flat over a million requests".to_owned(),
                found: format!("{:?} KiB", memory.linear_kib.last().map_or(&[][..], Vec::as_slice)),
                met: memory.linear_is_flat(),
            });
            verdicts.push(Verdict {
                promise: format!("resident memory grows by at most {GROWTH_KIB} KiB after the warm-up"),
                found: format!("{:+} KiB", memory.growth_kib()),
                met: memory.growth_kib() <= GROWTH_KIB,
            });
        }
        verdicts
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Envoy {}, 2 workers, {} connections, {} turns of {} requests; {}; load average {} to {}\n",
            self.envoy_version,
            self.connections,
            self.rounds,
            self.requests,
            machine(),
            self.load_average[0],
            self.load_average[1]
        )?;
        writeln!(
            f,
            "{:<31} {:>20} {:>20} {:>6} {:>7} {:>6} {:>6} {:>11} {:>5} {:>6}",
            "",
            "CPU µs per request",
            "added to (a)",
            "× Lua",
            "× empty",
            "req/s",
            "CPU µs",
            "p50 p99 µs",
            "idle",
            "RSS"
        )?;
        writeln!(
            f,
            "{:<31} {:>20} {:>20} {:>6} {:>7} {:>6} {:>6} {:>11} {:>5} {:>6}",
            "", "median (min–max)", "median (min–max)", "", "", "", "alone", "alone", "ms/s", "MiB"
        )?;
        for one in &self.measured {
            let added = self.added(&one.id).unwrap_or_default();
            let ratio = |to| {
                let ratio = self.ratio(&one.id, to).filter(|_| one.id != "a");
                ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
            };
            let latency =
                format!("{:.0} {:.0}", quantile(&one.latency_us, 0.5), quantile(&one.latency_us, 0.99));
            writeln!(
                f,
                "{:<31} {:>20} {:>20} {:>6} {:>7} {:>6.0} {:>6.1} {:>11} {:>5.1} {:>6.1}",
                format!("({}) {}", one.id, one.title),
                in_short(&one.cpu_us),
                if one.id == "a" { "–".to_owned() } else { in_short(&added) },
                ratio("c"),
                ratio("d"),
                quantile(&one.per_second, 0.5),
                one.alone_us,
                latency,
                one.idle_ms,
                one.resident_kib as f64 / 1024.0
            )?;
        }
        for memory in &self.memory {
            let at = |kib: Option<&u64>| kib.map_or(0.0, |kib| *kib as f64 / 1024.0);
            writeln!(
                f,
                "\nmemory of ({}): {:.1} MiB at first, {:.1} after 200,000 requests, {:.1} after a million",
                memory.id,
                at(memory.resident_kib.first()),
                at(memory.resident_kib.get(memory.resident_kib.len() / 5)),
                at(memory.resident_kib.last())
            )?;
            for line in &memory.wasm_stats {
                writeln!(f, "  {line}")?;
            }
        }
        writeln!(f)?;
        for verdict in self.verdicts() {
            let mark = if verdict.met { "met   " } else { "MISSED" };
            writeln!(f, "{mark} {}: {}", verdict.promise, verdict.found)?;
        }
        Ok(())
    }
}

fn in_short(values: &[f64]) -> String {
    format!("{:.1} ({:.1}–{:.1})", quantile(values, 0.5), quantile(values, 0.0), quantile(values, 1.0))
}

fn spread(values: &[f64]) -> Value {
    json!({
        "median": quantile(values, 0.5),
        "quartiles": [quantile(values, 0.25), quantile(values, 0.75)],
        "min": quantile(values, 0.0),
        "max": quantile(values, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(id: &str, cpu_us: &[f64]) -> Measured {
        Measured {
            id: id.to_owned(),
            title: id.to_owned(),
            cpu_us: cpu_us.to_vec(),
            per_second: vec![],
            latency_us: vec![],
            alone_us: 0.0,
            idle_ms: 0.0,
            resident_kib: 0,
        }
    }

    fn report(measured: Vec<Measured>, memory: Vec<Memory>) -> Report {
        Report {
            measured,
            memory,
            rounds: 3,
            requests: 1,
            connections: 1,
            envoy_version: "1.40.0".to_owned(),
            module_bytes: 1,
            load_average: [0.0; 2],
        }
    }

    #[test]
    fn a_slow_turn_does_not_count_as_a_difference() {
        // The machine was twice as slow in the second turn, for both.
        let report = report(
            vec![
                measured("a", &[50.0, 100.0, 50.0]),
                measured("c", &[70.0, 120.0, 70.0]),
                measured("e", &[68.0, 119.0, 69.0]),
                measured("f", &[77.0, 127.0, 77.0]),
            ],
            vec![],
        );
        assert_eq!(report.ratio("e", "c"), Some(19.0 / 20.0));
        let met: Vec<bool> = report.verdicts().iter().map(|verdict| verdict.met).collect();
        assert_eq!(met, [true, false]);
    }

    #[test]
    fn a_memory_that_grows_after_the_warm_up_is_found() {
        let grown = |step: u64| Memory {
            id: "e".to_owned(),
            resident_kib: (0..21).map(|place| 40_000 + step * place).collect(),
            linear_kib: (0..21).map(|place| vec![1088 + step * place]).collect(),
            wasm_stats: vec![],
        };
        assert!(report(vec![], vec![grown(0)]).is_met());
        assert!(report(vec![], vec![grown(300)]).verdicts().iter().all(|verdict| !verdict.met));
        let unseen = Memory { linear_kib: vec![vec![]; 21], ..grown(0) };
        assert!(!report(vec![], vec![unseen]).is_met(), "memory that was not found is not flat");
    }
}
