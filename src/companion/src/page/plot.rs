//! Lag over time as a line.

use super::parts::span;
use crate::history::{LAG_SAMPLES, LAG_STEP};
use maud::{Markup, html};
use std::fmt::Write;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 36.0;

/// The line never fills the height with less than this: a hundredth of a second is no mountain.
const LEAST_SCALE: u64 = 1000;

/// The plot; gaps where the lag was not known.
pub fn lag(samples: &[Option<u64>]) -> Markup {
    let most = samples.iter().flatten().copied().max();
    let Some(most) = most else { return html! { span.muted { "no lag known yet" } } };
    let scale = most.max(LEAST_SCALE);
    let minutes = (LAG_SAMPLES as u64 * LAG_STEP) / 60;
    let label = format!("Lag over the last {minutes} minutes, at most {}", span(most));
    html! {
        span.plot {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="img" aria-label=(label) {
                line.base x1="0" x2=(WIDTH) y1=(HEIGHT - 0.5) y2=(HEIGHT - 0.5) {}
                path.area d=(path(samples, scale, true)) {}
                path.line d=(path(samples, scale, false)) {}
            }
            span.muted { "max " (span(most)) }
        }
    }
}

/// The newest sample stands at the right end, so that the line moves as time does.
fn path(samples: &[Option<u64>], scale: u64, closed: bool) -> String {
    let step = WIDTH / (LAG_SAMPLES.saturating_sub(1).max(1)) as f64;
    let begin = LAG_SAMPLES.saturating_sub(samples.len());
    let mut path = String::new();
    let mut from: Option<f64> = None;
    let mut last = 0.0;
    for (index, sample) in samples.iter().enumerate() {
        let x = (begin + index) as f64 * step;
        match sample {
            Some(lag) => {
                let y = (HEIGHT - 2.0) * (1.0 - *lag as f64 / scale as f64) + 1.0;
                let command = if from.is_none() { 'M' } else { 'L' };
                let _ = write!(path, "{command}{x:.1} {y:.1}");
                from.get_or_insert(x);
                last = x;
            }
            None => close(&mut path, from.take().filter(|_| closed), last),
        }
    }
    close(&mut path, from.filter(|_| closed), last);
    path
}

fn close(path: &mut String, from: Option<f64>, last: f64) {
    if let Some(from) = from {
        let _ = write!(path, "L{last:.1} {HEIGHT}L{from:.1} {HEIGHT}Z");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_begins_a_new_line() {
        let samples = [Some(0), Some(1000), None, Some(500)];
        let line = path(&samples, 1000, false);
        assert_eq!(line.matches('M').count(), 2, "{line}");
        assert_eq!(path(&samples, 1000, true).matches('Z').count(), 2);
        assert!(lag(&[None, None]).into_string().contains("no lag known"));
    }
}
