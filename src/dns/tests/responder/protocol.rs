//! Headers, EDNS, sizes and limits.

use crate::support::{Answer, ZONE, ask, question, responder, responder_of};
use domain::base::iana::{Class, OptRcode, Rtype};
use evenkeel_dns::{Query, Tally, Transport};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 200));

fn udp(bytes: &[u8]) -> Option<Answer> {
    ask(&responder(), bytes, CLIENT, Transport::Udp, 0).map(Answer::read)
}

/// A question for `static.example.com`, with its second 16 bits (the flags) replaced.
fn flags(flags: u16) -> Vec<u8> {
    let mut bytes = question("static.example.com", Rtype::A).bytes();
    bytes[2..4].copy_from_slice(&flags.to_be_bytes());
    bytes
}

#[test]
fn flags_are_an_authoritative_server_s() {
    for (sent, back) in [
        (0x0000, "qr aa"),
        (0x0100, "qr aa rd"),
        // AA, TC, RA, Z, AD and CD of a question mean nothing here.
        (0x0400, "qr aa"),
        (0x0200, "qr aa"),
        (0x0080, "qr aa"),
        (0x0040, "qr aa"),
        (0x0020, "qr aa"),
        (0x0010, "qr aa"),
    ] {
        let answer = udp(&flags(sent)).unwrap();
        assert_eq!((answer.flags.as_str(), answer.rcode), (back, OptRcode::NOERROR), "{sent:04x}");
        assert_eq!(answer.bytes[..2], [0x4b, 0x45]);
        assert_eq!(answer.answers.len(), 2);
    }
}

#[test]
fn responses_are_met_with_silence() {
    for sent in [0x8000, 0x8180, 0x8583, 0xffff] {
        assert!(udp(&flags(sent)).is_none(), "{sent:04x}");
    }
}

#[test]
fn other_operations_are_not_implemented() {
    for opcode in 1..16_u16 {
        let answer = udp(&flags(opcode << 11)).unwrap();
        assert_eq!((answer.rcode, answer.answers.len()), (OptRcode::NOTIMP, 0), "{opcode}");
        assert_eq!(answer.bytes[2] >> 3 & 15, opcode as u8, "the operation goes back");
        assert!(answer.edns.is_some(), "who speaks EDNS is answered in it");
    }
}

#[test]
fn other_classes_are_refused() {
    for class in [Class::CH, Class::HS, Class::NONE, Class::ANY, Class::from_int(0), Class::from_int(4711)] {
        let mut asked = question("static.example.com", Rtype::A);
        asked.class = class;
        let answer = asked.ask(&responder());
        assert_eq!(
            (answer.rcode, answer.answers.len(), answer.flags.as_str()),
            (OptRcode::REFUSED, 0, "qr rd")
        );
    }
}

#[test]
fn there_is_one_question() {
    for count in [0, 2, 3, 0xffff_u16] {
        let mut bytes = question("static.example.com", Rtype::A).bytes();
        bytes[4..6].copy_from_slice(&count.to_be_bytes());
        let answer = udp(&bytes).unwrap();
        assert_eq!((answer.rcode, answer.question), (OptRcode::FORMERR, None), "{count}");
        assert_eq!(answer.bytes.len(), 12);
    }
}

#[test]
fn edns_is_answered_in_kind() {
    let plain = question("static.example.com", Rtype::A).without_edns().ask(&responder());
    assert_eq!(plain.edns, None);
    for size in [0, 511, 512, 1232, 4096, 65535] {
        let answer = question("static.example.com", Rtype::A).edns(size).ask(&responder());
        assert_eq!((answer.edns, answer.answers.len()), (Some(1232), 2), "{size}");
    }
    // Unknown options, cookies among them, are passed over and not repeated.
    let asked = question("static.example.com", Rtype::A);
    let answer =
        asked.option(10, &[1, 2, 3, 4, 5, 6, 7, 8]).option(65001, b"?").option(3, &[]).ask(&responder());
    assert_eq!((answer.rcode, answer.answers.len()), (OptRcode::NOERROR, 2));
    assert!(answer.bytes.ends_with(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]), "an empty OPT: {answer:?}");
}

/// The bytes of OPT begin at the end of the question: a root name, then the type, 41.
fn with_opt(change: impl FnOnce(&mut Vec<u8>, usize)) -> Vec<u8> {
    let mut bytes = question("static.example.com", Rtype::A).bytes();
    let opt = bytes.len() - 11;
    assert_eq!(bytes[opt..opt + 3], [0, 0, 41]);
    change(&mut bytes, opt);
    bytes
}

#[test]
fn the_do_bit_goes_back_and_other_versions_are_refused() {
    let wants_dnssec = with_opt(|bytes, opt| bytes[opt + 7] = 0x80);
    let answer = udp(&wants_dnssec).unwrap();
    assert_eq!(answer.bytes[answer.bytes.len() - 4..], [0x80, 0, 0, 0]);
    for version in [1, 2, 255] {
        let answer = udp(&with_opt(|bytes, opt| bytes[opt + 6] = version)).unwrap();
        assert_eq!((answer.rcode, answer.edns, answer.answers.len()), (OptRcode::BADVERS, Some(1232), 0));
        assert_eq!(answer.question.as_deref(), Some("static.example.com. IN A"));
        assert_eq!(answer.bytes[answer.bytes.len() - 5], 0, "the version that is spoken");
    }
}

#[test]
fn opt_stands_once_at_the_root_and_is_whole() {
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let cases = [
        (
            "two",
            with_opt(|bytes, _| {
                bytes.extend(opt);
                bytes[11] = 2;
            }),
        ),
        (
            "with a name",
            with_opt(|bytes, at| {
                bytes.splice(at..at + 1, [1, b'x', 0]);
            }),
        ),
        (
            "with a pointer for a name",
            with_opt(|bytes, at| {
                bytes.splice(at..at + 1, [0xc0, 12]);
            }),
        ),
        ("longer than it is", with_opt(|bytes, at| bytes[at + 10] = 1)),
        (
            "with half an option",
            with_opt(|bytes, at| {
                bytes[at + 10] = 3;
                bytes.extend([0, 10, 0]);
            }),
        ),
        (
            "with an option longer than it is",
            with_opt(|bytes, at| {
                bytes[at + 10] = 4;
                bytes.extend([0, 10, 0, 1]);
            }),
        ),
        ("announced, not there", with_opt(|bytes, _| bytes[11] = 2)),
    ];
    for (case, bytes) in cases {
        let answer = udp(&bytes).unwrap_or_else(|| panic!("{case}"));
        assert_eq!((answer.rcode, answer.answers.len()), (OptRcode::FORMERR, 0), "{case}");
    }
    // In another section it is a record like any other, and those say nothing.
    let mut misplaced = with_opt(|_, _| {});
    misplaced[11] = 0;
    misplaced[9] = 1;
    let answer = udp(&misplaced).unwrap();
    assert_eq!((answer.rcode, answer.edns, answer.answers.len()), (OptRcode::NOERROR, None, 2));
}

#[test]
fn what_is_too_large_for_udp_is_asked_again_by_tcp() {
    let responder = responder();
    for (size, fits) in
        [(None, false), (Some(0), false), (Some(512), false), (Some(700), true), (Some(65535), true)]
    {
        let mut asked = question("big.example.com", Rtype::A);
        asked.edns = size;
        let answer = asked.ask(&responder);
        assert_eq!(answer.answers.len(), if fits { 40 } else { 0 }, "{size:?}");
        assert_eq!(answer.flags, if fits { "qr aa rd" } else { "qr aa tc rd" }, "{size:?}");
        assert_eq!(answer.edns, size.map(|_| 1232));
        assert!(answer.bytes.len() <= usize::from(size.unwrap_or(0).clamp(512, 1232)));
    }
    // Over the limit that holds whatever the client says.
    let txt = question("big.example.com", Rtype::TXT).edns(4096).ask(&responder);
    assert_eq!((txt.answers.len(), txt.flags.as_str()), (0, "qr aa tc rd"));
    let txt = question("big.example.com", Rtype::TXT).by_tcp().ask(&responder);
    assert_eq!((txt.answers.len(), txt.flags.as_str()), (11, "qr aa rd"));
    assert!(txt.bytes.len() > 1232);
}

/// The room for OPT counts: with one more octet in it an answer that just fitted does not.
#[test]
fn the_limit_is_exact() {
    let responder = responder();
    let whole = question("big.example.com", Rtype::A).ask(&responder);
    let size = whole.bytes.len() as u16;
    let asked = question("big.example.com", Rtype::A);
    assert_eq!(asked.clone().edns(size).ask(&responder).bytes.len(), usize::from(size));
    assert_eq!(asked.clone().edns(size - 1).ask(&responder).flags, "qr aa tc rd");
    let subnet = asked.subnet("192.0.2.0/24");
    assert_eq!(subnet.clone().edns(size + 10).ask(&responder).flags, "qr aa tc rd");
    assert_eq!(subnet.edns(size + 11).ask(&responder).flags, "qr aa rd");
}

#[test]
fn keepalive_is_told_by_tcp_alone() {
    let asked = question("static.example.com", Rtype::A).option(11, &[]);
    assert!(asked.clone().by_tcp().ask(&responder()).bytes.ends_with(&[0, 6, 0, 11, 0, 2, 0, 100]));
    assert!(asked.ask(&responder()).bytes.ends_with(&[0, 0]));
}

fn limited() -> evenkeel_dns::Responder {
    let limit = "rate_limit: {responses_per_second: 10, slip: 2, exempt: [10.0.0.0/8]}";
    responder_of(&ZONE.replace("rate_limit: {responses_per_second: 0}", limit))
}

/// Of `count` questions at once: answered, truncated, dropped.
fn flood(
    responder: &evenkeel_dns::Responder,
    from: &str,
    transport: Transport,
    now: Instant,
    count: u64,
) -> [u32; 3] {
    let bytes = question("big.example.com", Rtype::A).bytes();
    let (mut reply, mut tally, mut seen) = (Vec::new(), Tally::default(), [0; 3]);
    for draw in 0..count {
        let client = SocketAddr::new(from.parse().unwrap(), 53);
        let query = Query { bytes: &bytes, client, transport, random: draw << 32, now };
        if !responder.respond(&query, &mut reply, &mut tally) {
            seen[2] += 1;
            continue;
        }
        let answer = Answer::read(reply.clone());
        if answer.flags.contains("tc") {
            assert!(reply.len() <= bytes.len(), "no gain for whoever writes another's address");
            assert_eq!((answer.answers.len(), answer.question.is_some()), (0, true));
            seen[1] += 1;
        } else {
            seen[0] += 1;
        }
    }
    seen
}

#[test]
fn a_network_has_its_rate_by_udp() {
    let responder = limited();
    let now = Instant::now();
    assert_eq!(flood(&responder, "192.0.2.1", Transport::Udp, now, 50), [10, 20, 20]);
    assert_eq!(flood(&responder, "192.0.2.99", Transport::Udp, now, 50), [0, 25, 25], "the same /24");
    assert_eq!(flood(&responder, "192.0.3.1", Transport::Udp, now, 50), [10, 20, 20], "another");
    assert_eq!(flood(&responder, "10.1.2.3", Transport::Udp, now, 50), [50, 0, 0], "exempt");
    assert_eq!(flood(&responder, "192.0.2.1", Transport::Tcp, now, 50), [50, 0, 0], "never by TCP");
    let later = now + Duration::from_secs(1);
    assert_eq!(flood(&responder, "192.0.2.1", Transport::Udp, later, 50), [10, 20, 20]);
}

#[test]
fn the_rate_holds_for_every_response() {
    let responder = limited();
    let now = Instant::now();
    let garbage = [&question("example.org", Rtype::A).bytes()[..], &flags(0x7800), &[0; 12]];
    let mut answered = 0;
    for at in 0..60 {
        let query = Query {
            bytes: garbage[at % 3],
            client: SocketAddr::new(CLIENT, 53),
            transport: Transport::Udp,
            random: 1 << 32,
            now,
        };
        answered += u32::from(responder.respond(&query, &mut Vec::new(), &mut Tally::default()));
    }
    assert_eq!(answered, 10);
}
