//! Every form of the bootstrap is loaded without a complaint.

use crate::{edge, module};
use evenkeel_config::render::{self, FilterSource};

/// Most of what a topology file can say, so that most of what is rendered is loaded.
fn everything(module: &str, database: &str) -> String {
    format!(
        "service: shop
local_region: taiwan
trusted_proxies: [127.0.0.0/8]
hop: {{secret: 0123456789abcdef}}
companion: {{address: \"127.0.0.1:9902\"}}
regions:
- {{name: taiwan, addresses: [\"10.0.0.1:80\", \"[fd00::1]:80\"], http2: true, edge_address: \"tw.example.com:443\",
   readiness: {{address: \"10.0.0.2:8081\", path: /ready}}, tls: {{}}}}
- {{name: japan, address: \"10.1.0.1:80\", edge_address: \"127.0.0.1:443\", tls: {{sni: jp.example.com}},
   readiness: {{address: \"jp.example.com:8443\", tls: {{ca: /etc/ssl/certs/ca-certificates.crt}}}}}}
- {{name: seoul, address: \"localhost:8080\"}}
edge: {{trusted_hops: 1, module: \"{module}\", geoip: {{database: \"{database}\"}}}}
"
    )
}

#[test]
fn every_form_is_loaded_without_a_complaint() {
    let Some(envoy) = edge::binary() else { return };
    let folder = edge::folder("forms");
    let module = module::write(&folder).display().to_string();
    let database = edge::places(&folder).display().to_string();
    let example = include_str!("../../../../envoy/evenkeel.yaml");
    let example = example.replace("target/wasm/evenkeel_filter.wasm", &module);
    for (name, yaml) in [("example", example), ("everything", everything(&module, &database))] {
        let plan = edge::plan(&yaml, &envoy);
        std::fs::write(folder.join(render::ECDS_FILE), render::ecds(&plan)).unwrap();
        for source in [FilterSource::Static, FilterSource::Ecds(folder.clone())] {
            if source == FilterSource::Static && !edge::runs_wasm(&envoy) {
                continue;
            }
            let bootstrap = edge::bootstrap(&plan, &source);
            let said = edge::validate(&envoy, &folder, &bootstrap)
                .unwrap_or_else(|e| panic!("{name} {source:?}: {e}"));
            assert!(!said.contains("Deprecated"), "{name} {source:?}: {said}");
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}
