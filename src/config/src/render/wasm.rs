//! The filter as Envoy loads it.

use super::{of_type, yaml};
use crate::{EnvoyVersion, Plan};
use serde_json::{Map, Value, json};

/// The file that `render envoy --ecds DIR` makes Envoy watch.
pub const ECDS_FILE: &str = "ecds.yaml";

/// Everything the module may call and everything Envoy may call in it, found by leaving out one
/// after the other: what is missing fails at once, in the throw-away VM that tries a configuration,
/// or does nothing, silently. A new hostcall in `src/filter` needs its line here.
const CAPABILITIES: [&str; 31] = [
    // Called by Envoy. Without `proxy_on_delete` every request would leave its context behind.
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    "proxy_on_log",
    "proxy_on_delete",
    // Called by the module.
    "proxy_log",
    "proxy_get_current_time_nanoseconds",
    "proxy_set_tick_period_milliseconds",
    "proxy_get_shared_data",
    "proxy_set_shared_data",
    "proxy_get_property",
    "proxy_get_buffer_bytes",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_send_local_response",
    "proxy_http_call",
    "proxy_define_metric",
    "proxy_increment_metric",
    "proxy_record_metric",
    "proxy_set_effective_context",
    // Called by Rust's standard library; the last four when it panics.
    "clock_time_get",
    "random_get",
    "environ_get",
    "environ_sizes_get",
    "fd_write",
    "proc_exit",
];

/// Needed only to write `x-evenkeel-decision`. What is not listed Envoy does not call, which spares
/// every request a step into the VM.
const FOR_DEBUG_HEADER: &str = "proxy_on_response_headers";

/// The plugin configuration: the JSON that the filter reads.
pub fn plugin(plan: &Plan) -> String {
    // Settings hold no map with keys other than text, the one thing that JSON cannot write.
    let mut text = serde_json::to_string_pretty(&plan.settings).unwrap_or_default();
    text.push('\n');
    text
}

/// The ECDS file: the filter alone, for an edge that reloads it without a restart.
pub fn ecds(plan: &Plan) -> String {
    let comment = format!(
        "The Evenkeel filter of {}{}, for Envoy's extension discovery by file.\n\
         Written by `evenkeel render ecds`; change the topology file instead.\n\
         Envoy reloads it when the file is replaced by a rename (mv), not when it is written in place.{}",
        plan.file.service,
        place(plan),
        secret_note(plan)
    );
    let resource = json!({
        "version_info": plan.hash,
        "resources": [{
            "@type": of_type("envoy.config.core.v3.TypedExtensionConfig"),
            "name": FILTER_NAME,
            "typed_config": typed_config(plan)
        }]
    });
    yaml::document(&comment, &resource)
}

/// The filter's name in Envoy's filter chain.
pub(super) const FILTER_NAME: &str = "evenkeel";

/// The type of the filter's configuration.
pub(super) const FILTER_TYPE: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// The filter's configuration.
pub(super) fn typed_config(plan: &Plan) -> Value {
    let debug = plan.settings.debug_header.then_some(FOR_DEBUG_HEADER);
    let capabilities: Map<String, Value> =
        CAPABILITIES.into_iter().chain(debug).map(|name| (name.to_owned(), json!({}))).collect();
    let mut filter = json!({
        "@type": of_type(FILTER_TYPE),
        "config": {
            "name": FILTER_NAME,
            "root_id": FILTER_NAME,
            // A VM that panicked is replaced at the next request after the back-off.
            "failure_policy": "FAIL_RELOAD",
            "reload_config": {"backoff": {"base_interval": "1s"}},
            "vm_config": {
                // Also the name of the state that survives reloads, so two services on one Envoy
                // need two.
                "vm_id": format!("evenkeel-{}", plan.file.service),
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": plan.file.edge.module.display().to_string()}}
            },
            "configuration": {
                "@type": of_type("google.protobuf.StringValue"),
                "value": plugin(plan)
            }
        }
    });
    // Envoy 1.40 moved it to the VM; the older ones refuse it there.
    let restricted = if plan.file.edge.envoy_version >= EnvoyVersion::V1_40 {
        &mut filter["config"]["vm_config"]
    } else {
        &mut filter["config"]
    };
    restricted["capability_restriction_config"] = json!({"allowed_capabilities": capabilities});
    filter
}

/// ` in REGION`, if the edge stands in one.
pub(super) fn place(plan: &Plan) -> String {
    plan.file.local_region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default()
}

/// A line for the head of a file that holds the edges' secret.
pub(super) fn secret_note(plan: &Plan) -> &'static str {
    if plan.file.hop.is_some() || plan.file.routing.sticky.seed.is_some() {
        "\nIt holds secrets of this service's edges: keep it from other users' eyes."
    } else {
        ""
    }
}
