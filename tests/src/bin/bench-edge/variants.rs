//! What is compared: edges that differ in nothing but the route and the filter before it.
//!
//! All are made from one rendering of `evenkeel render envoy`: the same listener, connection
//! manager, clusters and limits. Every variant spreads connections over the workers exactly, since
//! an unlucky spread would be measured as if it were work.

use crate::envoy::free_port;
use evenkeel_config::Plan;
use evenkeel_config::render::{self, FilterSource};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// One edge to measure.
pub struct Variant {
    /// Its name on the command line and in the results.
    pub id: String,
    /// What it is, for people.
    pub title: String,
    /// Envoy's bootstrap.
    pub bootstrap: Value,
    /// Whether it sends a country to the region that claims it.
    pub by_country: bool,
}

/// What the variants are made of.
pub struct Parts {
    /// The filter.
    pub module: PathBuf,
    /// The filter that does nothing.
    pub empty: PathBuf,
    /// Further builds of the filter, by name, to be compared with the first.
    pub builds: Vec<(String, PathBuf)>,
    /// The region Taiwan.
    pub taiwan: SocketAddr,
    /// The region Japan.
    pub japan: SocketAddr,
    /// The companion.
    pub companion: SocketAddr,
}

/// All variants, in the order of the report.
///
/// # Errors
/// If a rendering fails.
pub fn all(parts: &Parts) -> anyhow::Result<Vec<Variant>> {
    let default = |module: &Path| render(&default_topology(parts, module)?);
    let mut variants = Vec::new();
    let mut add = |id: &str, title: &str, by_country, bootstrap| {
        variants.push(Variant { id: id.to_owned(), title: title.to_owned(), bootstrap, by_country });
    };

    add("a", "static route", false, {
        let mut edge = default(&parts.module)?;
        replace(&mut edge, json!({"cluster": "taiwan"}), None);
        edge
    });
    add("a2", "Evenkeel's route, no filter", false, {
        let mut edge = default(&parts.module)?;
        filters(&mut edge).remove(0);
        edge
    });
    add("b", "weighted clusters 60/40", false, {
        let mut edge = default(&parts.module)?;
        let clusters = json!([{"name": "taiwan", "weight": 60}, {"name": "japan", "weight": 40}]);
        replace(&mut edge, json!({"weighted_clusters": {"clusters": clusters}}), None);
        edge
    });
    add("c", "Lua: country, else weighted", true, {
        let mut edge = default(&parts.module)?;
        replace(&mut edge, json!({"cluster_header": "x-region"}), Some(lua()));
        edge
    });
    add("d", "empty wasm filter", false, {
        let mut edge = default(&parts.module)?;
        let empty = wasm_of(&mut edge, &parts.empty);
        replace(&mut edge, json!({"cluster": "taiwan"}), Some(empty));
        edge
    });
    add("e", "Evenkeel, defaults", true, default(&parts.module)?);
    add("f", "Evenkeel, every feature", true, render(&full_topology(parts)?)?);
    for (name, module) in &parts.builds {
        add(name, &format!("Evenkeel, defaults, {name}"), true, default(module)?);
    }
    Ok(variants)
}

fn render(topology: &Value) -> anyhow::Result<Value> {
    let plan = Plan::read(&serde_json::to_vec(topology)?, Path::new("."), None).map_err(|problems| {
        anyhow::anyhow!("{}", problems.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    let text = render::bootstrap(&plan, &FilterSource::Static)
        .map_err(|problems| anyhow::anyhow!("the bootstrap cannot be rendered: {problems:?}"))?;
    let mut edge: Value = serde_saphyr::from_str(&text)?;
    edge["static_resources"]["listeners"][0]["connection_balance_config"] = json!({"exact_balance": {}});
    Ok(edge)
}

/// Two regions with countries; everything else as it is when nothing is said.
fn default_topology(parts: &Parts, module: &Path) -> anyhow::Result<Value> {
    Ok(json!({
        "service": "bench",
        "local_region": "taiwan",
        "regions": [
            {"name": "taiwan", "weight": 60, "countries": ["TW"], "address": parts.taiwan.to_string()},
            {"name": "japan", "weight": 40, "countries": ["JP"], "address": parts.japan.to_string()}
        ],
        "edge": {
            "listen": format!("127.0.0.1:{}", free_port()?),
            "admin": format!("127.0.0.1:{}", free_port()?),
            "module": module.display().to_string()
        }
    }))
}

/// Everything that costs time at a request, at once.
fn full_topology(parts: &Parts) -> anyhow::Result<Value> {
    let mut topology = default_topology(parts, &parts.module)?;
    topology["regions"][1]["edge"] = true.into();
    topology["regions"][0]["continents"] = json!(["OC"]);
    topology["routing"] = json!({
        "continent_header": "x-continent",
        "sticky": {"source": "cookie", "name": "session", "seed": "bench-edge"}
    });
    topology["trusted_proxies"] = json!(["10.0.0.0/8", "192.168.0.0/16", "127.0.0.0/8", "::1"]);
    topology["debug_header"] = true.into();
    topology["hop"] = json!({"secret": "bench-edge-0123456789"});
    topology["companion"] = json!({"address": parts.companion.to_string()});
    topology["safe_methods"] = json!(["POST"]);
    Ok(topology)
}

/// What someone would write who wants the country's region, else a weighted one, and no more.
fn lua() -> Value {
    let script = r#"
local claimed = {TW = "taiwan", JP = "japan"}
function envoy_on_request(handle)
  local headers = handle:headers()
  local country = headers:get("x-country-code")
  local region = country and claimed[string.upper(country)]
  if not region then
    region = math.random() < 0.6 and "taiwan" or "japan"
  end
  headers:replace("x-region", region)
end
"#;
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": script}
        }
    })
}

/// Evenkeel's filter with another module, in a VM of its own.
fn wasm_of(edge: &mut Value, module: &Path) -> Value {
    let mut filter = filters(edge)[0].clone();
    let config = &mut filter["typed_config"]["config"];
    config["vm_config"]["code"]["local"]["filename"] = module.display().to_string().into();
    filter
}

/// A native edge: one plain route, and at most one filter before the router.
fn replace(edge: &mut Value, action: Value, filter: Option<Value>) {
    let filters = filters(edge);
    filters.remove(0);
    filters.splice(0..0, filter);
    let manager = manager(edge);
    manager["early_header_mutation_extensions"] = json!([]);
    manager["route_config"] = json!({
        "name": "native",
        "virtual_hosts": [{
            "name": "bench",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": action}]
        }]
    });
}

fn filters(edge: &mut Value) -> &mut Vec<Value> {
    // The rendering always has them; a change of its shape shows at once in every run.
    manager(edge)["http_filters"].as_array_mut().expect("the rendering has HTTP filters")
}

fn manager(edge: &mut Value) -> &mut Value {
    let filters = &mut edge["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
    let last = filters.as_array().map_or(0, |filters| filters.len().saturating_sub(1));
    &mut filters[last]["typed_config"]
}
