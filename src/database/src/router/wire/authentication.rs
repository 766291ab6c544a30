//! Messages before a session: start-up packets, log-in, on both sides.

use super::frontend::tag::PASSWORD;
use super::{Fields, WireError, backend, put, put_text};
use bytes::BytesMut;

/// The length and code of a packet that asks for TLS.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The code of a start-up packet that asks for TLS: 1234.5679.
pub const SSL_CODE: u32 = 80_877_103;
/// The code of one that asks for GSSAPI encryption: 1234.5680.
pub const GSS_CODE: u32 = 80_877_104;
/// The code of one that asks to cancel a statement: 1234.5678.
pub const CANCEL_CODE: u32 = 80_877_102;
/// Protocol 3.0.
pub const PROTOCOL: u32 = 3 << 16;

/// What a server says about logging in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication<'a> {
    /// The client is in.
    Ok,
    /// Send the password as it is.
    Cleartext,
    /// Send the password hashed with this salt.
    Md5([u8; 4]),
    /// Begin one of these SASL mechanisms, each ended by a zero byte.
    Sasl(&'a [u8]),
    /// The mechanism's next challenge.
    SaslContinue(&'a [u8]),
    /// The mechanism's last word.
    SaslFinal(&'a [u8]),
    /// A way that this router does not know.
    Other(i32),
}

impl<'a> Authentication<'a> {
    /// Reads the message's body.
    ///
    /// # Errors
    /// If it is too short.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(backend::tag::AUTHENTICATION, body);
        Ok(match fields.number()? {
            0 => Authentication::Ok,
            3 => Authentication::Cleartext,
            5 => Authentication::Md5(fields.number()?.to_be_bytes()),
            10 => Authentication::Sasl(fields.rest()),
            11 => Authentication::SaslContinue(fields.rest()),
            12 => Authentication::SaslFinal(fields.rest()),
            other => Authentication::Other(other),
        })
    }

    /// Appends the message.
    pub fn put(&self, out: &mut BytesMut) {
        let (kind, rest): (i32, &[u8]) = match self {
            Authentication::Ok => (0, &[]),
            Authentication::Cleartext => (3, &[]),
            Authentication::Md5(salt) => (5, salt),
            Authentication::Sasl(rest) => (10, rest),
            Authentication::SaslContinue(rest) => (11, rest),
            Authentication::SaslFinal(rest) => (12, rest),
            Authentication::Other(kind) => (*kind, &[]),
        };
        put(out, backend::tag::AUTHENTICATION, |out| {
            out.extend_from_slice(&kind.to_be_bytes());
            out.extend_from_slice(rest);
        });
    }
}

/// Appends a start-up packet of protocol 3.0.
pub fn put_startup(out: &mut BytesMut, parameters: &[(&str, &str)]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&PROTOCOL.to_be_bytes());
    for (name, value) in parameters {
        put_text(out, name.as_bytes());
        put_text(out, value.as_bytes());
    }
    out.extend_from_slice(&[0]);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// A CancelRequest.
pub fn cancel_request((pid, secret): (i32, i32)) -> [u8; 16] {
    let mut packet = [0; 16];
    let words = [16, CANCEL_CODE, pid.cast_unsigned(), secret.cast_unsigned()];
    for (to, word) in packet.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    packet
}

/// Appends a PasswordMessage.
pub fn put_password(out: &mut BytesMut, password: &[u8]) {
    put(out, PASSWORD, |out| put_text(out, password));
}

/// Appends a SASLInitialResponse.
pub fn put_sasl_initial(out: &mut BytesMut, mechanism: &str, response: &[u8]) {
    put(out, PASSWORD, |out| {
        put_text(out, mechanism.as_bytes());
        out.extend_from_slice(&u32::try_from(response.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(response);
    });
}

/// Appends a SASLResponse.
pub fn put_sasl(out: &mut BytesMut, response: &[u8]) {
    put(out, PASSWORD, |out| out.extend_from_slice(response));
}

/// Reads a SASLInitialResponse: the mechanism, and the response if there is one.
///
/// # Errors
/// If it is malformed.
pub fn read_sasl_initial(body: &[u8]) -> Result<(&[u8], Option<&[u8]>), WireError> {
    let mut fields = Fields::new(PASSWORD, body);
    let mechanism = fields.text()?;
    let length = fields.number()?;
    let wrong = fields.malformed("the response has another length");
    match usize::try_from(length) {
        Ok(length) if length == fields.rest().len() => Ok((mechanism, Some(fields.rest()))),
        Err(_) if length == -1 && fields.rest().is_empty() => Ok((mechanism, None)),
        _ => Err(wrong),
    }
}

/// Appends a NegotiateProtocolVersion: 3.0 is the newest known, and these options are not.
pub fn put_negotiate(out: &mut BytesMut, unknown: &[String]) {
    put(out, backend::tag::NEGOTIATE, |out| {
        // The whole version, as PostgreSQL writes it and libpq reads it; its documentation speaks of
        // the minor number alone.
        out.extend_from_slice(&PROTOCOL.to_be_bytes());
        out.extend_from_slice(&u32::try_from(unknown.len()).unwrap_or(u32::MAX).to_be_bytes());
        unknown.iter().for_each(|option| put_text(out, option.as_bytes()));
    });
}

#[cfg(test)]
mod tests {
    use super::super::HEADER;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authentication_is_read_back() {
        for message in [
            Authentication::Ok,
            Authentication::Cleartext,
            Authentication::Md5([1, 2, 3, 4]),
            Authentication::Sasl(b"SCRAM-SHA-256\0\0"),
            Authentication::SaslContinue(b"r=1"),
            Authentication::SaslFinal(b"v=1"),
            Authentication::Other(7),
        ] {
            let mut out = BytesMut::new();
            message.put(&mut out);
            assert_eq!(Authentication::read(&out[HEADER..]), Ok(message));
        }
    }

    #[test]
    fn an_initial_response_must_have_the_length_it_claims() {
        let mut out = BytesMut::new();
        put_sasl_initial(&mut out, "SCRAM-SHA-256", b"n,,");
        assert_eq!(read_sasl_initial(&out[HEADER..]), Ok((&b"SCRAM-SHA-256"[..], Some(&b"n,,"[..]))));
        assert_eq!(read_sasl_initial(b"X\0\xff\xff\xff\xff"), Ok((&b"X"[..], None)));
        for body in [&b"X\0\0\0\0\x01"[..], b"X\0\xff\xff\xff\xfe", b"X\0\xff\xff\xff\xffx", b"X\0", b"X"] {
            assert!(read_sasl_initial(body).is_err(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>) {
            let _ = (Authentication::read(&body), read_sasl_initial(&body));
        }
    }
}
