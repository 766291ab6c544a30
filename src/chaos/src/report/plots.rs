//! A run as pictures on one time axis: who answered, what failed, how long it took, what observers said.
//!
//! Each picture is drawn twice, for a desk and for a phone: a wide one made narrow cannot be read.

use super::panel::{Frame, Mark, Scale};
use super::seen::{Steps, Timeline};
use super::slices::{Slice, recovered, slices};
use super::words;
use crate::figures::{Figures, Percentiles};
use crate::journal::{Journal, Ms};
use maud::{Markup, PreEscaped, html};
use std::collections::BTreeMap;

/// The widths that pictures are drawn for, in pixels, with the classes that show them.
const WIDTHS: [(f64, &str); 2] = [(1040.0, "wide"), (340.0, "narrow")];

/// Points of a curve at most.
const POINTS: usize = 240;

/// Series that have a colour of their own; what is beyond them begins again.
const COLOURS: usize = 6;

/// A stretch of the run that is drawn.
struct View<'a> {
    journal: &'a Journal,
    span: (Ms, Ms),
    marks: Vec<Mark>,
    width: Ms,
    slices: Vec<Slice>,
}

/// All pictures of a run.
pub fn section(journal: &Journal, figures: &Figures, seen: &Timeline) -> Markup {
    let end = journal.requests.last().map_or(journal.ended, |last| last.due.max(journal.ended)).max(1.0);
    let whole = View::new(journal, figures, (0.0, end));
    html! {
        p.legend {
            "All pictures share one axis: seconds from the fault. "
            @if journal.injected.is_some() {
                span.key.band {} " the fault lasts; "
                span.key.dash {} " fault, recovery of clients, undoing, healed"
            } @else { "No fault was done, so they count from the start of the run." }
        }
        (whole.requests())
        (whole.failures())
        (whole.latency())
        @if let Some(span) = close(journal, figures, end) {
            h3 { "Around the fault" }
            @let near = View::new(journal, figures, span);
            (near.requests())
            (near.failures())
            (near.latency())
            h3 { "What the platform said" }
        }
        (whole.lag(&seen.lag))
        (whole.shares(seen))
        (whole.bands(seen))
    }
}

/// What is too small to see in the whole run: from 5 s before the fault until 5 s after recovery.
fn close(journal: &Journal, figures: &Figures, end: Ms) -> Option<(Ms, Ms)> {
    let injected = journal.injected?;
    let back = recovered(journal, figures)?;
    let span = ((injected - 5_000.0).max(0.0), (back + 5_000.0).max(injected + 10_000.0).min(end));
    (span.1 - span.0 < end / 2.5).then_some(span)
}

impl<'a> View<'a> {
    fn new(journal: &'a Journal, figures: &Figures, span: (Ms, Ms)) -> Self {
        let (width, slices) = slices(journal, span, POINTS);
        let marks = [
            (journal.injected, "fault"),
            (journal.rollback, "undo"),
            (journal.healed, "healed"),
            (recovered(journal, figures), "recovered"),
        ];
        let marks = marks
            .into_iter()
            .filter_map(|(at, name)| Some(Mark { at: at?, name }))
            .filter(|mark| (span.0..=span.1).contains(&mark.at));
        View { journal, span, marks: marks.collect(), width, slices }
    }

    /// A picture for each width, below what it shows.
    fn figure(
        &self,
        title: &str,
        legend: Markup,
        height: f64,
        scale: &Scale,
        draw: impl Fn(&mut Frame),
    ) -> Markup {
        let zero = self.journal.injected.unwrap_or(0.0);
        let fault = self.journal.injected.map(|from| (from, self.journal.rollback.unwrap_or(self.span.1)));
        html! {
            figure {
                figcaption { strong { (title) } " " span.keys { (legend) } }
                @for (width, class) in WIDTHS {
                    @let mut frame = Frame::new(width, height, self.span, zero, scale.clone());
                    @let () = frame.ground(fault);
                    @let () = draw(&mut frame);
                    (PreEscaped(frame.finish(class, title, &self.marks)))
                }
            }
        }
    }

    fn requests(&self) -> Markup {
        if self.journal.requests.is_empty() {
            return nothing("Requests by answering region", "no request was recorded");
        }
        let rate = 1000.0 / self.width;
        let all = |slice: &Slice| slice.answered.iter().sum::<u32>() + slice.failed();
        let most = f64::from(self.slices.iter().map(all).max().unwrap_or(0)) * rate;
        let regions = self.journal.regions.len();
        let unnamed = self.slices.iter().any(|slice| slice.answered[regions] > 0);
        let legend = html! {
            @for (n, region) in self.journal.regions.iter().enumerate() { (key(&format!("r{}", n % COLOURS), region)) }
            @if unnamed { (key("unnamed", "no region named")) }
            (key("failed", "failed"))
            (resolution(self.width))
        };
        self.figure(
            "Requests per second, by the region that answered",
            legend,
            150.0,
            &Scale::linear(most),
            |frame| {
                let mut floor = vec![0.0; self.slices.len()];
                let mut layer = |frame: &mut Frame, class: &str, count: &dyn Fn(&Slice) -> u32| {
                    let roof: Vec<f64> = floor
                        .iter()
                        .zip(&self.slices)
                        .map(|(floor, slice)| floor + f64::from(count(slice)) * rate)
                        .collect();
                    let at = |n: usize| self.slices[n].from + self.width / 2.0;
                    frame.area(class, &floor, &roof, at);
                    floor = roof;
                };
                for n in 0..=regions {
                    let class = if n == regions { "unnamed".to_owned() } else { format!("r{}", n % COLOURS) };
                    layer(frame, &class, &|slice| slice.answered[n]);
                }
                layer(frame, "failed", &Slice::failed);
            },
        )
    }

    fn failures(&self) -> Markup {
        let rate = 1000.0 / self.width;
        let all = |slice: &Slice| slice.failed() + slice.late;
        let most = self.slices.iter().map(all).max().unwrap_or(0);
        if most == 0 {
            return nothing("Failed and late", "no request failed or came late in this stretch");
        }
        let legend = html! {
            (key("failed", "reads that failed")) (key("order", "orders that failed"))
            (key("late", &format!("answered well, after more than {}", self.journal.experiment.load.slow)))
            (resolution(self.width))
        };
        let scale = Scale::linear(f64::from(most) * rate);
        self.figure("Failed and late per second, by when they were due", legend, 90.0, &scale, |frame| {
            for slice in self.slices.iter().filter(|slice| all(slice) > 0) {
                let mut floor = 0.0;
                for (class, count) in
                    [("failed", slice.failed_reads), ("order", slice.failed_orders), ("late", slice.late)]
                {
                    let roof = floor + f64::from(count) * rate;
                    frame.bar(class, (slice.from, slice.from + self.width), (floor, roof));
                    floor = roof;
                }
            }
        })
    }

    fn latency(&self) -> Markup {
        let of = |slice: &Slice| slice.latency;
        let most = self.slices.iter().filter_map(of).map(|latency| latency.p99).fold(0.0, f64::max);
        if most == 0.0 {
            return nothing("Latency", "no request was answered");
        }
        let legend = html! {
            (key("l50", "median")) (key("l95", "95th")) (key("l99", "99th percentile"))
            span.muted { "of what was answered, on a logarithmic scale," } (resolution(self.width))
        };
        self.figure(
            "Latency from when a request was due",
            legend,
            130.0,
            &Scale::logarithmic(most),
            |frame| {
                type Of = fn(&Percentiles) -> Ms;
                let curves: [(&str, Of); 3] = [("l99", |p| p.p99), ("l95", |p| p.p95), ("l50", |p| p.p50)];
                for (class, of) in curves {
                    let points = self
                        .slices
                        .iter()
                        .map(|slice| (slice.from + self.width / 2.0, slice.latency.as_ref().map(of)));
                    frame.curve(class, points);
                }
            },
        )
    }

    fn lag(&self, lag: &BTreeMap<String, Steps<f64>>) -> Markup {
        let values = || lag.values().flatten().filter_map(|(_, value)| *value);
        if values().next().is_none() {
            return nothing("Replication lag", "no companion told of any");
        }
        let most = values().fold(0.0, f64::max);
        let legend = html! {
            @for (n, node) in lag.keys().enumerate() { (key(&format!("s{}", n % COLOURS), node)) }
            span.muted { "seconds, the largest that a companion told" }
        };
        self.figure("Replication lag", legend, 80.0, &Scale::linear(most.max(0.1)), |frame| {
            for (n, steps) in lag.values().enumerate() {
                frame.steps(&format!("s{}", n % COLOURS), steps);
            }
        })
    }

    fn shares(&self, seen: &Timeline) -> Markup {
        if seen.shares.values().flatten().all(|(_, share)| share.is_none()) {
            return nothing("Share by region", "no edge told of any");
        }
        let place = |region: &String| {
            self.journal.regions.iter().position(|name| name == region).unwrap_or(0) % COLOURS
        };
        let legend = html! {
            @for region in seen.shares.keys() { (key(&format!("s{}", place(region)), region)) }
            span.muted { "per cent of its normal share that the edges admit, the lowest among them" }
            @if !seen.dns.is_empty() { (key("dns", "in DNS answers")) }
        };
        self.figure("Share by region", legend, 90.0, &Scale::percent(), |frame| {
            for (region, steps) in &seen.dns {
                frame.steps(&format!("s{} dns", place(region)), steps);
            }
            for (region, steps) in &seen.shares {
                frame.steps(&format!("s{}", place(region)), steps);
            }
        })
    }

    fn bands(&self, seen: &Timeline) -> Markup {
        let rows: Vec<(String, Steps<(String, &'static str)>)> = bands(seen);
        if rows.is_empty() {
            return nothing("States", "no observer told of any");
        }
        let legend = html! { span.muted { "as edges and companions said when they were asked; grey where nobody answered" } };
        self.figure("States", legend, rows.len() as f64 * 34.0, &Scale::none(), |frame| {
            for (n, (name, steps)) in rows.iter().enumerate() {
                frame.band(n as f64 * 34.0, name, steps);
            }
        })
    }
}

/// Rows of states: regions at the edges, readiness, the writer.
fn bands(seen: &Timeline) -> Vec<(String, Steps<(String, &'static str)>)> {
    let mut rows = Vec::new();
    for (region, steps) in &seen.standing {
        let shown = |(word, class): (&str, &'static str)| (word.to_owned(), class);
        let steps =
            steps.iter().map(|(at, standing)| (*at, standing.map(|standing| shown(standing.shown()))));
        rows.push((format!("{region} at the edges"), steps.collect()));
    }
    for (region, steps) in &seen.ready {
        let word =
            |ready: bool| if ready { ("ready".to_owned(), "good") } else { ("not ready".to_owned(), "bad") };
        rows.push((
            format!("{region}'s readiness"),
            steps.iter().map(|(at, ready)| (*at, ready.map(word))).collect(),
        ));
    }
    if !seen.writer.is_empty() {
        let mut names: Vec<&String> = Vec::new();
        let steps = seen.writer.iter().map(|(at, node)| {
            let Some(node) = node else { return (*at, Some(("no writer".to_owned(), "bad"))) };
            let place = names.iter().position(|name| *name == node).unwrap_or_else(|| {
                names.push(node);
                names.len() - 1
            });
            (*at, Some((node.clone(), ["r0", "r1", "r2", "r3", "r4", "r5"][place % COLOURS])))
        });
        rows.push(("the database's writer".to_owned(), steps.collect()));
    }
    rows
}

fn key(class: &str, name: &str) -> Markup {
    html! { span.item { span.key .(class) {} " " (name) } " " }
}

fn resolution(width: Ms) -> Markup {
    html! { span.muted { " in steps of " (words::latency(width)) } }
}

fn nothing(title: &str, why: &str) -> Markup {
    html! { p.nothing { strong { (title) } ": " (why) "." } }
}
