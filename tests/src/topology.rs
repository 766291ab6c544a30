//! Topologies for tests: the file's own fields, merged over defaults that make tests quick.

use crate::{RegionProcess, parts, region::Region};
use evenkeel_config::Plan;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

/// What a region of a topology needs to tell of itself.
pub trait Place {
    /// Its name.
    fn place_name(&self) -> &str;
    /// Where it listens.
    fn place_address(&self) -> SocketAddr;
}

impl Place for Region {
    fn place_name(&self) -> &str {
        self.name()
    }
    fn place_address(&self) -> SocketAddr {
        self.address()
    }
}

impl Place for RegionProcess {
    fn place_name(&self) -> &str {
        self.name()
    }
    fn place_address(&self) -> SocketAddr {
        self.address()
    }
}

/// A topology file in the making.
#[derive(Clone, Debug)]
pub struct Topology(Value);

impl Topology {
    /// Taiwan (60, TW) and Japan (40, JP), or as many of them and others as are given, with the
    /// product's defaults and the decision shown on responses.
    pub fn with_defaults(regions: &[&dyn Place]) -> Self {
        let regions: Vec<Value> = regions
            .iter()
            .map(|region| {
                let (weight, countries) = match region.place_name() {
                    "taiwan" => (60, json!(["TW"])),
                    "japan" => (40, json!(["JP"])),
                    _ => (20, json!([])),
                };
                json!({
                    "name": region.place_name(),
                    "address": region.place_address().to_string(),
                    "weight": weight,
                    "countries": countries
                })
            })
            .collect();
        Topology(json!({
            "service": "shop",
            "local_region": "taiwan",
            "regions": regions,
            "debug_header": true,
            "edge": {"module": parts::wasm().display().to_string(), "envoy_version": version()}
        }))
    }

    /// The same with short intervals, where a test is not about the defaults. Latencies stay
    /// generous: the machine may be busy.
    pub fn of(regions: &[&dyn Place]) -> Self {
        Topology::with_defaults(regions).with(json!({
            "health_check": {"interval": "250ms", "timeout": "1s", "max_age": "5s", "max_latency": "800ms"},
            "circuit_breaker": {"wait_duration_in_open_state": "1s"},
            "failback": {"hold": "500ms", "ramp": "2s"}
        }))
    }

    /// Merges fields over what is there: maps field by field, anything else as a whole.
    pub fn with(mut self, fields: Value) -> Self {
        merge(&mut self.0, fields);
        self
    }

    /// Merges fields over one region.
    ///
    /// # Panics
    /// If there is no such region.
    pub fn with_region(mut self, name: &str, fields: Value) -> Self {
        let regions = self.0["regions"].as_array_mut().expect("regions");
        let region = regions.iter_mut().find(|region| region["name"] == name).expect("a region of this name");
        merge(region, fields);
        self
    }

    /// With the module that panics at a request with the header `x-crash-test`.
    pub fn crashable(self) -> Self {
        self.with(json!({"edge": {"module": parts::wasm_crash().display().to_string()}}))
    }

    /// A field that was set, by its JSON pointer.
    pub fn field(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    /// Reads and checks it as `evenkeel` does.
    ///
    /// # Panics
    /// If it is not valid.
    pub fn plan(&self) -> Plan {
        let text = self.0.to_string();
        match Plan::read(text.as_bytes(), Path::new("."), None) {
            Ok(plan) => plan,
            Err(problems) => panic!("the test's topology is not valid: {problems:?}\n{text}"),
        }
    }
}

/// The rendering for the Envoy under test; a newer one than is known loads the newest rendering.
fn version() -> String {
    let (major, minor) = parts::envoy_version().min((1, 40));
    format!("{major}.{minor}")
}

fn merge(into: &mut Value, fields: Value) {
    match (into, fields) {
        (Value::Object(into), Value::Object(fields)) => {
            for (name, value) in fields {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}
