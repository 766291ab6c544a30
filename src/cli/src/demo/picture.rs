//! `timeline.svg`: the whole run as one picture, readable on light and on dark.

use super::journal::{Blow, Breaker, Log, Mark, Region, Standing};
use super::stats::{Slice, slices};
use super::verdict::Verdict;
use evenkeel_chaos::report::svg::{Sheet, scale};
use std::time::Duration;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 716.0;
const LEFT: f64 = 118.0;
const RIGHT: f64 = 980.0;
/// The marks' lines run through all panels.
const LINES: (f64, f64) = (92.0, 680.0);

/// One point of a curve.
const SLICE: Duration = Duration::from_millis(500);

const STYLE: &str = "
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:12px;fill:#1f2933}
.back{fill:#ffffff}.title{font-size:18px;font-weight:600}.head{font-weight:600}.dim{fill:#5d6b7a}
.grid{stroke:#e1e6eb;stroke-width:1}.axis{stroke:#9aa5b1;stroke-width:1}.outage{fill:#8895a3;opacity:.16}
.mark{stroke:#5d6b7a;stroke-width:1;stroke-dasharray:4 3}.bound{stroke:#c4314b;stroke-width:1;stroke-dasharray:6 3}
.taiwan{fill:#2f6fb5}.japan{fill:#e0a03a}.failed{fill:#c4314b}.failedpost{fill:#e58fa0}.slow{fill:#7a5aa6}
.admitted{fill:none;stroke:#2f6fb5;stroke-width:2}.came{fill:none;stroke:#5d6b7a;stroke-width:1.5}
.good{fill:#4f9d69}.half{fill:#e0c03a}.bad{fill:#c4314b}.unknown{fill:#c8d0d8}
.on{fill:#ffffff;font-weight:600}.ondark{fill:#1f2933;font-weight:600}
@media (prefers-color-scheme: dark){
text{fill:#e4e9ee}.back{fill:#14191f}.dim{fill:#9aa8b6}.grid{stroke:#2a323b}.axis{stroke:#566270}
.outage{fill:#a9b6c4;opacity:.16}.mark{stroke:#9aa8b6}.bound{stroke:#f0718a}
.taiwan{fill:#5b9be0}.japan{fill:#e8b45c}.failed{fill:#f0718a}.failedpost{fill:#9c4a5c}.slow{fill:#a98ad6}
.admitted{stroke:#5b9be0}.came{stroke:#9aa8b6}.good{fill:#3f8a5a}.bad{fill:#c4405a}.unknown{fill:#47525e}
.on{fill:#ffffff}.ondark{fill:#14191f}}
";

/// The picture of a run that ended at `end`. `slowest` is the bound for a GET that met a freeze.
pub fn svg(log: &Log, verdict: &Verdict, slowest: Duration, end: Duration) -> String {
    let mut picture = Picture { sheet: Sheet::default(), end: end.max(Duration::from_secs(1)) };
    picture.draw(log, verdict, slowest);
    picture.sheet.into_string()
}

struct Picture {
    sheet: Sheet,
    end: Duration,
}

/// A strip with a vertical scale from 0 to `most`.
struct Panel {
    top: f64,
    height: f64,
    most: f64,
}

impl Panel {
    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - value.clamp(0.0, self.most) / self.most * self.height
    }
}

impl Picture {
    fn draw(&mut self, log: &Log, verdict: &Verdict, slowest: Duration) {
        // The last slice is cut short, and would show as a fall.
        let mut slices = slices(&log.records, Duration::ZERO, self.end, SLICE);
        if !self.end.as_millis().is_multiple_of(SLICE.as_millis()) {
            slices.pop();
        }
        self.sheet.raw(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"Timeline of an Evenkeel demo run\">\n<style>{STYLE}</style>\n\
             <rect class=\"back\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"8\"/>"
        ));
        self.heading(verdict);
        self.outages(&log.marks);
        self.traffic(&slices);
        self.failures(&slices);
        self.slowest(&slices, slowest);
        self.shares(log, &slices);
        self.marks(&log.marks);
        self.bands(log);
        self.time_axis();
        self.sheet.raw(format_args!("</svg>"));
    }

    fn x(&self, at: Duration) -> f64 {
        LEFT + at.as_secs_f64() / self.end.as_secs_f64() * (RIGHT - LEFT)
    }

    /// Where a slice's value is drawn: in its middle.
    fn middle(&self, n: usize) -> f64 {
        self.x(SLICE * n as u32 + SLICE / 2)
    }

    fn heading(&mut self, verdict: &Verdict) {
        self.sheet.text(20.0, 32.0, "title", "start", "Evenkeel demo: a region is killed, then frozen");
        let load = &verdict.load;
        let missed = verdict.targets().filter(|target| !target.holds()).count();
        let judged = match missed {
            0 if verdict.holds() => "all targets hold".to_owned(),
            _ => format!("{missed} targets missed"),
        };
        let line = format!(
            "{} requests · {} GET and {} POST failed · {judged}",
            load.requests, load.failed_gets, load.failed_posts
        );
        self.sheet.text(20.0, 54.0, "dim", "start", &line)
    }

    fn outages(&mut self, marks: &[Mark]) {
        let mut since = None;
        for mark in marks {
            match (mark.blow, since) {
                (Blow::Kill | Blow::Freeze, _) => since = Some(mark.at),
                (Blow::Restart | Blow::Thaw, Some(begun)) => {
                    self.sheet.rect("outage", [self.x(begun), LINES.0, self.x(mark.at), LINES.1]);
                    since = None;
                }
                _ => (),
            }
        }
    }

    fn marks(&mut self, marks: &[Mark]) {
        for mark in marks {
            let x = self.x(mark.at);
            self.sheet.line("mark", [x, LINES.0 - 6.0, x, LINES.1]);
            self.sheet.text(x, LINES.0 - 12.0, "head", "middle", mark.blow.title());
        }
    }

    /// The frame of a panel: its name, its scale, its ground line.
    fn panel(&mut self, panel: &Panel, name: [&str; 2], ticks: &[f64]) {
        self.sheet.text(20.0, panel.top + 10.0, "head", "start", name[0]);
        self.sheet.text(20.0, panel.top + 25.0, "dim", "start", name[1]);
        for tick in ticks {
            let y = panel.y(*tick);
            self.sheet.line("grid", [LEFT, y, RIGHT, y]);
            self.sheet.text(LEFT - 6.0, y + 4.0, "dim", "end", &format!("{tick}"));
        }
        self.sheet.line("axis", [LEFT, panel.bottom(), RIGHT, panel.bottom()])
    }

    fn traffic(&mut self, slices: &[Slice]) {
        let per_second = 1.0 / SLICE.as_secs_f64();
        let most = slices.iter().map(Slice::requests).max().unwrap_or(0);
        let (most, ticks) = scale(f64::from(most) * per_second);
        let panel = Panel { top: 100.0, height: 150.0, most };
        self.panel(&panel, ["Answered", "per s"], &ticks);
        let mut floor: Vec<(f64, f64)> =
            (0..slices.len()).map(|n| (self.middle(n), panel.bottom())).collect();
        let mut height = vec![0.0; slices.len()];
        for region in [Region::Japan, Region::Taiwan] {
            for (height, slice) in height.iter_mut().zip(slices) {
                *height += f64::from(slice.answered[region as usize]) * per_second;
            }
            let roof: Vec<(f64, f64)> =
                height.iter().enumerate().map(|(n, h)| (self.middle(n), panel.y(*h))).collect();
            let outline: Vec<(f64, f64)> = roof.iter().copied().chain(floor.iter().rev().copied()).collect();
            self.sheet.points("polygon", region.name(), &outline);
            floor = roof;
        }
        self.sheet.text(LEFT + 8.0, panel.bottom() - 8.0, "ondark", "start", "Japan");
        self.sheet.text(LEFT + 8.0, panel.top + 18.0, "on", "start", "Taiwan")
    }

    fn failures(&mut self, slices: &[Slice]) {
        let most = slices.iter().map(Slice::failed).max().unwrap_or(0);
        let (most, ticks) = scale(f64::from(most) / SLICE.as_secs_f64());
        let panel = Panel { top: 274.0, height: 56.0, most };
        self.panel(&panel, ["Failed", "per s"], &ticks);
        for (n, slice) in slices.iter().enumerate().filter(|(_, slice)| slice.failed() > 0) {
            let per_second = |count: u32| f64::from(count) / SLICE.as_secs_f64();
            let (get, all) = (panel.y(per_second(slice.failed_get)), panel.y(per_second(slice.failed())));
            let x = self.middle(n);
            self.sheet.rect("failedpost", [x - 2.5, all, x + 2.5, get]);
            self.sheet.rect("failed", [x - 2.5, get, x + 2.5, panel.bottom()]);
        }
        let gets: u32 = slices.iter().map(|slice| slice.failed_get).sum();
        let posts: u32 = slices.iter().map(|slice| slice.failed_post).sum();
        let y = panel.top - 6.0;
        self.sheet.rect("failed", [RIGHT - 162.0, y - 9.0, RIGHT - 152.0, y + 1.0]);
        self.sheet.text(RIGHT - 147.0, y, "dim", "start", &format!("GET: {gets}"));
        self.sheet.rect("failedpost", [RIGHT - 78.0, y - 9.0, RIGHT - 68.0, y + 1.0]);
        self.sheet.text(RIGHT - 63.0, y, "dim", "start", &format!("POST: {posts}"))
    }

    fn slowest(&mut self, slices: &[Slice], bound: Duration) {
        let bound = bound.as_secs_f64();
        let longest = slices.iter().map(|slice| slice.longest_get).max().unwrap_or_default();
        let panel = Panel { top: 354.0, height: 64.0, most: (bound * 1.1).max(longest.as_secs_f64()) };
        self.panel(&panel, ["Slowest", "GET, s"], &[1.0, 2.0]);
        for (n, slice) in slices.iter().enumerate() {
            let x = self.middle(n);
            let y = panel.y(slice.longest_get.as_secs_f64());
            self.sheet.rect("slow", [x - 2.5, y, x + 2.5, panel.bottom()]);
        }
        let y = panel.y(bound);
        self.sheet.line("bound", [LEFT, y, RIGHT, y]);
        self.sheet.text(RIGHT, y - 4.0, "dim", "end", &format!("bound in a freeze {bound:.2} s"))
    }

    fn shares(&mut self, log: &Log, slices: &[Slice]) {
        let panel = Panel { top: 446.0, height: 110.0, most: 100.0 };
        self.panel(&panel, ["Taiwan's", "share, %"], &[25.0, 50.0, 75.0, 100.0]);
        let came: Vec<(f64, f64)> = slices
            .iter()
            .enumerate()
            .filter(|(_, slice)| slice.tw > 0)
            .map(|(n, s)| (self.middle(n), panel.y(100.0 * f64::from(s.tw_by_taiwan) / f64::from(s.tw))))
            .collect();
        self.sheet.points("polyline", "came", &came);
        let mut admitted: Vec<(f64, f64)> = Vec::new();
        for sample in &log.samples {
            let Some(share) = sample.of(Region::Taiwan).share else { continue };
            let (x, y) = (self.x(sample.at), panel.y(f64::from(share)));
            // A step: the old share held until this look.
            admitted.extend(admitted.last().map(|(_, before)| (x, *before)));
            admitted.push((x, y));
        }
        self.sheet.points("polyline", "admitted", &admitted);
        self.sheet.line("admitted", [RIGHT - 362.0, panel.top - 10.0, RIGHT - 342.0, panel.top - 10.0]);
        self.sheet.text(RIGHT - 336.0, panel.top - 6.0, "dim", "start", "admitted");
        self.sheet.line("came", [RIGHT - 272.0, panel.top - 10.0, RIGHT - 252.0, panel.top - 10.0]);
        let came = "requests from TW that Taiwan answered";
        self.sheet.text(RIGHT - 246.0, panel.top - 6.0, "dim", "start", came)
    }

    fn bands(&mut self, log: &Log) {
        type State = fn(Standing) -> (&'static str, &'static str);
        let health: State = |standing| match standing.healthy {
            Some(true) => ("good", "healthy"),
            Some(false) => ("bad", "unhealthy"),
            None => ("unknown", ""),
        };
        let breaker: State = |standing| match standing.breaker {
            Some(Breaker::Closed) => ("good", "closed"),
            Some(Breaker::HalfOpen) => ("half", "half-open"),
            Some(Breaker::Open) => ("bad", "open"),
            None => ("unknown", ""),
        };
        let mut top = 580.0;
        for region in Region::ALL {
            for (name, state) in [("probes", health), ("breaker", breaker)] {
                let label = format!("{} {name}", region.title());
                self.sheet.text(20.0, top + 13.0, "dim", "start", &label);
                self.band(log, top, state, region);
                top += 23.0;
            }
        }
    }

    /// One row of states, equal neighbours drawn as one bar.
    fn band(
        &mut self,
        log: &Log,
        top: f64,
        state: impl Fn(Standing) -> (&'static str, &'static str),
        region: Region,
    ) {
        let mut samples = log.samples.iter().map(|sample| (sample.at, state(sample.of(region)))).peekable();
        while let Some((from, (class, word))) = samples.next() {
            while samples.next_if(|(_, next)| next.0 == class).is_some() {}
            let to = samples.peek().map_or(self.end, |(at, _)| *at);
            let (left, right) = (self.x(from), self.x(to));
            self.sheet.rect(class, [left, top, right, top + 18.0]);
            // Only where the word fits.
            if right - left > 6.8 * word.len() as f64 + 6.0 {
                let on = if class == "half" { "ondark" } else { "on" };
                self.sheet.text(left.midpoint(right), top + 13.0, on, "middle", word);
            }
        }
    }

    fn time_axis(&mut self) {
        let y = LINES.1 + 2.0;
        self.sheet.line("axis", [LEFT, y, RIGHT, y]);
        for tick in (0..=self.end.as_secs()).step_by(10) {
            let x = self.x(Duration::from_secs(tick));
            self.sheet.line("axis", [x, y, x, y + 4.0]);
            self.sheet.text(x, y + 18.0, "dim", "middle", &tick.to_string());
        }
        self.sheet.text(20.0, y + 18.0, "dim", "start", "seconds")
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::judge;
    use super::super::verdict_tests::{PROMISE, run};
    use super::*;
    use roxmltree::Document;

    fn picture(log: &Log, end: Duration) -> String {
        svg(log, &judge(log, &PROMISE, end), Duration::from_millis(2_250), end)
    }

    #[test]
    fn the_picture_is_well_formed_and_stays_on_its_sheet() {
        let svg = picture(&run(), Duration::from_secs(70));
        let document = Document::parse(&svg).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "svg");
        let words: Vec<&str> = document.descendants().filter_map(|node| node.text()).collect();
        for word in ["kill", "restart", "freeze", "thaw", "Taiwan", "Japan", "open"] {
            assert!(words.contains(&word), "{word}");
        }
        for node in document.descendants() {
            for name in ["x", "y", "x1", "x2", "y1", "y2"] {
                let Some(value) = node.attribute(name) else { continue };
                let value: f64 = value.parse().unwrap();
                assert!((0.0..=WIDTH).contains(&value), "{name}={value}");
            }
            for point in node.attribute("points").unwrap_or_default().split_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                assert!((LEFT..=RIGHT).contains(&x.parse().unwrap()), "{point}");
                assert!((0.0..=HEIGHT).contains(&y.parse().unwrap()), "{point}");
            }
        }
    }

    #[test]
    fn an_empty_run_is_a_picture_too() {
        Document::parse(&picture(&Log::default(), Duration::ZERO)).unwrap();
    }
}
