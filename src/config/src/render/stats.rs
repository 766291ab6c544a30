//! How the filter's metrics get their labels.
//!
//! The filter can only name a metric; labels stand in the name
//! (`evenkeel_requests_total.region.taiwan.outcome.ok`) and Envoy cuts them out. Envoy tries every
//! tag on every statistic it has, so each expression begins with what only ours begin with.

use serde_json::{Value, json};

/// The labels of `design.md`'s metrics.
const LABELS: [&str; 9] = ["region", "outcome", "reason", "from", "to", "cause", "result", "hash", "version"];

/// `stats_config.stats_tags`.
pub(super) fn tags() -> Value {
    let tag = |label: &&str| {
        // A version alone has dots in it; it ends its metric's name.
        let value = if *label == "version" { ".+" } else { "[^.]+" };
        json!({
            "tag_name": label,
            "regex": format!("^(?:wasmcustom\\.)?evenkeel_[a-z_]+(?:\\.[a-z]+\\.[^.]+)*?(\\.{label}\\.({value}))")
        })
    };
    LABELS.iter().map(tag).collect()
}

/// `stats_config.histogram_bucket_settings`: probe times in milliseconds. Envoy's own buckets reach
/// to an hour; a probe ends at its time-out.
pub(super) fn buckets() -> Value {
    json!([{
        "match": {"prefix": "wasmcustom.evenkeel_health_check_duration_ms"},
        "buckets": [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 3000, 10000]
    }])
}
