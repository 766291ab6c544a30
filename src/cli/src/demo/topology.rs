//! The demo's own topology: what Envoy loads, and what is promised, both from one file.

use super::children::Ports;
use super::verdict::Promise;
use anyhow::{Context, Result};
use evenkeel_config::Plan;
use evenkeel_config::render::{FilterSource, bootstrap};
use evenkeel_policy::settings::{CircuitBreaker, Failback, Settings};
use evenkeel_policy::time::Millis;
use std::path::Path;
use std::time::Duration;

const FILE: &str = include_str!("evenkeel.yaml");

/// The topology with this run's ports, and what follows from it.
#[derive(Debug)]
pub struct Topology {
    /// The file.
    pub yaml: String,
    /// Envoy's bootstrap.
    pub bootstrap: String,
    pub promise: Promise,
    /// A usual way back: probes, hold and ramp.
    pub way_back: Duration,
    /// What differs from the defaults, for people.
    pub about: String,
}

/// Fills in the ports and the filter's module.
pub fn topology(ports: &Ports, wasm: &Path) -> Result<Topology> {
    let wasm = wasm.canonicalize().with_context(|| format!("--wasm {}", wasm.display()))?;
    // JSON's quoting is YAML's too, whatever the path is made of.
    let module = serde_json::to_string(&wasm.to_string_lossy())?;
    let yaml = FILE
        .replace("module: evenkeel_filter.wasm", &format!("module: {module}"))
        .replace("127.0.0.1:18100", &format!("127.0.0.1:{}", ports.edge))
        .replace("127.0.0.1:18109", &format!("127.0.0.1:{}", ports.admin))
        .replace("127.0.0.1:18101", &format!("127.0.0.1:{}", ports.regions[0]))
        .replace("127.0.0.1:18102", &format!("127.0.0.1:{}", ports.regions[1]));
    let plan = Plan::read(yaml.as_bytes(), Path::new("."), None).context("the demo's topology")?;
    let bootstrap = bootstrap(&plan, &FilterSource::Static).context("the demo's topology")?;
    Ok(Topology {
        bootstrap,
        promise: promise(&plan),
        way_back: way_back(&plan.settings),
        about: about(&plan.settings),
        yaml,
    })
}

fn promise(plan: &Plan) -> Promise {
    let Settings { health_check: probes, circuit_breaker: breaker, failback, .. } = &plan.settings;
    // A probe may be waiting for its time-out when the fault ends, the next comes an interval
    // later, and those that must confirm it a second apart. Then the breaker's wait may have begun
    // anew, and what remains is the hold and the ramp.
    let seen =
        time(probes.timeout) + time(probes.interval) + Duration::from_secs(probes.healthy_threshold.into());
    let wait = time(plan.file.edge.per_try_timeout) + time(breaker.wait_duration_in_open_state);
    Promise {
        breaker_window: breaker.sliding_window_size,
        per_try_timeout: time(plan.file.edge.per_try_timeout),
        whole_again: seen + wait + time(failback.hold) + time(failback.ramp) + Duration::from_secs(2),
    }
}

fn way_back(settings: &Settings) -> Duration {
    let again = Duration::from_secs(settings.health_check.healthy_threshold.into());
    let probes = time(settings.health_check.interval) / 2 + again;
    probes + time(settings.failback.hold) + time(settings.failback.ramp)
}

fn about(settings: &Settings) -> String {
    let (breaker, failback) = (CircuitBreaker::default(), Failback::default());
    format!(
        "hold {} (default {}), ramp {} ({}), breaker wait {} ({})",
        settings.failback.hold,
        failback.hold,
        settings.failback.ramp,
        failback.ramp,
        settings.circuit_breaker.wait_duration_in_open_state,
        breaker.wait_duration_in_open_state,
    )
}

fn time(span: Millis) -> Duration {
    Duration::from_millis(span.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topology_is_valid_and_carries_this_runs_ports() {
        let ports = Ports { edge: 20_001, admin: 20_002, regions: [20_003, 20_004] };
        // Any file that exists will do for a path.
        let topology = topology(&ports, Path::new(env!("CARGO_MANIFEST_PATH"))).unwrap();
        for port in 20_001..=20_004 {
            assert!(topology.yaml.contains(&format!("127.0.0.1:{port}")), "{}", topology.yaml);
            assert!(topology.bootstrap.contains(&port.to_string()), "{}", topology.bootstrap);
        }
        assert!(topology.bootstrap.contains(env!("CARGO_MANIFEST_PATH")), "{}", topology.bootstrap);
        assert!(!topology.yaml.contains("127.0.0.1:181"), "{}", topology.yaml);
        assert_eq!(topology.promise.breaker_window, 10);
        assert_eq!(topology.promise.per_try_timeout, Duration::from_secs(2));
        assert_eq!(topology.about, "hold 4s (default 30s), ramp 12s (6m), breaker wait 5s (30s)");
    }

    #[test]
    fn a_missing_module_is_named() {
        let ports = Ports { edge: 1, admin: 2, regions: [3, 4] };
        let error = topology(&ports, Path::new("/nowhere/filter.wasm")).unwrap_err();
        assert!(format!("{error:#}").contains("--wasm /nowhere/filter.wasm"), "{error:#}");
    }
}
