//! What is known of the database, as metrics.

use super::{Page, seconds};
use crate::database::Counts;
use crate::status::{Database, Node};
use crate::world::World;
use evenkeel_policy::database::Role;

/// Nodes, sessions, statistics.
pub(super) fn write(world: &World, page: &mut Page) {
    let Some(database) = world.status().database else { return };
    let labels = |node: &Node| vec![("region", node.region.clone()), ("node", node.name.clone())];
    let nodes = &database.nodes;
    page.gauges(
        "evenkeel_db_role",
        "What the node is: 0 not reachable, 1 replica, 2 writer (one that the rules do not believe counts as 0)",
        nodes.iter().map(|node| {
            let role = match node.role {
                _ if !node.reachable => 0.0,
                Some(Role::Writer) if node.writer => 2.0,
                Some(Role::Replica) => 1.0,
                _ => 0.0,
            };
            (labels(node), role)
        }),
    );
    page.gauges(
        "evenkeel_db_up",
        "1 if the node answers, else 0",
        nodes.iter().map(|node| (labels(node), f64::from(u8::from(node.reachable)))),
    );
    page.gauges(
        "evenkeel_db_writer_disputed",
        "1 if the node claims to be the writer and the rules do not believe it, else 0",
        nodes.iter().map(|node| (labels(node), f64::from(u8::from(node.disputed)))),
    );
    page.gauges(
        "evenkeel_db_drained",
        "1 if the node is out of use by order, else 0",
        nodes.iter().map(|node| (labels(node), f64::from(u8::from(node.drained)))),
    );
    page.gauges(
        "evenkeel_db_timeline",
        "The node's timeline",
        nodes.iter().filter_map(|node| Some((labels(node), f64::from(node.timeline?)))),
    );
    page.seconds(
        "evenkeel_db_replication_lag",
        "How old the last replayed transaction is",
        nodes.iter().filter_map(|node| Some((labels(node), seconds(node.lag_ms?)))),
    );
    page.gauges(
        "evenkeel_db_replication_lag_bytes",
        "Log that the replica has yet to replay",
        nodes.iter().filter_map(|node| Some((labels(node), node.lag_bytes? as f64))),
    );
    page.gauge(
        "evenkeel_db_writers",
        "Nodes that accept writes by the rules: 1, or 0 with none or two",
        f64::from(u8::from(database.writer_known)),
    );
    page.0.register(
        "evenkeel_db_writer_changes",
        "How often another node became the writer",
        world.counters.writer_changes.clone(),
    );
    node_statistics(&database, page);
    sessions(&database, page);
    router_counts(&database.figures.counts, page);
}

/// What the seed's alarms watch.
fn node_statistics(database: &Database, page: &mut Page) {
    let labels = |node: &Node| vec![("region", node.region.clone()), ("node", node.name.clone())];
    let nodes = || database.nodes.iter().zip(&database.figures.nodes);
    page.gauges(
        "evenkeel_db_connections",
        "Sessions on the node, whoever made them",
        nodes().filter_map(|(node, figures)| Some((labels(node), figures.connections? as f64))),
    );
    page.gauges(
        "evenkeel_db_max_connections",
        "The node's max_connections",
        nodes().filter_map(|(node, figures)| Some((labels(node), figures.max_connections? as f64))),
    );
    page.gauges(
        "evenkeel_db_active_sessions",
        "Sessions on the node that execute something",
        nodes().filter_map(|(node, figures)| Some((labels(node), figures.active_sessions? as f64))),
    );
    page.gauges(
        "evenkeel_db_wait_events",
        "Sessions on the node that wait, by type",
        nodes().flat_map(|(node, figures)| {
            figures.wait_events.iter().map(move |(kind, count)| {
                let mut labels = labels(node);
                labels.push(("type", kind.clone()));
                (labels, *count as f64)
            })
        }),
    );
    page.gauges(
        "evenkeel_db_slow_statements",
        "Statements whose mean time is above a second (pg_stat_statements)",
        nodes().filter_map(|(node, figures)| Some((labels(node), figures.slow_statements? as f64))),
    );
    page.seconds(
        "evenkeel_db_slowest_statement_mean",
        "The slowest statement's mean time (pg_stat_statements)",
        nodes().filter_map(|(node, figures)| Some((labels(node), figures.slowest_mean_ms? / 1000.0))),
    );
}

fn sessions(database: &Database, page: &mut Page) {
    let figures = &database.figures;
    page.gauges(
        "evenkeel_db_sessions",
        "Clients' sessions by listener and state",
        figures.listeners.iter().flat_map(|listener| {
            listener.sessions.iter().map(|(state, count)| {
                (vec![("listener", listener.name.clone()), ("state", state.clone())], *count as f64)
            })
        }),
    );
    page.gauges(
        "evenkeel_db_pool_connections",
        "Connections to the node by state: in_use, idle; waiting are sessions without one",
        figures.pools.iter().flat_map(|pool| {
            [("in_use", pool.in_use), ("idle", pool.idle), ("waiting", pool.waiting)].map(|(state, count)| {
                (vec![("node", pool.node.clone()), ("state", state.to_owned())], count as f64)
            })
        }),
    );
    page.gauge(
        "evenkeel_db_pinned_sessions",
        "Sessions that keep their node connection for state of theirs",
        figures.pinned as f64,
    );
    page.gauge(
        "evenkeel_db_held_statements",
        "Statements that wait for a writer",
        figures.held_statements as f64,
    );
    page.gauge(
        "evenkeel_db_held_bytes",
        "Bytes of the statements that wait for a writer",
        figures.held_bytes as f64,
    );
    page.counters(
        "evenkeel_db_holds",
        "Statements that waited for a writer, by what became of them",
        [("went_on", figures.held_total), ("timed_out", figures.held_timeouts_total)]
            .map(|(result, count)| (vec![("result", result.to_owned())], count)),
    );
    page.gauge(
        "evenkeel_db_paused",
        "1 if new statements are held by order, else 0",
        f64::from(u8::from(figures.paused)),
    );
}

fn router_counts(counts: &Counts, page: &mut Page) {
    page.counters(
        "evenkeel_db_exchanges",
        "Exchanges with a node: writer, local_replica, other_replica",
        counts.exchanges.iter().map(|(to, count)| (vec![("to", to.clone())], *count)),
    );
    page.counters(
        "evenkeel_db_replay_waits",
        "Reads that waited for a replica to replay, by what became of them",
        [
            ("replayed", counts.replay_waits.saturating_sub(counts.replay_timeouts)),
            ("timed_out", counts.replay_timeouts),
        ]
        .map(|(result, count)| (vec![("result", result.to_owned())], count)),
    );
    for (name, help, count) in [
        (
            "evenkeel_db_refused_near",
            "Statements that a replica refused as writes, and the writer then got",
            counts.refused_near,
        ),
        (
            "evenkeel_db_lost_transactions",
            "Transactions lost with their node before COMMIT",
            counts.lost_transactions,
        ),
    ] {
        page.counter(name, help, count);
    }
    page.counters(
        "evenkeel_db_lost_commits",
        "COMMITs and single writes whose answer was lost, by what is certain of them",
        [("committed", counts.commits_resolved), ("unknown", counts.commits_unknown)]
            .map(|(fate, count)| (vec![("fate", fate.to_owned())], count)),
    );
}
