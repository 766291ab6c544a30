//! What happened, in words: for logs, alerts and the status page.

use evenkeel_policy::database::{Event, NodeView, Role, View, Writer};
use std::time::SystemTime;

/// Something that happened to the database.
#[derive(Clone, Debug)]
pub struct Notice {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// What.
    pub event: Event,
    /// What and why, in one sentence with the nodes' names.
    pub words: String,
    /// The generation that it belongs to.
    pub generation: u64,
}

/// One sentence about an event, from what is known after it.
pub(super) fn words(event: &Event, view: &View, names: &[&str]) -> String {
    let name = |node: usize| names.get(node).copied().unwrap_or("a node that is gone");
    match event {
        Event::Reachable { node, reachable: true } => format!("{} answers", name(*node)),
        Event::Reachable { node, reachable: false } => {
            let why = view.nodes.get(*node).and_then(|node| node.error.as_deref());
            format!("{} is unreachable: {}", name(*node), why.unwrap_or("unknown"))
        }
        Event::Stale { node, timeline } => format!(
            "{} claims to write on timeline {timeline}, but timeline {} was seen: it gets no writes",
            name(*node),
            view.highest_timeline
        ),
        Event::Writer { from, to } => {
            let before = match from {
                Writer::Known { node, .. } => format!("it was {}", name(*node)),
                Writer::None => "there was none".to_owned(),
                Writer::Conflict { .. } => "there were two".to_owned(),
            };
            match to {
                Writer::Known { node, timeline } => {
                    format!("the writer is {} on timeline {timeline}; {before}", name(*node))
                }
                Writer::Conflict { nodes: (one, other), timeline } => format!(
                    "{} and {} both write on timeline {timeline}: neither gets a write until one is stopped",
                    name(*one),
                    name(*other)
                ),
                Writer::None => format!("there is no writer; {before}{}", why_not(*from, view)),
            }
        }
    }
}

/// Why the writer is one no more.
fn why_not(from: Writer, view: &View) -> String {
    let Writer::Known { node, timeline } = from else { return String::new() };
    match view.nodes.get(node) {
        None => ", which was taken out of the configuration".to_owned(),
        Some(NodeView { reachable: false, error, .. }) => {
            format!(", which is unreachable: {}", error.as_deref().unwrap_or("unknown"))
        }
        Some(NodeView { role: Some(Role::Replica), .. }) => ", which is a replica now".to_owned(),
        Some(_) if timeline < view.highest_timeline => {
            format!(" on timeline {timeline}, but timeline {} was seen", view.highest_timeline)
        }
        Some(_) => String::new(),
    }
}
