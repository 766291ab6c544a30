//! An edge that sends every client to its own region whatever becomes of it, beside Evenkeel's: a region dies.

use crate::run::{Result, Run, target};
use evenkeel_tests::port::Port;
use evenkeel_tests::region::SERVED_BY;
use evenkeel_tests::{Edge, RegionProcess, Topology};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

fn cluster(region: &RegionProcess) -> Value {
    json!({
        "name": region.name(), "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": region.name(), "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address(region.address())}}
        ]}]}
    })
}

fn address(at: SocketAddr) -> Value {
    json!({"socket_address": {"address": at.ip().to_string(), "port_value": at.port()}})
}

/// Envoy with plain routes by country.
async fn plain(taiwan: &RegionProcess, japan: &RegionProcess) -> Edge {
    let (listen, admin) = (Port::free(), Port::free());
    let japanese = json!({"name": "x-country-code", "string_match": {"exact": "JP"}});
    let bootstrap = json!({
        "admin": {"address": address(admin.address())},
        "static_resources": {
            "listeners": [{"address": address(listen.address()), "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                    "stat_prefix": "plain",
                    "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                        {"match": {"prefix": "/", "headers": [japanese]}, "route": {"cluster": "japan"}},
                        {"match": {"prefix": "/"}, "route": {"cluster": "taiwan"}}
                    ]}]},
                    "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                    }}]
                }
            }]}]}],
            "clusters": [cluster(taiwan), cluster(japan)]
        }
    });
    Edge::start_with_bootstrap(&bootstrap.to_string(), listen, admin).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_without_failover_misses_and_evenkeels_holds_when_a_region_dies() {
    let program = env!("CARGO_BIN_EXE_region");
    let mut taiwan = RegionProcess::start(program, "taiwan");
    let japan = RegionProcess::start(program, "japan");
    let topology = Topology::of(&[&taiwan, &japan]);
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("evenkeel.yaml");
    std::fs::write(&file, topology.field("").expect("the whole").to_string()).expect("the topology");
    let plain = plain(&taiwan, &japan).await;
    let ours = Edge::start(&topology).await.probed(&["taiwan", "japan"]).await;

    for attempt in 1.. {
        let run = async |name: &str, edge: SocketAddr, strike: &mut dyn FnMut()| -> Result {
            let clients = [("taiwan", "TW", edge.to_string()), ("japan", "JP", edge.to_string())];
            let target = target(&clients, json!({"topology": file, "region-header": SERVED_BY}));
            let run = Run {
                name: format!("{name}-{attempt}"),
                target: &target,
                load: json!({"rate": 100, "orders": 20, "patience": "5s"}),
                criteria: json!({"rto-reads": "5s", "rto-orders": "5s"}),
                spans: [Duration::from_secs(2), Duration::from_secs(7)],
            };
            run.run(async || strike(), async |_, _| None).await
        };
        let (mut kill, mut nothing) = (|| taiwan.kill(), || {});
        let (without, with) = tokio::join!(
            run("plain", plain.address(), &mut kill),
            run("evenkeel", ours.address(), &mut nothing),
        );
        if without.fell_behind() || with.fell_behind() {
            assert!(attempt < 5, "{:?} {:?}", without.outcome, with.outcome);
            taiwan.restore();
            ours.until_whole(&["taiwan", "japan"], Duration::from_secs(60)).await;
            continue;
        }
        assert_eq!(without.missed(), ["rto-reads", "rto-orders"], "{:?}", without.outcome);
        let failed = without.figures.window.percent().expect("requests");
        assert!((40.0..60.0).contains(&failed), "half of the clients are Taiwan's: {failed} %");

        assert!(with.outcome.passed, "{:?}\n{:?}", with.outcome, with.figures);
        let failed = with.figures.window_reads.percent().expect("requests");
        assert!(failed < 1.0, "{failed} %: {:?}", with.figures);
        // Before the fault each region answers its own clients, afterwards Japan answers all.
        let last = with.journal.requests.iter().rev().take(50).filter(|request| request.is_good());
        assert!(last.map(|request| request.region).all(|region| region == Some(1)));
        return;
    }
}
