//! `/primary` and `/replica?lag=` in Patroni's form, for load balancers that ask it.
//!
//! Patroni stands beside one node and answers for that; the companion answers for the region's own
//! nodes: 200 if one of them is what is asked for. `?node=NAME` asks for one node alone.

use crate::readiness::Seen;
use crate::settings::Settings;
use evenkeel_policy::database::Role;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the question may hold.
#[derive(Debug, Default, Deserialize)]
pub struct Question {
    /// A replica further behind does not count: `10MB`, `512kB`, `1GB` or bytes.
    pub lag: Option<String>,
    /// This node alone.
    pub node: Option<String>,
}

/// The answer.
pub type Answer = (u16, Value);

/// Reads a lag as Patroni does: a number of bytes, or one with a unit of PostgreSQL's, in powers of 1024.
///
/// # Errors
/// One sentence that shows the right forms.
pub fn lag(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = trimmed.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1 << 10,
        "mb" => 1 << 20,
        "gb" => 1 << 30,
        "tb" => 1 << 40,
        _ => 0,
    };
    let bytes =
        number.parse::<u64>().ok().filter(|_| factor > 0).and_then(|number| number.checked_mul(factor));
    bytes.ok_or_else(|| format!("lag: {text:?} is no number of bytes: write 10MB, 512kB, 1GB or 1048576"))
}

/// Whether one of the region's nodes is the writer.
pub fn primary(settings: &Settings, seen: Option<&Seen>, question: &Question) -> Answer {
    answer(settings, seen, question, |seen, node| seen.view.writer() == Some(node))
}

/// Whether one of the region's nodes is a replica that is near enough and not drained.
pub fn replica(settings: &Settings, seen: Option<&Seen>, question: &Question) -> Answer {
    let most = match question.lag.as_deref().map(lag).transpose() {
        Ok(most) => most,
        Err(problem) => return (400, json!({"error": problem})),
    };
    answer(settings, seen, question, |seen, node| {
        seen.view.nodes.get(node).is_some_and(|node| {
            let near = most.is_none_or(|most| node.lag_bytes.is_some_and(|lag| lag <= most));
            node.role == Some(Role::Replica) && !node.drained && near
        })
    })
}

fn answer(
    settings: &Settings,
    seen: Option<&Seen>,
    question: &Question,
    is: impl Fn(&Seen, usize) -> bool,
) -> Answer {
    let nodes = settings.nodes();
    let local = settings.local_nodes();
    let named = |index: &usize| {
        let name = nodes.get(*index).map(|node| node.name.as_str());
        question.node.as_deref().is_none_or(|wanted| name == Some(wanted))
    };
    let candidates: Vec<usize> = local.iter().copied().filter(named).collect();
    let Some(seen) = seen.filter(|_| !candidates.is_empty()) else {
        let known: Vec<&str> =
            local.iter().filter_map(|index| nodes.get(*index)).map(|node| node.name.as_str()).collect();
        return match &question.node {
            Some(wanted) if !known.is_empty() => {
                let problem =
                    format!("node: {wanted:?} is not one of {}'s: {}", settings.region, known.join(", "));
                (404, json!({"error": problem}))
            }
            _ => (404, json!({"error": format!("region {} has no database node", settings.region)})),
        };
    };
    let reachable = |index: &usize| seen.view.nodes.get(*index).is_some_and(|node| node.reachable);
    let found = candidates.iter().copied().find(|index| reachable(index) && is(seen, *index));
    // Who is not what is asked for still says what it is, as Patroni does.
    let shown = found.or_else(|| candidates.first().copied());
    let status = if found.is_some() { 200 } else { 503 };
    let body = shown.and_then(|index| Some(described(seen, index, nodes.get(index)?)));
    (status, body.unwrap_or_else(|| json!({})))
}

fn described(seen: &Seen, index: usize, node: &evenkeel_config::database::Node) -> Value {
    let Some(view) = seen.view.nodes.get(index) else { return json!({}) };
    let lsn = view.lsn.map(|lsn| lsn.0);
    let (role, xlog) = match view.role {
        Some(Role::Writer) if seen.view.writer() == Some(index) => ("primary", json!({"location": lsn})),
        // It says so itself, but the rules do not believe it.
        Some(Role::Writer) => ("uninitialized", json!({"location": lsn})),
        Some(Role::Replica) => ("replica", json!({"replayed_location": lsn})),
        None => ("uninitialized", json!({})),
    };
    json!({
        "state": if view.reachable { "running" } else { "stopped" },
        "role": role,
        "timeline": view.timeline,
        "xlog": xlog,
        "lag": view.lag_bytes,
        "patroni": {"name": node.name, "scope": node.region},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lags_are_read_as_patroni_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1_048_576),
            ("10MB", 10 << 20),
            ("512kB", 512 << 10),
            ("1 GB", 1 << 30),
            ("1gb", 1 << 30),
            ("5B", 5),
        ] {
            assert_eq!(lag(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "MB", "-1", "1.5MB", "10 potatoes", "99999999999999999999", "99999999999TB"] {
            assert!(lag(wrong).unwrap_err().contains("10MB"), "{wrong}");
        }
    }
}
