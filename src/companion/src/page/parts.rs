//! Small pieces that all sections use.

use crate::clock;
use evenkeel_policy::time::Millis;
use maud::{Markup, html};

/// How something is: its colour and its sign, so that neither stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// Not as it should be, and bearable.
    Odd,
    /// Not as it should be.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    /// The class that colours it.
    pub const fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Odd => "odd",
            Tone::Bad => "bad",
            Tone::Plain => "plain",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Tone::Good => "●",
            Tone::Odd => "▲",
            Tone::Bad => "✕",
            Tone::Plain => "○",
        }
    }
}

/// A state in a word.
pub fn state(tone: Tone, word: &str) -> Markup {
    html! { span.state .(tone.class()) { span aria-hidden="true" { (tone.sign()) " " } (word) } }
}

/// A span of milliseconds for people.
pub fn span(ms: u64) -> String {
    clock::span(Millis::new(ms))
}

/// Bytes for people, in powers of 1024.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" || value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A table's cell: its column's name goes with it where the table becomes a list (on phones).
pub fn cell(column: &str, content: Markup) -> Markup {
    html! { td role="cell" data-label=(column) { div { (content) } } }
}

/// A table with its head; the caption says what it shows.
pub fn table(caption: Markup, columns: &[&str], rows: Markup) -> Markup {
    html! {
        table role="table" {
            caption { (caption) }
            thead role="rowgroup" {
                tr role="row" { @for column in columns { th role="columnheader" scope="col" { (column) } } }
            }
            tbody role="rowgroup" { (rows) }
        }
    }
}

/// A per cent as a bar and a number.
pub fn bar(percent: u8) -> Markup {
    let tone = match percent {
        0 => "bad",
        1..=99 => "odd",
        _ => "good",
    };
    html! {
        span.bar {
            svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
                rect.track width="100" height="8" rx="1" {}
                rect .(tone) width=(percent) height="8" rx="1" {}
            }
            (percent) " %"
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_told_in_powers_of_1024() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 kB"), (16 << 20, "16.0 MB"), (200 << 20, "200 MB")]
        {
            assert_eq!(super::bytes(bytes), text);
        }
    }
}
