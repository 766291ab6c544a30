//! What stands around the filter: its reload, the country, the peer's address, the hop mark.

use crate::edge::{self, Edge};
use crate::module;
use crate::region::Region;
use evenkeel_config::EnvoyVersion;
use evenkeel_config::render::{self, FilterSource};
use std::path::Path;

fn topology(taiwan: &Region, japan: &Region, more: &str) -> String {
    format!(
        "service: shop\nlocal_region: taiwan\nregions:\n- {{name: taiwan, address: \"{}\"}}\n- {{name: japan, address: \"{}\", edge: true}}\n{more}",
        taiwan.address, japan.address
    )
}

fn replace(folder: &Path, content: &str) {
    let new = folder.join("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, folder.join(render::ECDS_FILE)).unwrap();
}

#[test]
fn the_filter_is_reloaded_when_its_file_is_replaced_and_a_bad_one_is_refused() {
    let Some(envoy) = edge::binary().filter(|envoy| edge::runs_wasm(envoy)) else { return };
    let folder = edge::folder("ecds");
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let module = module::write(&folder);
    let yaml = topology(&taiwan, &japan, &format!("edge: {{module: \"{}\"}}\n", module.display()));
    let plan = edge::plan(&yaml, &envoy);
    let source = FilterSource::Ecds(folder.clone());

    // At first the file is one that Envoy refuses: the local region serves all the same.
    let bad = render::ecds(&plan).replace("nothing.wasm", "nowhere.wasm");
    replace(&folder, &bad);
    let edge = Edge::start(&envoy, folder.clone(), &edge::bootstrap(&plan, &source));
    let forged = [("x-evenkeel-region", "japan"), ("x-evenkeel-fallback", "japan")];
    assert_eq!(edge.get("GET", &forged).region, "taiwan", "{}", edge.log());

    let reloads = || {
        let stats = edge.stats();
        let value = |name: &str| {
            let line =
                stats.lines().find(|l| l.contains("extension_config_discovery") && l.contains(name))?;
            line.rsplit(": ").next()?.parse::<u32>().ok()
        };
        Some((value(".config_reload:")?, value(".config_fail:")? + value(".update_rejected:").unwrap_or(0)))
    };
    let (loaded, failed) = reloads().expect("Envoy counts them");
    assert!(failed > 0, "{loaded} {failed}");
    replace(&folder, &render::ecds(&plan));
    edge.until("reload", || reloads().filter(|(now, _)| *now > loaded));
    assert_eq!(edge.get("GET", &forged).region, "taiwan");

    let (_, failed) = reloads().expect("Envoy counts them");
    replace(&folder, &bad.replace("version_info: ", "version_info: x"));
    edge.until("refusal", || reloads().filter(|(_, now)| *now > failed));
    assert_eq!(edge.get("GET", &[]).status, 200);
}

#[test]
fn the_country_is_geoips_and_never_the_clients() {
    let Some(envoy) = edge::binary() else { return };
    let folder = edge::folder("geoip");
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let database = edge::places(&folder);
    let more = format!("edge: {{trusted_hops: 1, geoip: {{database: \"{}\"}}}}\n", database.display());
    let plan = edge::plan(&topology(&taiwan, &japan, &more), &envoy);
    let edge =
        Edge::start(&envoy, folder, &edge::without_filter(edge::bootstrap(&plan, &FilterSource::Static)));
    let country = |headers: &[(&str, &str)]| {
        let text = edge.get("GET", headers).text;
        let all: Vec<_> =
            text.lines().filter_map(|l| l.strip_prefix("x-country-code: ").map(str::to_owned)).collect();
        all.join(",")
    };
    assert_eq!(country(&[("x-forwarded-for", "127.9.9.9")]), "TW", "{}", edge.log());
    assert_eq!(country(&[("x-forwarded-for", "127.9.9.9"), ("x-country-code", "JP")]), "TW");
    assert_eq!(country(&[("x-forwarded-for", "192.0.2.1"), ("x-country-code", "JP")]), "");
}

#[test]
fn the_peers_address_is_noted_whatever_was_forwarded() {
    let Some(envoy) = edge::binary() else { return };
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let more = "trusted_proxies: [10.0.0.0/8]\nedge: {trusted_hops: 1}\n";
    let plan = edge::plan(&topology(&taiwan, &japan, more), &envoy);
    let bootstrap = edge::without_filter(edge::bootstrap(&plan, &FilterSource::Static));
    let bootstrap = edge::showing(
        bootstrap,
        "%FILTER_STATE(evenkeel.peer:PLAIN)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    );
    let edge = Edge::start(&envoy, edge::folder("peer"), &bootstrap);
    let text = edge.get("GET", &[("x-forwarded-for", "10.1.2.3")]).text;
    assert!(text.contains("x-seen: 127.0.0.1 10.1.2.3"), "{text}");
}

#[test]
fn the_edges_secret_reaches_edges_and_never_the_application() {
    check_hop_mark("hop", None);
}

#[test]
fn the_edges_secret_stays_between_edges_by_pairs_of_regions() {
    check_hop_mark("hop-pairs", Some(EnvoyVersion::V1_36));
}

fn check_hop_mark(test: &str, version: Option<EnvoyVersion>) {
    let Some(envoy) = edge::binary() else { return };
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let mut plan =
        edge::plan(&topology(&taiwan, &japan, "hop: {secret: '0123456789%START_TIME%'}\n"), &envoy);
    if let Some(version) = version {
        plan.file.edge.envoy_version = version;
    }
    let bootstrap = edge::without_filter(edge::bootstrap(&plan, &FilterSource::Static));
    let edge = Edge::start(&envoy, edge::folder(test), &bootstrap);
    let mark = [("x-evenkeel-hop", "taiwan"), ("x-evenkeel-hop-secret", "0123456789%START_TIME%")];
    let local = edge.get("GET", &mark);
    assert_eq!(local.region, "taiwan");
    assert!(!local.text.contains("x-evenkeel-hop"), "{}", local.text);
    let remote = edge.get("GET", &[&mark[..], &[("x-evenkeel-region", "japan")]].concat());
    assert_eq!(remote.region, "japan");
    assert!(
        remote.text.contains("x-evenkeel-hop: taiwan")
            && remote.text.contains("x-evenkeel-hop-secret: 0123456789%START_TIME%")
    );
    // A retry that comes home loses the mark as well.
    let home = [
        &mark[..],
        &[("x-evenkeel-region", "japan"), ("x-evenkeel-fallback", "taiwan"), ("x-do-japan", "503")],
    ];
    let home = edge.get("GET", &home.concat());
    assert_eq!(home.region, "taiwan");
    assert!(!home.text.contains("x-evenkeel-hop"), "{}", home.text);
    let away = [
        &mark[..],
        &[("x-evenkeel-region", "taiwan"), ("x-evenkeel-fallback", "japan"), ("x-do-taiwan", "503")],
    ];
    let away = edge.get("GET", &away.concat());
    assert_eq!(away.region, "japan");
    assert!(away.text.contains("x-evenkeel-hop-secret: 0123456789%START_TIME%"), "{}", away.text);
}
