//! The message framer and the readers behind it: any bytes are messages, or refused.
#![no_main]

use evenkeel_database::router::wire::authentication::{Authentication, read_sasl_initial};
use evenkeel_database::router::wire::frontend::{Bind, Parse, put_bind, put_parse, put_target, read_target};
use evenkeel_database::router::wire::{HEADER, backend, outline};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    // An outline grows no further once its header is whole: what a reader sees does not depend on how
    // the bytes arrive.
    while let Ok(Some(found)) = outline(rest) {
        assert!(found.len >= HEADER);
        assert_eq!(outline(&rest[..HEADER]), Ok(Some(found)));
        let Some(message) = rest.get(..found.len) else { break };
        read(found.tag, message);
        rest = &rest[found.len..];
    }
});

fn read(tag: u8, message: &[u8]) {
    let body = &message[HEADER..];
    // What is read can be written, and is then the same message again.
    let mut out = bytes::BytesMut::new();
    if let Ok(parse) = Parse::read(body) {
        put_parse(&mut out, &parse);
        assert_eq!(out[HEADER..], *body);
    }
    out.clear();
    if let Ok(bind) = Bind::read(body) {
        put_bind(&mut out, &bind);
        assert_eq!(out[HEADER..], *body);
    }
    out.clear();
    if let Ok((kind, name)) = read_target(tag, body) {
        put_target(&mut out, tag, kind, name);
        assert!(body.starts_with(&out[HEADER..]));
    }
    if let Some(code) = backend::error_code(body) {
        assert_eq!(backend::report_field(body, b'C'), Some(&code[..]));
    }
    let _ = (backend::read_parameter(body), backend::read_key(body));
    let _ = (Authentication::read(body), read_sasl_initial(body));
}
