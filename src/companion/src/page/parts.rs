//! Small pieces that all sections use.

pub use evenkeel_look::{Tone, cell, state, table};

use crate::clock;
use evenkeel_policy::time::Millis;
use maud::{Markup, html};

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
