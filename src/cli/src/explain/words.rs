//! An explanation as text.

use super::answer::Explanation;
use crate::text::section;
use std::fmt::Write;
use std::slice::from_ref;

/// The whole explanation, ready to print.
pub fn text(explanation: &Explanation) -> String {
    let mut out = String::new();
    let request = &explanation.request;
    let mut who = request.country.clone().unwrap_or_else(|| "an unknown country".to_owned());
    if let Some(continent) = &request.continent {
        let _ = write!(who, " ({continent})");
    }
    if let Some(key) = &request.key {
        let _ = write!(who, ", key {key:?}");
    }
    section(&mut out, "Request", &[format!("{} from {who}", request.method)]);
    section(&mut out, "Goes to", from_ref(&explanation.goes_to));
    section(&mut out, "Because", from_ref(&explanation.why));
    section(&mut out, "On failure", from_ref(&explanation.on_failure));
    let spread: Vec<String> = explanation
        .spread
        .iter()
        .map(|part| format!("{:.1} % {} ({})", part.per_cent, part.region, part.reason))
        .collect();
    if !spread.is_empty() {
        section(&mut out, "All such", &[format!("{} – this one was drawn at 0.5.", spread.join(", "))]);
    }
    let regions: Vec<String> = explanation
        .regions
        .iter()
        .map(|region| {
            let health = if region.healthy { "healthy" } else { "unhealthy" };
            let breaker = region.breaker.replace('_', "-");
            format!(
                "{} {}. ({health}, breaker {breaker}, share {} %)",
                region.region, region.says, region.share
            )
        })
        .collect();
    section(&mut out, "Regions", &regions);
    let none = ["none in force".to_owned()];
    section(&mut out, "Orders", if explanation.orders.is_empty() { &none } else { &explanation.orders });
    section(&mut out, "To change", &explanation.change);
    section(&mut out, "State", from_ref(&explanation.state_from));
    section(&mut out, "Not known", &explanation.unknown);
    out
}
