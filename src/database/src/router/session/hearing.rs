//! The node's messages on their way to the client, and what they mean.

use super::super::hub::count;
use super::super::statement::Effect;
use super::super::wire::backend::{self, code, error_code, report_field};
use super::super::wire::{HEADER, outline};
use super::flight::{Expected, Flight, Flow, Outcome};
use super::{LIMIT, Session, Side};
use std::sync::Arc;

impl Session {
    /// Moves the node's messages to the client's buffer.
    pub(super) fn feed_client(&mut self, flight: &mut Flight) -> Flow {
        loop {
            let Some(lease) = self.lease(flight.side) else { return Flow::Stop(Outcome::Lost) };
            let read = &mut lease.read;
            if flight.to_client > 0 {
                let moved = flight.to_client.min(read.len());
                let part = read.split_to(moved);
                flight.to_client -= moved;
                self.outbox.extend_from_slice(&part);
                if flight.to_client > 0 {
                    return Flow::More;
                }
                continue;
            }
            // What comes after the last ready message is no part of the answer: a node that stops says
            // its farewell there.
            if flight.is_over() {
                return Flow::More;
            }
            let Ok(next) = outline(read) else { return Flow::Stop(Outcome::Lost) };
            let Some(next) = next else { return Flow::More };
            if flight.question.is_some() {
                if read.len() < next.len {
                    return Flow::More;
                }
                let message = read.split_to(next.len);
                flight.hear_answer(next.tag, message.get(HEADER..).unwrap_or_default());
                continue;
            }
            // Rows are most of what there is, and need no look.
            if matches!(next.tag, backend::tag::DATA_ROW | b'd') {
                flight.retained = None;
                let have = next.len.min(read.len());
                let part = read.split_to(have);
                flight.to_client = next.len - have;
                self.outbox.extend_from_slice(&part);
                continue;
            }
            if read.len() < next.len {
                return Flow::More;
            }
            let message = read.split_to(next.len);
            if let Flow::Stop(outcome) = self.pass_on(flight, next.tag, &message) {
                return Flow::Stop(outcome);
            }
        }
    }

    /// Passes one whole message on to the client, and notes what it means.
    fn pass_on(&mut self, flight: &mut Flight, tag: u8, message: &[u8]) -> Flow {
        let body = message.get(HEADER..).unwrap_or_default();
        match tag {
            backend::tag::READY => {
                flight.awaited = flight.awaited.saturating_sub(1);
                flight.status = body.first().copied().unwrap_or(b'I');
                flight.failed = false;
                flight.expect_nothing();
                if flight.refused {
                    self.outbox.truncate(flight.mark);
                    return Flow::Stop(Outcome::Refused);
                }
                flight.retained = None;
            }
            backend::tag::COMMAND_COMPLETE => {
                flight.rolled_back = body.starts_with(b"ROLLBACK\0");
                flight.completed += 1;
                flight.committed |= body.starts_with(b"COMMIT\0");
                flight.copying = false;
                flight.answered += 1;
                flight.retained = None;
                if body.starts_with(b"DEALLOCATE") {
                    self.note_deallocated(flight);
                }
            }
            backend::tag::ERROR => {
                flight.erred = true;
                flight.copying = false;
                if report_field(body, b'V') == Some(b"FATAL") {
                    let words = report_field(body, b'M').unwrap_or_default();
                    flight.farewell = Some(String::from_utf8_lossy(words).into_owned());
                    return Flow::Stop(Outcome::Lost);
                }
                let refused = error_code(body) == Some(code::READ_ONLY);
                if refused
                    && flight.side == Side::Near
                    && flight.retained.is_some()
                    && !self.port.is_read_only()
                {
                    count(&self.hub.counters.refused_near);
                    flight.refused = true;
                } else {
                    flight.retained = None;
                }
                flight.failed = true;
                // The node skips what follows until Sync, and answers none of it.
                flight.expect_nothing();
            }
            backend::tag::PARSE_COMPLETE => {
                if let Some(expected) = flight.parses.pop_front() {
                    self.note_parsed(flight, &expected);
                    if expected.ours {
                        return Flow::More;
                    }
                }
                flight.answered += 1;
            }
            backend::tag::BIND_COMPLETE => flight.answered += 1,
            backend::tag::PARAMETER_DESCRIPTION => flight.types.hear(tag, body),
            backend::tag::NO_DATA | backend::tag::ROW_DESCRIPTION => {
                flight.answered += usize::from(flight.is_extended());
                flight.hear_description(tag, body);
            }
            backend::tag::CLOSE_COMPLETE => {
                if let Some(expected) = flight.closes.pop_front() {
                    if let (false, false, Some(lease)) =
                        (expected.ours, expected.name.is_empty(), self.lease(flight.side))
                    {
                        lease.kept.prepared.remove(&expected.name);
                    }
                    if expected.ours {
                        return Flow::More;
                    }
                }
            }
            backend::tag::PARAMETER_STATUS => {
                self.learn_parameter(flight.side, body);
                return Flow::More;
            }
            backend::tag::COPY_IN => {
                flight.retained = None;
                flight.copying = !flight.copy_ended;
                // The node ignores a Sync that came before the COPY's end; the client sends another.
                if std::mem::take(&mut flight.copy_synced) {
                    flight.awaited = flight.awaited.saturating_sub(1);
                    flight.open = true;
                }
            }
            backend::tag::NOTIFICATION => {
                self.put_notification(flight.side, message);
                return Flow::More;
            }
            backend::tag::COPY_OUT | backend::tag::EMPTY_QUERY | backend::tag::PORTAL_SUSPENDED => {
                flight.retained = None;
            }
            _ => {}
        }
        self.outbox.extend_from_slice(message);
        if self.outbox.len() > LIMIT {
            flight.retained = None;
        }
        Flow::More
    }

    fn note_parsed(&mut self, flight: &Flight, expected: &Expected) {
        let Some(prepared) = &expected.prepared else { return };
        if let Some(lease) = self.lease(flight.side) {
            lease.kept.prepared.insert(expected.name.clone(), prepared.id);
        }
        if !expected.ours {
            self.prepared.insert(expected.name.clone(), Arc::clone(prepared));
        }
    }

    /// The node has forgotten prepared statements, at the order of one that the client ran. What is
    /// prepared after it, in the same batch too, is new.
    fn note_deallocated(&mut self, flight: &mut Flight) {
        let is_deallocate = |effect: &Effect| matches!(effect, Effect::Deallocate(_));
        let Some(at) = flight.effects.iter().position(is_deallocate) else { return };
        if let Effect::Deallocate(name) = flight.effects.remove(at) {
            self.forget(flight.side, name.as_deref());
        }
    }
}
