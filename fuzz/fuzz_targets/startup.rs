//! All that a stranger says before its user is known: the start-up packet and both SCRAM messages.
#![no_main]

use evenkeel_database::router::scram::{Exchange, NONCE_BYTES, Verifier};
use evenkeel_database::router::startup::{Request, read};
use evenkeel_database::router::wire::authentication::read_sasl_initial;
use evenkeel_database::router::wire::backend::{Severity, put_error};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|said: (&[u8], &[u8], &[u8])| {
    let (packet, initial, last) = said;
    match read(packet) {
        Ok(Request::Startup(startup)) => {
            assert!(!startup.user.is_empty() && startup.user.len() <= 63);
            assert!(!startup.database.is_empty() && startup.database.len() <= 63);
            let settings = startup.parameters.iter().map(|(name, value)| name.len() + value.len());
            assert!(settings.sum::<usize>() <= packet.len(), "more than was said");
            assert!(startup.parameters.iter().all(|(name, _)| !name.is_empty()));
        }
        Ok(Request::Tls | Request::Gss | Request::Cancel(..)) => assert!(packet.len() <= 12),
        Err(report) => {
            assert_eq!(report.severity, Severity::Fatal);
            assert!(!report.message.is_empty());
            put_error(&mut bytes::BytesMut::new(), &report);
        }
    }
    for first in [Some(initial), read_sasl_initial(initial).ok().and_then(|(_, response)| response)] {
        let Some(first) = first else { continue };
        let verifier = Verifier::unmatched(b"0123456789abcdef");
        if let Ok(exchange) = Exchange::begin(verifier, first, &[7; NONCE_BYTES]) {
            assert!(exchange.challenge().starts_with(b"r="));
            assert!(exchange.finish(last).is_err(), "nothing proves what nobody knows");
        }
    }
});
