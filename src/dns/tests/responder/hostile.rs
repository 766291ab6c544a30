//! Bytes that no resolver sends. Never a crash, never an amplifier, never somebody else's answer.

use crate::support::{Answer, ask, question, responder};
use domain::base::iana::{OptRcode, Rtype};
use domain::base::{Message, ToName};
use evenkeel_dns::{Responder, Transport};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

static RESPONDER: LazyLock<Responder> = LazyLock::new(responder);

/// What holds of every response, whatever was asked.
fn judge(bytes: &[u8], transport: Transport) -> Option<Answer> {
    let reply = ask(&RESPONDER, bytes, CLIENT, transport, 7)?;
    let request = Message::from_octets(bytes).expect("less than a header has no answer");
    assert!(!request.header().qr(), "a response was answered");
    let limit = if transport == Transport::Udp { 1232 } else { 65_535 };
    assert!(reply.len() <= limit, "{} bytes", reply.len());
    let response = Message::from_octets(&reply[..]).expect("a response has a header");
    assert_eq!(response.header().id(), request.header().id());
    assert!(response.header().qr() && !response.header().ra());
    assert_eq!(response.header().opcode(), request.header().opcode());
    let counts = response.header_counts();
    if counts.qdcount() > 0 {
        let (asked, repeated) = (request.first_question().unwrap(), response.first_question().unwrap());
        assert!(asked.qname().name_eq(repeated.qname()));
        assert_eq!((asked.qtype(), asked.qclass()), (repeated.qtype(), repeated.qclass()));
        let end = response.question().answer().unwrap().pos();
        assert_eq!(reply[12..end], bytes[12..end], "its case too");
    }
    let answer = Answer::read(reply);
    if !matches!(answer.rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN) {
        assert_eq!(counts.ancount() + counts.nscount(), 0);
        assert!(answer.bytes.len() <= bytes.len() + 12, "{} for {}", answer.bytes.len(), bytes.len());
    }
    if answer.flags.contains("tc") {
        assert!(answer.answers.is_empty() && answer.bytes.len() <= bytes.len());
    }
    Some(answer)
}

/// A header for one question, then these bytes.
fn request(question: &[u8]) -> Vec<u8> {
    [&[0x4b, 0x45, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], question].concat()
}

#[test]
fn a_request_cut_off_anywhere_is_a_format_error_or_silence() {
    let whole =
        question("by-place.example.com", Rtype::A).subnet("203.0.113.0/24").option(10, &[7; 8]).bytes();
    for length in 0..whole.len() {
        match judge(&whole[..length], Transport::Udp) {
            None => assert!(length < 12, "{length}"),
            Some(answer) => assert_eq!(answer.rcode, OptRcode::FORMERR, "{length}"),
        }
    }
    assert_eq!(judge(&whole, Transport::Udp).unwrap().rcode, OptRcode::NOERROR);
}

#[test]
fn each_single_bit_may_be_wrong() {
    let whole = question("by-place.example.com", Rtype::A).subnet("203.0.113.0/24").bytes();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        for transport in [Transport::Udp, Transport::Tcp] {
            judge(&bytes, transport);
        }
    }
}

#[test]
fn names_that_are_none_are_format_errors() {
    let end = [0, 1, 0, 1];
    let long = [&[63][..], &[b'a'; 63]].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a pointer to itself", [&[0xc0, 12][..], &end].concat()),
        ("a pointer to the header", [&[0xc0, 0][..], &end].concat()),
        ("a pointer forwards", [&[0xc0, 14, 0][..], &end].concat()),
        ("a label, then a pointer to it", [&[1, b'a', 0xc0, 12][..], &end].concat()),
        ("a label, then a pointer to the header's zeros", [&[1, b'a', 0xc0, 4][..], &end].concat()),
        ("two pointers at each other", [&[0xc0, 14, 0xc0, 12][..], &end].concat()),
        ("a label type of the past", [&[0x41, 0][..], &end].concat()),
        ("a label type that never was", [&[0x80, 0][..], &end].concat()),
        ("256 bytes", [&long[..], &long, &long, &long, &[0], &end].concat()),
        ("300 labels", [&[1, b'a'].repeat(300)[..], &[0], &end].concat()),
        ("no end", [63, b'a'].to_vec()),
        ("no type", vec![0]),
        ("no class", vec![0, 0, 1]),
    ];
    for (case, bytes) in cases {
        for transport in [Transport::Udp, Transport::Tcp] {
            let answer = judge(&request(&bytes), transport).unwrap_or_else(|| panic!("{case}"));
            assert_eq!((answer.rcode, answer.question), (OptRcode::FORMERR, None), "{case}");
        }
    }
    // The longest name there is, 255 bytes, is none of ours but a name.
    let longest = [&long[..], &long, &long, &[61], &[b'a'; 61], &[0], &end].concat();
    assert_eq!(judge(&request(&longest), Transport::Udp).unwrap().rcode, OptRcode::REFUSED);
    // So are names of any bytes at all, dots among them.
    for byte in 0..=255 {
        let name = [&[2, b'.', byte, 7][..], b"example", &[3], b"com", &[0], &end].concat();
        assert_eq!(judge(&request(&name), Transport::Udp).unwrap().rcode, OptRcode::NXDOMAIN, "{byte}");
    }
}

#[test]
fn counts_that_are_huge_cost_nothing() {
    for section in [6, 8, 10] {
        for count in [1, 2, 255, 65_535_u16] {
            let mut bytes = question("static.example.com", Rtype::A).without_edns().bytes();
            bytes[section..section + 2].copy_from_slice(&count.to_be_bytes());
            assert_eq!(judge(&bytes, Transport::Udp).unwrap().rcode, OptRcode::FORMERR, "{section} {count}");
        }
    }
}

/// Each record's name is a chain of pointers through all before it: the dearest that 4,096 bytes can ask.
#[test]
fn chains_of_pointers_take_no_time() {
    let mut bytes = question("static.example.com", Rtype::A).without_edns().bytes();
    let mut last = 12_u16;
    let mut records = 0_u16;
    while bytes.len() + 12 <= 4096 {
        let at = bytes.len() as u16;
        bytes.extend((0xc000 | last).to_be_bytes());
        bytes.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
        (last, records) = (at, records + 1);
    }
    bytes[10..12].copy_from_slice(&records.to_be_bytes());
    let start = Instant::now();
    for _ in 0..10 {
        judge(&bytes, Transport::Tcp);
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?} for ten", start.elapsed());
}

#[test]
fn what_is_longer_than_any_question_is_a_format_error() {
    let padded = |length: usize| {
        let empty = question("static.example.com", Rtype::A).option(12, &[]).bytes().len();
        question("static.example.com", Rtype::A).option(12, &vec![0; length - empty]).bytes()
    };
    assert_eq!(judge(&padded(4096), Transport::Tcp).unwrap().rcode, OptRcode::NOERROR);
    for length in [4097, 5000, 65_535] {
        assert_eq!(judge(&padded(length), Transport::Tcp).unwrap().rcode, OptRcode::FORMERR, "{length}");
    }
}

/// How much more comes back than was sent, of the shortest questions: what an attacker could gain.
#[test]
fn short_questions_have_short_answers() {
    let any = |name: &str| {
        let bytes = question(name, Rtype::ANY).bytes();
        judge(&bytes, Transport::Udp).unwrap().bytes.len() as f64 / bytes.len() as f64
    };
    for name in
        ["example.com", "static.example.com", "big.example.com", "many.example.com", "ns1.example.com"]
    {
        assert!(any(name) < 2.0, "{name}: {}", any(name));
    }
    // Nothing at all, of whatever type.
    for rtype in 0..=260 {
        let bytes = question("x.example.com", Rtype::from_int(rtype)).bytes();
        let answer = judge(&bytes, Transport::Udp).unwrap();
        assert!(answer.bytes.len() <= bytes.len() + 60, "{rtype}: {}", answer.bytes.len());
    }
}

/// Every way through the code that fuzzing found: the target's corpus, whose first byte is not the request's.
#[test]
fn what_fuzzing_found() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/dns_request");
    let mut read = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is in the repository") {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let Some((_, request)) = bytes.split_first() else { continue };
        for transport in [Transport::Udp, Transport::Tcp] {
            judge(request, transport);
        }
        read += 1;
    }
    assert!(read > 100, "{read} files");
}

/// A right request, changed here and there.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    const NAMES: &[&str] = &[
        "example.com",
        "www.example.com",
        "by-place.example.com",
        "big.example.com",
        "c1.example.com",
        "loop-1.example.com",
        "many.example.com",
        "in.it.example.com",
        "gone.example.com",
        "example.org",
    ];
    const TYPES: &[u16] = &[1, 2, 5, 6, 15, 16, 28, 41, 251, 252, 255, 65280];
    const OPTIONS: &[u16] = &[8, 10, 11, 12, 65001];
    let asked = (proptest::sample::select(NAMES), proptest::sample::select(TYPES), any::<Option<u16>>());
    let options = vec((proptest::sample::select(OPTIONS), vec(any::<u8>(), 0..12)), 0..4);
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (asked, options, changes, any::<prop::sample::Index>()).prop_map(
        |((name, rtype, edns), options, changes, cut)| {
            let mut asked = question(name, Rtype::from_int(rtype));
            (asked.edns, asked.options) = (edns, options);
            let mut bytes = asked.bytes();
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            if changes.len() == 5 {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_at_all(bytes in vec(any::<u8>(), 0..600)) {
        judge(&bytes, Transport::Udp);
        judge(&bytes, Transport::Tcp);
    }

    #[test]
    fn any_bytes_behind_a_header(bytes in vec(any::<u8>(), 0..300)) {
        judge(&request(&bytes), Transport::Udp);
    }

    #[test]
    fn what_is_nearly_right(bytes in nearly_right()) {
        judge(&bytes, Transport::Udp);
        judge(&bytes, Transport::Tcp);
    }
}
