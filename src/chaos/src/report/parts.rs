//! Small pieces that all sections use.

use crate::figures::Verdict;
use maud::{Markup, html};

/// How something is: its colour and its sign, so that neither stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As promised.
    Good,
    /// Not as it should be, and bearable.
    Odd,
    /// Not as promised.
    Bad,
}

impl Tone {
    /// The class that colours it.
    pub const fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Odd => "odd",
            Tone::Bad => "bad",
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Tone::Good => "✓",
            Tone::Odd => "▲",
            Tone::Bad => "✕",
        }
    }
}

/// A state in a word.
pub fn state(tone: Tone, word: &str) -> Markup {
    html! { span.state .(tone.class()) { span aria-hidden="true" { (tone.sign()) " " } (word) } }
}

/// A criterion's verdict.
pub fn held(verdict: Verdict) -> Markup {
    match verdict {
        Verdict::Held => state(Tone::Good, "held"),
        Verdict::Missed => state(Tone::Bad, "missed"),
    }
}

/// A section with its heading.
pub fn section(id: &str, title: &str, content: Markup) -> Markup {
    html! { section aria-labelledby=(id) { h2 id=(id) { (title) } (content) } }
}

/// A table's cell: its column's name goes with it where the table becomes a list (on phones).
pub fn cell(column: &str, content: Markup) -> Markup {
    html! { td role="cell" data-label=(column) { div { (content) } } }
}

/// A row's name.
pub fn name(content: Markup) -> Markup {
    html! { th role="rowheader" scope="row" { (content) } }
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

/// A name with what is to be said of it.
pub fn fact(term: &str, content: Markup) -> Markup {
    html! { div { dt { (term) } dd { (content) } } }
}

/// A place that people fill in, on paper or in their tracker.
pub fn fill(what: &str) -> Markup {
    html! { span.fill title="to fill in" { (what) } }
}

/// What is less important.
pub fn muted(text: &str) -> Markup {
    html! { span.muted { (text) } }
}
