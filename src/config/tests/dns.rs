//! What the reader says of `dns` and `quorum`, and what it makes of them.

use evenkeel_config::{Plan, Zone};
use evenkeel_policy::dns::{Policy, Target};
use std::path::Path;

const BASE: &str = "\
service: shop
regions:
- {name: taiwan, weight: 60, countries: [TW], dns: {a: [192.0.2.10]}, companion: {address: \"10.0.0.2:9902\"}}
- {name: japan, weight: 40, countries: [JP], dns: {a: [198.51.100.10]}, companion: {address: \"10.1.0.2:9902\"}}
companion: {address: \"127.0.0.1:9902\", token_file: token}
quorum: {witness: {address: \"w.example.com:9902\"}}
dns:
  zone: example.com
  nameservers: [{name: ns1.example.com, addresses: [192.0.2.1]}, {name: ns2.example.com, addresses: [198.51.100.1]}]
  geoip: {database: country.mmdb}
  latencies: [{default: true, to: {taiwan: 40ms, japan: 60ms}}]
  health_checks:
  - {name: orders, url: \"https://orders.example.com/health\", search: ok}
  - {name: mail, tcp: \"mail.example.com:25\"}
  - {name: most, calculated: {of: [taiwan, japan, orders], at_least: 2}}
  records:
  - {name: api}
  - name: static
    policy: weighted
    members: [{region: taiwan, weight: 60}, {id: green, a: [192.0.2.20], weight: 40, health_check: orders}]
  - name: near
    policy: geolocation
    members: [{region: taiwan, countries: [TW]}, {alias: static, default: true}]
  - name: either
    policy: failover
    members: [{region: taiwan, primary: true}, {cname: sorry.example.net}]
  - name: fast
    policy: latency
    members: [{region: taiwan}, {region: japan}]
  - name: many
    policy: multivalue
    members: [{region: taiwan}, {region: japan}]
  - {name: \"@\", members: [{txt: [v=spf1 -all]}]}
";

fn read(yaml: &str) -> Result<Plan, Vec<String>> {
    Plan::read(yaml.as_bytes(), Path::new("/nowhere"), None)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

fn zone(yaml: &str) -> Zone {
    read(yaml).unwrap_or_else(|faults| panic!("{faults:#?}")).zone.expect("a dns section")
}

#[track_caller]
fn changed(from: &str, to: &str) -> String {
    let yaml = BASE.replacen(from, to, 1);
    assert_ne!(yaml, BASE, "{from:?} stands nowhere");
    yaml
}

/// Each change to the good file gives one fault that says these things.
#[track_caller]
fn each(cases: &[(&str, &str, &[&str])]) {
    if let Err(faults) = read(BASE) {
        panic!("the file to begin with has faults: {faults:#?}");
    }
    for (from, to, parts) in cases {
        let faults = read(&changed(from, to)).map(|_| ()).expect_err(&format!("was taken: {to}"));
        assert_eq!(faults.len(), 1, "{to}: {faults:#?}");
        for part in *parts {
            assert!(faults[0].contains(part), "{to}: no {part:?} in {}", faults[0]);
        }
    }
}

/// Each change to the good file gives one warning that it does not have, and that says these things.
#[track_caller]
fn warns(cases: &[(&str, &str, &[&str])]) {
    let known = read(BASE).expect("a good file").warnings;
    assert_eq!(known.iter().filter(|warning| about_dns(warning)).count(), 0, "{known:#?}");
    for (from, to, parts) in cases {
        let plan = read(&changed(from, to)).unwrap_or_else(|faults| panic!("{to}: {faults:#?}"));
        let new: Vec<&String> = plan.warnings.iter().filter(|warning| !known.contains(warning)).collect();
        let new: Vec<&String> = new.into_iter().filter(|warning| about_dns(warning)).collect();
        assert_eq!(new.len(), 1, "{to}: {new:#?}");
        assert!(!new[0].contains('\n'), "{new:?}");
        for part in *parts {
            assert!(new[0].contains(part), "{to}: no {part:?} in {}", new[0]);
        }
    }
}

fn about_dns(warning: &str) -> bool {
    warning.starts_with("dns") || warning.starts_with("quorum") || warning.contains("that vote")
}

const ZONE: &str = "zone: example.com";
const SERVERS: &str =
    "[{name: ns1.example.com, addresses: [192.0.2.1]}, {name: ns2.example.com, addresses: [198.51.100.1]}]";
const GREEN: &str = "{id: green, a: [192.0.2.20], weight: 40, health_check: orders}";

#[test]
fn faults_of_the_sections_own_fields_name_field_value_and_remedy() {
    let with = |field: &str| format!("{ZONE}\n  {field}");
    let rows = [
        ("listen: [\"localhost:53\"]", "dns.listen[0]: localhost:53: listen on an IP address"),
        ("listen: []", "dns.listen: []: give at least one"),
        ("listen: [\"127.0.0.1:53\", \"0.0.0.0:53\"]", "dns.listen[1]: 0.0.0.0:53: dns.listen[0] listens"),
        ("listen: [\"0.0.0.0:9902\"]", "dns.listen[0]: 0.0.0.0:9902: companion.address listens there"),
        ("listen: [\"127.0.0.1:9903\"]", "dns.listen[0]: 127.0.0.1:9903: companion.admin listens there"),
        ("ttl: 8d", "dns.ttl: 8days: at most 7d"),
        ("ttl: 1500ms", "dns.ttl: 1s 500ms: use whole seconds"),
        ("negative_ttl: 500ms", "dns.negative_ttl: 500ms: use whole seconds"),
        ("failover_ttl: 61s", "dns.failover_ttl: 1m 1s: at most dns.ttl (1m)"),
        ("failover_ttl: 100ms", "dns.failover_ttl: 100ms: use whole seconds"),
        ("failover_fresh_for: 0s", "dns.failover_fresh_for: 0s: give a time above 0"),
        ("hostmaster: a b", "dns.hostmaster: \"a b\" is not a DNS name"),
        ("health_check: {interval: 500ms}", "dns.health_check.interval: 500ms: 1s to 10m"),
        ("health_check: {interval: 11m}", "dns.health_check.interval: 11m: 1s to 10m"),
        ("health_check: {threshold: 11}", "dns.health_check.threshold: 11: 1 to 10"),
        ("health_check: {connect_timeout: 0s}", "dns.health_check.connect_timeout: 0s: give a time above 0"),
        (
            "rate_limit: {exempt: [10.0.0.1, 10.0.0.0/33]}",
            "dns.rate_limit.exempt[1]: \"10.0.0.0/33\": write a network",
        ),
        ("rate_limit: {slip: -1}", "dns.rate_limit.slip"),
    ];
    for (field, said) in rows {
        each(&[(ZONE, &with(field), &[said])]);
    }
    each(&[
        (ZONE, "zone: \"-\"", &["dns.zone: \"-\" is not a DNS name"]),
        ("country.mmdb", "\"\"", &["dns.geoip.database: \"\": give a path"]),
        (SERVERS, "[]", &["dns.nameservers: 0 of them: give 1 to 13"]),
        (
            SERVERS,
            "[{name: ns1.example.com}]",
            &["dns.nameservers[0].addresses: give its addresses: ns1.example.com lies in the zone"],
        ),
        (
            SERVERS,
            "[{name: a.net}, {name: A.net.}]",
            &["dns.nameservers[1].name: a.net: dns.nameservers[0] has this name already"],
        ),
        (
            "addresses: [192.0.2.1]",
            "addresses: [0.0.0.0]",
            &["dns.nameservers[0].addresses[0]: 0.0.0.0: is no host's address"],
        ),
        (
            "{default: true, to: {taiwan: 40ms, japan: 60ms}}",
            "{default: true, to: {}}",
            &["dns.latencies[0].to: {}: give the latency"],
        ),
        ("taiwan: 40ms", "taiwan: 2m", &["dns.latencies[0].to.taiwan: 2m: at most 1m"]),
        (
            "default: true, to",
            "countries: [T], to",
            &["dns.latencies[0].countries[0]: \"T\": use a code of two"],
        ),
        ("default: true, to", "to", &["dns.latencies[0]: give countries, continents or default: true"]),
        ("taiwan: 40ms", "mars: 2ms", &["dns.latencies[0].to: \"mars\": use one of: taiwan, japan"]),
        (
            "[{default: true, to: {taiwan: 40ms, japan: 60ms}}]",
            "[{countries: [tw], to: {taiwan: 1ms}}, {countries: [TW], to: {japan: 1ms}}]",
            &["dns.latencies[1]: TW: stands there already"],
        ),
    ]);
}

#[test]
fn faults_of_listeners_that_differ_by_region_are_found() {
    let own = "companion: {address: \"10.1.0.2:9902\"}";
    let with =
        |listen: &str| format!("companion: {{address: \"10.1.0.2:9902\", dns_listen: [\"{listen}\"]}}");
    each(&[
        (own, &with("ns:53"), &["regions[1].companion.dns_listen[0]: ns:53: listen on an IP address"]),
        (
            own,
            &with("10.1.0.2:9902"),
            &["regions[1].companion.dns_listen[0]: 10.1.0.2:9902: companion.address listens there already"],
        ),
    ]);
    assert!(read(&changed(ZONE, "zone: example.com\n  listen: [\"0.0.0.0:53\", \"[::]:53\"]")).is_ok());
    let without = BASE.split("quorum:").next().expect("a beginning");
    let faults = read(&without.replacen(own, &with("0.0.0.0:53"), 1)).expect_err("no dns");
    assert!(faults[0].contains("regions[1].companion.dns_listen: give dns too"), "{faults:?}");
    let faults = read(&changed("companion: {address: \"127.0.0.1:9902\", token_file: token}\n", ""))
        .expect_err("no companion");
    assert!(faults.len() == 1 && faults[0].contains("dns: give companion too"), "{faults:?}");
}

#[test]
fn faults_of_checks_name_field_value_and_remedy() {
    let mail = "{name: mail, tcp: \"mail.example.com:25\"}";
    let rows = [
        ("{name: Mail, tcp: \"m:25\"}", "health_checks[1].name: \"Mail\": use 1 to 63 lower-case"),
        ("{name: none, tcp: \"m:25\"}", "health_checks[1].name: \"none\": choose another"),
        ("{name: japan, tcp: \"m:25\"}", "health_checks[1].name: \"japan\": a region has this name"),
        ("{name: orders, tcp: \"m:25\"}", "health_checks[1].name: \"orders\": another check has this name"),
        ("{name: mail}", "health_checks[1]: 0 of them: give exactly one of url, tcp and calculated"),
        ("{name: mail, tcp: \"m:25\", url: \"http://m/\"}", "health_checks[1]: 2 of them: give exactly one"),
        ("{name: mail, url: \"ftp://m/\"}", "health_checks[1].url: begin with http:// or https://"),
        ("{name: mail, url: \"https://u:secret@m/\"}", "health_checks[1].url: leave out what stands before"),
        ("{name: mail, tcp: \"m:25\", search: ok}", "health_checks[1].search: \"ok\": it is looked for"),
        ("{name: mail, url: \"http://m/\", search: \"\"}", "health_checks[1].search: 0 bytes: 1 to 255"),
        ("{name: mail, tcp: \"m:25\", interval: 20m}", "health_checks[1].interval: 20m: 1s to 10m"),
        ("{name: mail, tcp: \"m:25\", threshold: 0}", "health_checks[1].threshold: 0: 1 to 10"),
        ("{name: mail, tcp: \"m:25\", connect_timeout: 0s}", "health_checks[1].connect_timeout: 0s"),
        ("{name: mail, calculated: {of: [], at_least: 1}}", "[1].calculated.of: 0 of them: give 1 to 255"),
        ("{name: mail, calculated: {of: [x], at_least: 1}}", "[1].calculated.of[0]: \"x\": name a region"),
        (
            "{name: mail, calculated: {of: [japan, japan], at_least: 1}}",
            "calculated.of[1]: \"japan\": stands there twice",
        ),
        (
            "{name: mail, calculated: {of: [japan], at_least: 1}, inverted: true}",
            "health_checks[1].inverted: true: it matters for checks that are asked",
        ),
    ];
    for (to, said) in rows {
        each(&[(mail, to, &[said])]);
    }
    let faults = read(&changed(mail, "{name: mail, url: \"https://u:secret@m/\"}")).expect_err("a password");
    assert!(!faults[0].contains("secret"), "{faults:?}");
}

#[test]
fn faults_of_records_and_members_name_field_value_and_remedy() {
    let long = format!("txt: [{}]", "x".repeat(256));
    let much = format!("txt: [{}]", vec!["x".repeat(255); 16].join(", "));
    let many = format!("members: [{}]", vec!["{region: japan}"; 256].join(", "));
    each(&[
        ("{name: api}", "{name: api, ttl: 1s 1ms}", &["dns.records[0].ttl: 1s 1ms: use whole seconds"]),
        ("{name: api}", "{name: \"*\"}", &["dns.records[0].name: \"*\"", "no wildcards"]),
        ("{name: api}", "{name: static}", &["dns.records[1].name: \"static\": another entry has this name"]),
        ("{name: api}", "{name: ns2}", &["dns.records[0].name: \"ns2\": dns.nameservers[1] has this name"]),
        ("{name: api}", "{name: api, policy: simple}", &["dns.records[0].members: []: give its one member"]),
        ("dns: {a: [192.0.2.10]}", "dns: {}", &["regions[0].dns: give the region's public addresses"]),
        (
            "dns: {a: [192.0.2.10]}",
            "dns: {a: [192.0.2.10], cname: lb.example.net}",
            &["regions[0].dns.cname: lb.example.net: a cname stands alone"],
        ),
        (
            "dns: {a: [192.0.2.10]}",
            "dns: {a: [224.0.0.1]}",
            &["regions[0].dns.a[0]: 224.0.0.1: is the address"],
        ),
        (GREEN, "{a: [192.0.2.20, 192.0.2.20]}", &["[1].members[1].a[1]: 192.0.2.20: stands there twice"]),
        (GREEN, "{aaaa: [\"::\"]}", &["dns.records[1].members[1].aaaa[0]: ::: is no host's address"]),
        (GREEN, "{id: g}", &["dns.records[1].members[1]: answers nothing: give a, aaaa, cname, txt, alias"]),
        (GREEN, "{id: \"\", a: [192.0.2.20]}", &["members[1].id: \"\": use 1 to 128"]),
        (GREEN, "{region: taiwan}", &["members[1].id: \"taiwan\": another member is called so already"]),
        (GREEN, "{region: mars}", &["members[1].region: \"mars\": use one of: taiwan, japan"]),
        (GREEN, "{a: [192.0.2.20], weight: 1000001}", &["members[1].weight: 1000001: 0 to 1,000,000"]),
        (GREEN, "{a: [192.0.2.20], weight: -1}", &["members[1].weight"]),
        (GREEN, "{a: [192.0.2.20], health_check: x}", &["members[1].health_check: \"x\": name a region"]),
        (
            GREEN,
            "{a: [192.0.2.20], primary: true}",
            &["members[1].primary: it matters with policy: failover"],
        ),
        (GREEN, "{a: [192.0.2.20], countries: [TW]}", &["members[1].countries: it matters with policy: geo"]),
        (GREEN, "{a: [192.0.2.20], alias: api}", &["members[1].alias: \"api\": give either alias or"]),
        (GREEN, "{alias: static.example.com}", &["members[1].alias: \"static.example.com\": name another"]),
        (GREEN, "{alias: static}", &["dns.records[1].members: lead in a circle"]),
        (
            GREEN,
            "{cname: static.example.com}",
            &["dns.records[1].members: static.example.com: is a cname of itself"],
        ),
        ("txt: [v=spf1 -all]", &long, &["dns.records[6].members[0].txt[0]: 256 bytes: at most 255"]),
        ("txt: [v=spf1 -all]", &much, &["dns.records[6].members[0].txt: 4096 bytes: at most 4000"]),
        (
            "txt: [v=spf1 -all]",
            "alias: either",
            &["dns.records[6].members: sorry.example.net: a cname cannot"],
        ),
        (
            "members: [{region: taiwan}, {region: japan}]",
            &many,
            &["dns.records[4].members: 256 of them: at most 255"],
        ),
        (
            "{region: taiwan, countries: [TW]}",
            "{region: taiwan, countries: [T]}",
            &["countries[0]: \"T\": use a code"],
        ),
        ("countries: [TW]}, {alias", "subdivisions: [CA]}, {alias", &["subdivisions[0]: \"CA\": use a code"]),
        ("{alias: static, default: true}", "{alias: static}", &["members[1]: serves nobody"]),
        (
            "{alias: static, default: true}",
            "{alias: static, countries: [JP, tw]}",
            &["dns.records[2].members[1]: TW: members[0] serves it already"],
        ),
        ("primary: true", "primary: false", &["dns.records[3].members: 0 primaries: failover needs one"]),
        (
            "{region: taiwan}, {region: japan}",
            "{region: taiwan}, {a: [192.0.2.9]}",
            &["dns.records[4].members[1].region: name the region"],
        ),
        (
            "  geoip: {database: country.mmdb}\n",
            "",
            &["dns.geoip: give a MaxMind database: dns.records[0] is"],
        ),
        (
            "latencies: [{default: true, to: {taiwan: 40ms, japan: 60ms}}]",
            "latencies: []",
            &["dns.latencies: []: give the latency from places to regions: fast is chosen by it"],
        ),
        ("policy: multivalue", "policy: simple", &["dns.records[5].policy: simple: simple has one member"]),
    ]);
}

#[test]
fn the_section_as_a_whole_is_bounded() {
    let records = |many: usize| {
        let names: Vec<String> = (0..many).map(|n| format!("  - {{name: n{n}}}\n")).collect();
        let begin = BASE.split("  - {name: api}").next().expect("a beginning");
        begin.to_owned() + &names.concat()
    };
    assert_eq!(zone(&records(1000)).names.len(), 1000);
    let faults = read(&records(1001)).map(|_| ()).expect_err("too many");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("dns.records: 1001 of them: give 1 to 1000"), "{faults:?}");
    let faults = read(&records(0).replace("records:", "records: []")).map(|_| ()).expect_err("none");
    assert!(faults.len() == 1 && faults[0].contains("dns.records: 0 of them: give 1 to 1000"), "{faults:?}");

    // Each of 8 records leads to the next by 50 aliases: 50⁷ ways, told at once.
    let chain = |length: usize, width: usize| {
        let mut text = BASE.split("  - {name: api}").next().expect("a beginning").to_owned();
        for at in 1..length {
            let members: Vec<String> =
                (0..width).map(|n| format!("{{id: m{n}, alias: c{}}}", at + 1)).collect();
            text += &format!("  - {{name: c{at}, policy: weighted, members: [{}]}}\n", members.join(", "));
        }
        text + &format!("  - {{name: c{length}, members: [{{a: [192.0.2.1]}}]}}\n")
    };
    assert_eq!(zone(&chain(8, 1)).names.len(), 8);
    let said = |yaml: &str| read(yaml).map(|_| ()).expect_err("is too deep or too wide").concat();
    assert!(said(&chain(9, 1)).contains("].members: lead in a circle by their aliases, or"));
    assert!(said(&chain(8, 50)).contains("].members: lead to more than 10000 members"));
}

#[test]
fn faults_of_the_quorum_name_field_value_and_remedy() {
    let quorum = "{witness: {address: \"w.example.com:9902\"}}";
    let etcd = |fields: &str| format!("{{etcd: {{endpoints: [\"http://10.3.0.5:2379\"], {fields}}}}}");
    let at = |endpoint: &str| format!("{{etcd: {{endpoints: [\"{endpoint}\"]}}}}");
    let rows = [
        ("{witness: {address: \"w\"}}".to_owned(), "quorum.witness.address: \"w\" is not an address"),
        (
            "{witness: {address: \"w:1\", listen: \"w:1\"}}".to_owned(),
            "quorum.witness.listen: w:1: listen on an IP",
        ),
        ("{etcd: {endpoints: []}}".to_owned(), "quorum.etcd.endpoints: []: give at least one"),
        (at("10.3.0.5:2379"), "quorum.etcd.endpoints[0]: begin with http:// or https://"),
        (at("http://root:secret@10.3.0.5:2379"), "quorum.etcd.endpoints[0]: leave out what stands before"),
        (at("http://10.3.0.5:2379/v3"), "quorum.etcd.endpoints[0]: ends with the port"),
        (at("http://10.3.0.256:2379"), "quorum.etcd.endpoints[0]: is no address"),
        (etcd("prefix: evenkeel"), "quorum.etcd.prefix: \"evenkeel\": begin with /"),
        (etcd("lease: 1s"), "quorum.etcd.lease: 1s: 2s to 60s"),
        (etcd("lease: 2500ms"), "quorum.etcd.lease: 2s 500ms: use whole seconds"),
        (etcd("password_file: p"), "quorum.etcd.password_file: p: give user too"),
        (etcd("user: u"), "quorum.etcd.user: \"u\": give password_file too"),
        (etcd("user: u, password_file: \"\""), "quorum.etcd.password_file: \"\": give a path"),
        (etcd("ca: \"\""), "quorum.etcd.ca: \"\": give a path"),
        ("{anchors: [\"x\"]}".to_owned(), "quorum.anchors[0]: \"x\" is not an address"),
    ];
    for (to, said) in &rows {
        each(&[(quorum, to, &[said])]);
        let faults = read(&changed(quorum, to)).expect_err("a fault");
        assert!(!faults[0].contains("secret"), "{faults:?}");
    }
    for good in ["http://10.3.0.5:2379/", "https://[fd00::1]:2379", "https://etcd.example.com"] {
        assert!(read(&changed(quorum, &at(good))).is_ok(), "{good}");
    }
}

#[test]
fn what_is_probably_not_meant_is_told_in_one_line() {
    let quorum = "quorum: {witness: {address: \"w.example.com:9902\"}}\n";
    let taiwan = ", companion: {address: \"10.0.0.2:9902\"}}";
    warns(&[
        (quorum, "", &["two votes only", "quorum.witness", "quorum.etcd", "quorum.anchors"]),
        (quorum, "quorum: {anchors: [\"192.0.2.9:443\"]}\n", &["two votes only", "decides alone"]),
        (
            "9902\"}}\ndns",
            "9902\"}, anchors: [\"192.0.2.9:443\"]}\ndns",
            &["quorum.anchors: never asked", "3 votes"],
        ),
        (taiwan, "}", &["address: not set for taiwan", "counts as missing"]),
        (SERVERS, "[{name: ns.example.net}]", &["dns.nameservers: only one"]),
        (ZONE, "zone: example.com\n  ttl: 5m", &["dns.ttl: 5m: clients keep"]),
        ("{name: api}", "{name: api, ttl: 2m}", &["dns.records[0].ttl: 2m: clients keep"]),
        (", {alias: static, default: true}", "", &["dns.records[2].members: none is the default", "near"]),
        (
            "[{region: taiwan, weight: 60}, {id: green, a: [192.0.2.20], weight: 40,",
            "[{region: taiwan, weight: 0}, {id: green, a: [192.0.2.20], weight: 0,",
            &["dns.records[1].members: all weights are 0"],
        ),
        (
            "{region: taiwan, primary: true}",
            "{region: taiwan, primary: true, health_check: none}",
            &["dns.records[3].members: the primary depends on no health check"],
        ),
        (
            "members: [{region: taiwan}, {region: japan}]\n  - {name: \"@\"",
            "members: [{alias: either}, {region: japan}]\n  - {name: \"@\"",
            &["dns.records[5].members: sorry.example.net is a cname, which stands alone"],
        ),
        ("at_least: 2", "at_least: 4", &["dns.health_checks: most is never healthy: it needs 4 of 3"]),
        ("at_least: 2", "at_least: 0", &["dns.health_checks: most is always healthy"]),
        ("{taiwan: 40ms, japan: 60ms}", "{taiwan: 40ms}", &["dns.latencies: no row names japan", "fast"]),
    ]);
    // What no check decides may be kept for long, and etcd needs nobody's address.
    let calm = changed("{name: \"@\", ", "{name: \"@\", ttl: 1h, ").replacen(taiwan, "}", 1);
    let calm = calm.replacen(
        "{witness: {address: \"w.example.com:9902\"}}",
        "{etcd: {endpoints: [\"http://e:1\"]}}",
        1,
    );
    let warnings = read(&calm).expect("a good file").warnings;
    assert_eq!(warnings.iter().filter(|warning| about_dns(warning)).count(), 0, "{warnings:#?}");
    let without = "service: a\nregions: [{name: one}]\nquorum: {anchors: [\"a:1\"]}\n";
    let warnings = read(without).expect("a good file").warnings;
    assert!(warnings.iter().any(|warning| warning.starts_with("quorum: not used")), "{warnings:#?}");
}

#[test]
fn a_record_without_members_follows_the_edges_rules() {
    let zone = zone(BASE);
    let set = zone.records.set(zone.names[0].set).expect("a set");
    assert_eq!(set.policy, Policy::Geolocation);
    assert_eq!(zone.labels[0].members, ["taiwan", "japan", "everyone else"]);
    let Target::Set(rest) = set.members[2].target else { panic!("{set:?}") };
    let everyone_else = zone.records.set(rest).expect("a set");
    assert_eq!(everyone_else.policy, Policy::Weighted);
    assert_eq!(everyone_else.members.iter().map(|member| member.weight).collect::<Vec<_>>(), [60, 40]);
    assert_eq!(zone.labels(rest).expect("labels").members, ["taiwan", "japan"]);
    // The same answer has one number, wherever it is answered.
    let Target::Value(first) = set.members[0].target else { panic!("{set:?}") };
    assert_eq!(everyone_else.members[0].target, Target::Value(first));
}

#[test]
fn a_member_that_names_a_place_takes_none_from_its_region() {
    let zone = zone(&changed(
        "members: [{region: taiwan, countries: [TW]}, {alias: static, default: true}]",
        "members: [{region: taiwan}, {region: japan, default: true}]",
    ));
    let set = zone.records.set(zone.names[2].set).expect("a set");
    let places: Vec<String> = set.members.iter().map(|member| format!("{:?}", member.places)).collect();
    assert_eq!(places, ["[Country(TW)]", "[Default]"]);
}
