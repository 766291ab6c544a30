//! Where clients are: by their own address, or by a resolver's word (RFC 7871).

use crate::support::{Answer, ZONE, ask, question, responder, responder_of, standing};
use domain::base::iana::{OptRcode, Rtype};
use evenkeel_dns::Responder;

fn from(responder: &Responder, name: &str, address: &str) -> Vec<String> {
    question(name, Rtype::A).from(address).ask(responder).data()
}

/// R9 and R10, and R33's second half: without the option the sender's address counts.
#[test]
fn the_smallest_place_wins() {
    let responder = responder();
    for (address, expected) in [
        ("192.0.7.1", "192.0.2.21"),
        ("192.1.7.1", "192.0.2.22"),
        ("192.2.7.1", "192.0.2.22"),
        ("192.3.7.1", "192.0.2.23"),
        ("198.51.100.9", "192.0.2.1"),
        ("203.0.113.9", "192.0.2.2"),
        ("192.4.0.1", "192.0.2.29"),
        ("10.0.0.1", "192.0.2.29"),
        ("2001:db8:7::1", "192.0.2.2"),
        ("::ffff:203.0.113.9", "192.0.2.2"),
        ("2001:db8:8::1", "192.0.2.29"),
    ] {
        assert_eq!(from(&responder, "by-place.example.com", address), [expected], "{address}");
    }
}

/// R10, R11.
#[test]
fn nobody_s_place_is_no_answer() {
    let responder = responder();
    for address in ["192.4.0.1", "10.0.0.1", "192.1.7.1", "192.2.7.1"] {
        let answer = question("some-places.example.com", Rtype::A).from(address).ask(&responder);
        assert_eq!((answer.rcode, answer.answers.len(), answer.authority.len()), (OptRcode::NOERROR, 0, 1));
    }
    assert_eq!(from(&responder, "some-places.example.com", "192.0.7.1"), ["192.0.2.31"]);
}

/// R12: the next larger place that is healthy.
#[test]
fn an_unhealthy_place_is_passed_over() {
    let responder = responder();
    responder.set(standing([100, 100, 100, 0]));
    assert_eq!(from(&responder, "by-place.example.com", "192.0.7.1"), ["192.0.2.22"]);
}

/// R13: all of them unhealthy, the smallest one all the same.
#[test]
fn with_none_healthy_the_smallest_place_is_answered() {
    let responder = responder();
    responder.set(standing([100, 0, 100, 100]));
    assert_eq!(from(&responder, "some-places.example.com", "203.0.113.9"), ["192.0.2.2"]);
}

/// R15.
#[test]
fn latency_follows_the_table() {
    let responder = responder();
    assert_eq!(from(&responder, "near.example.com", "198.51.100.9"), ["192.0.2.1"]);
    assert_eq!(from(&responder, "near.example.com", "203.0.113.9"), ["192.0.2.2"]);
    assert_eq!(
        from(&responder, "near.example.com", "192.5.0.1"),
        ["192.0.2.2"],
        "only its continent is known"
    );
    responder.set(standing([0, 100, 100, 100]));
    assert_eq!(from(&responder, "near.example.com", "198.51.100.9"), ["192.0.2.2"]);
}

/// R33: the option counts, the sender does not.
#[test]
fn the_option_tells_where_the_client_is() {
    let responder = responder();
    // Network, answer, scope: the database's network, whatever was asked with.
    for (network, expected, scope) in [
        ("203.0.113.0/24", "192.0.2.2", 24),
        ("203.0.113.77/32", "192.0.2.2", 24),
        ("198.51.100.0/24", "192.0.2.1", 24),
        ("192.0.0.0/16", "192.0.2.21", 16),
        ("192.4.0.0/24", "192.0.2.29", 20),
        // Too short for the database to tell: the answer holds for a smaller network than was asked with.
        ("192.0.0.0/8", "192.0.2.21", 16),
        ("2001:db8:7::/56", "192.0.2.2", 48),
        ("2001:db8::/32", "192.0.2.29", 46),
        ("::ffff:203.0.113.0/120", "192.0.2.2", 120),
    ] {
        let answer =
            question("by-place.example.com", Rtype::A).from("198.51.100.9").subnet(network).ask(&responder);
        assert_eq!(answer.data(), [expected], "{network}");
        assert_eq!(answer.scope(), Some(scope), "{network}");
        let subnet = answer.subnet.unwrap();
        assert_eq!(format!("{}/{}", subnet.addr(), subnet.source_prefix_len()), network, "copied");
    }
}

#[test]
fn what_does_not_depend_on_place_holds_for_everyone() {
    let responder = responder();
    for name in ["www", "static", "either", "none", "inward", "many"] {
        let name = format!("{name}.example.com");
        let answer = question(&name, Rtype::A).subnet("203.0.113.0/24").ask(&responder);
        assert_eq!(answer.scope(), Some(0), "{name}");
    }
    for name in ["by-place", "some-places", "near", "to-place", "tree", "api"] {
        let name = format!("{name}.example.com");
        let answer = question(&name, Rtype::A).subnet("203.0.113.0/24").ask(&responder);
        assert_eq!(answer.scope(), Some(24), "{name}");
    }
    let refused = question("example.net", Rtype::A).subnet("203.0.113.0/24").ask(&responder);
    assert_eq!((refused.rcode, refused.scope()), (OptRcode::REFUSED, Some(0)));
}

/// Section 7.1.2: a client that gives no address wants no answer of its own.
#[test]
fn without_an_address_nobody_s_place_counts() {
    let responder = responder();
    for network in ["0.0.0.0/0", "::/0"] {
        let answer =
            question("by-place.example.com", Rtype::A).from("203.0.113.9").subnet(network).ask(&responder);
        assert_eq!((answer.data(), answer.scope()), (vec!["192.0.2.29".to_owned()], Some(0)), "{network}");
    }
    let answer =
        question("by-place.example.com", Rtype::A).from("203.0.113.9").option(8, &[0; 4]).ask(&responder);
    assert_eq!(answer.data(), ["192.0.2.29"], "family 0");
    assert!(answer.bytes.ends_with(&[0, 8, 0, 4, 0, 0, 0, 0]), "family 0 is copied");
}

#[test]
fn an_option_that_is_wrong_is_a_format_error() {
    let responder = responder();
    let wrong: [&[u8]; 8] = [
        &[],
        &[0, 1, 24],
        &[0, 1, 24, 0, 192, 0],
        &[0, 1, 24, 0, 192, 0, 2, 0],
        &[0, 1, 23, 0, 192, 0, 3],
        &[0, 1, 24, 24, 192, 0, 2],
        &[0, 3, 0, 0],
        &[0, 1, 33, 0, 192, 0, 2, 1, 0],
    ];
    for data in wrong {
        let answer = question("by-place.example.com", Rtype::A).option(8, data).ask(&responder);
        assert_eq!((answer.rcode, answer.answers.len()), (OptRcode::FORMERR, 0), "{data:?}");
        assert!(answer.edns.is_some() && answer.subnet.is_none(), "{data:?}: {answer:?}");
        assert_eq!(answer.question.as_deref(), Some("by-place.example.com. IN A"));
    }
}

#[test]
fn an_answer_has_the_option_only_if_the_question_had_it() {
    let answer = question("by-place.example.com", Rtype::A).from("203.0.113.9").ask(&responder());
    assert_eq!((answer.subnet, answer.data()), (None, vec!["192.0.2.2".to_owned()]));
}

#[test]
fn switched_off_the_option_is_not_there() {
    let responder = responder_of(&ZONE.replace("  ttl: 60s\n", "  ttl: 60s\n  client_subnet: false\n"));
    let asked = question("by-place.example.com", Rtype::A).from("203.0.113.9");
    for data in [&[0, 1, 24, 0, 198, 51, 100][..], &[0, 9, 9, 9, 9]] {
        let answer = asked.clone().option(8, data).ask(&responder);
        assert_eq!((answer.rcode, answer.subnet), (OptRcode::NOERROR, None));
        assert_eq!(answer.data(), ["192.0.2.2"], "the sender's own");
    }
}

#[test]
fn the_first_of_two_options_counts() {
    let asked = question("by-place.example.com", Rtype::A).subnet("203.0.113.0/24").subnet("198.51.100.0/24");
    let answer = asked.ask(&responder());
    assert_eq!((answer.data(), answer.scope()), (vec!["192.0.2.2".to_owned()], Some(24)));
}

/// Many networks share an entry, and entries share a place among those that are kept decoded.
#[test]
fn kept_entries_are_told_apart() {
    let responder = responder();
    for round in 0..3 {
        for (address, expected) in
            [("192.0.7.1", "192.0.2.21"), ("198.51.100.9", "192.0.2.1"), ("203.0.113.9", "192.0.2.2")]
        {
            assert_eq!(from(&responder, "by-place.example.com", address), [expected], "{round}");
        }
    }
}

#[test]
fn without_a_database_nobody_knows() {
    let responder = responder();
    responder.reload(&crate::support::settings(ZONE), None).unwrap();
    let bytes = question("by-place.example.com", Rtype::A).subnet("203.0.113.0/24").bytes();
    let answer = ask(&responder, &bytes, "203.0.113.9".parse().unwrap(), evenkeel_dns::Transport::Udp, 0);
    let answer = Answer::read(answer.unwrap());
    assert_eq!((answer.data(), answer.scope()), (vec!["192.0.2.29".to_owned()], Some(0)));
}
