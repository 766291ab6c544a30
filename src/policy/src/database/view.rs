//! What is known of the database at one moment.

use crate::time::{Millis, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A place in the write-ahead log, in bytes from its beginning; written `16/B374D848`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lsn(pub u64);

impl Lsn {
    /// Reads PostgreSQL's own form, `16/B374D848`.
    pub fn parse(text: &str) -> Option<Lsn> {
        let (high, low) = text.split_once('/')?;
        let part = |part: &str| {
            let digits = (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
            digits.then(|| u64::from_str_radix(part, 16).ok()).flatten()
        };
        Some(Lsn(part(high)? << 32 | part(low)?))
    }

    /// How many bytes this lies behind `ahead`; 0 if it does not.
    pub const fn behind(self, ahead: Lsn) -> u64 {
        ahead.0.saturating_sub(self.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A timeline: it grows by one with each promotion. Aurora has none; there it is always 1.
pub type Timeline = u32;

/// What a node says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It accepts writes.
    Writer,
    /// It replays a writer's log.
    Replica,
}

/// One node as it is known now.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Whether it answers, by the rules of hysteresis.
    pub reachable: bool,
    /// What it last said it is; none before it was first heard.
    pub role: Option<Role>,
    /// The timeline it last said it is on.
    pub timeline: Option<Timeline>,
    /// How far its log was written (writer) or replayed (replica).
    pub lsn: Option<Lsn>,
    /// Bytes of log that a replica has yet to replay, of what was known to be written when it answered;
    /// none where it cannot be told.
    pub lag_bytes: Option<u64>,
    /// How long ago the log was first seen to reach past what a replica has replayed; zero if it has
    /// replayed all.
    pub lag: Option<Millis>,
    /// When it last answered: what is older than a few probes is not to be trusted.
    pub sampled_at: Option<Time>,
    /// When `reachable` or `role` last changed.
    pub since: Time,
    /// Why it is not reachable, in the engine's own words.
    pub error: Option<String>,
    /// An operator took it out of use.
    pub drained: bool,
}

/// Which node accepts writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Writer {
    /// This one does.
    Known {
        /// Its place in the configuration.
        node: usize,
        /// The timeline it writes on.
        timeline: Timeline,
    },
    /// None is known.
    None,
    /// Two claim to, on one timeline: neither gets a write.
    Conflict {
        /// The two, by their places in the configuration.
        nodes: (usize, usize),
        /// The timeline both claim.
        timeline: Timeline,
    },
}

/// The whole database as it is known now. Hosts share it behind an `Arc`.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The nodes, in configuration order.
    pub nodes: Vec<NodeView>,
    /// Which one accepts writes.
    pub writer: Writer,
    /// Grows whenever `writer` changes: a connection made under another number is not written to.
    pub generation: u64,
    /// The highest timeline ever seen, also before this process began.
    pub highest_timeline: Timeline,
    /// When `writer` last changed.
    pub writer_since: Time,
}

impl View {
    /// The node that accepts writes, if one is known and may be used.
    pub fn writer(&self) -> Option<usize> {
        match self.writer {
            Writer::Known { node, .. } => Some(node),
            Writer::None | Writer::Conflict { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_and_written_in_postgresqls_form() {
        let lsn = Lsn::parse("16/B374D848").unwrap();
        assert_eq!(lsn, Lsn(0x16_B374_D848));
        assert_eq!(lsn.to_string(), "16/B374D848");
        for wrong in ["", "/", "16", "16/", "16/G", "16/+1", "123456789/0", "1/2/3"] {
            assert_eq!(Lsn::parse(wrong), None, "{wrong}");
        }
    }
}
