//! Which clusters a plugin configuration names that an Envoy configuration does not define.

use crate::{Problems, reader};
use evenkeel_policy::topology::Topology;
use serde_json::Value;
use std::collections::BTreeSet;

/// The clusters of a static Envoy configuration, YAML or JSON.
#[derive(Debug)]
pub struct Clusters {
    names: BTreeSet<String>,
    /// Whether more clusters may come from a control plane.
    dynamic: bool,
}

impl Clusters {
    /// Reads an Envoy configuration.
    ///
    /// # Errors
    /// It is not YAML, or not a bootstrap.
    pub fn read(bytes: &[u8]) -> Result<Clusters, Problems> {
        let value = reader::value(bytes)?;
        let list = value.pointer("/static_resources/clusters").and_then(Value::as_array);
        let dynamic = value.pointer("/dynamic_resources/cds_config").is_some()
            || value.pointer("/dynamic_resources/ads_config").is_some();
        if list.is_none() && !dynamic {
            return Err(Problems::single(
                "static_resources.clusters",
                "is missing: give an Envoy bootstrap, as `envoy -c` takes it",
                None,
            ));
        }
        let name = |cluster: &Value| cluster.get("name").and_then(Value::as_str).map(str::to_owned);
        Ok(Clusters { names: list.into_iter().flatten().filter_map(name).collect(), dynamic })
    }

    /// Whether a control plane may add clusters that this file does not show.
    pub fn may_grow(&self) -> bool {
        self.dynamic
    }
}

/// The named clusters that do not exist, each with the field that names it.
pub fn missing_clusters(topology: &Topology, clusters: &Clusters) -> Vec<(String, String)> {
    let mut named = Vec::new();
    for (index, region) in topology.regions.iter().enumerate() {
        named.push((format!("regions[{index}].cluster"), region.cluster.clone()));
        if region.health_cluster != region.cluster {
            named.push((format!("regions[{index}].health.cluster"), region.health_cluster.clone()));
        }
    }
    named.extend(topology.companion.iter().map(|c| ("companion.cluster".to_owned(), c.cluster.clone())));
    named.retain(|(_, name)| !clusters.names.contains(name));
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &[u8] =
        br#"{"regions": [{"name": "taiwan", "cluster": "taiwan", "health": {"cluster": "tw-ready"}},
        {"name": "japan", "cluster": "japan"}], "companion": {"cluster": "companion"}}"#;

    #[test]
    fn finds_what_is_missing_in_yaml_and_json() {
        let topology = Topology::from_json(PLUGIN).unwrap();
        let yaml =
            b"static_resources:\n  clusters:\n  - name: taiwan\n  - name: tw-ready\n  - {name: companion}\n";
        let json = br#"{"static_resources": {"clusters": [{"name": "japan"}, {"name": "taiwan"}]}}"#;
        let missing = |text: &[u8]| missing_clusters(&topology, &Clusters::read(text).unwrap());
        assert_eq!(missing(yaml), [("regions[1].cluster".to_owned(), "japan".to_owned())]);
        assert_eq!(
            missing(json),
            [
                ("regions[0].health.cluster".to_owned(), "tw-ready".to_owned()),
                ("companion.cluster".to_owned(), "companion".to_owned())
            ]
        );
    }

    #[test]
    fn says_what_is_no_bootstrap_and_what_may_grow() {
        assert!(
            Clusters::read(b"listeners: []").unwrap_err().to_string().contains("static_resources.clusters")
        );
        assert!(Clusters::read(b"a: [").is_err());
        let dynamic = Clusters::read(b"dynamic_resources: {cds_config: {ads: {}}}").unwrap();
        assert!(dynamic.may_grow());
    }
}
