//! What of a companion's `/v1/status` a journal keeps.

use crate::journal::CompanionView;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The page.
pub const PAGE: &str = "/v1/status";

#[derive(Deserialize)]
struct Status {
    readiness: Readiness,
    #[serde(default)]
    checks: Vec<Check>,
    database: Option<Database>,
}

#[derive(Deserialize)]
struct Readiness {
    status: String,
    components: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
struct Component {
    status: String,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    kind: String,
    share: f64,
}

#[derive(Deserialize)]
struct Database {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    name: String,
    writer: bool,
    reachable: bool,
    lag_ms: Option<f64>,
}

/// Reads the page; none if it is not one.
pub fn read(page: &str) -> Option<CompanionView> {
    let status: Status = serde_json::from_str(page).ok()?;
    let nodes = status.database.map(|database| database.nodes).unwrap_or_default();
    let down = status.readiness.components.into_iter().filter(|(_, component)| component.status != "UP");
    let regions = status.checks.into_iter().filter(|check| check.kind == "region");
    let lag = nodes.iter().filter_map(|node| Some((node.name.clone(), node.lag_ms? / 1000.0)));
    Some(CompanionView {
        ready: status.readiness.status == "UP",
        down: down.map(|(name, _)| name).collect(),
        writer: nodes.iter().find(|node| node.writer).map(|node| node.name.clone()),
        lag: lag.collect(),
        unreachable: nodes.iter().filter(|node| !node.reachable).map(|node| node.name.clone()).collect(),
        dns: regions.map(|check| (check.name, check.share)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_whatever_else_stands_on_it() {
        let view = read(
            r#"{"service": "shop", "readiness": {"status": "DOWN", "region": "taiwan", "components": {
                "redis": {"status": "DOWN", "required": true}, "kafka": {"status": "UP", "required": false}}},
              "checks": [{"name": "taiwan", "kind": "region", "share": 40, "up": true},
                         {"name": "search", "kind": "asked", "share": 100}],
              "database": {"writer": "a", "nodes": [
                {"name": "a", "writer": true, "reachable": true, "lag_ms": null},
                {"name": "b", "writer": false, "reachable": false, "lag_ms": 1500}]}}"#,
        );
        let expected = CompanionView {
            ready: false,
            down: vec!["redis".to_owned()],
            writer: Some("a".to_owned()),
            lag: BTreeMap::from([("b".to_owned(), 1.5)]),
            unreachable: vec!["b".to_owned()],
            dns: BTreeMap::from([("taiwan".to_owned(), 40.0)]),
        };
        assert_eq!(view, Some(expected));
        assert_eq!(read("rubbish"), None);
    }
}
