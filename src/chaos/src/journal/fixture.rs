//! Journals for the tests of what is computed from one.

use super::{Journal, Ms, Request};

/// A run of 100 s with a fault from 20 s to 80 s, in which nothing was recorded.
pub fn empty() -> Journal {
    serde_json::from_value(serde_json::json!({
        "version": 1, "run": "run", "began": "2026-11-24T02:00:00Z", "name": "name", "status": "completed",
        "experiment": {
            "title": "title", "description": "", "kind": "region-failure", "method": [], "criteria": {},
            "steady-state-hypothesis": {"title": "", "probes": []},
        },
        "environment": {
            "target": "", "profile": null, "command": "", "evenkeel": "", "config": "", "versions": {},
            "cpus": 2, "memory": 0, "round_trip": null,
        },
        "reason": null, "before": {"met": true, "at": 0.0, "probes": []}, "after": null,
        "injected": 20_000.0, "rollback": 80_000.0, "healed": null, "ended": 100_000.0, "activities": [],
        "clients": ["taiwan"], "regions": ["taiwan", "japan"], "requests": [], "samples": [], "ledger": [],
        "audit": null,
    }))
    .unwrap()
}

/// A request that was due at a moment, and how it was answered.
pub fn request(due: Ms, took: Ms, order: bool, status: u16, region: Option<u8>) -> Request {
    Request { due, end: due + took, client: 0, order, status, region, sent: due, reads: None }
}
