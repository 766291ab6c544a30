//! What of the topology file is asked, where, and how.

use super::*;
use std::time::Duration;

const BASE: &str = r#"service: shop
local_region: taiwan
hop: {secret: "a secret of sixteen"}
regions:
- {name: taiwan, address: "10.0.0.1:8080", edge_address: "edge.taiwan.example.com:443", tls: {}, dns: {a: [192.0.2.1]}, companion: {address: "10.0.0.1:9902"}}
- {name: japan, address: "10.0.0.2:8080", edge_address: "edge.japan.example.com:443", tls: {}, dns: {a: [192.0.2.2]}, companion: {address: "10.0.0.2:9902"}}
- {name: korea, addresses: ["10.0.0.3:8080", "10.0.0.4:8080"], readiness: {authority: ready, path: /ready}, dns: {a: [192.0.2.3]}, companion: {address: "10.0.0.3:9902"}}
- {name: singapore, address: "10.0.0.5:8080", readiness: {address: "10.0.0.5:9902"}, dns: {a: [192.0.2.4]}, companion: {address: "10.0.0.5:9902"}}
companion: {address: "10.0.0.1:9902"}
dns:
  zone: example.com
  nameservers: [{name: ns1.example.net}]
  records: [{name: api, policy: weighted}]
"#;

fn read(more: &str, region: Option<&str>) -> Result<(Setup, Vec<PathBuf>), String> {
    let text = format!("{BASE}{more}");
    let plan = match Plan::read(text.as_bytes(), Path::new("."), region) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems}"),
    };
    let mut files = Vec::new();
    let setup = Setup::read(&plan, region, &mut Secrets { folder: Path::new("."), files: &mut files })?;
    Ok((setup.expect("there is a dns section"), files))
}

fn question(setup: &Setup, check: &str) -> Question {
    let check = &setup.checks[setup.check(check).expect("a check of this name")];
    check.asked().expect("asked").question.clone().expect("an address")
}

#[test]
fn readiness_is_asked_where_an_edge_that_stands_here_would_ask() {
    for (voter, region, address, tls, hop) in [
        (Some("taiwan"), "taiwan", "10.0.0.1:8080", false, None),
        (Some("taiwan"), "japan", "edge.japan.example.com:443", true, Some("taiwan")),
        (Some("japan"), "japan", "10.0.0.2:8080", false, None),
        (None, "taiwan", "edge.taiwan.example.com:443", true, Some("witness")),
        (Some("taiwan"), "korea", "10.0.0.3:8080", false, None),
        (Some("singapore"), "singapore", "10.0.0.5:9902", false, None),
        (Some("taiwan"), "singapore", "10.0.0.5:9902", false, None),
    ] {
        let (setup, _) = read("", voter).unwrap();
        let asked = question(&setup, region);
        let name = format!("{voter:?} asks {region}");
        assert_eq!(asked.to.address.to_string(), address, "{name}");
        assert_eq!(asked.to.tls.is_some(), tls, "{name}");
        let headers = asked.get.unwrap().headers;
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("x-evenkeel-hop"), hop, "{name}");
        assert_eq!(header("x-evenkeel-hop-secret"), hop.map(|_| "a secret of sixteen"), "{name}");
    }
    let (setup, files) = read("", Some("taiwan")).unwrap();
    let get = question(&setup, "korea").get.unwrap();
    assert_eq!((get.authority.as_str(), get.path.as_str()), ("ready", "/ready"));
    assert!(!get.redirects, "a region's readiness is 2xx, as at the edges");
    assert_eq!(question(&setup, "japan").get.unwrap().authority, "japan");
    assert_eq!(files, [PathBuf::from(SYSTEM_AUTHORITIES)], "read once, and reloaded when it changes");
    assert!(!format!("{setup:?}").contains("a secret of sixteen"), "no secret in a log");
}

#[test]
fn r22_r24_times_are_the_edges_or_route_53s() {
    let limits = |more: &str, check: &str| {
        let (setup, _) = read(more, Some("taiwan")).unwrap();
        let rules = setup.checks[setup.check(check).unwrap()].asked().unwrap().rules.clone();
        (question(&setup, check).limits, rules)
    };
    let seconds = Duration::from_secs;
    let (limit, rules) = limits("", "japan");
    assert_eq!((limit, rules), (Limits::Whole(seconds(3)), Rules::Fast(HealthCheck::default())));
    let (limit, rules) = limits("  health_check: {}\n", "japan");
    assert_eq!(limit, Limits::Stages(seconds(4), seconds(2)));
    assert_eq!(rules, Rules::Steady { interval: Millis::from_secs(30), threshold: 2 });
    let checks = "  health_checks: [{name: web, url: \"https://[::1]/x?y\"}, {name: mail, tcp: \"mail.example.com:25\"}]\n";
    let (limit, rules) = limits(checks, "web");
    assert_eq!(limit, Limits::Stages(seconds(4), seconds(2)));
    assert_eq!(rules, Rules::Steady { interval: Millis::from_secs(30), threshold: 3 });
    assert_eq!(limits(checks, "mail").0, Limits::Stages(seconds(10), seconds(2)));
    let (setup, _) = read(checks, Some("taiwan")).unwrap();
    let web = question(&setup, "web");
    assert_eq!((web.to.address.to_string(), web.to.tls.is_some()), ("[::1]:443".to_owned(), true));
    let get = web.get.unwrap();
    assert_eq!((get.authority.as_str(), get.path.as_str(), get.redirects), ("[::1]", "/x?y", true));
}

#[test]
fn what_cannot_be_read_is_told_by_its_field() {
    let etcd =
        |more: &str| format!("quorum: {{etcd: {{endpoints: [\"https://etcd.example.com:2379\"]{more}}}}}\n");
    for (more, part) in [
        (etcd(", ca: none.pem"), "quorum.etcd.ca: ./none.pem: cannot be read"),
        (etcd(", user: a, password_file: none"), "quorum.etcd.password_file: ./none: cannot be read"),
    ] {
        let error = read(&more, Some("taiwan")).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
    let (setup, _) = read(&etcd(""), Some("taiwan")).unwrap();
    let Exchange::Etcd(access) = &setup.exchange else { panic!("through etcd") };
    assert_eq!((access.votes.as_str(), access.lease), ("/evenkeel/shop/votes/", Millis::from_secs(5)));
    assert!(setup.etcd_votes && access.endpoints[0].tls.is_some());
}
