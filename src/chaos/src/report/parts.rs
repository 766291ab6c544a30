//! Small pieces that all sections use.

pub use evenkeel_look::{Tone, cell, state, table};

use crate::figures::Verdict;
use maud::{Markup, html};

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

/// A row's name.
pub fn name(content: Markup) -> Markup {
    html! { th role="rowheader" scope="row" { (content) } }
}

/// A name with what is to be said of it.
pub fn fact(term: &str, content: Markup) -> Markup {
    html! { div { dt { (term) } dd { (content) } } }
}

/// A place that people fill in, on paper or in their tracker.
pub fn fill(what: &str) -> Markup {
    html! { span.fill title="to fill in" { (what) } }
}

/// Sentences, one below the other.
pub fn list(said: &[String]) -> Markup {
    html! { ul { @for one in said { li { (one) } } } }
}

/// What is less important.
pub fn muted(text: &str) -> Markup {
    html! { span.muted { (text) } }
}
