//! Which attempt goes where, and what may be sent twice.
//!
//! Measured on Envoy 1.36.4 (aggregate clusters), 1.39.3 and 1.40.0 (routes that choose anew):
//!
//! - A method that is safe to repeat gets its one retry, in the other region, after a refused or
//!   reset connection, a per-try time-out and every 5xx but 501 and 505. `retriable-headers` over
//!   `:status` takes one regular expression; `retriable-status-codes` would need 98 numbers.
//! - `reset` covers the per-try time-out: Envoy resets that attempt itself.
//! - Any other method is sent again only if nothing of it was sent. A POST whose connection is
//!   closed after it was read (503) or that hangs (504) reaches exactly one region, once.
//! - The header that says which attempt this is still reads `1` when the retry picks its cluster,
//!   and is absent when the first attempt does.

use super::of_type;
use crate::{EnvoyVersion, File};
use serde_json::{Map, Value, json};

/// RFC 9110, section 9.2.2.
pub(super) const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

/// Failures of a call that may be repeated: gRPC's are statuses 4, 13 and 14, as in the breaker.
const RETRY_SAFE: &str =
    "connect-failure,reset,refused-stream,retriable-headers,deadline-exceeded,internal,unavailable";

/// Failures before anything was sent.
const RETRY_UNSENT: &str = "connect-failure,refused-stream,reset-before-request";

/// Every 5xx but 501 (it will not be implemented elsewhere either) and 505.
const FAILED_STATUS: &str = "5(?:0[02-46-9]|[1-9][0-9])";

/// Whether a retry can choose its cluster anew (`refresh_cluster_on_retry`).
pub(super) fn can_choose_anew(version: EnvoyVersion) -> bool {
    version >= EnvoyVersion::V1_39
}

/// The cluster of a first attempt in `first` and a retry in `second`, where the route cannot
/// choose anew.
pub(super) fn pair_name(first: &str, second: &str) -> String {
    format!("evenkeel/{first}/{second}")
}

/// A regular expression that matches the methods that are safe to repeat.
pub(super) fn safe_methods(file: &File) -> String {
    let escape = |method: &str| -> String {
        method
            .chars()
            .flat_map(|c| (!c.is_ascii_alphanumeric()).then_some('\\').into_iter().chain([c]))
            .collect()
    };
    let all = IDEMPOTENT.iter().copied().chain(file.safe_methods.iter().map(String::as_str));
    all.map(escape).collect::<Vec<_>>().join("|")
}

/// The retry policy of a route.
pub(super) fn policy(file: &File, safe: bool) -> Value {
    let mut policy = json!({
        "num_retries": 1,
        "retry_on": if safe { RETRY_SAFE } else { RETRY_UNSENT },
        "per_try_timeout": super::seconds(file.edge.per_try_timeout),
        // The retry goes elsewhere, so there is nobody to give time to. Envoy's own is 25ms.
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.010s"},
        // Where no other region is left, at least another address of this one.
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": of_type("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate")}
        }],
        "host_selection_retry_max_attempts": 3
    });
    if safe {
        policy["retriable_headers"] = json!([{
            "name": ":status",
            "string_match": {"safe_regex": {"regex": FAILED_STATUS}}
        }]);
    }
    if can_choose_anew(file.edge.envoy_version) {
        policy["refresh_cluster_on_retry"] = true.into();
    } else {
        policy["retry_priority"] = json!({
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": of_type("envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"),
                "update_frequency": 1
            }
        });
    }
    policy
}

/// Chooses the cluster of an attempt from the headers that the filter wrote.
///
/// `regions` are names with their clusters; `default` serves where the filter is absent.
pub(super) fn cluster_specifier(version: EnvoyVersion, regions: &[(&str, String)], default: &str) -> Value {
    let matcher = if can_choose_anew(version) { anew(regions, default) } else { pairs(regions, default) };
    json!({
        "extension": {
            "name": "envoy.router.cluster_specifier_plugin.matcher",
            "typed_config": {
                "@type": of_type("envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier"),
                "cluster_matcher": matcher
            }
        }
    })
}

/// First attempt: the region. Retry: the fallback; without one, the region again.
fn anew(regions: &[(&str, String)], default: &str) -> Value {
    let to = |(name, cluster): &(&str, String)| ((*name).to_owned(), action(cluster));
    let first = by_header("x-evenkeel-region", regions.iter().map(to), action(default));
    let retry = by_header("x-evenkeel-fallback", regions.iter().map(to), json!({"matcher": first}));
    json!({
        "matcher_list": {"matchers": [{
            "predicate": {"single_predicate": {
                "input": header("x-envoy-attempt-count"),
                // This matcher's regular expression is xds's own, which must name its engine.
                "value_match": {"safe_regex": {"google_re2": {}, "regex": "[0-9]+"}}
            }},
            "on_match": {"matcher": retry}
        }]},
        "on_no_match": {"matcher": first}
    })
}

/// The region and the fallback together name an aggregate cluster whose second priority the
/// retry takes.
fn pairs(regions: &[(&str, String)], default: &str) -> Value {
    let region = |(name, cluster): &(&str, String)| {
        let others = regions
            .iter()
            .filter(|(other, _)| other != name)
            .map(|(other, _)| ((*other).to_owned(), action(&pair_name(name, other))));
        let alone = action(cluster);
        let matcher = by_header("x-evenkeel-fallback", others, alone.clone());
        ((*name).to_owned(), if regions.len() > 1 { json!({"matcher": matcher}) } else { alone })
    };
    by_header("x-evenkeel-region", regions.iter().map(region), action(default))
}

fn by_header(name: &str, map: impl Iterator<Item = (String, Value)>, otherwise: Value) -> Value {
    let map: Map<String, Value> = map.collect();
    json!({
        "matcher_tree": {"input": header(name), "exact_match_map": {"map": map}},
        "on_no_match": otherwise
    })
}

fn header(name: &str) -> Value {
    json!({
        "name": "request-headers",
        "typed_config": {"@type": of_type("envoy.type.matcher.v3.HttpRequestHeaderMatchInput"), "header_name": name}
    })
}

fn action(cluster: &str) -> Value {
    json!({"action": {
        "name": "cluster",
        "typed_config": {
            "@type": of_type("envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction"),
            "cluster": cluster
        }
    }})
}
