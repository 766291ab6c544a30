//! The manifests use only fields that exist.
//!
//! Each path below was compared with the published schemas, together with types, enumerations and
//! required fields: istio/api at b8f8791 (July 2026), Envoy Gateway 1.9.0 and the Gateway API that
//! it ships. A rendering that uses another field fails here until somebody has looked it up.

use evenkeel_config::{Plan, render};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const VERIFIED: &str = "
Backend.spec.appProtocols
Backend.spec.endpoints.fqdn.hostname
Backend.spec.endpoints.fqdn.port
Backend.spec.endpoints.ip.address
Backend.spec.endpoints.ip.port
Backend.spec.fallback
Backend.spec.tls.sni
Backend.spec.tls.wellKnownCACertificates
BackendTrafficPolicy.spec.circuitBreaker.maxConnections
BackendTrafficPolicy.spec.circuitBreaker.maxParallelRequests
BackendTrafficPolicy.spec.circuitBreaker.maxParallelRetries
BackendTrafficPolicy.spec.circuitBreaker.maxPendingRequests
BackendTrafficPolicy.spec.retry.numAttemptsPerPriority
BackendTrafficPolicy.spec.retry.numRetries
BackendTrafficPolicy.spec.retry.perRetry.backOff.baseInterval
BackendTrafficPolicy.spec.retry.perRetry.backOff.maxInterval
BackendTrafficPolicy.spec.retry.perRetry.timeout
BackendTrafficPolicy.spec.retry.retryOn.httpStatusCodes
BackendTrafficPolicy.spec.retry.retryOn.triggers
BackendTrafficPolicy.spec.targetRefs.group
BackendTrafficPolicy.spec.targetRefs.kind
BackendTrafficPolicy.spec.targetRefs.name
BackendTrafficPolicy.spec.timeout.http.connectionIdleTimeout
BackendTrafficPolicy.spec.timeout.http.requestTimeout
BackendTrafficPolicy.spec.timeout.tcp.connectTimeout
ClientTrafficPolicy.spec.headers.earlyRequestHeaders.remove
ClientTrafficPolicy.spec.targetRefs.group
ClientTrafficPolicy.spec.targetRefs.kind
ClientTrafficPolicy.spec.targetRefs.name
DestinationRule.spec.host
DestinationRule.spec.trafficPolicy.connectionPool.http.http1MaxPendingRequests
DestinationRule.spec.trafficPolicy.connectionPool.http.http2MaxRequests
DestinationRule.spec.trafficPolicy.connectionPool.http.idleTimeout
DestinationRule.spec.trafficPolicy.connectionPool.http.maxRetries
DestinationRule.spec.trafficPolicy.connectionPool.tcp.connectTimeout
DestinationRule.spec.trafficPolicy.connectionPool.tcp.maxConnections
DestinationRule.spec.trafficPolicy.tls.caCertificates
DestinationRule.spec.trafficPolicy.tls.mode
DestinationRule.spec.trafficPolicy.tls.sni
DestinationRule.spec.trafficPolicy.tls.subjectAltNames
EnvoyExtensionPolicy.spec.targetRefs.group
EnvoyExtensionPolicy.spec.targetRefs.kind
EnvoyExtensionPolicy.spec.targetRefs.name
EnvoyExtensionPolicy.spec.wasm.code.image.url
EnvoyExtensionPolicy.spec.wasm.code.type
EnvoyExtensionPolicy.spec.wasm.config
EnvoyExtensionPolicy.spec.wasm.failOpen
EnvoyExtensionPolicy.spec.wasm.name
EnvoyExtensionPolicy.spec.wasm.rootID
EnvoyFilter.spec.configPatches.applyTo
EnvoyFilter.spec.configPatches.match.context
EnvoyFilter.spec.configPatches.match.listener.filterChain.filter.name
EnvoyFilter.spec.configPatches.match.routeConfiguration.vhost.route.action
EnvoyFilter.spec.configPatches.match.routeConfiguration.vhost.route.name
EnvoyFilter.spec.configPatches.patch.operation
EnvoyFilter.spec.configPatches.patch.value
EnvoyFilter.spec.workloadSelector.labels.istio
HTTPRoute.spec.parentRefs.name
HTTPRoute.spec.rules.backendRefs.group
HTTPRoute.spec.rules.backendRefs.kind
HTTPRoute.spec.rules.backendRefs.name
HTTPRoute.spec.rules.matches.headers.name
HTTPRoute.spec.rules.matches.headers.value
HTTPRoute.spec.rules.matches.method
HTTPRoute.spec.rules.matches.path.type
HTTPRoute.spec.rules.matches.path.value
ServiceEntry.spec.endpoints.address
ServiceEntry.spec.endpoints.ports.http
ServiceEntry.spec.hosts
ServiceEntry.spec.location
ServiceEntry.spec.ports.name
ServiceEntry.spec.ports.number
ServiceEntry.spec.ports.protocol
ServiceEntry.spec.resolution
VirtualService.spec.gateways
VirtualService.spec.hosts
VirtualService.spec.http.match.method.regex
VirtualService.spec.http.name
VirtualService.spec.http.retries.attempts
VirtualService.spec.http.route.destination.host
VirtualService.spec.http.route.destination.port.number
VirtualService.spec.http.timeout
WasmPlugin.spec.failStrategy
WasmPlugin.spec.pluginConfig
WasmPlugin.spec.pluginName
WasmPlugin.spec.selector.matchLabels.istio
WasmPlugin.spec.type
WasmPlugin.spec.url
";

/// Whose content is the filter's or Envoy's own.
const OPAQUE: [&str; 3] = [
    "WasmPlugin.spec.pluginConfig",
    "EnvoyExtensionPolicy.spec.wasm.config",
    "EnvoyFilter.spec.configPatches.patch.value",
];

const TOPOLOGIES: [&str; 2] = [
    include_str!("../../../envoy/evenkeel.yaml"),
    "
service: shop
local_region: taiwan
safe_methods: [POST, MOVE]
hop: {secret: 0123456789abcdef}
companion: {address: \"127.0.0.1:9902\"}
regions:
- {name: taiwan, addresses: [\"10.0.0.1:80\", \"[fd00::1]:81\"], http2: true, edge_address: \"tw.example.com:443\",
   readiness: {address: \"10.0.0.2:8081\", path: /ready}, tls: {}}
- {name: japan, address: \"10.1.0.1:80\", edge_address: \"jp.example.com:443\",
   tls: {sni: jp.example.com, ca: /etc/ca.pem}, readiness: {address: \"jp.example.com:8443\", tls: {}}}
- {name: seoul, address: \"seoul.example.com:8080\", edge: true}
edge: {trusted_hops: 1, per_try_timeout: 1500ms}
",
];

fn plan(yaml: &str) -> Plan {
    Plan::read(yaml.as_bytes(), Path::new("."), None).unwrap_or_else(|problems| panic!("{problems}"))
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("it is YAML")
}

fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !OPAQUE.contains(&path) => {
            map.iter().for_each(|(key, value)| paths(value, &format!("{path}.{key}"), found));
        }
        Value::Array(list) => list.iter().for_each(|value| paths(value, path, found)),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn every_field_was_looked_up() {
    let mut found = BTreeSet::new();
    for topology in TOPOLOGIES {
        let plan = plan(topology);
        let istio = render::istio(&plan, render::MODULE_URL).unwrap();
        let gateway = render::envoy_gateway(&plan, render::MODULE_URL, "default").unwrap();
        for document in [documents(&istio), documents(&gateway)].concat() {
            let kind = document["kind"].as_str().expect("each has a kind").to_owned();
            paths(&document["spec"], &format!("{kind}.spec"), &mut found);
        }
    }
    let verified: BTreeSet<String> = VERIFIED.split_whitespace().map(str::to_owned).collect();
    assert_eq!(found, verified);
}

/// A cluster that the plugin names has to be one that the other manifests make.
#[test]
fn the_plugin_names_clusters_that_exist() {
    let plan = plan(TOPOLOGIES[1]);
    let istio = documents(&render::istio(&plan, render::MODULE_URL).unwrap());
    let hosts: Vec<String> = istio
        .iter()
        .filter(|d| d["kind"] == "ServiceEntry")
        .map(|d| format!("outbound|80||{}", d["spec"]["hosts"][0].as_str().unwrap()))
        .collect();
    let plugin = istio.iter().find(|d| d["kind"] == "WasmPlugin").unwrap();
    let settings = plugin["spec"]["pluginConfig"].clone();
    let mut named: Vec<Value> = settings["regions"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| [r["cluster"].clone(), r["health"]["cluster"].clone()])
        .filter(|name| !name.is_null())
        .collect();
    named.push(settings["companion"]["cluster"].clone());
    assert_eq!(named.len(), 6);
    for name in named {
        assert!(hosts.contains(&name.as_str().unwrap().to_owned()), "{name} is not among {hosts:?}");
    }
    let topology = evenkeel_policy::topology::Topology::from_json(settings.to_string().as_bytes());
    assert!(topology.is_ok(), "{topology:?}");

    let gateway = documents(&render::envoy_gateway(&plan, render::MODULE_URL, "edge").unwrap());
    let policy = gateway.iter().find(|d| d["kind"] == "EnvoyExtensionPolicy").unwrap();
    let route = gateway.iter().find(|d| d["kind"] == "HTTPRoute").unwrap();
    for (index, region) in
        policy["spec"]["wasm"][0]["config"]["regions"].as_array().unwrap().iter().enumerate()
    {
        let name = format!("httproute/edge/{}/rule/{index}", route["metadata"]["name"].as_str().unwrap());
        assert_eq!(region["cluster"], name);
        let backends = route["spec"]["rules"][index]["backendRefs"].as_array().unwrap();
        assert_eq!(backends.len(), 1, "a probe must not fall back");
        assert_eq!(backends[0]["name"], format!("shop-{}", region["name"].as_str().unwrap()));
    }
}

#[test]
fn a_route_that_would_be_too_long_is_refused() {
    let regions: String = (0..4).map(|i| format!("- {{name: r{i}, address: \"10.0.0.{i}:80\"}}\n")).collect();
    let plan = plan(&format!("service: shop\nregions:\n{regions}"));
    let error = render::envoy_gateway(&plan, render::MODULE_URL, "default").unwrap_err().to_string();
    assert!(error.contains("regions: 4 regions: at most 3"), "{error}");
    assert!(render::istio(&plan, render::MODULE_URL).is_ok());
}
