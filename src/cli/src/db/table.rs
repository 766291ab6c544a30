//! The nodes as a table, what is wrong before it.

use evenkeel_companion::clock;
use evenkeel_companion::status::{Database, Node};
use evenkeel_policy::database::Role;
use evenkeel_policy::time::Millis;
use std::fmt::Write;

const HEAD: [&str; 7] = ["NODE", "REGION", "ROLE", "TIMELINE", "LAG", "CONNECTIONS", "STATE"];

/// Everything, as lines.
pub fn written(database: &Database) -> String {
    let mut text = String::new();
    if database.conflict {
        let _ = writeln!(
            text,
            "!! TWO WRITERS: {}. No write is accepted until one of them is gone.",
            database.writer
        );
    } else if !database.writer_known {
        let _ = writeln!(text, "!! NO WRITER is known, for {}.", span(database.writer_age_ms));
    }
    for node in database.nodes.iter().filter(|node| node.disputed && !database.conflict) {
        let _ = writeln!(
            text,
            "!! STALE WRITER: {} claims to write on timeline {}, but {} was seen. It gets no write: rebuild it as a replica.",
            node.name,
            node.timeline.map_or_else(|| "?".to_owned(), |timeline| timeline.to_string()),
            database.highest_timeline
        );
    }
    if database.figures.paused {
        text += "!! PAUSED by order: new statements wait until evenkeel db resume.\n";
    }
    let rows: Vec<[String; 7]> =
        database.nodes.iter().enumerate().map(|(index, node)| row(database, index, node)).collect();
    let mut widths = HEAD.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(&mut text, &HEAD.map(str::to_owned), &widths);
    rows.iter().for_each(|row| line(&mut text, row, &widths));
    for listener in &database.figures.listeners {
        let sessions: Vec<String> =
            listener.sessions.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let _ = writeln!(text, "listener {}: {}", listener.name, sessions.join(", "));
    }
    if database.figures.held_statements > 0 {
        let _ = writeln!(text, "{} statements wait for a writer", database.figures.held_statements);
    }
    text
}

fn row(database: &Database, index: usize, node: &Node) -> [String; 7] {
    let role = match node.role {
        _ if !node.reachable => "unreachable",
        Some(Role::Writer) if node.writer => "writer",
        Some(Role::Writer) => "CLAIMS TO WRITE",
        Some(Role::Replica) => "replica",
        None => "unknown",
    };
    let dash = || "-".to_owned();
    let lag = node.lag_ms.filter(|_| node.reachable && !node.writer).map_or_else(dash, span);
    let figures = database.figures.nodes.get(index);
    let connections = figures
        .and_then(|figures| Some((figures.connections?, figures.max_connections?)))
        .map_or_else(dash, |(now, most)| format!("{now}/{most}"));
    let mut state = format!("for {}", span(node.age_ms));
    if node.drained {
        state += ", drained";
        if let Some(rest) = node.drain_ms {
            let _ = write!(state, " for {} more", span(rest));
        }
    }
    if let Some(error) = node.error.as_ref().filter(|_| !node.reachable) {
        let _ = write!(state, ": {error}");
    }
    let timeline = node.timeline.map_or_else(dash, |timeline| timeline.to_string());
    let region = if node.local { format!("{} (local)", node.region) } else { node.region.clone() };
    [node.name.clone(), region, role.to_owned(), timeline, lag, connections, state]
}

fn line(text: &mut String, cells: &[String; 7], widths: &[usize; 7]) {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(line, "{cell:width$}  ");
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn span(ms: u64) -> String {
    clock::span(Millis::new(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_companion::database::{Figures, NodeFigures};

    fn node(name: &str, role: Role, writer: bool) -> Node {
        Node {
            name: name.to_owned(),
            region: "taiwan".to_owned(),
            address: "10.0.0.1:5432".to_owned(),
            local: true,
            writer,
            disputed: role == Role::Writer && !writer,
            role: Some(role),
            reachable: true,
            timeline: Some(3),
            lag_ms: (role == Role::Replica).then_some(120),
            lag_bytes: None,
            age_ms: 61_000,
            error: None,
            drained: false,
            drain_ms: None,
            in_use: 0,
            lag_history: Vec::new(),
        }
    }

    fn database(nodes: Vec<Node>) -> Database {
        Database {
            writer: "tw-a, timeline 3".to_owned(),
            writer_known: true,
            conflict: false,
            writer_age_ms: 5000,
            highest_timeline: 3,
            nodes,
            writers: Vec::new(),
            figures: Figures {
                nodes: vec![NodeFigures {
                    connections: Some(7),
                    max_connections: Some(100),
                    ..NodeFigures::default()
                }],
                ..Figures::default()
            },
        }
    }

    #[test]
    fn a_calm_database_is_a_plain_table() {
        let mut replica = node("tw-b", Role::Replica, false);
        (replica.drained, replica.drain_ms) = (true, Some(599_000));
        let text = written(&database(vec![node("tw-a", Role::Writer, true), replica]));
        assert_eq!(
            text,
            "NODE  REGION          ROLE     TIMELINE  LAG    CONNECTIONS  STATE\n\
             tw-a  taiwan (local)  writer   3         -      7/100        for 1m 1s\n\
             tw-b  taiwan (local)  replica  3         120ms  -            for 1m 1s, drained for 9m 59s more\n"
        );
    }

    #[test]
    fn conflicts_are_told_before_anything_else() {
        let mut two = database(vec![node("tw-a", Role::Writer, false), node("jp-a", Role::Writer, false)]);
        (two.conflict, two.writer_known) = (true, false);
        two.writer = "conflict: tw-a and jp-a on timeline 3".to_owned();
        let text = written(&two);
        assert!(text.starts_with("!! TWO WRITERS: conflict: tw-a and jp-a"), "{text}");
        assert_eq!(text.matches("CLAIMS TO WRITE").count(), 2);
        let mut stale = node("jp-a", Role::Writer, false);
        stale.timeline = Some(2);
        let text = written(&database(vec![node("tw-a", Role::Writer, true), stale]));
        assert!(
            text.starts_with("!! STALE WRITER: jp-a claims to write on timeline 2, but 3 was seen"),
            "{text}"
        );
    }
}
