//! Small plots: RTO of the runs of one kind, over time.

use super::svg::{Sheet, scale};
use super::trends::Run;
use super::words::{Wall, seconds};
use maud::{Markup, PreEscaped, html};

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 84.0;
const SIDES: (f64, f64) = (48.0, 310.0);
const LEVELS: (f64, f64) = (12.0, 74.0);

/// The plot, below its name; `runs` have the oldest first.
pub fn figure(title: &str, runs: &[&Run]) -> Markup {
    let shown: Vec<(f64, &Run)> = runs
        .iter()
        .filter(|run| run.counts && run.rto.is_some())
        .map(|run| (Wall::new(&run.began).unix().unwrap_or(0.0), *run))
        .collect();
    html! {
        figure.spark {
            figcaption { (title) }
            @if shown.is_empty() { p.nothing { "no run with a fault went its whole way" } } @else {
                svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) width=(WIDTH) height=(HEIGHT) role="img" aria-label=(format!("RTO over time: {title}")) {
                    (PreEscaped(draw(&shown)))
                }
            }
        }
    }
}

fn draw(shown: &[(f64, &Run)]) -> String {
    let mut sheet = Sheet::default();
    let known = shown.iter().filter_map(|(_, run)| run.rto.flatten());
    let promised = shown.last().and_then(|(_, run)| run.promised);
    let (most, ticks) = scale(known.chain(promised).fold(0.1, f64::max) / 1000.0);
    let (from, to) =
        shown.iter().fold((f64::MAX, f64::MIN), |(from, to), (at, _)| (from.min(*at), to.max(*at)));
    // One moment stands in the middle.
    let x = |at: f64| {
        let part = if to > from { (at - from) / (to - from) } else { 0.5 };
        SIDES.0 + 8.0 + part * (SIDES.1 - SIDES.0 - 16.0)
    };
    let y = |value: f64| LEVELS.1 - (value / most).clamp(0.0, 1.0) * (LEVELS.1 - LEVELS.0);
    for tick in ticks.iter().rev().take(2) {
        sheet.line("grid", [SIDES.0, y(*tick), SIDES.1, y(*tick)]);
        sheet.text(SIDES.0 - 5.0, y(*tick) + 4.0, "dim", "end", &seconds(tick * 1000.0));
    }
    sheet.line("axis", [SIDES.0, LEVELS.1, SIDES.1, LEVELS.1]);
    if let Some(promised) = promised {
        let level = y(promised / 1000.0);
        sheet.line("mark", [SIDES.0, level, SIDES.1, level]);
    }
    for (at, run) in shown {
        let place = (x(*at), run.rto.flatten().map_or(LEVELS.0 - 4.0, |rto| y(rto / 1000.0)));
        point(&mut sheet, place, run.passed);
    }
    sheet.into_string()
}

/// A dot for a run that passed, a cross for one that did not.
fn point(sheet: &mut Sheet, (x, y): (f64, f64), passed: bool) {
    if passed {
        sheet.raw(format_args!("<circle class=\"good\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"));
    } else {
        sheet.line("cross", [x - 4.0, y - 4.0, x + 4.0, y + 4.0]);
        sheet.line("cross", [x - 4.0, y + 4.0, x + 4.0, y - 4.0]);
    }
}

/// The sign itself, for legends.
pub fn sign(passed: bool) -> Markup {
    let mut sheet = Sheet::default();
    point(&mut sheet, (6.0, 6.0), passed);
    html! { svg.sign viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" { (PreEscaped(sheet.into_string())) } }
}
