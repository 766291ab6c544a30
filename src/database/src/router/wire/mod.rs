//! PostgreSQL's messages as bytes, protocol 3.
//!
//! The router reads only what it must: most messages pass through as they are, and only their
//! outlines are looked at.

pub mod authentication;
pub mod backend;
pub mod frontend;

use thiserror::Error;

/// The length of a message's tag and length field.
pub const HEADER: usize = 5;

/// PostgreSQL itself takes no message of a gigabyte or more.
const LONGEST: usize = 0x3fff_ffff;

/// A message that no PostgreSQL client or server writes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// The length field is wrong.
    #[error("message '{}' has a length of {length}", char::from(*tag))]
    Length {
        /// The message's tag.
        tag: u8,
        /// What the length field says.
        length: u32,
    },
    /// The body is not as its tag promises.
    #[error("message '{}' is malformed: {what}", char::from(*tag))]
    Malformed {
        /// The message's tag.
        tag: u8,
        /// What is missing or wrong.
        what: &'static str,
    },
}

/// A message's tag and its whole length, the tag and the length field included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outline {
    /// What kind of message it is.
    pub tag: u8,
    /// How many bytes it takes altogether.
    pub len: usize,
}

/// The outline of the message that `buf` begins with. None if the header is not whole yet.
///
/// # Errors
/// If the length field is below 4 or above PostgreSQL's own limit.
pub fn outline(buf: &[u8]) -> Result<Option<Outline>, WireError> {
    let Some(&[tag, a, b, c, d]) = buf.first_chunk::<HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]);
    match usize::try_from(length) {
        Ok(len) if (4..=LONGEST).contains(&len) => Ok(Some(Outline { tag, len: len + 1 })),
        _ => Err(WireError::Length { tag, length }),
    }
}

/// Reads fields from a message's body.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    tag: u8,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of a body of a message with this tag.
    pub fn new(tag: u8, body: &'a [u8]) -> Self {
        Fields { tag, rest: body }
    }

    /// What was not read yet.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// One byte.
    ///
    /// # Errors
    /// If there is none.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        let (byte, rest) = self.rest.split_first().ok_or_else(|| self.malformed("it is too short"))?;
        self.rest = rest;
        Ok(*byte)
    }

    /// A text that ends with a zero byte, without it.
    ///
    /// # Errors
    /// If there is no zero byte.
    pub fn text(&mut self) -> Result<&'a [u8], WireError> {
        let end = memchr::memchr(0, self.rest).ok_or_else(|| self.malformed("a text has no end"))?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    /// A 32-bit number.
    ///
    /// # Errors
    /// If there are fewer than four bytes.
    pub fn number(&mut self) -> Result<i32, WireError> {
        let (bytes, rest) =
            self.rest.split_first_chunk::<4>().ok_or_else(|| self.malformed("it is too short"))?;
        self.rest = rest;
        Ok(i32::from_be_bytes(*bytes))
    }

    /// The error for this message.
    pub fn malformed(&self, what: &'static str) -> WireError {
        WireError::Malformed { tag: self.tag, what }
    }
}

/// Appends one message: `body` writes what stands between the length field and the end.
fn put(out: &mut bytes::BytesMut, tag: u8, body: impl FnOnce(&mut bytes::BytesMut)) {
    let start = out.len();
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    body(out);
    let length = u32::try_from(out.len() - start - 1).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start + 1..start + HEADER) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

/// Appends a text and the zero byte that ends it. Zero bytes within are left out.
fn put_text(out: &mut bytes::BytesMut, text: &[u8]) {
    if memchr::memchr(0, text).is_none() {
        out.extend_from_slice(text);
    } else {
        out.extend(text.iter().copied().filter(|byte| *byte != 0));
    }
    out.extend_from_slice(&[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_outline_needs_five_bytes_and_a_sane_length() {
        assert_eq!(outline(b"Q\0\0\0"), Ok(None));
        assert_eq!(outline(b"Q\0\0\0\x04"), Ok(Some(Outline { tag: b'Q', len: 5 })));
        assert_eq!(outline(b"Q\0\0\0\x03"), Err(WireError::Length { tag: b'Q', length: 3 }));
        assert_eq!(outline(b"Q\xff\xff\xff\xff"), Err(WireError::Length { tag: b'Q', length: u32::MAX }));
    }

    proptest! {
        #[test]
        fn what_is_put_has_its_own_outline(tag: u8, body: Vec<u8>) {
            let mut out = bytes::BytesMut::new();
            put(&mut out, tag, |out| out.extend_from_slice(&body));
            prop_assert_eq!(outline(&out), Ok(Some(Outline { tag, len: out.len() })));
            prop_assert_eq!(&out[HEADER..], &body[..]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = outline(&bytes);
            let mut fields = Fields::new(b'B', &bytes);
            while fields.text().is_ok() && fields.byte().is_ok() && fields.number().is_ok() {}
        }
    }
}
