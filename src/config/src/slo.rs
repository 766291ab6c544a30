//! `slo`: what the service promises, which alerts on its budget are measured by.

use evenkeel_policy::error::ConfigErrors;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the service promises. `render prometheus` and `chaos report` ask.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// Percent of requests that are not answered with a failure, over 30 days; 95 to below 100.
    /// Default: 99.99.
    pub availability: f64,
}

impl Default for Slo {
    fn default() -> Self {
        Slo { availability: 99.99 }
    }
}

/// Notes what is wrong with it.
pub(crate) fn check(slo: &Slo, errors: &mut ConfigErrors) {
    // Below 93.1 even a whole outage would not burn the budget 14.4 times as fast as it may.
    if !(95.0..100.0).contains(&slo.availability) {
        errors.add(
            "slo.availability",
            slo.availability,
            "give per cent, from 95 to below 100, like 99.99: nothing can promise 100",
        );
    }
}
