//! Which records are answered.

use crate::support::{ZONE, question, responder, responder_of, settings, standing};
use domain::base::iana::{OptRcode, Rtype};
use evenkeel_dns::Standing;

const SOA: &str = "example.com. 30 SOA ns1.example.com. hostmaster.example.com.";

/// Name, type, code, answers. What has none must have the SOA record in authority, unless it is refused.
const TABLE: &[(&str, Rtype, OptRcode, &[&str])] = &[
    (
        "static.example.com",
        Rtype::A,
        OptRcode::NOERROR,
        &["static.example.com. 60 A 192.0.2.9", "static.example.com. 60 A 192.0.2.10"],
    ),
    ("static.example.com", Rtype::AAAA, OptRcode::NOERROR, &[]),
    ("static.example.com", Rtype::TXT, OptRcode::NOERROR, &[]),
    ("static.example.com", Rtype::MX, OptRcode::NOERROR, &[]),
    ("static.example.com", Rtype::SOA, OptRcode::NOERROR, &[]),
    ("static.example.com", Rtype::NS, OptRcode::NOERROR, &[]),
    ("static.example.com", Rtype::CNAME, OptRcode::NOERROR, &[]),
    ("static.example.com", Rtype::from_int(65280), OptRcode::NOERROR, &[]),
    ("static.example.com", Rtype::ANY, OptRcode::NOERROR, &["static.example.com. 60 HINFO \"RFC8482\" \"\""]),
    (
        "example.com",
        Rtype::TXT,
        OptRcode::NOERROR,
        &["example.com. 60 TXT \"v=spf1 -all\"", "example.com. 60 TXT \"site-verification=1\""],
    ),
    ("example.com", Rtype::A, OptRcode::NOERROR, &["example.com. 60 A 192.0.2.80"]),
    (
        "example.com",
        Rtype::NS,
        OptRcode::NOERROR,
        &[
            "example.com. 60 NS ns1.example.com.",
            "example.com. 60 NS ns2.example.com.",
            "example.com. 60 NS ns.example.net.",
        ],
    ),
    ("example.com", Rtype::ANY, OptRcode::NOERROR, &["example.com. 60 HINFO \"RFC8482\" \"\""]),
    // Name servers in the zone are names of it.
    ("ns1.example.com", Rtype::A, OptRcode::NOERROR, &["ns1.example.com. 60 A 192.0.2.53"]),
    ("ns1.example.com", Rtype::AAAA, OptRcode::NOERROR, &["ns1.example.com. 60 AAAA 2001:db8::53"]),
    ("ns2.example.com", Rtype::AAAA, OptRcode::NOERROR, &[]),
    ("ns1.example.com", Rtype::ANY, OptRcode::NOERROR, &["ns1.example.com. 60 HINFO \"RFC8482\" \"\""]),
    ("ns1.example.com", Rtype::TXT, OptRcode::NOERROR, &[]),
    // What is only on the way to other names exists (RFC 8020).
    ("in.it.example.com", Rtype::A, OptRcode::NOERROR, &[]),
    ("it.example.com", Rtype::ANY, OptRcode::NOERROR, &[]),
    ("deep.in.it.example.com", Rtype::A, OptRcode::NOERROR, &["deep.in.it.example.com. 60 A 192.0.2.40"]),
    ("deeper.deep.in.it.example.com", Rtype::A, OptRcode::NXDOMAIN, &[]),
    ("none.example.com", Rtype::A, OptRcode::NXDOMAIN, &[]),
    ("none.example.com", Rtype::ANY, OptRcode::NXDOMAIN, &[]),
    ("example.net", Rtype::A, OptRcode::REFUSED, &[]),
    ("com", Rtype::NS, OptRcode::REFUSED, &[]),
    (".", Rtype::NS, OptRcode::REFUSED, &[]),
    ("notexample.com", Rtype::A, OptRcode::REFUSED, &[]),
    ("static.example.com.evil.org", Rtype::A, OptRcode::REFUSED, &[]),
    ("static.example.com", Rtype::AXFR, OptRcode::REFUSED, &[]),
    ("example.com", Rtype::AXFR, OptRcode::REFUSED, &[]),
    ("example.com", Rtype::IXFR, OptRcode::REFUSED, &[]),
    // Aliases stand for every type, and are followed within the zone.
    ("outward.example.com", Rtype::A, OptRcode::NOERROR, &["outward.example.com. 60 CNAME www.example.net."]),
    (
        "outward.example.com",
        Rtype::MX,
        OptRcode::NOERROR,
        &["outward.example.com. 60 CNAME www.example.net."],
    ),
    (
        "outward.example.com",
        Rtype::CNAME,
        OptRcode::NOERROR,
        &["outward.example.com. 60 CNAME www.example.net."],
    ),
    (
        "outward.example.com",
        Rtype::ANY,
        OptRcode::NOERROR,
        &["outward.example.com. 60 CNAME www.example.net."],
    ),
    (
        "inward.example.com",
        Rtype::A,
        OptRcode::NOERROR,
        &[
            "inward.example.com. 60 CNAME static.example.com.",
            "static.example.com. 60 A 192.0.2.9",
            "static.example.com. 60 A 192.0.2.10",
        ],
    ),
    (
        "inward.example.com",
        Rtype::CNAME,
        OptRcode::NOERROR,
        &["inward.example.com. 60 CNAME static.example.com."],
    ),
    (
        "loop-1.example.com",
        Rtype::A,
        OptRcode::NOERROR,
        &[
            "loop-1.example.com. 60 CNAME loop-2.example.com.",
            "loop-2.example.com. 60 CNAME loop-1.example.com.",
        ],
    ),
];

#[test]
fn each_name_and_type_has_its_answer() {
    let responder = responder();
    for (name, rtype, rcode, expected) in TABLE {
        let answer = question(name, *rtype).ask(&responder);
        let what = format!("{name} {rtype}: {answer:?}");
        assert_eq!((answer.rcode, &answer.answers[..]), (*rcode, &expected.map_to_strings()[..]), "{what}");
        assert_eq!(answer.flags, if *rcode == OptRcode::REFUSED { "qr rd" } else { "qr aa rd" }, "{what}");
        let asked = if *name == "." { String::new() } else { (*name).to_owned() };
        assert_eq!(answer.question, Some(format!("{asked}. IN {rtype}")), "{what}");
        let negative = expected.is_empty() && *rcode != OptRcode::REFUSED;
        assert_eq!(answer.authority.len(), usize::from(negative), "{what}");
        assert!(answer.authority.iter().all(|soa| soa.starts_with(SOA) && soa.ends_with(" 30")), "{what}");
    }
}

trait MapToStrings {
    fn map_to_strings(&self) -> Vec<String>;
}

impl MapToStrings for &[&str] {
    fn map_to_strings(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn the_zone_s_own_records() {
    let responder = responder();
    let soa = question("example.com", Rtype::SOA).ask(&responder);
    assert_eq!(soa.answers.len(), 1, "{soa:?}");
    assert!(soa.answers[0].starts_with("example.com. 60 SOA ns1.example.com. hostmaster.example.com. "));
    assert!(soa.answers[0].ends_with(" 7200 3600 1209600 30"), "{soa:?}");
    let ns = question("example.com", Rtype::NS).ask(&responder);
    let glue = [
        "ns1.example.com. 60 A 192.0.2.53",
        "ns1.example.com. 60 AAAA 2001:db8::53",
        "ns2.example.com. 60 A 192.0.2.54",
    ];
    assert_eq!(ns.additional, glue);
}

#[test]
fn the_serial_grows_with_every_reload_even_within_a_second() {
    let responder = responder();
    let serial = || -> u32 {
        let soa = question("example.com", Rtype::SOA).ask(&responder);
        soa.answers[0].split(' ').nth(5).unwrap().parse().unwrap()
    };
    let first = serial();
    for expected in 1..=3 {
        responder.reload(&settings(ZONE), None).unwrap();
        assert!(serial() >= first + expected, "{} after {first}", serial());
    }
}

#[test]
fn an_alias_is_followed_through_eight_names_at_most() {
    let responder = responder();
    let chain = |from: &str| question(&format!("{from}.example.com"), Rtype::A).ask(&responder);
    assert_eq!(chain("c3").answers.len(), 7 + 2, "{:?}", chain("c3"));
    let long = chain("c1");
    assert_eq!(long.answers.len(), 8, "{long:?}");
    assert!(long.answers.iter().all(|record| record.contains(" CNAME ")), "{long:?}");
    assert_eq!((long.rcode, long.authority.len()), (OptRcode::NOERROR, 0));
}

#[test]
fn an_alias_to_nothing_says_so() {
    let responder = responder();
    let missing = question("nowhere.example.com", Rtype::A).ask(&responder);
    assert_eq!((missing.rcode, missing.answers.len(), missing.authority.len()), (OptRcode::NXDOMAIN, 1, 1));
    let no_type = question("inward.example.com", Rtype::AAAA).ask(&responder);
    assert_eq!((no_type.rcode, no_type.answers.len(), no_type.authority.len()), (OptRcode::NOERROR, 1, 1));
}

#[test]
fn names_come_in_any_case_and_go_back_as_they_came() {
    let responder = responder();
    let answer = question("StAtIc.eXaMpLe.CoM", Rtype::A).ask(&responder);
    assert_eq!(answer.question.as_deref(), Some("StAtIc.eXaMpLe.CoM. IN A"));
    assert_eq!(answer.data(), ["192.0.2.9", "192.0.2.10"]);
    // The owner is the question's name itself, so that it has its case too.
    assert!(answer.answers.iter().all(|record| record.starts_with("StAtIc.eXaMpLe.CoM.")), "{answer:?}");
    assert_eq!(question("NONE.example.COM", Rtype::A).ask(&responder).rcode, OptRcode::NXDOMAIN);
}

/// R1, R31: one draw for each answer, over numbers as a generator gives them.
#[test]
fn weights_are_kept() {
    let responder = responder();
    let mut random = 0x853c_49e6_748f_ea9b_u64;
    let mut taiwan = 0;
    for _ in 0..10_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let answer = question("www.example.com", Rtype::A).random(random).ask(&responder);
        taiwan += u32::from(answer.data() == ["192.0.2.1"]);
    }
    // Four standard deviations.
    assert!((5_804..=6_196).contains(&taiwan), "{taiwan} of 10,000");
}

#[test]
fn health_changes_the_answer_at_once() {
    let responder = responder();
    let asked = |name: &str| question(name, Rtype::A).ask(&responder).data();
    assert_eq!(asked("either.example.com"), ["192.0.2.1"]);
    responder.set(standing([0, 100, 100, 100]));
    assert_eq!(asked("either.example.com"), ["192.0.2.2"]);
    for random in 0..100 {
        let www = question("www.example.com", Rtype::A).random(random << 57).ask(&responder);
        assert_eq!(www.data(), ["192.0.2.2"], "R6");
    }
    responder.set(standing([0, 0, 100, 100]));
    assert_eq!(asked("either.example.com"), ["sorry.example.net."], "a secondary without a check");
    responder.set(Standing::default());
    assert_eq!(asked("either.example.com"), ["192.0.2.1"]);
}

/// R17.
#[test]
fn multivalue_gives_eight_healthy_ones() {
    let responder = responder();
    let mut seen = std::collections::BTreeSet::new();
    for random in 0..200_u64 {
        let answer =
            question("many.example.com", Rtype::A).random(random.wrapping_mul(0x9e37_79b9)).ask(&responder);
        let distinct: std::collections::BTreeSet<_> = answer.data().into_iter().collect();
        assert_eq!((answer.answers.len(), distinct.len()), (8, 8));
        seen.extend(distinct);
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
    responder.set(standing([100, 100, 100, 0]));
    for random in 0..200_u64 {
        let answer = question("many.example.com", Rtype::A).random(random << 56).ask(&responder);
        assert!(!answer.data().contains(&"192.0.2.110".to_owned()), "it is unhealthy");
    }
}

#[test]
fn the_same_record_is_answered_once_and_an_alias_stands_alone() {
    let responder = responder();
    let mut alone = 0;
    for random in 0..60_u64 {
        let answer = question("twice.example.com", Rtype::A).random(random << 58).ask(&responder);
        if answer.answers[0].contains(" CNAME ") {
            assert!(answer.answers[1].starts_with("www.example.com. 60 A "), "{answer:?}");
            alone += 1;
        } else {
            assert_eq!(answer.data(), ["192.0.2.120"]);
        }
    }
    assert!((1..60).contains(&alone), "{alone}");
}

/// R31, R32: the record's TTL, else the zone's; the lower one while a failover is fresh.
#[test]
fn ttls_are_lowered_while_a_failover_is_fresh() {
    let responder = responder();
    let ttl = |name: &str| -> u32 {
        let answer = question(name, Rtype::A).ask(&responder);
        answer.answers[0].split(' ').nth(1).unwrap().parse().unwrap()
    };
    assert_eq!([ttl("static.example.com"), ttl("slow.example.com"), ttl("quick.example.com")], [60, 300, 5]);
    responder.set(Standing { shares: Vec::new(), fresh: true });
    assert_eq!([ttl("static.example.com"), ttl("slow.example.com"), ttl("quick.example.com")], [15, 15, 5]);
    assert_eq!(ttl("ns1.example.com"), 60, "name servers do not move");
    responder.set(Standing::default());
    assert_eq!([ttl("static.example.com"), ttl("slow.example.com"), ttl("quick.example.com")], [60, 300, 5]);
}

#[test]
fn without_a_lower_ttl_none_is_lowered() {
    let responder = responder_of(&ZONE.replace("  failover_ttl: 15s\n", ""));
    responder.set(Standing { shares: Vec::new(), fresh: true });
    let answer = question("slow.example.com", Rtype::A).ask(&responder);
    assert!(answer.answers[0].starts_with("slow.example.com. 300 "));
}

#[test]
fn a_reload_is_taken_up_whole_or_not_at_all() {
    let responder = responder();
    responder.set(standing([0, 100, 100, 100]));
    let changed = ZONE.replace("192.0.2.9, 192.0.2.10", "192.0.2.99");
    responder.reload(&settings(&changed), None).unwrap();
    assert_eq!(question("static.example.com", Rtype::A).ask(&responder).data(), ["192.0.2.99"]);
    assert_eq!(
        question("either.example.com", Rtype::A).ask(&responder).data(),
        ["192.0.2.2"],
        "health stays"
    );
    // No topology file gets this far.
    let mut wrong = settings(ZONE);
    wrong.dns.rate_limit.exempt = vec!["somewhere".to_owned()];
    let error = responder.reload(&wrong, None).unwrap_err();
    assert!(error.starts_with("dns.rate_limit.exempt[0]: \"somewhere\": "), "{error}");
    assert_eq!(question("static.example.com", Rtype::A).ask(&responder).data(), ["192.0.2.99"]);
}
