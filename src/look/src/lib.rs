//! How Evenkeel's pages look: the companion's status page and the chaos reports are of one hand.
//!
//! It owns colours, type, states and tables. It must never know what a page tells.

use maud::{Markup, html};

/// The style that all pages share; a page's own comes after it.
pub const STYLE: &str = include_str!("style.css");

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
            Tone::Good => "✓",
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

/// A table's cell: its column's name goes with it where the table becomes a list (on phones).
pub fn cell(column: &str, content: Markup) -> Markup {
    html! { td role="cell" data-label=(column) { div { (content) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_a_sign_beside_its_colour_and_no_two_are_alike() {
        let all = [Tone::Good, Tone::Odd, Tone::Bad, Tone::Plain];
        let signs: std::collections::BTreeSet<_> = all.iter().map(|tone| tone.sign()).collect();
        assert_eq!(signs.len(), all.len());
        for tone in all {
            assert!(STYLE.contains(&format!(".state.{} {{ color:", tone.class())), "{tone:?} has no colour");
        }
        let bad = state(Tone::Bad, "<down>").into_string();
        assert_eq!(bad, r#"<span class="state bad"><span aria-hidden="true">✕ </span>&lt;down&gt;</span>"#);
    }

    #[test]
    fn a_cell_carries_its_columns_name_for_narrow_screens() {
        let rows = html! { tr role="row" { (cell("Verdict", html! { "held" })) } };
        let table = table(html! { "Criteria" }, &["Verdict"], rows).into_string();
        assert!(table.contains(r#"<th role="columnheader" scope="col">Verdict</th>"#), "{table}");
        assert!(table.contains(r#"<td role="cell" data-label="Verdict"><div>held</div></td>"#), "{table}");
        assert!(STYLE.contains("content: attr(data-label)"));
    }
}
