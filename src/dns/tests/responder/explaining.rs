//! What would be answered, and why.

use crate::support::{ZONE, places, question, responder, settings, standing};
use domain::base::iana::Rtype;
use evenkeel_dns::{Explanation, Standing, explain};

fn told(standing: &Standing, name: &str, record_type: &str, from: &str) -> Explanation {
    explain(&settings(ZONE), Some(&places()), standing, name, record_type, from.parse().unwrap()).unwrap()
}

#[test]
fn a_place_and_every_step() {
    let told = told(&standing([100, 100, 100, 0]), "by-place.example.com.", "a", "192.0.7.1");
    assert_eq!(
        (told.name.as_str(), told.record_type.as_str(), told.rcode.as_str()),
        ("by-place.example.com", "A", "NOERROR")
    );
    let place = &told.place;
    assert_eq!(place.country.as_deref(), Some("US"));
    assert_eq!(place.continent.as_deref(), Some("NA"));
    assert_eq!(place.subdivision.as_deref(), Some("US-CA"));
    assert_eq!(place.network.as_deref(), Some("192.0.0.0/16"));
    assert!(place.database);
    assert_eq!(told.answer, ["by-place.example.com.\t60\tIN\tA\t192.0.2.22"]);
    assert_eq!(
        (told.reason.as_str(), told.region.as_deref(), told.scope, told.ttl),
        ("failover", None, 16, 60)
    );
    let steps: Vec<_> =
        told.steps.iter().map(|step| (step.member.as_str(), step.share, step.taken)).collect();
    assert_eq!(steps, [("california", 0, false), ("us", 100, true)]);
    let first = &told.steps[0];
    assert_eq!(
        (first.set.as_str(), first.policy.as_str(), first.check.as_deref()),
        ("by-place", "geolocation", Some("orders"))
    );
    assert_eq!((told.odds.len(), told.odds[0].percent), (1, 100.0));
}

#[test]
fn weights_are_told_as_odds() {
    let told = told(&Standing::default(), "www.example.com", "A", "10.0.0.1");
    assert_eq!((told.reason.as_str(), told.scope, told.odds.len()), ("weighted", 0, 2));
    let (first, second) = (&told.odds[0], &told.odds[1]);
    assert_eq!(
        (first.answer.clone(), first.region.as_deref()),
        (vec!["192.0.2.1".to_owned()], Some("taiwan"))
    );
    assert_eq!(
        (second.answer.clone(), second.region.as_deref()),
        (vec!["192.0.2.2".to_owned()], Some("japan"))
    );
    assert!((first.percent - 60.0).abs() < 2.0 && (first.percent + second.percent - 100.0).abs() < 0.11);
    assert_eq!(told.steps.iter().filter(|step| step.taken).count(), 1);
    assert!(told.steps[0].weight.is_some());
}

#[test]
fn latency_is_told_and_so_is_a_fresh_failover() {
    let standing = Standing { shares: vec![0, 100, 100, 100], fresh: true };
    let told = told(&standing, "near.example.com", "A", "198.51.100.9");
    let steps: Vec<_> =
        told.steps.iter().map(|step| (step.member.as_str(), step.latency_ms, step.taken)).collect();
    assert_eq!(steps, [("taiwan", Some(5), false), ("japan", Some(40), true)]);
    assert_eq!((told.ttl, told.ttl_lowered, told.region.as_deref()), (15, true, Some("japan")));
}

#[test]
fn a_tree_is_told_from_top_to_bottom() {
    let told = told(&standing([0, 0, 100, 100]), "tree.example.com", "A", "198.51.100.9");
    let steps: Vec<_> =
        told.steps.iter().map(|step| format!("{} {} {}", step.set, step.member, step.taken)).collect();
    assert_eq!(steps[0], "tree taiwan false", "{steps:?}");
    assert!(steps.contains(&"tree japan true".to_owned()), "{steps:?}");
    assert!(steps.contains(&"either sorry true".to_owned()), "{steps:?}");
    assert_eq!(told.answer, ["tree.example.com.\t60\tIN\tCNAME\tsorry.example.net."]);
    assert_eq!(told.reason, "failover");
}

#[test]
fn aliases_are_followed_in_the_telling_too() {
    let told = told(&Standing::default(), "to-place.example.com", "A", "203.0.113.9");
    assert_eq!(told.answer.len(), 2, "{told:?}");
    assert_eq!((told.region.as_deref(), told.reason.as_str(), told.scope), (Some("japan"), "geo", 24));
    let sets: Vec<_> = told.steps.iter().map(|step| step.set.as_str()).collect();
    assert_eq!(sets.first(), Some(&"to-place"));
    assert_eq!(sets.last(), Some(&"by-place"));
}

#[test]
fn what_is_not_there_is_told_too() {
    let healthy = Standing::default();
    for (name, record_type, rcode, reason, ttl) in [
        ("none.example.com", "A", "NXDOMAIN", "no_answer", 30),
        ("example.net", "A", "REFUSED", "no_answer", 30),
        ("some-places.example.com", "A", "NOERROR", "no_answer", 30),
        ("example.com", "SOA", "NOERROR", "simple", 60),
        ("ns1.example.com", "A", "NOERROR", "simple", 60),
    ] {
        let told = told(&healthy, name, record_type, "10.0.0.1");
        assert_eq!((told.rcode.as_str(), told.reason.as_str(), told.ttl), (rcode, reason, ttl), "{name}");
        assert_eq!(told.answer.is_empty(), reason == "no_answer", "{name}");
    }
}

#[test]
fn a_question_that_is_none_is_named() {
    let ask = |name: &str, record_type: &str| {
        explain(&settings(ZONE), None, &Standing::default(), name, record_type, "10.0.0.1".parse().unwrap())
    };
    assert!(ask("a..b", "A").unwrap_err().contains("\"a..b\" is not a DNS name"));
    let error = ask("www.example.com", "AAAAA").unwrap_err();
    assert_eq!(error, "\"AAAAA\" is no type of records: use A, AAAA, CNAME, TXT, NS, SOA or ANY");
    let told = ask("by-place.example.com", "A").unwrap();
    assert!(!told.place.database && told.place.country.is_none());
    assert_eq!((told.answer.len(), told.scope), (1, 0));
}

/// The explanation and the answer are the work of one function.
#[test]
fn explained_is_answered() {
    let responder = responder();
    for name in ["by-place", "near", "either", "static", "to-place", "many", "deep.in.it"] {
        let name = format!("{name}.example.com");
        for from in ["198.51.100.9", "203.0.113.9", "192.0.7.1", "10.0.0.1"] {
            let told = told(&Standing::default(), &name, "A", from);
            let mut answers = Vec::new();
            for random in 0..400_u64 {
                let mut data =
                    question(&name, Rtype::A).from(from).random(random << 55).ask(&responder).data();
                data.sort();
                answers.push(data);
            }
            assert!(
                answers.iter().all(|data| told.odds.iter().any(|odds| odds.answer == *data)),
                "{name} {from}"
            );
        }
    }
}
