//! The throughput as bars.

use crate::front::Kind;
use crate::throughput::Throughput;
use evenkeel_tests::figures::quantile;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 160.0;
const RIGHT: f64 = 600.0;
const ROW: f64 = 28.0;
const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1c2733}.title{font-size:15px;font-weight:600}.back{fill:#fff}\
.own{fill:#1a7f5a}.other{fill:#8a94a0}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.back{fill:#14191f}.own{fill:#3fb68b}}";

/// Draws what was measured.
pub fn svg(throughput: &Throughput) -> String {
    let (mut body, mut top, mut question) = (String::new(), 20.0, "");
    let median = |values: &[f64]| quantile(values, 0.5);
    let most = throughput.lines.iter().map(|line| median(&line.per_second)).fold(1.0, f64::max);
    let mut lines: Vec<_> = throughput.lines.iter().collect();
    lines.sort_by_key(|line| line.question);
    for line in lines {
        // Writing into a String cannot fail.
        if line.question != question {
            question = line.question;
            let y = top + 14.0;
            let _ = writeln!(
                body,
                "<text class=\"title\" x=\"20\" y=\"{y:.0}\">Queries per second, {question}: median (CPU a query)</text>"
            );
            top += 34.0;
        }
        let width = median(&line.per_second) / most * (RIGHT - LEFT);
        let class = if line.kind == Kind::Evenkeel { "own" } else { "other" };
        let (y, after) = (top + 14.0, LEFT + width + 8.0);
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{y:.0}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>\n\
             <text x=\"{after:.0}\" y=\"{y:.0}\">{:.0} ({:.1} µs)</text>",
            LEFT - 10.0,
            line.kind.name(),
            median(&line.per_second),
            median(&line.cpu_us),
        );
        top += ROW;
    }
    top += 12.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" role=\"img\" \
         aria-label=\"Evenkeel's DNS responder beside others\">\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{top}\" rx=\"8\"/>\n{body}</svg>\n"
    )
}
