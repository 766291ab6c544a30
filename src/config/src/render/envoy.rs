//! The bootstrap of the Envoy at a region's ingress.
//!
//! Loaded by Envoy 1.36 to 1.40. What was measured stands beside what it decided, here and in
//! `retry`.

use super::{cluster, of_type, route, stats, wasm, yaml};
use crate::{EnvoyVersion, Plan, Problems};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What the statistics of requests are called by.
pub(super) const STAT_PREFIX: &str = "edge";

/// Where the bootstrap takes the filter from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterSource {
    /// The bootstrap itself: a change needs a restart.
    Static,
    /// [`wasm::ECDS_FILE`] in this directory: a change is loaded when the file is replaced.
    Ecds(PathBuf),
}

/// The bootstrap, as YAML.
///
/// # Errors
/// The regions that have no address.
pub fn bootstrap(plan: &Plan, source: &FilterSource) -> Result<String, Problems> {
    let file = &plan.file;
    let admin = socket(&file.edge.admin);
    let value = json!({
        "node": {
            "id": file.local_region.as_ref().map_or(file.service.clone(), |r| format!("{}-{r}", file.service)),
            "cluster": file.service
        },
        "admin": {"address": admin},
        "stats_config": {"stats_tags": stats::tags(), "histogram_bucket_settings": stats::buckets()},
        "static_resources": {
            "listeners": [listener(plan, source)],
            "clusters": cluster::all(plan)?
        }
    });
    let comment = format!(
        "Envoy {} or later at the ingress of {}{}.\n\
         Written by `evenkeel render envoy`; change the topology file instead.{}",
        file.edge.envoy_version,
        file.service,
        wasm::place(plan),
        wasm::secret_note(plan)
    );
    Ok(yaml::document(&comment, &value))
}

fn socket(address: &crate::HostPort) -> Value {
    json!({"socket_address": {"address": address.host(), "port_value": address.port()}})
}

fn listener(plan: &Plan, source: &FilterSource) -> Value {
    let mut filters = Vec::new();
    if !plan.file.trusted_proxies.is_empty() {
        filters.push(peer_address());
    }
    filters.push(json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": connection_manager(plan, source)
    }));
    json!({
        "name": "edge",
        "address": socket(&plan.file.edge.listen),
        "filter_chains": [{"filters": filters}]
    })
}

/// Notes once per connection who is at the other end. The filter cannot learn it otherwise:
/// `source.address` is what `x-forwarded-for` made of it.
fn peer_address() -> Value {
    json!({
        "name": "envoy.filters.network.set_filter_state",
        "typed_config": {
            "@type": of_type("envoy.extensions.filters.network.set_filter_state.v3.Config"),
            "on_new_connection": [{
                "object_key": "evenkeel.peer",
                "factory_key": "envoy.string",
                "format_string": {
                    "text_format_source": {"inline_string": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"}
                }
            }]
        }
    })
}

fn connection_manager(plan: &Plan, source: &FilterSource) -> Value {
    let mut filters: Vec<Value> = plan.file.edge.geoip.iter().map(|g| geoip(&g.database, plan)).collect();
    filters.push(match source {
        FilterSource::Static => json!({"name": wasm::FILTER_NAME, "typed_config": wasm::typed_config(plan)}),
        FilterSource::Ecds(directory) => discovered(directory),
    });
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": of_type("envoy.extensions.filters.http.router.v3.Router")}
    }));
    json!({
        "@type": of_type("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": STAT_PREFIX,
        "use_remote_address": true,
        "xff_num_trusted_hops": plan.file.edge.trusted_hops,
        "normalize_path": true,
        // A client that never ends its headers holds a connection for no longer.
        "request_headers_timeout": "10s",
        "early_header_mutation_extensions": [route::early_mutation(&plan.file)],
        "http_filters": filters,
        "route_config": route::configuration(&plan.file)
    })
}

/// Writes the country of the address that the trusted hops leave over.
fn geoip(database: &Path, plan: &Plan) -> Value {
    let headers = if plan.file.edge.envoy_version >= EnvoyVersion::V1_37 {
        "geo_field_keys"
    } else {
        "geo_headers_to_add"
    };
    json!({
        "name": "envoy.filters.http.geoip",
        "typed_config": {
            "@type": of_type("envoy.extensions.filters.http.geoip.v3.Geoip"),
            "provider": {
                "name": "envoy.geoip_providers.maxmind",
                "typed_config": {
                    "@type": of_type("envoy.extensions.geoip_providers.maxmind.v3.MaxMindConfig"),
                    // Country databases have the city databases' shape as far as this reads them.
                    "city_db_path": database.display().to_string(),
                    "common_provider_config": {headers: {"country": plan.file.routing.country_header}}
                }
            }
        }
    })
}

/// The filter from a file that Envoy watches. Until that file has given a valid filter, one that
/// does nothing stands in, so that the local region serves.
fn discovered(directory: &Path) -> Value {
    json!({
        "name": wasm::FILTER_NAME,
        "config_discovery": {
            "config_source": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": directory.join(wasm::ECDS_FILE).display().to_string(),
                    "watched_directory": {"path": directory.display().to_string()}
                },
                "initial_fetch_timeout": "5s"
            },
            "default_config": {"@type": of_type(NOTHING)},
            "type_urls": [of_type(wasm::FILTER_TYPE), of_type(NOTHING)]
        }
    })
}

/// A filter that, without mutations, does nothing.
const NOTHING: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";
