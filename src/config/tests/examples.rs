//! What stands in `envoy/` is what the code renders now.
//!
//! After a change that is meant: `EVENKEEL_UPDATE=1 cargo test -p evenkeel-config --test examples`.

use evenkeel_config::render::{self, FilterSource};
use evenkeel_config::{EnvoyVersion, Plan};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy")
}

fn plan(name: &str) -> Plan {
    Plan::load(&folder().join(name), None).unwrap_or_else(|problems| panic!("{name}: {problems}"))
}

fn check(name: &str, rendered: &str) {
    let path = folder().join(name);
    if std::env::var_os("EVENKEEL_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, rendered).unwrap();
    }
    let standing = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        standing == rendered,
        "envoy/{name} is not what is rendered now: run this test with EVENKEEL_UPDATE=1"
    );
}

#[test]
fn the_examples_are_what_is_rendered() {
    let reference = plan("evenkeel.yaml");
    assert_eq!(reference.warnings, [""; 0]);
    let bootstrap = |plan: &Plan, source| render::bootstrap(plan, &source).unwrap();
    check("plugin.json", &render::plugin(&reference));
    check("envoy.yaml", &bootstrap(&reference, FilterSource::Static));
    check("envoy-ecds.yaml", &bootstrap(&reference, FilterSource::Ecds(PathBuf::from("envoy/ecds"))));
    check("ecds/ecds.yaml", &render::ecds(&reference));
    check("istio.yaml", &render::istio(&reference, render::MODULE_URL).unwrap());
    check("envoy-gateway.yaml", &render::envoy_gateway(&reference, render::MODULE_URL, "default").unwrap());
    check("envoy-geoip.yaml", &bootstrap(&plan("evenkeel-geoip.yaml"), FilterSource::Static));
    let dns = plan("evenkeel-dns.yaml");
    assert_eq!(dns.warnings, [""; 0]);
    check("route53.json", &render::route53::change_batch(&dns).unwrap());
    check("route53.tf", &render::route53::terraform(&dns).unwrap());
    check("zone.db", &render::zone(&dns, 1).unwrap());
    let mut oldest = plan("evenkeel.yaml");
    oldest.file.edge.envoy_version = EnvoyVersion::V1_36;
    check("envoy-1.36.yaml", &bootstrap(&oldest, FilterSource::Static));
}

/// The reference file shows the defaults, so a file without them means the same.
#[test]
fn the_reference_file_shows_the_defaults() {
    let short = "service: shop\nlocal_region: taiwan\nregions:\n\
        - {name: taiwan, weight: 60, countries: [TW], readiness: {authority: taiwan.api.example.com}}\n\
        - {name: japan, weight: 40, countries: [JP], readiness: {authority: japan.api.example.com}}\n\
        trusted_proxies: [127.0.0.0/8, \"::1\"]\ndebug_header: true\n";
    let short = Plan::read(short.as_bytes(), Path::new("."), None).unwrap();
    let reference = plan("evenkeel.yaml");
    assert_eq!(reference.settings, short.settings);
    let shown = |plan: &Plan| {
        let mut edge = plan.file.edge.clone();
        let default = evenkeel_config::Edge::default();
        edge.listen = default.listen;
        edge.admin = default.admin;
        edge.module = default.module;
        format!("{edge:?}")
    };
    assert_eq!(shown(&reference), shown(&short));
}

/// Every field of the schema is named in the reference file, commented out or not.
#[test]
fn the_reference_file_names_every_field() {
    let text = std::fs::read_to_string(folder().join("evenkeel.yaml")).unwrap();
    let words: std::collections::HashSet<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    fn fields(node: &serde_json::Value, found: &mut Vec<String>) {
        if let Some(properties) = node.get("properties").and_then(|p| p.as_object()) {
            found.extend(properties.keys().cloned());
        }
        for definition in node.get("$defs").and_then(|d| d.as_object()).into_iter().flat_map(|d| d.values()) {
            fields(definition, found);
        }
    }
    let mut all = Vec::new();
    fields(&evenkeel_config::schema(), &mut all);
    assert!(all.len() > 60, "{all:?}");
    let missing: Vec<_> = all.iter().filter(|field| !words.contains(field.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
