//! Manifests for Istio's ingress gateway.
//!
//! Field names were compared with the CustomResourceDefinitions of istio/api at b8f8791 (July
//! 2026). The patches hold the very messages that Envoy itself loaded in the bootstrap; how an
//! Istio control plane merges them was read in its documentation, not run.

use super::{cluster, of_type, retry, route, seconds, stats, wasm, yaml};
use crate::{File, HostPort, Plan, Problems, Region, Tls};
use serde_json::{Value, json};

/// The port of the invented services; each endpoint brings its own.
const PORT: u16 = 80;

const COMMENT: &str = "\
Written by `evenkeel render istio`; change the topology file instead.

Apply it to the namespace of the ingress gateway, beside a Gateway of the service's name.
Each region is a ServiceEntry, so that its Envoy cluster has a name the filter can call.
The WasmPlugin loads the filter into the gateway; it decides, probes and sets the headers.
The EnvoyFilter is what Istio has no field for: the choice of the cluster by those headers, and
the retry in another region. That retry needs a proxy built on Envoy 1.39 or later. With an older
one the control plane's proxies reject `refresh_cluster_on_retry`: set edge.envoy_version to it,
and a retry stays in its region, while the filter goes on moving later requests.
The filter's metrics appear where the proxy's statsMatcher includes the prefix evenkeel.
With hop, the application sees the mark.";

/// The manifests, as YAML.
///
/// # Errors
/// The regions that have no address.
pub fn istio(plan: &Plan, module: &str) -> Result<String, Problems> {
    let file = &plan.file;
    cluster::all(plan)?;
    let mut documents = Vec::new();
    for region in &file.regions {
        let addresses = cluster::addresses(file, region);
        let host = host(file, &region.name);
        documents.push(service_entry(&region.name, &host, &addresses, region.http2));
        documents.push(destination_rule(
            file,
            region,
            &host,
            cluster::tls_of(file, region),
            addresses.first().copied(),
        ));
        if let Some(address) = &region.readiness.address {
            let name = format!("{}-readiness", region.name);
            documents.push(service_entry(&name, &self::host(file, &name), &[address], false));
        }
    }
    if let Some(companion) = &file.companion {
        documents.push(service_entry("companion", &host(file, "companion"), &[&companion.address], false));
    }
    documents.push(virtual_service(file));
    documents.push(wasm_plugin(plan, module));
    documents.push(envoy_filter(file));
    let head = format!(
        "Evenkeel for {}{} on Istio.\n{COMMENT}{}",
        file.service,
        wasm::place(plan),
        wasm::secret_note(plan)
    );
    Ok(yaml::documents(&head, &documents))
}

fn host(file: &File, name: &str) -> String {
    format!("{name}.{}.evenkeel.internal", file.service)
}

/// Istio's name for the Envoy cluster of a service.
fn cluster_name(file: &File, name: &str) -> String {
    format!("outbound|{PORT}||{}", host(file, name))
}

fn service_entry(name: &str, host: &str, addresses: &[&HostPort], http2: bool) -> Value {
    let by_name = addresses.iter().any(|address| address.ip().is_none());
    let endpoint = |a: &&HostPort| json!({"address": a.host(), "ports": {"http": a.port()}});
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": format!("evenkeel-{name}")},
        "spec": {
            "hosts": [host],
            "location": "MESH_EXTERNAL",
            "resolution": if by_name { "DNS" } else { "STATIC" },
            "ports": [{"name": "http", "number": PORT, "protocol": if http2 { "HTTP2" } else { "HTTP" }}],
            "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>()
        }
    })
}

fn destination_rule(
    file: &File,
    region: &Region,
    host: &str,
    tls: Option<&Tls>,
    address: Option<&HostPort>,
) -> Value {
    let edge = &file.edge;
    let mut policy = json!({"connectionPool": {
        "tcp": {"connectTimeout": seconds(edge.connect_timeout), "maxConnections": edge.max_connections},
        "http": {
            "http1MaxPendingRequests": edge.max_pending_requests,
            "http2MaxRequests": edge.max_requests,
            "maxRetries": edge.max_retries,
            "idleTimeout": seconds(edge.idle_timeout)
        }
    }});
    if let Some(tls) = tls {
        let name = tls.sni.as_deref().or(address.map(HostPort::host)).unwrap_or_default();
        policy["tls"] = json!({"mode": "SIMPLE", "sni": name, "subjectAltNames": [name]});
        if let Some(ca) = &tls.ca {
            policy["tls"]["caCertificates"] = ca.display().to_string().into();
        }
    }
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": format!("evenkeel-{}", region.name)},
        "spec": {"host": host, "trafficPolicy": policy}
    })
}

/// Two routes that the EnvoyFilter finds by their names; their destination is the default.
fn virtual_service(file: &File) -> Value {
    let local = file.regions.iter().find(|r| file.is_local(r)).or(file.regions.first());
    let destination = host(file, local.map_or("", |region| &region.name));
    let route = |name: &str| {
        json!({
            "name": name,
            "route": [{"destination": {"host": destination, "port": {"number": PORT}}}],
            "timeout": seconds(file.edge.request_timeout),
            // Istio's own retries would be merged with the patch's.
            "retries": {"attempts": 0}
        })
    };
    let mut safe = route("safe-to-repeat");
    safe["match"] = json!([{"method": {"regex": retry::safe_methods(file)}}]);
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": format!("evenkeel-{}", file.service)},
        "spec": {"hosts": ["*"], "gateways": [file.service], "http": [safe, route("never-twice")]}
    })
}

fn wasm_plugin(plan: &Plan, module: &str) -> Value {
    let mut settings = plan.settings.clone();
    for (region, source) in settings.regions.iter_mut().zip(&plan.file.regions) {
        region.cluster = cluster_name(&plan.file, &region.name);
        if let (Some(health), Some(_)) = (&mut region.health, &source.readiness.address) {
            health.cluster = Some(cluster_name(&plan.file, &format!("{}-readiness", region.name)));
        }
    }
    if let Some(companion) = &mut settings.companion {
        companion.cluster = cluster_name(&plan.file, "companion");
    }
    json!({
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": format!("evenkeel-{}", plan.file.service)},
        "spec": {
            "selector": {"matchLabels": {"istio": "ingressgateway"}},
            "type": "HTTP",
            "url": module,
            "failStrategy": "FAIL_RELOAD",
            "pluginName": wasm::FILTER_NAME,
            "pluginConfig": serde_json::to_value(&settings).unwrap_or_default()
        }
    })
}

fn envoy_filter(file: &File) -> Value {
    let regions: Vec<(&str, String)> =
        file.regions.iter().map(|r| (r.name.as_str(), cluster_name(file, &r.name))).collect();
    let local = file.regions.iter().find(|r| file.is_local(r)).or(file.regions.first());
    let default = cluster_name(file, local.map_or("", |region| &region.name));
    // Without a control plane's aggregate clusters there are no pairs to choose from, so an older
    // proxy gets the same choice of the first region and a retry that stays in it.
    let specifier = retry::cluster_specifier(crate::EnvoyVersion::V1_39, &regions, &default);
    let patch_route = |name: &str, safe: bool| {
        let mut policy = retry::policy(file, safe);
        if let (Some(map), false) = (policy.as_object_mut(), retry::can_choose_anew(file.edge.envoy_version))
        {
            map.remove("retry_priority");
        }
        json!({
            "applyTo": "HTTP_ROUTE",
            "match": {
                "context": "GATEWAY",
                "routeConfiguration": {"vhost": {"route": {"name": name, "action": "ROUTE"}}}
            },
            "patch": {"operation": "MERGE", "value": {"route": {
                "inline_cluster_specifier_plugin": specifier,
                "retry_policy": policy
            }}}
        })
    };
    let manager = "envoy.filters.network.http_connection_manager";
    json!({
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": format!("evenkeel-{}", file.service)},
        "spec": {
            "workloadSelector": {"labels": {"istio": "ingressgateway"}},
            "configPatches": [
                patch_route("safe-to-repeat", true),
                patch_route("never-twice", false),
                {
                    "applyTo": "VIRTUAL_HOST",
                    "match": {"context": "GATEWAY"},
                    "patch": {"operation": "MERGE", "value": {"include_request_attempt_count": true}}
                },
                {
                    "applyTo": "NETWORK_FILTER",
                    "match": {"context": "GATEWAY", "listener": {"filterChain": {"filter": {"name": manager}}}},
                    "patch": {"operation": "MERGE", "value": {
                        "name": manager,
                        "typed_config": {
                            "@type": of_type("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
                            "early_header_mutation_extensions": [route::early_mutation(file)]
                        }
                    }}
                },
                {
                    "applyTo": "BOOTSTRAP",
                    "patch": {"operation": "MERGE", "value": {"stats_config": {"stats_tags": stats::tags()}}}
                }
            ]
        }
    })
}
