//! The client's messages on their way to the node.

use super::super::wire::backend::{Report, Severity};
use super::super::wire::frontend::{Bind, Kind, Parse, put_target, read_target, tag};
use super::super::wire::{HEADER, Outline, outline};
use super::flight::{Expected, Flight};
use super::{End, LIMIT, Prepared, Session};
use bytes::Buf;
use std::sync::Arc;

impl Session {
    /// Moves the client's messages to the node's buffer, as far as they belong to this batch. False if
    /// there is more of them than room.
    pub(super) fn feed_node(&mut self, flight: &mut Flight) -> Result<bool, End> {
        while flight.out.len() <= LIMIT {
            if flight.to_node > 0 {
                let moved = flight.to_node.min(self.inbox.len());
                if moved == 0 {
                    return Ok(true);
                }
                flight.out.extend_from_slice(self.inbox.get(..moved).unwrap_or_default());
                self.inbox.advance(moved);
                flight.to_node -= moved;
                continue;
            }
            let Some(next) = outline(&self.inbox)? else { return Ok(true) };
            // A node that takes a COPY's data ignores these: no answer is awaited, and what is behind them
            // does not wait for one.
            if flight.copying && matches!(next.tag, tag::SYNC | tag::FLUSH) && self.inbox.len() >= next.len {
                self.scanned = 0;
                self.inbox.advance(next.len);
                continue;
            }
            let copy = matches!(next.tag, tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL);
            // While the node works, only what feeds a COPY is for it, and what ends one as an error; the
            // rest is the next batch.
            if flight.awaited > 0 && !copy && !flight.copying {
                return Ok(true);
            }
            if next.tag == tag::TERMINATE {
                return Err(End::Terminated);
            }
            if let Some(report) = Self::too_large(next) {
                self.say_last(Report { severity: Severity::Fatal, ..report });
                return Err(End::Said);
            }
            let is_whole = self.inbox.len() >= next.len;
            if !is_whole && !self.may_stream(next) {
                return Ok(true);
            }
            self.scanned = 0;
            let have = next.len.min(self.inbox.len());
            let message = self.inbox.split_to(have);
            flight.to_node = next.len - have;
            if flight.copying && !copy {
                // The node fails the COPY for it, and answers nothing else to it.
                flight.copying = false;
                flight.out.extend_from_slice(&message);
                continue;
            }
            self.send(flight, next, &message)?;
        }
        Ok(false)
    }

    /// Whether a message that is not whole may be sent on in pieces.
    fn may_stream(&self, next: Outline) -> bool {
        match next.tag {
            tag::PARSE => false,
            // A Bind's names must be read.
            _ => next.len > LIMIT && self.inbox.len() >= LIMIT / 2,
        }
    }

    fn send(&mut self, flight: &mut Flight, next: Outline, message: &[u8]) -> Result<(), End> {
        let body = message.get(HEADER..).unwrap_or_default();
        match next.tag {
            tag::QUERY => {
                flight.awaited += 1;
                flight.copy_ended = false;
                let statement = flight.query.take();
                flight.note(statement.as_ref());
                if let Some(statement) = statement {
                    flight.alone = statement.alone;
                    flight.statements += statement.count;
                    flight.effects.extend(statement.effects);
                }
                // A simple query ends the unnamed statement.
                self.prepared.remove(&[][..]);
                if let Some(lease) = self.lease(flight.side) {
                    lease.kept.prepared.remove(&[][..]);
                }
            }
            tag::FUNCTION_CALL => flight.awaited += 1,
            tag::SYNC => {
                flight.awaited += 1;
                flight.open = false;
                flight.copy_synced = !flight.copy_ended;
            }
            tag::PARSE => {
                flight.open = true;
                self.send_parse(flight, body, message)?;
            }
            tag::BIND => {
                flight.open = true;
                let bind = Bind::read(body)?;
                let prepared = self.see_to(flight, bind.statement);
                flight.note(prepared.as_ref().map(|prepared| &prepared.statement));
                if let Some(prepared) = prepared {
                    flight.effects.extend(prepared.statement.effects.iter().cloned());
                }
            }
            tag::DESCRIBE => {
                flight.open = true;
                let described = match read_target(next.tag, body)? {
                    (Kind::Statement, name) => self.see_to(flight, name),
                    (Kind::Portal, _) => None,
                };
                match described {
                    Some(statement) => {
                        flight.describes.push_back((std::mem::take(&mut flight.portals), statement))
                    }
                    // As any that nothing is to be noted of.
                    None => flight.portals += 1,
                }
            }
            tag::CLOSE => {
                flight.open = true;
                let (kind, name) = read_target(next.tag, body)?;
                if kind == Kind::Statement {
                    self.prepared.remove(name);
                }
                let name = if kind == Kind::Statement { name.into() } else { Box::default() };
                flight.closes.push_back(Expected { ours: false, name, prepared: None });
            }
            tag::EXECUTE => {
                flight.open = true;
                flight.statements += 1;
                flight.copy_ended = false;
                flight.copy_synced = false;
            }
            tag::COPY_DONE | tag::COPY_FAIL => {
                flight.copy_ended = true;
                flight.copying = false;
            }
            tag::COPY_DATA | tag::FLUSH => {}
            // Nothing else is ever sent by a client that has logged in.
            _ => return Err(End::Gone),
        }
        let answerable = !matches!(next.tag, tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL | tag::FLUSH);
        // Long batches are never answered in a node's place.
        if answerable {
            let _ = flight.tags.try_push(next.tag);
        }
        flight.out.extend_from_slice(message);
        Ok(())
    }

    fn send_parse(&mut self, flight: &mut Flight, body: &[u8], message: &[u8]) -> Result<(), End> {
        let prepared = match flight.parsed.pop_front() {
            Some(prepared) => prepared,
            None => {
                let parse = Parse::read(body)?;
                Arc::new(self.prepared_of(parse.sql, message))
            }
        };
        let name: Box<[u8]> = prepared.name().into();
        if !name.is_empty() {
            // A name that the client has given already is an error, which the node only knows to be one
            // if it has that statement.
            self.see_to(flight, &name);
        }
        let own = self.prepared.get(&name).map(|own| own.id);
        let Some(lease) = self.lease(flight.side) else { return Ok(()) };
        // Another session's statement of that name is in the way; the client's own is its own error.
        let theirs = lease.kept.prepared.get(&name).is_some_and(|id| Some(*id) != own);
        if theirs && !name.is_empty() {
            lease.kept.prepared.remove(&name);
            put_target(&mut flight.out, tag::CLOSE, Kind::Statement, &name);
            flight.closes.push_back(Expected { ours: true, name: name.clone(), prepared: None });
        }
        flight.parses.push_back(Expected { ours: false, name, prepared: Some(prepared) });
        Ok(())
    }

    /// Sees to it that the node has the prepared statement that the next message names.
    fn see_to(&mut self, flight: &mut Flight, name: &[u8]) -> Option<Arc<Prepared>> {
        let in_batch = flight.parses.iter().rev().find(|expected| *expected.name == *name);
        if let Some(expected) = in_batch {
            return expected.prepared.clone();
        }
        let prepared = Arc::clone(self.prepared.get(name)?);
        let lease = self.lease(flight.side).as_mut()?;
        let there = lease.kept.prepared.get(name);
        if there == Some(&prepared.id) {
            return Some(prepared);
        }
        if there.is_some() && !name.is_empty() {
            lease.kept.prepared.remove(name);
            put_target(&mut flight.out, tag::CLOSE, Kind::Statement, name);
            flight.closes.push_back(Expected { ours: true, name: name.into(), prepared: None });
        }
        flight.out.extend_from_slice(&prepared.message);
        let again = Arc::clone(&prepared);
        flight.parses.push_back(Expected { ours: true, name: name.into(), prepared: Some(again) });
        Some(prepared)
    }
}
