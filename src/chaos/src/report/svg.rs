//! A sheet to draw on: the few shapes that plots are made of, as SVG.
//!
//! Written by hand rather than by a plotting library: those write colours into every element, and a
//! picture that follows the reader's colour scheme needs them in one style sheet.

use std::fmt::{Arguments, Write};

/// Where shapes are written down. Coordinates are rounded to a tenth.
#[derive(Debug, Default)]
pub struct Sheet(String);

impl Sheet {
    /// All that was drawn.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Something of the caller's own, already escaped.
    pub fn raw(&mut self, text: Arguments<'_>) {
        // Writing into a String cannot fail.
        self.0.write_fmt(text).ok();
        self.0.push('\n');
    }

    /// A text that begins, ends or has its middle (`start`, `end`, `middle`) at a point.
    pub fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.raw(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// A line between two points.
    pub fn line(&mut self, class: &str, [x1, y1, x2, y2]: [f64; 4]) {
        self.raw(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A rectangle by its sides.
    pub fn rect(&mut self, class: &str, [left, top, right, bottom]: [f64; 4]) {
        let (width, height) = ((right - left).max(0.0), (bottom - top).max(0.0));
        self.raw(format_args!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// A `polygon` or `polyline`.
    pub fn points(&mut self, element: &str, class: &str, points: &[(f64, f64)]) {
        let mut list = String::with_capacity(points.len() * 12);
        for (x, y) in points {
            write!(list, "{x:.1},{y:.1} ").ok();
        }
        self.raw(format_args!("<{element} class=\"{class}\" points=\"{}\"/>", list.trim_end()));
    }
}

/// A round end for a scale from 0 that must show `most`, and its ticks above 0.
pub fn scale(most: f64) -> (f64, Vec<f64>) {
    let steps = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0,
        10_000.0, 20_000.0, 50_000.0,
    ];
    let least = if most > 0.0 && most < 1.0 { 0 } else { 3 };
    let step = steps.into_iter().skip(least).find(|step| most / step <= 3.5).unwrap_or(100_000.0);
    let count = (most / step).ceil().clamp(1.0, 40.0);
    let top = most.max(step);
    (top * 1.02, (1..=count as usize).map(|n| n as f64 * step).filter(|tick| *tick <= top).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_just_above_the_highest_value() {
        assert_eq!(scale(0.0).1, [1.0]);
        assert_eq!(scale(0.25).1, [0.1, 0.2]);
        assert_eq!(scale(6.0).1, [2.0, 4.0, 6.0]);
        assert_eq!(scale(312.0).1, [100.0, 200.0, 300.0]);
        assert!(scale(312.0).0 > 312.0);
        assert_eq!(scale(44.0).1, [20.0, 40.0]);
    }

    #[test]
    fn words_stay_words() {
        let mut sheet = Sheet::default();
        sheet.text(0.0, 0.0, "dim", "start", "<script>&");
        assert!(sheet.into_string().contains(">&lt;script&gt;&amp;</text>"));
    }
}
