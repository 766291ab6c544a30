//! The clusters: one for each region, its readiness where that listens elsewhere, the companion.

use super::{of_type, retry, seconds};
use crate::{File, HostPort, Plan, Problems, Region, Tls};
use evenkeel_policy::error::FieldError;
use evenkeel_policy::settings::Hop;
use serde_json::{Value, json};

/// The trusted authorities of Debian, Ubuntu and Alpine.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// All clusters.
///
/// # Errors
/// The regions without an address.
pub(super) fn all(plan: &Plan) -> Result<Vec<Value>, Problems> {
    let file = &plan.file;
    let mut clusters = Vec::new();
    let mut missing = Problems::default();
    for (index, region) in file.regions.iter().enumerate() {
        let addresses = addresses(file, region);
        if addresses.is_empty() {
            let error = FieldError {
                field: format!("regions[{index}].address"),
                value: String::new(),
                remedy: format!(
                    "is missing: give region {}'s host:port, the edge has to call it",
                    region.name
                ),
            };
            missing.0.push(crate::Problem { error, place: None });
        }
        clusters.push(for_region(plan, region, &addresses));
        if let Some(address) = &region.readiness.address {
            clusters.push(plain(
                file,
                &region.readiness_cluster(),
                &[address],
                region.readiness.tls.as_ref(),
            ));
        }
    }
    if let Some(companion) = &file.companion {
        clusters.push(plain(file, &companion.cluster, &[&companion.address], None));
    }
    if !retry::can_choose_anew(file.edge.envoy_version) {
        clusters.extend(pairs(plan));
    }
    if missing.0.is_empty() { Ok(clusters) } else { Err(missing) }
}

/// Where this edge reaches the region: its own application, the other's edge if it has one.
pub(super) fn addresses<'a>(file: &File, region: &'a Region) -> Vec<&'a HostPort> {
    match &region.edge_address {
        Some(edge) if !file.is_local(region) => vec![edge],
        _ => region.address.iter().chain(&region.addresses).collect(),
    }
}

/// TLS towards what [`addresses`] gives.
pub(super) fn tls_of<'a>(file: &File, region: &'a Region) -> Option<&'a Tls> {
    region.tls.as_ref().filter(|_| region.edge_address.is_none() || !file.is_local(region))
}

fn for_region(plan: &Plan, region: &Region, addresses: &[&HostPort]) -> Value {
    let file = &plan.file;
    let mut cluster = plain(file, region.cluster(), addresses, tls_of(file, region));
    cluster["circuit_breakers"] = limits(file);
    let filters = plan.settings.hop.as_ref().map(|hop| upstream_filters(vec![hop_mark(file, region, hop)]));
    cluster["typed_extension_protocol_options"] = protocol(file, region.http2, filters);
    cluster
}

fn protocol(file: &File, http2: bool, filters: Option<Value>) -> Value {
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let mut options = json!({
        "@type": of_type(name),
        "common_http_protocol_options": {"idle_timeout": seconds(file.edge.idle_timeout)},
        "explicit_http_config":
            if http2 { json!({"http2_protocol_options": {}}) } else { json!({"http_protocol_options": {}}) }
    });
    if let Some(filters) = filters {
        options["http_filters"] = filters;
    }
    json!({name: options})
}

/// The filters of an attempt end with the one that sends it.
fn upstream_filters(mut filters: Vec<Value>) -> Value {
    filters.push(json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": of_type("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec")}
    }));
    filters.into()
}

/// Puts the hop mark on what goes to an edge and takes it off what goes to an application, whose
/// business the edges' secret is not.
///
/// Both, because all attempts of a request share its headers (measured on 1.36.4 to 1.40.0): what
/// the first attempt lost the retry lacks, and a retry that reaches an edge unmarked could come back.
fn hop_mark(file: &File, region: &Region, hop: &Hop) -> Value {
    let (name, secret) = ("x-evenkeel-hop", "x-evenkeel-hop-secret");
    // A single per cent sign would begin one of Envoy's own substitutions.
    let set = |key: &str, value: &str| {
        json!({"append": {
            "header": {"key": key, "value": value.replace('%', "%%")},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"
        }})
    };
    let mutations = if file.leads_to_an_edge(region) {
        let local = file.local_region.as_deref().unwrap_or_default();
        json!([set(name, local), set(secret, &hop.secret)])
    } else {
        json!([{"remove": name}, {"remove": secret}])
    };
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": of_type("envoy.extensions.filters.http.header_mutation.v3.HeaderMutation"),
            "mutations": {"request_mutations": mutations}
        }
    })
}

/// An aggregate's attempts pass through the aggregate's filters, not through those of the cluster
/// that each goes to (measured on 1.36.4 to 1.38.3), so the attempt's number has to decide.
fn not_on_attempt(attempt: &str, filter: Value) -> Value {
    json!({
        "name": format!("evenkeel-hop-but-{attempt}"),
        "typed_config": {
            "@type": of_type("envoy.extensions.common.matching.v3.ExtensionWithMatcher"),
            "extension_config": filter,
            "xds_matcher": {"matcher_tree": {
                "input": {
                    "name": "request-headers",
                    "typed_config": {
                        "@type": of_type("envoy.type.matcher.v3.HttpRequestHeaderMatchInput"),
                        "header_name": "x-envoy-attempt-count"
                    }
                },
                "exact_match_map": {"map": {attempt: {"action": {
                    "name": "skip",
                    "typed_config": {"@type": of_type("envoy.extensions.filters.common.matcher.action.v3.SkipFilter")}
                }}}}
            }}
        }
    })
}

fn plain(file: &File, name: &str, addresses: &[&HostPort], tls: Option<&Tls>) -> Value {
    let endpoint = |address: &&HostPort| {
        json!({"endpoint": {"address": {"socket_address": {
            "address": address.host(),
            "port_value": address.port()
        }}}})
    };
    let by_name = addresses.iter().any(|address| address.ip().is_none());
    let mut cluster = json!({
        "name": name,
        "type": if by_name { "STRICT_DNS" } else { "STATIC" },
        "connect_timeout": seconds(file.edge.connect_timeout),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>()}]
        }
    });
    if by_name {
        cluster["dns_lookup_family"] = "V4_PREFERRED".into();
    }
    if let Some(tls) = tls {
        cluster["transport_socket"] = upstream_tls(tls, addresses.first().copied());
    }
    cluster
}

/// The certificate must come from a trusted authority and bear the name that was asked for.
fn upstream_tls(tls: &Tls, address: Option<&HostPort>) -> Value {
    let name = tls.sni.as_deref().or(address.map(HostPort::host)).unwrap_or_default();
    let authorities = tls.ca.as_ref().map_or(SYSTEM_AUTHORITIES.into(), |path| path.display().to_string());
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": of_type("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"),
            "sni": name,
            "common_tls_context": {"validation_context": {
                "trusted_ca": {"filename": authorities},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": name}}]
            }}
        }
    })
}

/// Envoy's own limits exist to shield one upstream; here they would refuse the requests of a
/// whole region that has just lost its own.
fn limits(file: &File) -> Value {
    json!({"thresholds": [{
        "priority": "DEFAULT",
        "max_connections": file.edge.max_connections,
        "max_pending_requests": file.edge.max_pending_requests,
        "max_requests": file.edge.max_requests,
        "max_retries": file.edge.max_retries
    }]})
}

/// For each order of two regions an aggregate whose second priority is the second region.
fn pairs(plan: &Plan) -> Vec<Value> {
    let file = &plan.file;
    let mut clusters = Vec::new();
    for first in &file.regions {
        for second in file.regions.iter().filter(|second| second.name != first.name) {
            let mut cluster = json!({
                "name": retry::pair_name(&first.name, &second.name),
                "connect_timeout": seconds(file.edge.connect_timeout),
                "lb_policy": "CLUSTER_PROVIDED",
                "circuit_breakers": limits(file),
                "cluster_type": {
                    "name": "envoy.clusters.aggregate",
                    "typed_config": {
                        "@type": of_type("envoy.extensions.clusters.aggregate.v3.ClusterConfig"),
                        "clusters": [first.cluster(), second.cluster()]
                    }
                }
            });
            if let Some(hop) = &plan.settings.hop {
                let filters = upstream_filters(vec![
                    not_on_attempt("2", hop_mark(file, first, hop)),
                    not_on_attempt("1", hop_mark(file, second, hop)),
                ]);
                cluster["typed_extension_protocol_options"] = protocol(file, first.http2, Some(filters));
            }
            clusters.push(cluster);
        }
    }
    clusters
}
