//! The run as one picture: throughput as bars, and every failover as a dot.

use crate::failover::{Failovers, Fault};
use crate::front::Kind;
use crate::throughput::Throughput;
use evenkeel_tests::figures::quantile;
use std::fmt::{Result, Write};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 160.0;
const RIGHT: f64 = 640.0;
const ROW: f64 = 30.0;
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1c2733}.title{font-size:15px;font-weight:600}.dim{fill:#5c6b7a}\
.back{fill:#fff}.own{fill:#1a7f5a}.other{fill:#8a94a0}.grid{stroke:#dfe5ea}.bound{stroke:#c2410c;stroke-dasharray:4 3}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9aa7b4}.back{fill:#14191f}.own{fill:#3fb68b}\
.grid{stroke:#2b343d}.bound{stroke:#f08a4b}}";

/// Draws what was measured.
pub fn svg(throughput: Option<&Throughput>, failovers: Option<&Failovers>) -> String {
    let mut body = String::new();
    let mut top = 20.0;
    // Writing into a String cannot fail.
    if let Some(throughput) = throughput {
        bars(&mut body, &mut top, throughput).ok();
    }
    if let Some(failovers) = failovers {
        dots(&mut body, &mut top, failovers).ok();
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" role=\"img\" \
         aria-label=\"Evenkeel's database router beside others\">\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{top}\" rx=\"8\"/>\n{body}</svg>\n"
    )
}

fn bars(out: &mut String, top: &mut f64, throughput: &Throughput) -> Result {
    heading(out, top, "pgbench -S, prepared: transactions per second, median (p99)")?;
    let tps = |m: &crate::throughput::Measured| quantile(&m.tps, 0.5);
    let most = throughput.measured.iter().map(tps).fold(1.0, f64::max);
    for m in &throughput.measured {
        label(out, *top, m.kind)?;
        let width = tps(m) / most * (RIGHT - LEFT);
        writeln!(
            out,
            "<rect class=\"{}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>",
            class(m.kind),
            *top
        )?;
        let said = format!("{:.0} ({:.2} ms)", tps(m), quantile(&m.p99_ms, 0.5));
        writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\">{said}</text>", LEFT + width + 8.0, *top + 14.0)?;
        *top += ROW;
    }
    *top += 20.0;
    Ok(())
}

/// A logarithmic scale in ms, from 1 to 100,000.
const DECADES: f64 = 5.0;

fn dots(out: &mut String, top: &mut f64, failovers: &Failovers) -> Result {
    heading(out, top, "From the new writer's readiness to the first write: every failover, ms")?;
    let x = |ms: f64| LEFT + ms.max(1.0).log10().min(DECADES) / DECADES * (RIGHT - LEFT);
    let end = *top + ROW * (failovers.kinds().len() * Fault::ALL.len()) as f64;
    for decade in 0..=DECADES as u32 {
        let ms = 10_f64.powi(decade as i32);
        let at = x(ms);
        writeln!(
            out,
            "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{:.1}\" x2=\"{at:.1}\" y2=\"{end:.1}\"/>",
            *top - 4.0
        )?;
        writeln!(
            out,
            "<text class=\"dim\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{ms}</text>",
            end + 14.0
        )?;
    }
    let bound = x(crate::failover::BOUND_MS);
    writeln!(
        out,
        "<line class=\"bound\" x1=\"{bound:.1}\" y1=\"{:.1}\" x2=\"{bound:.1}\" y2=\"{end:.1}\"/>",
        *top - 4.0
    )?;
    for kind in failovers.kinds() {
        label(out, *top, *kind)?;
        for fault in Fault::ALL {
            for ms in failovers.shares(*kind, Some(fault)) {
                let (class, at, y) = (class(*kind), x(ms), *top + 9.0);
                writeln!(
                    out,
                    "<circle class=\"{class}\" cx=\"{at:.1}\" cy=\"{y:.1}\" r=\"4\" fill-opacity=\"0.6\"/>"
                )?;
            }
            let y = *top + 14.0;
            writeln!(
                out,
                "<text class=\"dim\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                RIGHT + 10.0,
                fault.name()
            )?;
            *top += ROW;
        }
    }
    *top += 34.0;
    Ok(())
}

fn heading(out: &mut String, top: &mut f64, text: &str) -> Result {
    writeln!(out, "<text class=\"title\" x=\"20\" y=\"{:.1}\">{text}</text>", *top + 12.0)?;
    *top += 34.0;
    Ok(())
}

fn label(out: &mut String, top: f64, kind: Kind) -> Result {
    let title = kind.title();
    writeln!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{title}</text>", LEFT - 10.0, top + 14.0)
}

fn class(kind: Kind) -> &'static str {
    if kind == Kind::Evenkeel { "own" } else { "other" }
}
