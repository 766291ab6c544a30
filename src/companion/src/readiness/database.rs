//! The database component: one of the region's own nodes answers, in any role (`rules.md`).

use evenkeel_policy::database::{Role, View};
use evenkeel_policy::time::{Millis, Time};
use serde::{Deserialize, Serialize};

/// What readiness shows of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// The node that counts: the region's freshest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub node: Option<String>,
    /// Its role.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// Whether a writer is known anywhere. Never the reason for a 503: it would take every region out
    /// at once.
    pub writer: super::Status,
}

/// Looks for a local node that was heard of within `timeout`: how long ago, or why there is none.
pub fn check(
    view: &View,
    local: &[usize],
    names: &[String],
    timeout: Millis,
    now: Time,
) -> (Result<Millis, String>, Local) {
    let name = |node: usize| names.get(node).cloned().unwrap_or_default();
    let writer = if view.writer().is_some() { super::Status::Up } else { super::Status::Down };
    let nodes = local.iter().filter_map(|index| view.nodes.get(*index).map(|node| (*index, node)));
    let heard = nodes
        .clone()
        .filter(|(_, node)| node.reachable && node.role.is_some())
        .filter_map(|(index, node)| node.sampled_at.map(|at| (now.since(at), index, node.role)))
        .min_by_key(|(age, ..)| *age);
    match heard {
        Some((age, index, role)) if age <= timeout => {
            (Ok(age), Local { node: Some(name(index)), role, writer })
        }
        Some((age, index, _)) => {
            let reason = format!("{} was last heard of {age} ago", name(index));
            (Err(reason), Local { node: None, role: None, writer })
        }
        None => {
            let reasons: Vec<String> = nodes
                .map(|(index, node)| {
                    format!("{}: {}", name(index), node.error.as_deref().unwrap_or("not heard of yet"))
                })
                .collect();
            (
                Err(format!("no local node answers: {}", reasons.join("; "))),
                Local { node: None, role: None, writer },
            )
        }
    }
}
