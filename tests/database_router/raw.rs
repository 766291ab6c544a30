//! A client without a driver, for what no driver does.

use crate::PATIENCE;
use bytes::{BufMut, BytesMut};
use evenkeel_tests::postgres::PASSWORD;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client without a driver.
pub struct Raw {
    pub stream: TcpStream,
    read: BytesMut,
}

impl Raw {
    /// Connects and logs in; the session is ready.
    pub async fn open(address: SocketAddr) -> Raw {
        let mut raw =
            Raw { stream: TcpStream::connect(address).await.expect("a connection"), read: BytesMut::new() };
        let mut out = BytesMut::new();
        frontend::startup_message([("user", "app"), ("database", "app")], &mut out).expect("a message");
        raw.send(&out).await;
        let mut scram = ScramSha256::new(PASSWORD.as_bytes(), ChannelBinding::unsupported());
        loop {
            let (tag, body) = raw.message().await.expect("an answer");
            let kind =
                body.get(..4).map_or(0, |kind| i32::from_be_bytes(kind.try_into().expect("four bytes")));
            let mut out = BytesMut::new();
            match (tag, kind) {
                (b'R', 10) => frontend::sasl_initial_response("SCRAM-SHA-256", scram.message(), &mut out)
                    .expect("a message"),
                (b'R', 11) => {
                    scram.update(&body[4..]).expect("a challenge");
                    frontend::sasl_response(scram.message(), &mut out).expect("a message");
                }
                (b'R', 12) => scram.finish(&body[4..]).expect("the router knows the password"),
                (b'R' | b'S' | b'K', _) => {}
                (b'Z', _) => return raw,
                _ => panic!("unexpected: {} {:?}", char::from(tag), String::from_utf8_lossy(&body)),
            }
            raw.send(&out).await;
        }
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the router listens");
    }

    /// The next message: its tag and body. None at the end of the connection.
    pub async fn message(&mut self) -> Option<(u8, BytesMut)> {
        loop {
            if let Some(header) = self.read.get(..5) {
                let len = 1 + u32::from_be_bytes(header[1..].try_into().expect("four bytes")) as usize;
                if self.read.len() >= len {
                    let mut message = self.read.split_to(len);
                    return Some((message[0], message.split_off(5)));
                }
            }
            let read = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
            if !matches!(read.expect("the router answers"), Ok(1..)) {
                return None;
            }
        }
    }

    /// The tags of the messages up to the next ReadyForQuery, and its status.
    pub async fn answers(&mut self) -> (String, u8) {
        let mut tags = String::new();
        loop {
            let (tag, body) = self.message().await.expect("the session goes on");
            tags.push(char::from(tag));
            if tag == b'Z' {
                return (tags, body[0]);
            }
        }
    }
}

/// A Query message.
pub fn query(sql: &str) -> BytesMut {
    let mut out = BytesMut::new();
    frontend::query(sql, &mut out).expect("a message");
    out
}

/// Parse, Bind and Execute of a statement without parameters, without Sync.
pub fn batch(sql: &str) -> BytesMut {
    let mut out = BytesMut::new();
    frontend::parse("", sql, [], &mut out).expect("a message");
    let bound =
        frontend::bind("", "", [], [] as [(); 0], |(), _| Ok(postgres_protocol::IsNull::Yes), [], &mut out);
    assert!(bound.is_ok(), "a message");
    frontend::execute("", 0, &mut out).expect("a message");
    out
}

/// A Sync message.
pub fn sync() -> BytesMut {
    let mut out = BytesMut::new();
    frontend::sync(&mut out);
    out
}

/// The beginning of a message of this length, with nothing of its body.
pub fn beginning(tag: u8, len: u32) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(tag);
    out.put_u32(len);
    out
}
