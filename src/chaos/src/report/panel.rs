//! One picture: a strip of time with a vertical scale, and what is drawn in it.

use super::seen::Steps;
use super::svg::{self, Sheet};
use crate::journal::Ms;

/// Above the strip, for the marks' names.
const HEAD: f64 = 16.0;

/// Below it, for the time axis.
const FOOT: f64 = 22.0;

/// How wide a character of the small type is at most.
const LETTER: f64 = 7.6;

/// A moment that all pictures show.
pub struct Mark {
    /// When.
    pub at: Ms,
    /// In a word.
    pub name: &'static str,
}

/// The vertical scale.
#[derive(Clone)]
pub struct Scale {
    most: f64,
    ticks: Vec<(f64, String)>,
    logarithmic: bool,
}

impl Scale {
    /// From 0 to a round value above `most`.
    pub fn linear(most: f64) -> Self {
        let (most, ticks) = svg::scale(most);
        let text = |tick: f64| format!("{}", (tick * 10.0).round() / 10.0);
        Scale { most, ticks: ticks.into_iter().map(|tick| (tick, text(tick))).collect(), logarithmic: false }
    }

    /// From 0 to 100.
    pub fn percent() -> Self {
        let ticks = [50.0, 100.0].map(|tick| (tick, format!("{tick} %")));
        Scale { most: 104.0, ticks: ticks.into(), logarithmic: false }
    }

    /// From 1 ms to a decade above `most` milliseconds.
    pub fn logarithmic(most: Ms) -> Self {
        let ticks = [
            (1.0, "1 ms"),
            (10.0, "10 ms"),
            (100.0, "100 ms"),
            (1000.0, "1 s"),
            (10_000.0, "10 s"),
            (100_000.0, "100 s"),
        ];
        let top = most.clamp(100.0, 100_000.0) * 1.3;
        let ticks = ticks.into_iter().filter(|(tick, _)| *tick <= top);
        Scale {
            most: top,
            ticks: ticks.map(|(tick, text)| (tick, text.to_owned())).collect(),
            logarithmic: true,
        }
    }

    /// For rows of states.
    pub fn none() -> Self {
        Scale { most: 1.0, ticks: Vec::new(), logarithmic: false }
    }

    /// How high a value stands, from 0 to 1.
    fn height(&self, value: f64) -> f64 {
        let value = value.clamp(0.0, self.most);
        if self.logarithmic { value.max(1.0).ln() / self.most.ln() } else { value / self.most }
    }
}

/// A picture that is being drawn.
pub struct Frame {
    sheet: Sheet,
    width: f64,
    height: f64,
    left: f64,
    span: (Ms, Ms),
    zero: Ms,
    scale: Scale,
}

impl Frame {
    /// `width` is the whole picture's, `height` the strip's; `zero` is where its axis counts from.
    pub fn new(width: f64, height: f64, span: (Ms, Ms), zero: Ms, scale: Scale) -> Self {
        Frame { sheet: Sheet::default(), width, height, left: 54.0, span, zero, scale }
    }

    fn right(&self) -> f64 {
        self.width - 10.0
    }

    fn bottom(&self) -> f64 {
        HEAD + self.height
    }

    fn x(&self, at: Ms) -> f64 {
        let (from, to) = self.span;
        self.left + ((at - from) / (to - from).max(1.0)).clamp(0.0, 1.0) * (self.right() - self.left)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - self.scale.height(value) * self.height
    }

    /// What stands behind everything: the time in which the fault lasts, and the grid.
    pub fn ground(&mut self, fault: Option<(Ms, Ms)>) {
        if let Some((from, to)) = fault {
            let sides = [self.x(from), HEAD, self.x(to), self.bottom()];
            self.sheet.rect("during", sides);
        }
        for (tick, text) in self.scale.ticks.clone() {
            let y = self.y(tick);
            self.sheet.line("grid", [self.left, y, self.right(), y]);
            self.sheet.text(self.left - 5.0, y + 4.0, "dim", "end", &text);
        }
    }

    /// An area between two curves; `at` is where each of their points stands.
    pub fn area(&mut self, class: &str, floor: &[f64], roof: &[f64], at: impl Fn(usize) -> Ms) {
        if roof.iter().zip(floor).all(|(roof, floor)| roof <= floor) {
            return;
        }
        let upper = (0..roof.len()).map(|n| (self.x(at(n)), self.y(roof[n])));
        let lower = (0..floor.len()).rev().map(|n| (self.x(at(n)), self.y(floor[n])));
        let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
        self.sheet.points("polygon", class, &outline);
    }

    /// A bar; at least as wide and as high as can be seen.
    pub fn bar(&mut self, class: &str, (from, to): (Ms, Ms), (floor, roof): (f64, f64)) {
        if roof <= floor {
            return;
        }
        let (left, bottom) = (self.x(from), self.y(floor));
        let (right, top) = (self.x(to).max(left + 2.0), self.y(roof).min(bottom - 1.5));
        self.sheet.rect(class, [left, top, right, bottom]);
    }

    /// A curve with gaps where there is no value.
    pub fn curve(&mut self, class: &str, points: impl Iterator<Item = (Ms, Option<f64>)>) {
        let mut part = Vec::new();
        for (at, value) in points.chain([(self.span.1, None)]) {
            match value {
                Some(value) => part.push((self.x(at), self.y(value))),
                None => self.part(class, &mut part),
            }
        }
    }

    /// Values that hold until the next, with gaps. No more corners than there are pixels.
    pub fn steps(&mut self, class: &str, steps: &Steps<f64>) {
        let mut part: Vec<(f64, f64)> = Vec::new();
        for (n, (at, value)) in steps.iter().enumerate() {
            let until = steps.get(n + 1).map_or(self.span.1, |(next, _)| *next);
            let Some(value) = value else {
                self.part(class, &mut part);
                continue;
            };
            let (left, right, y) = (self.x(*at), self.x(until), self.y(*value));
            // What begins and ends within a pixel becomes one point, which stands where it stands out more:
            // higher up. The end of a longer step stays where it is.
            match part[..] {
                [.., before, last] if right - last.0 < 1.0 => {
                    if last.0 - before.0 >= 1.0 {
                        part.push((right, y));
                    } else if let Some(last) = part.last_mut() {
                        last.1 = last.1.min(y);
                    }
                }
                _ => part.extend([(left, y), (right, y)]),
            }
        }
        self.part(class, &mut part);
    }

    fn part(&mut self, class: &str, part: &mut Vec<(f64, f64)>) {
        if let [(x, y)] = part[..] {
            part.push((x + 1.5, y));
        }
        if !part.is_empty() {
            self.sheet.points("polyline", class, part);
        }
        part.clear();
    }

    /// A row of states at `top` below the strip's head: its name above, each state's word where it fits.
    pub fn band(&mut self, top: f64, name: &str, steps: &Steps<(String, &'static str)>) {
        let top = HEAD + top;
        let room = ((self.right() - self.left) / LETTER) as usize;
        self.sheet.text(self.left, top + 11.0, "dim", "start", &shortened(name, room));
        for (n, (at, state)) in steps.iter().enumerate() {
            let until = steps.get(n + 1).map_or(self.span.1, |(next, _)| *next);
            let (left, right) = (self.x(*at), self.x(until));
            let (word, class) =
                state.as_ref().map_or(("", "silent"), |(word, class)| (word.as_str(), *class));
            self.sheet.rect(class, [left, top + 15.0, right.max(left + 1.0), top + 30.0]);
            if right - left > LETTER * word.chars().count() as f64 + 8.0 {
                self.sheet.text(left.midpoint(right), top + 26.5, &format!("on {class}"), "middle", word);
            }
        }
    }

    /// Draws the marks and the time axis over the rest.
    pub fn finish(mut self, class: &str, title: &str, marks: &[Mark]) -> String {
        // In order of weight: a name that would stand on another's is left out, its line is not.
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for mark in marks {
            let x = self.x(mark.at);
            self.sheet.line("mark", [x, HEAD - 3.0, x, self.bottom()]);
            let half = mark.name.len() as f64 * LETTER / 2.0;
            let middle = x.clamp(half, self.width - half);
            let place = (middle - half - 4.0, middle + half + 4.0);
            if taken.iter().all(|(from, to)| place.1 <= *from || place.0 >= *to) {
                self.sheet.text(middle, HEAD - 5.0, "head", "middle", mark.name);
                taken.push(place);
            }
        }
        let y = self.bottom();
        self.sheet.line("axis", [self.left, y, self.right(), y]);
        for (at, text) in self.seconds() {
            let x = self.x(at);
            self.sheet.line("axis", [x, y, x, y + 4.0]);
            // The outermost stand within the sheet.
            let half = text.chars().count() as f64 * LETTER / 2.0;
            self.sheet.text(x.min(self.width - half), y + 16.0, "dim", "middle", &text);
        }
        let (width, height) = (self.width, y + FOOT);
        let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        format!(
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-label=\"{title}\">{}</svg>",
            self.sheet.into_string()
        )
    }

    /// Round seconds from zero, as many as there is room for.
    fn seconds(&self) -> Vec<(Ms, String)> {
        let (from, to) = ((self.span.0 - self.zero) / 1000.0, (self.span.1 - self.zero) / 1000.0);
        let room = ((self.right() - self.left) / 56.0).max(2.0);
        let steps =
            [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];
        let step = steps.into_iter().find(|step| (to - from) / step <= room).unwrap_or(7200.0);
        let first = (from / step).ceil() as i64;
        let last = ((to / step).floor() as i64).min(first + 100);
        let digits = usize::from(step < 1.0);
        (first..=last)
            .map(|n| {
                let seconds = n as f64 * step;
                let sign = if seconds > 0.0 {
                    "+"
                } else if seconds < 0.0 {
                    "−"
                } else {
                    ""
                };
                (self.zero + seconds * 1000.0, format!("{sign}{:.digits$}", seconds.abs()))
            })
            .map(|(at, text)| (at, if text == "0" || text == "0.0" { "0 s".to_owned() } else { text }))
            .collect()
    }
}

fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corners of the only curve, as drawn.
    fn corners(steps: &Steps<f64>) -> Vec<(f64, f64)> {
        // One pixel stands for a second.
        let mut frame = Frame::new(164.0, 100.0, (0.0, 100_000.0), 0.0, Scale::percent());
        frame.steps("s0", steps);
        let svg = frame.sheet.into_string();
        let list = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let number = |text: &str| text.parse::<f64>().unwrap();
        list.split(' ')
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (number(x), number(y)))
            .collect()
    }

    #[test]
    fn a_long_step_stays_level_whatever_comes_after_it() {
        let ramp = (0..50).map(|n| (60_000.0 + 200.0 * f64::from(n), Some(f64::from(2 * n))));
        let steps: Steps<f64> = [(0.0, Some(0.0))].into_iter().chain(ramp).collect();
        let corners = corners(&steps);
        assert_eq!(corners[..2], [(54.0, 116.0), (114.0, 116.0)]);
        assert!(corners.len() < 40, "{corners:?}");
        // It goes up by the ramp, and only up.
        assert!(
            corners.windows(2).all(|pair| pair[1].1 <= pair[0].1 && pair[1].0 >= pair[0].0),
            "{corners:?}"
        );
    }

    #[test]
    fn seconds_are_round_and_few() {
        let frame = |width| Frame::new(width, 50.0, (0.0, 120_000.0), 20_000.0, Scale::none());
        let words = |width| frame(width).seconds().into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(words(340.0), ["0 s", "+30", "+60", "+90"]);
        assert_eq!(words(1040.0).len(), 13);
    }
}
