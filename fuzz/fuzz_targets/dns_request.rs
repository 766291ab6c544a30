//! Any bytes at all as a DNS request, at a zone of every policy. The first byte chooses the transport and
//! what is healthy.
#![no_main]

// The tests write files too.
#[allow(dead_code)]
#[path = "../../src/dns/tests/support/mmdb.rs"]
mod mmdb;

use evenkeel_config::Plan;
use evenkeel_dns::{Places, Query, Responder, Settings, Standing, Tally, Transport};
use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

static RESPONDER: LazyLock<Responder> = LazyLock::new(|| {
    let file = include_bytes!("../../src/dns/tests/support/zone.yaml");
    let plan = Plan::read(file, Path::new("."), None).expect("the zone is right");
    let places = mmdb::bytes(&[
        ("198.51.100.0/24", "AS", "TW", ""),
        ("203.0.113.0/24", "AS", "JP", ""),
        ("192.0.0.0/16", "NA", "US", "CA"),
        ("2001:db8:7::/48", "AS", "JP", ""),
    ]);
    let settings = Settings {
        zone: plan.zone.expect("there is one"),
        dns: plan.file.dns.expect("there is one"),
        regions: plan.file.regions.into_iter().map(|region| region.name).collect(),
        listen: Vec::new(),
        geoip: None,
    };
    let places = Places::from_bytes(places).expect("it was written a moment ago");
    Responder::new(&settings, Some(places), Standing::default()).expect("the zone is right")
});

fuzz_target!(|said: &[u8]| {
    let Some((first, bytes)) = said.split_first() else { return };
    let transport = if first & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let share = |bit: u8| if first >> bit & 1 == 0 { 100 } else { 0 };
    let shares = vec![share(1), share(2), share(3), share(4)];
    RESPONDER.set(Standing { shares, fresh: first >> 5 & 1 == 1 });
    let client = SocketAddr::from(([203, 0, 113, *first], 53));
    let random = u64::from(*first) << 56;
    let query = Query { bytes, client, transport, random, now: *START };
    let mut reply = Vec::new();
    if !RESPONDER.respond(&query, &mut reply, &mut Tally::default()) {
        assert!(bytes.len() < 12 || bytes[2] & 0x80 != 0, "a right header has an answer");
        return;
    }
    assert!(bytes.len() >= 12 && bytes[2] & 0x80 == 0, "no request was answered");
    assert!(reply.len() <= if transport == Transport::Udp { 1232 } else { 65_535 });
    assert_eq!(reply[..2], bytes[..2], "the number");
    assert_eq!(reply[2] & 0xf9, bytes[2] & 0x79 | 0x80, "QR, opcode and RD");
    assert_eq!(reply[3] & 0xf0, 0, "neither RA nor bits that are not ours");
    let question = u16::from_be_bytes([reply[4], reply[5]]);
    if question > 0 {
        let name = reply[12..].iter().scan(0, |left, byte| {
            if *left == 0 && *byte == 0 {
                return None;
            }
            *left = if *left == 0 { *byte } else { *left - 1 };
            Some(())
        });
        let end = 12 + name.count() + 5;
        assert_eq!((question, &reply[12..end]), (1, &bytes[12..end]), "the question, in its case");
    }
    let (code, truncated) = (reply[3] & 15, reply[2] & 2 != 0);
    if !matches!(code, 0 | 3) || truncated {
        assert_eq!(reply[6..10], [0; 4], "records beside an error");
        assert!(reply.len() <= bytes.len() + 12, "an amplifier: {} for {}", reply.len(), bytes.len());
    }
    // The same once more, from the same state.
    let mut again = Vec::new();
    RESPONDER.respond(&query, &mut again, &mut Tally::default());
    assert_eq!(reply, again);
});
