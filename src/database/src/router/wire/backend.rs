//! What a server sends: to us, and what we send in its place.

use super::{Fields, WireError, put, put_text};
use bytes::BytesMut;

/// Tags of the messages that a server sends.
pub mod tag {
    #![allow(missing_docs)]
    pub const AUTHENTICATION: u8 = b'R';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const COPY_BOTH: u8 = b'W';
    pub const COPY_IN: u8 = b'G';
    pub const COPY_OUT: u8 = b'H';
    pub const DATA_ROW: u8 = b'D';
    pub const EMPTY_QUERY: u8 = b'I';
    pub const ERROR: u8 = b'E';
    pub const KEY: u8 = b'K';
    pub const NEGOTIATE: u8 = b'v';
    pub const NO_DATA: u8 = b'n';
    pub const NOTICE: u8 = b'N';
    pub const NOTIFICATION: u8 = b'A';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const READY: u8 = b'Z';
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// A SQLSTATE: five characters.
pub type Code = [u8; 5];

/// The codes that the router itself gives.
pub mod code {
    #![allow(missing_docs)]
    use super::Code;
    pub const PROTOCOL_VIOLATION: Code = *b"08P01";
    pub const RESOLUTION_UNKNOWN: Code = *b"08007";
    pub const FEATURE_NOT_SUPPORTED: Code = *b"0A000";
    pub const READ_ONLY: Code = *b"25006";
    pub const IN_FAILED_TRANSACTION: Code = *b"25P02";
    pub const INVALID_STATEMENT_NAME: Code = *b"26000";
    pub const INVALID_AUTHORIZATION: Code = *b"28000";
    pub const INVALID_PASSWORD: Code = *b"28P01";
    pub const SERIALIZATION_FAILURE: Code = *b"40001";
    pub const TOO_MANY_CONNECTIONS: Code = *b"53300";
    pub const CONFIGURATION_LIMIT: Code = *b"53400";
    pub const PROGRAM_LIMIT_EXCEEDED: Code = *b"54000";
    pub const QUERY_CANCELED: Code = *b"57014";
    pub const ADMIN_SHUTDOWN: Code = *b"57P01";
    pub const CANNOT_CONNECT_NOW: Code = *b"57P03";
    pub const CONNECTION_FAILURE: Code = *b"08006";
}

/// How bad an error is for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement fails.
    Error,
    /// The session ends.
    Fatal,
}

/// An error that the router itself reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How bad it is.
    pub severity: Severity,
    /// Its SQLSTATE.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// What can be done; empty for none.
    pub hint: String,
}

impl Report {
    /// A statement's error.
    pub fn error(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Report { severity: Severity::Error, code, message: message.into(), hint: hint.into() }
    }

    /// An error that ends the session.
    pub fn fatal(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Report { severity: Severity::Fatal, ..Report::error(code, message, hint) }
    }
}

/// Appends an ErrorResponse.
pub fn put_error(out: &mut BytesMut, report: &Report) {
    let severity = match report.severity {
        Severity::Error => &b"ERROR"[..],
        Severity::Fatal => &b"FATAL"[..],
    };
    put(out, tag::ERROR, |out| {
        let mut field = |name: u8, value: &[u8]| {
            out.extend_from_slice(&[name]);
            put_text(out, value);
        };
        field(b'S', severity);
        field(b'V', severity);
        field(b'C', &report.code);
        field(b'M', report.message.as_bytes());
        if !report.hint.is_empty() {
            field(b'H', report.hint.as_bytes());
        }
        out.extend_from_slice(&[0]);
    });
}

/// Appends PostgreSQL's own error for a prepared statement whose types have changed, with the names of
/// its source: by them client libraries know that preparing it again helps.
pub fn put_types_changed(out: &mut BytesMut) {
    put(out, tag::ERROR, |out| {
        for (name, value) in [
            (b'S', &b"ERROR"[..]),
            (b'V', b"ERROR"),
            (b'C', &code::FEATURE_NOT_SUPPORTED),
            (b'M', b"cached plan must not change result type"),
            (b'F', b"plancache.c"),
            (b'R', b"RevalidateCachedQuery"),
        ] {
            out.extend_from_slice(&[name]);
            put_text(out, value);
        }
        out.extend_from_slice(&[0]);
    });
}

/// Appends a ReadyForQuery with the transaction's status: `I`, `T` or `E`.
pub fn put_ready(out: &mut BytesMut, status: u8) {
    put(out, tag::READY, |out| out.extend_from_slice(&[status]));
}

/// Appends a ParameterStatus.
pub fn put_parameter(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    put(out, tag::PARAMETER_STATUS, |out| {
        put_text(out, name);
        put_text(out, value);
    });
}

/// Appends a BackendKeyData.
pub fn put_key(out: &mut BytesMut, pid: i32, secret: i32) {
    put(out, tag::KEY, |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(&secret.to_be_bytes());
    });
}

/// Appends a CommandComplete.
pub fn put_complete(out: &mut BytesMut, command: &[u8]) {
    put(out, tag::COMMAND_COMPLETE, |out| put_text(out, command));
}

/// Appends a message without a body.
pub fn put_empty(out: &mut BytesMut, tag: u8) {
    put(out, tag, |_| {});
}

/// The value of one field of an ErrorResponse or NoticeResponse.
pub fn report_field(body: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut fields = Fields::new(tag::ERROR, body);
    loop {
        let name = fields.byte().ok().filter(|name| *name != 0)?;
        let value = fields.text().ok()?;
        if name == wanted {
            return Some(value);
        }
    }
}

/// The SQLSTATE of an ErrorResponse.
pub fn error_code(body: &[u8]) -> Option<Code> {
    report_field(body, b'C')?.try_into().ok()
}

/// Name and value of a ParameterStatus.
///
/// # Errors
/// If a text has no end.
pub fn read_parameter(body: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let mut fields = Fields::new(tag::PARAMETER_STATUS, body);
    Ok((fields.text()?, fields.text()?))
}

/// Process number and secret of a BackendKeyData.
///
/// # Errors
/// If it is too short.
pub fn read_key(body: &[u8]) -> Result<(i32, i32), WireError> {
    let mut fields = Fields::new(tag::KEY, body);
    Ok((fields.number()?, fields.number()?))
}

#[cfg(test)]
mod tests {
    use super::super::HEADER;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_error_is_read_back_by_its_fields() {
        let report = Report::fatal(code::CANNOT_CONNECT_NOW, "no writer is known", "try again");
        let mut out = BytesMut::new();
        put_error(&mut out, &report);
        let body = &out[HEADER..];
        assert_eq!(error_code(body), Some(code::CANNOT_CONNECT_NOW));
        assert_eq!(report_field(body, b'S'), Some(&b"FATAL"[..]));
        assert_eq!(report_field(body, b'M'), Some(&b"no writer is known"[..]));
        assert_eq!(report_field(body, b'H'), Some(&b"try again"[..]));
        assert_eq!(report_field(body, b'D'), None);
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>) {
            let _ = (error_code(&body), read_parameter(&body), read_key(&body));
        }
    }
}
