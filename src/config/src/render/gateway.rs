//! Manifests for Envoy Gateway.
//!
//! Field names were compared with the CustomResourceDefinitions of Envoy Gateway 1.9.0. No Envoy
//! Gateway was run; the Envoy features it maps them to (priorities, `previous_priorities`, early
//! header mutation) are those that were measured for the bootstrap of Envoy 1.36.

use super::{cluster, retry, route, seconds, wasm, yaml};
use crate::{File, HostPort, Plan, Problem, Problems, Region};
use evenkeel_policy::error::FieldError;
use serde_json::{Value, json};

/// An HTTPRoute holds 16 rules: one for each order of two regions, one for each region, the default.
const MAX_REGIONS: usize = 3;

/// What an HTTPRoute can match besides the idempotent methods.
const OTHER_METHODS: [&str; 3] = ["POST", "PATCH", "CONNECT"];

const COMMENT: &str = "\
Written by `evenkeel render envoy-gateway`; change the topology file instead.

Apply it beside a Gateway of the service's name. It needs the Backend API
(extensionApis.enableBackend: true in EnvoyGateway's own configuration).
Each order of two regions is a rule whose second backend is a fallback: the filter's headers choose
the rule, and numAttemptsPerPriority: 1 sends the retry to the fallback, so the retry in another
region needs no patch. What it cannot do: a VM that panicked stays away (this API has no
FAIL_RELOAD), so requests fail until the proxy restarts unless failOpen lets them pass to the
default rule, as here. A readiness address or a companion of its own has no cluster here: regions
are probed at their own address, and no companion is told. With hop, the application sees the mark.";

/// The manifests, as YAML, for the namespace they will be applied to: Envoy Gateway names its
/// clusters after it.
///
/// # Errors
/// The regions that have no address, and more than three regions.
pub fn envoy_gateway(plan: &Plan, module: &str, namespace: &str) -> Result<String, Problems> {
    let file = &plan.file;
    cluster::all(plan)?;
    if file.regions.len() > MAX_REGIONS {
        let error = FieldError {
            field: "regions".to_owned(),
            value: format!("{} regions", file.regions.len()),
            remedy: format!(
                "at most {MAX_REGIONS} here: an HTTPRoute holds 16 rules; use render envoy or istio"
            ),
        };
        return Err(Problems(vec![Problem { error, place: None }]));
    }
    let mut documents = Vec::new();
    for region in &file.regions {
        documents.push(backend(file, region, false));
        if file.regions.len() > 1 {
            documents.push(backend(file, region, true));
        }
    }
    for safe in [true, false] {
        documents.push(http_route(file, namespace, safe));
        documents.push(traffic_policy(file, namespace, safe));
    }
    documents.push(client_policy(file, namespace));
    documents.push(extension_policy(plan, module, namespace));
    let head = format!(
        "Evenkeel for {}{} on Envoy Gateway, namespace {namespace}.\n{COMMENT}{}",
        file.service,
        wasm::place(plan),
        wasm::secret_note(plan)
    );
    Ok(yaml::documents(&head, &documents))
}

fn backend_name(file: &File, region: &Region, fallback: bool) -> String {
    format!("{}-{}{}", file.service, region.name, if fallback { "-fallback" } else { "" })
}

fn backend(file: &File, region: &Region, fallback: bool) -> Value {
    let addresses = cluster::addresses(file, region);
    let endpoint = |address: &&HostPort| match address.ip() {
        Some(_) => json!({"ip": {"address": address.host(), "port": address.port()}}),
        None => json!({"fqdn": {"hostname": address.host(), "port": address.port()}}),
    };
    let mut spec = json!({"endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>()});
    if fallback {
        spec["fallback"] = true.into();
    }
    if region.http2 {
        spec["appProtocols"] = json!(["gateway.envoyproxy.io/h2c"]);
    }
    if let Some(tls) = cluster::tls_of(file, region) {
        let name = tls.sni.as_deref().or(addresses.first().map(|a| a.host())).unwrap_or_default();
        spec["tls"] = json!({"sni": name, "wellKnownCACertificates": "System"});
    }
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": {"name": backend_name(file, region, fallback)},
        "spec": spec
    })
}

fn route_name(file: &File, safe: bool) -> String {
    format!("{}-{}", file.service, if safe { "safe-to-repeat" } else { "never-twice" })
}

/// The rules: first each region alone, whose place names its cluster; then the orders of two; last
/// the default.
fn http_route(file: &File, namespace: &str, safe: bool) -> Value {
    let more = file.safe_methods.iter().map(String::as_str).filter(|method| OTHER_METHODS.contains(method));
    let methods: Vec<&str> = retry::IDEMPOTENT.iter().copied().chain(more).collect();
    let header = |name: &str, value: &str| json!({"name": name, "value": value});
    let reference = |region: &Region, fallback: bool| {
        json!({
            "group": "gateway.envoyproxy.io",
            "kind": "Backend",
            "name": backend_name(file, region, fallback)
        })
    };
    let rule = |headers: Vec<Value>, backends: Vec<Value>| {
        let one = |method: Option<&&str>| {
            let mut each = json!({"path": {"type": "PathPrefix", "value": "/"}});
            if !headers.is_empty() {
                each["headers"] = headers.clone().into();
            }
            if let Some(method) = method {
                each["method"] = (*method).into();
            }
            each
        };
        let matches: Vec<Value> =
            if safe { methods.iter().map(|method| one(Some(method))).collect() } else { vec![one(None)] };
        json!({"matches": matches, "backendRefs": backends})
    };
    let mut rules = Vec::new();
    for region in &file.regions {
        rules.push(rule(vec![header("x-evenkeel-region", &region.name)], vec![reference(region, false)]));
    }
    for first in &file.regions {
        for second in file.regions.iter().filter(|second| second.name != first.name) {
            rules.push(rule(
                vec![header("x-evenkeel-region", &first.name), header("x-evenkeel-fallback", &second.name)],
                vec![reference(first, false), reference(second, true)],
            ));
        }
    }
    let local = file.regions.iter().find(|r| file.is_local(r)).or(file.regions.first());
    rules.push(rule(Vec::new(), local.map(|region| reference(region, false)).into_iter().collect()));
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": route_name(file, safe), "namespace": namespace},
        "spec": {"parentRefs": [{"name": file.service}], "rules": rules}
    })
}

fn traffic_policy(file: &File, namespace: &str, safe: bool) -> Value {
    let edge = &file.edge;
    let retry_on = if safe {
        let failed: Vec<u16> = (500..600).filter(|status| *status != 501 && *status != 505).collect();
        json!({
            "triggers": ["connect-failure", "reset", "refused-stream", "retriable-status-codes",
                         "deadline-exceeded", "internal", "unavailable"],
            "httpStatusCodes": failed
        })
    } else {
        json!({"triggers": ["connect-failure", "refused-stream", "reset-before-request"]})
    };
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {"name": route_name(file, safe), "namespace": namespace},
        "spec": {
            "targetRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route_name(file, safe)}
            ],
            "retry": {
                "numRetries": 1,
                "numAttemptsPerPriority": 1,
                "perRetry": {
                    "timeout": milliseconds(edge.per_try_timeout),
                    "backOff": {"baseInterval": "1ms", "maxInterval": "10ms"}
                },
                "retryOn": retry_on
            },
            "timeout": {
                "tcp": {"connectTimeout": milliseconds(edge.connect_timeout)},
                "http": {
                    "requestTimeout": milliseconds(edge.request_timeout),
                    "connectionIdleTimeout": milliseconds(edge.idle_timeout)
                }
            },
            "circuitBreaker": {
                "maxConnections": edge.max_connections,
                "maxPendingRequests": edge.max_pending_requests,
                "maxParallelRequests": edge.max_requests,
                "maxParallelRetries": edge.max_retries
            }
        }
    })
}

/// Gateway API's durations have no fractions.
fn milliseconds(span: evenkeel_policy::time::Millis) -> String {
    if span.get().is_multiple_of(1000) { seconds(span) } else { format!("{}ms", span.get()) }
}

fn client_policy(file: &File, namespace: &str) -> Value {
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "ClientTrafficPolicy",
        "metadata": {"name": format!("evenkeel-{}", file.service), "namespace": namespace},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": file.service}],
            "headers": {"earlyRequestHeaders": {"remove": route::FORBIDDEN}}
        }
    })
}

fn extension_policy(plan: &Plan, module: &str, namespace: &str) -> Value {
    let file = &plan.file;
    let mut settings = plan.settings.clone();
    for (index, region) in settings.regions.iter_mut().enumerate() {
        region.cluster = format!("httproute/{namespace}/{}/rule/{index}", route_name(file, true));
        if let Some(health) = &mut region.health {
            health.cluster = None;
        }
    }
    settings.companion = None;
    let code = match module.strip_prefix("oci://") {
        Some(image) => json!({"type": "Image", "image": {"url": image}}),
        None => json!({"type": "HTTP", "http": {"url": module}}),
    };
    json!({
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyExtensionPolicy",
        "metadata": {"name": format!("evenkeel-{}", file.service), "namespace": namespace},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": file.service}],
            "wasm": [{
                "name": wasm::FILTER_NAME,
                "rootID": wasm::FILTER_NAME,
                "code": code,
                "failOpen": true,
                "config": serde_json::to_value(&settings).unwrap_or_default()
            }]
        }
    })
}
