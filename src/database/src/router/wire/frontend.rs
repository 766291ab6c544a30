//! What clients send once they are logged in.

use super::{Fields, WireError, put, put_text};
use bytes::BytesMut;

/// Tags of the messages that a client sends.
pub mod tag {
    #![allow(missing_docs)]
    pub const BIND: u8 = b'B';
    pub const CLOSE: u8 = b'C';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const DESCRIBE: u8 = b'D';
    pub const EXECUTE: u8 = b'E';
    pub const FLUSH: u8 = b'H';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const PARSE: u8 = b'P';
    pub const PASSWORD: u8 = b'p';
    pub const QUERY: u8 = b'Q';
    pub const SYNC: u8 = b'S';
    pub const TERMINATE: u8 = b'X';
}

/// A Sync message.
pub const SYNC: [u8; 5] = [tag::SYNC, 0, 0, 0, 4];

/// A Terminate message.
pub const TERMINATE: [u8; 5] = [tag::TERMINATE, 0, 0, 0, 4];

/// A statement or a portal, in Describe and Close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

/// A Parse message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a [u8],
    /// The SQL text.
    pub sql: &'a [u8],
    /// The types of its parameters, as they stand.
    pub types: &'a [u8],
}

impl<'a> Parse<'a> {
    /// Reads the message's body.
    ///
    /// # Errors
    /// If a text has no end.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(tag::PARSE, body);
        Ok(Parse { name: fields.text()?, sql: fields.text()?, types: fields.rest() })
    }
}

/// A Bind message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    /// The portal's name.
    pub portal: &'a [u8],
    /// The prepared statement's name.
    pub statement: &'a [u8],
    /// Formats and values, as they stand.
    pub rest: &'a [u8],
}

impl<'a> Bind<'a> {
    /// Reads the message's body.
    ///
    /// # Errors
    /// If a text has no end.
    pub fn read(body: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Fields::new(tag::BIND, body);
        Ok(Bind { portal: fields.text()?, statement: fields.text()?, rest: fields.rest() })
    }
}

/// Reads the body of a Describe or Close message: what is meant, and its name.
///
/// # Errors
/// If it names neither a statement nor a portal, or the name has no end.
pub fn read_target(tag: u8, body: &[u8]) -> Result<(Kind, &[u8]), WireError> {
    let mut fields = Fields::new(tag, body);
    let kind = match fields.byte()? {
        b'S' => Kind::Statement,
        b'P' => Kind::Portal,
        _ => return Err(fields.malformed("it names neither a statement nor a portal")),
    };
    Ok((kind, fields.text()?))
}

/// Appends a Query message.
pub fn put_query(out: &mut BytesMut, sql: &[u8]) {
    put(out, tag::QUERY, |out| put_text(out, sql));
}

/// Appends a Parse message.
pub fn put_parse(out: &mut BytesMut, parse: &Parse<'_>) {
    put(out, tag::PARSE, |out| {
        put_text(out, parse.name);
        put_text(out, parse.sql);
        out.extend_from_slice(parse.types);
    });
}

/// Appends a Bind message.
pub fn put_bind(out: &mut BytesMut, bind: &Bind<'_>) {
    put(out, tag::BIND, |out| {
        put_text(out, bind.portal);
        put_text(out, bind.statement);
        out.extend_from_slice(bind.rest);
    });
}

/// Appends a Describe or Close message.
pub fn put_target(out: &mut BytesMut, tag: u8, kind: Kind, name: &[u8]) {
    put(out, tag, |out| {
        out.extend_from_slice(match kind {
            Kind::Statement => b"S",
            Kind::Portal => b"P",
        });
        put_text(out, name);
    });
}

#[cfg(test)]
mod tests {
    use super::super::HEADER;
    use super::*;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(1..=255u8, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(name in text(), sql in text(), types: Vec<u8>) {
            let parse = Parse { name: &name, sql: &sql, types: &types };
            let mut out = BytesMut::new();
            put_parse(&mut out, &parse);
            prop_assert_eq!(Parse::read(&out[HEADER..]), Ok(parse));

            let bind = Bind { portal: &name, statement: &sql, rest: &types };
            out.clear();
            put_bind(&mut out, &bind);
            prop_assert_eq!(Bind::read(&out[HEADER..]), Ok(bind));

            out.clear();
            put_target(&mut out, tag::CLOSE, Kind::Portal, &name);
            prop_assert_eq!(read_target(tag::CLOSE, &out[HEADER..]), Ok((Kind::Portal, &name[..])));
        }

        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>) {
            let _ = (Parse::read(&body), Bind::read(&body), read_target(tag::DESCRIBE, &body));
        }
    }
}
