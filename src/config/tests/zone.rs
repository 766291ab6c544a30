//! The fallback zone, as a name server's own parser reads it.

use domain::base::iana::Rtype;
use domain::base::name::ToName;
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};
use evenkeel_config::{Plan, render};
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "service: shop
regions:
- {name: taiwan, weight: 60, countries: [TW], dns: {a: [192.0.2.10], aaaa: [\"2001:db8::10\"]}}
- {name: japan, weight: 40, countries: [JP], dns: {a: [198.51.100.10]}}
companion: {address: \"127.0.0.1:9902\"}
dns:
  zone: example.com
  geoip: {database: x.mmdb}
  nameservers:
  - {name: ns1.example.com, addresses: [192.0.2.1, \"2001:db8::1\"]}
  - {name: ns.example.net}
";

fn plan(yaml: &str) -> Plan {
    Plan::read(yaml.as_bytes(), Path::new("."), None).unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
}

fn render(dns: &str) -> String {
    render::zone(&plan(&format!("{HEAD}{dns}")), 7).unwrap_or_else(|problems| panic!("{problems}"))
}

/// `name ttl TYPE data` of each record, names in full.
fn records(dns: &str) -> Vec<String> {
    let text = render(dns);
    let mut file = Zonefile::load(&mut text.as_bytes()).expect("readable");
    let mut found = Vec::new();
    while let Some(entry) = file.next_entry().unwrap_or_else(|error| panic!("{error}\n{text}")) {
        let Entry::Record(record) = entry else { panic!("an include\n{text}") };
        let owner: domain::base::Name<Vec<u8>> = record.owner().to_name();
        let mut line = format!("{owner} {} {} ", record.ttl().as_secs(), record.rtype());
        match record.data() {
            ZoneRecordData::Txt(text) => {
                for string in text.iter() {
                    let _ = write!(line, "[{}]", String::from_utf8_lossy(string));
                }
                Ok(())
            }
            data => write!(line, "{data}"),
        }
        .expect("text");
        found.push(line);
    }
    found
}

/// The data of the name's records of this type.
#[track_caller]
fn answers(records: &[String], name: &str, kind: Rtype) -> Vec<String> {
    let begin = |line: &&String| line.starts_with(&format!("{name}.example.com ")) || name.is_empty();
    let of_kind = records.iter().filter(begin).filter_map(|line| {
        let mut parts = line.splitn(4, ' ').skip(2);
        (parts.next() == Some(&kind.to_string())).then(|| parts.next().unwrap_or_default().to_owned())
    });
    of_kind.collect()
}

#[test]
fn the_zone_has_its_soa_its_servers_and_their_addresses() {
    let found = records("  ttl: 30s\n  negative_ttl: 45s\n  records:\n  - {name: api, ttl: 20s}\n");
    assert_eq!(
        found,
        [
            "example.com 30 SOA ns1.example.com. hostmaster.example.com. 7 7200 3600 1209600 45",
            "example.com 30 NS ns1.example.com.",
            "example.com 30 NS ns.example.net.",
            "api.example.com 20 A 192.0.2.10",
            "api.example.com 20 A 198.51.100.10",
            "api.example.com 20 AAAA 2001:db8::10",
            "ns1.example.com 30 A 192.0.2.1",
            "ns1.example.com 30 AAAA 2001:db8::1",
        ]
    );
    let mailbox = records("  hostmaster: dns.example.net\n  records:\n  - {name: api}\n");
    assert!(mailbox[0].contains(" ns1.example.com. dns.example.net. "), "{mailbox:?}");
}

#[test]
fn each_policy_answers_what_a_healthy_world_answers_a_stranger() {
    let both = ["192.0.2.10", "198.51.100.10"];
    for (record, expected) in [
        ("{name: x, policy: weighted}", &both[..]),
        ("{name: x, policy: multivalue}", &both),
        ("{name: x, policy: latency}", &both),
        ("{name: x, policy: failover}", &both[..1]),
        // Whoever no region claims, by routing.default.
        ("{name: x, policy: geolocation}", &both),
        (
            "{name: x, policy: geolocation, members: [{region: taiwan}, {region: japan, default: true}]}",
            &both[1..],
        ),
        // Without a default each is somebody's.
        ("{name: x, policy: geolocation, members: [{region: taiwan}, {region: japan}]}", &both),
        ("{name: x, policy: weighted, members: [{region: taiwan, weight: 0}, {region: japan}]}", &both[1..]),
        (
            "{name: x, policy: weighted, members: [{region: taiwan, weight: 0}, {region: japan, weight: 0}]}",
            &both,
        ),
        (
            "{name: x, members: [{alias: y}]}\n  - {name: y, policy: failover, members: [{region: taiwan}, {region: japan, primary: true}]}",
            &both[1..],
        ),
        (
            "{name: x, policy: multivalue, members: [{region: japan}, {id: same, a: [198.51.100.10]}]}",
            &both[1..],
        ),
    ] {
        let found = records(&format!("  records:\n  - {record}\n"));
        assert_eq!(answers(&found, "x", Rtype::A), expected, "{record}");
    }
}

#[test]
fn a_cname_is_the_heaviest_and_stands_alone() {
    let cname = |members: &str| {
        let found =
            records(&format!("  records:\n  - {{name: x, policy: weighted, members: [{members}]}}\n"));
        let of = |kind| answers(&found, "x", kind);
        [of(Rtype::CNAME), of(Rtype::A)].concat()
    };
    assert_eq!(
        cname("{cname: a.example.net, id: a, weight: 1}, {cname: b.example.net, id: b, weight: 2}"),
        ["b.example.net."]
    );
    assert_eq!(cname("{cname: a.example.net, id: a}, {cname: b.example.net, id: b}"), ["a.example.net."]);
    // Addresses are more than one name.
    assert_eq!(cname("{cname: a.example.net, weight: 99}, {region: japan, weight: 1}"), ["198.51.100.10"]);
    let far = records(
        "  records:\n  - {name: x, policy: latency, members: [{cname: a.example.net, id: a}, {cname: b.example.net, id: b, weight: 2}]}\n",
    );
    assert_eq!(answers(&far, "x", Rtype::CNAME), ["b.example.net."]);
    let within = records(
        "  records:\n  - {name: x, members: [{cname: y.example.com}]}\n  - {name: y, members: [{a: [192.0.2.9]}]}\n",
    );
    assert_eq!(answers(&within, "x", Rtype::CNAME), ["y.example.com."]);
}

#[test]
fn texts_come_back_as_they_were() {
    let texts = ["v=spf1 -all", "a \"b\" \\ c; d (e)", "台灣", "tab\there"];
    let listed = serde_json::to_string(&texts).unwrap();
    let found = records(&format!("  records:\n  - {{name: \"@\", members: [{{txt: {listed}}}]}}\n"));
    assert_eq!(answers(&found, "", Rtype::TXT), texts.map(|text| format!("[{text}]")));
}

/// A name server that is also a record: its addresses are there once, with one time to live.
#[test]
fn a_name_servers_own_record_is_no_second_one() {
    let found = records("  records:\n  - {name: ns1, ttl: 20s, members: [{a: [192.0.2.1, 192.0.2.2]}]}\n");
    let own: Vec<&String> = found.iter().filter(|line| line.starts_with("ns1.")).collect();
    assert_eq!(
        own,
        [
            "ns1.example.com 20 A 192.0.2.1",
            "ns1.example.com 20 A 192.0.2.2",
            "ns1.example.com 60 AAAA 2001:db8::1"
        ]
    );
}

#[test]
fn what_cannot_stand_in_a_zone_is_refused() {
    for (dns, field) in [
        ("  records:\n  - {name: \"@\", members: [{cname: a.example.net}]}\n", "dns.records[0].members"),
        (
            "  records:\n  - {name: api}\n  - {name: ns1, members: [{cname: a.example.net}]}\n",
            "dns.records[1].members",
        ),
    ] {
        let problems = render::zone(&plan(&format!("{HEAD}{dns}")), 1).expect_err("it was rendered");
        assert_eq!(problems.0[0].error.field, field);
        assert!(problems.0[0].error.remedy.contains("a cname stands alone"), "{problems}");
    }
    let none = plan("service: shop\nregions: [{name: taiwan}]\n");
    assert!(
        render::zone(&none, 1)
            .expect_err("it was rendered")
            .to_string()
            .starts_with("dns: give this section")
    );
}
