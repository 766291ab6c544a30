//! A batch on its way: to a node, and the answer back, both ways at once.

use super::super::cancel::Target;
use super::super::hub::count;
use super::super::login::Link;
use super::super::pool::Lease;
use super::super::settings::Settings;
use super::super::statement::{Effect, Pins, Statement};
use super::super::wire::backend::{self, Report, Severity, code, error_code, report_field};
use super::super::wire::frontend::{Bind, Kind, Parse, put_query, put_target, read_target, tag};
use super::super::wire::{HEADER, Outline, outline};
use super::ahead::Types;
use super::batch::Plan;
use super::idle::{poll_drain, poll_fill};
use super::{End, LARGEST_PARSE, LIMIT, Prepared, Session, Side};
use arrayvec::ArrayVec;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

/// Terminate, whole.
const GOODBYE: [u8; 5] = [tag::TERMINATE, 0, 0, 0, 4];

/// No batch with more messages is answered in a node's place.
const MOST_TAGS: usize = 16;

/// How an exchange ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The node is ready for the next batch.
    Done,
    /// A replica refused the batch as a write, and the client saw nothing of it.
    Refused,
    /// The node's connection ended, or the writer is another one now.
    Lost,
}

/// Whether an exchange goes on.
enum Flow {
    More,
    Stop(Outcome),
}

/// What the router asks of a node on its own account, ahead of the client's batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// The number of the transaction that is about to commit.
    Transaction,
}

/// The answer to a Parse or Close, in the order in which they were sent.
#[derive(Debug)]
struct Expected {
    /// Whether the router sent it itself, so that the client must not see the answer.
    ours: bool,
    name: Box<[u8]>,
    prepared: Option<Arc<Prepared>>,
}

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Flight {
    side: Side,
    /// What the node is to be sent.
    out: BytesMut,
    /// How often the node will say that it is ready.
    awaited: u32,
    /// Extended messages were sent, and Sync was not.
    pub open: bool,
    /// The client's COPY has ended, or none can have begun.
    copy_ended: bool,
    /// A Sync was sent after the last Execute and before the end of a COPY that it may have begun.
    copy_synced: bool,
    /// The node takes the data of a COPY.
    copying: bool,
    /// Bytes of a large message that stream through, to the node and to the client.
    to_node: usize,
    pub to_client: usize,
    question: Option<Question>,
    /// The number of the transaction, as the node gave it; 0 if it has none.
    pub transaction: Option<u64>,
    parses: VecDeque<Expected>,
    closes: VecDeque<Expected>,
    /// Statements that the client asked to have described, and how many portals ahead of each.
    describes: VecDeque<(usize, Arc<Prepared>)>,
    /// How many portals after them.
    portals: usize,
    /// What the node has told of the first statement.
    types: Types,
    /// An error came, and the batch is not over.
    failed: bool,
    /// An error came.
    pub erred: bool,
    /// The last command that was completed began with ROLLBACK.
    rolled_back: bool,
    /// The client's outbox when the batch began, for taking an answer back.
    mark: usize,
    /// A replica refused the batch: what else it says of it is nobody's business.
    refused: bool,
    /// The whole batch, as long as it may be sent elsewhere.
    pub retained: Option<Bytes>,
    /// What the statements do to the session, if they succeed.
    effects: Vec<Effect>,
    /// Tags of the messages sent that a node answers one by one, for answering in its place.
    tags: ArrayVec<u8, MOST_TAGS>,
    /// How many of them were answered.
    answered: usize,
    /// How many commands were completed since the batch began.
    completed: usize,
    /// One of them was a COMMIT.
    pub committed: bool,
    /// The view's generation when the batch began.
    pub generation: u64,
    /// The node's last words.
    pub farewell: Option<String>,
    query: Option<Statement>,
    /// How many statements of a query were read, if that was not all of it.
    read: Option<usize>,
    parsed: VecDeque<Arc<Prepared>>,
    /// How many statements it runs.
    statements: usize,
    /// The batch is one statement, by the simple protocol.
    alone: bool,
    /// Nothing of the batch ends the transaction that it runs in.
    pub stays: bool,
    /// Nothing of the batch commits anything before its end.
    atomic: bool,
    /// The transaction's status as the node last gave it.
    status: u8,
}

impl Flight {
    pub(super) fn new(
        side: Side,
        generation: u64,
        plan: &mut Plan,
        question: Option<Question>,
        retained: Option<Bytes>,
    ) -> Self {
        Flight {
            side,
            out: BytesMut::new(),
            awaited: 0,
            open: false,
            copy_ended: true,
            copy_synced: false,
            copying: false,
            to_node: 0,
            to_client: 0,
            question,
            transaction: None,
            parses: VecDeque::new(),
            closes: VecDeque::new(),
            describes: VecDeque::new(),
            portals: 0,
            types: Types::default(),
            failed: false,
            erred: false,
            rolled_back: false,
            mark: 0,
            refused: false,
            retained,
            effects: Vec::new(),
            tags: ArrayVec::new(),
            answered: 0,
            completed: 0,
            committed: false,
            generation,
            farewell: None,
            read: plan.query.as_ref().filter(|_| !plan.whole).map(|query| query.count),
            statements: 0,
            alone: false,
            stays: true,
            atomic: true,
            query: plan.query.take(),
            parsed: std::mem::take(&mut plan.parsed),
            status: b'I',
        }
    }

    fn is_extended(&self) -> bool {
        self.tags.first() != Some(&tag::QUERY)
    }

    fn is_over(&self) -> bool {
        self.awaited == 0 && !self.open && self.to_node == 0 && self.to_client == 0
    }

    /// Whether a Sync or Query is among what was sent: the client waits for a ready message.
    pub(super) fn is_client_waiting(&self) -> bool {
        !self.open
    }

    /// Where the client's outbox was when the batch began.
    pub(super) fn mark(&self) -> usize {
        self.mark
    }

    /// Whether a simple query of one statement was completed, and only the node's being ready was not
    /// told. Of several, all but the last are completed before anything is committed.
    pub(super) fn is_completed_query(&self) -> bool {
        self.completed == 1 && self.alone && self.tags.as_slice() == [tag::QUERY]
    }

    /// Whether it is certain that nothing was committed of a batch that the node ended, and that had no
    /// transaction of its own.
    pub(super) fn left_nothing(&self) -> bool {
        self.atomic && self.stays && self.completed < self.statements
    }

    fn note(&mut self, statement: Option<&Statement>) {
        self.stays &= statement.is_some_and(|statement| statement.stays);
        self.atomic &= statement.is_some_and(|statement| statement.atomic);
    }

    /// Tags of the messages that the node has not answered.
    pub(super) fn unanswered(&self) -> Vec<u8> {
        self.tags.get(self.answered..).unwrap_or_default().to_vec()
    }

    /// How much of a message the client has begun to send is still to come.
    pub(super) fn unsent(&self) -> usize {
        self.to_node
    }
}

impl Session {
    /// Sends the batch to the node of this side and relays until the node is ready.
    pub(super) async fn exchange(&mut self, flight: &mut Flight) -> Result<Outcome, End> {
        let outcome = self.relay(flight).await;
        if let Err(end) = &outcome {
            // It is in the middle of something: nobody else can use it.
            let lease = self.lease(flight.side).take();
            let gone = matches!(end, End::Gone) && !self.inbox.ends_with(&GOODBYE);
            if let (Some(lease), true) = (lease, gone && !flight.is_over()) {
                self.abandon(lease);
            }
        }
        flight.out.clear();
        self.spare = std::mem::take(&mut flight.out);
        outcome
    }

    /// The client vanished in the middle of a statement. Its node would not notice before it has an
    /// answer to send, and may hold locks until then. A client that said goodbye wants its statement
    /// run to the end, as without a router.
    fn abandon(&self, lease: Lease) {
        let target = Target { node: lease.node, key: lease.key };
        let cancels = self.hub.cancels.clone();
        tokio::spawn(async move {
            cancels.stop(target).await;
            drop(lease);
        });
    }

    async fn relay(&mut self, flight: &mut Flight) -> Result<Outcome, End> {
        flight.mark = self.outbox.len();
        flight.out = std::mem::take(&mut self.spare);
        if flight.question.is_some() {
            put_query(&mut flight.out, b"SELECT pg_catalog.pg_current_xact_id_if_assigned()");
        }
        if let Some(lease) = self.lease(flight.side) {
            lease.kept.used = true;
        }
        loop {
            let work = |session: &mut Self, cx: &mut Context<'_>| session.poll_exchange(cx, flight);
            if let Some(outcome) = self.or_news(work).await {
                return outcome;
            }
            let view = self.hub.watch.view();
            if self.lease(flight.side).as_ref().is_some_and(|lease| Self::is_fenced(lease, &view)) {
                return Ok(Outcome::Lost);
            }
        }
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>, flight: &mut Flight) -> Poll<Result<Outcome, End>> {
        loop {
            let was_full = !self.feed_node(flight)?;
            let outbox_has_room = self.outbox.len() <= LIMIT;
            let Some(lease) = self.lease(flight.side) else { return Poll::Ready(Ok(Outcome::Lost)) };
            let Link { stream, read, .. } = &mut **lease;
            // An error shows when reading, where the node's last words may still be found.
            let _ = poll_drain(Pin::new(&mut *stream), cx, &mut flight.out);
            let mut heard = false;
            if outbox_has_room {
                match poll_fill(Pin::new(stream), cx, read) {
                    Poll::Pending => {}
                    Poll::Ready(0) => return Poll::Ready(Ok(Outcome::Lost)),
                    Poll::Ready(_) => {
                        heard = true;
                        if let Flow::Stop(outcome) = self.feed_client(flight) {
                            return Poll::Ready(Ok(outcome));
                        }
                    }
                }
            }
            let is_over = flight.is_over();
            if is_over {
                // Before the client knows: what it does next must find the session as it now is.
                self.settle(flight);
            }
            // As long as the answer may be taken back, it waits; not so what was answered before.
            let may_send = flight.retained.is_none() || is_over;
            let sent =
                if may_send { self.poll_send(cx) } else { self.poll_send_before(cx, &mut flight.mark) };
            if sent.is_err() {
                return Poll::Ready(Err(End::Gone));
            }
            let outbox_got_room = !outbox_has_room && self.outbox.len() <= LIMIT;
            if is_over {
                return Poll::Ready(Ok(Outcome::Done));
            }
            let has_room = flight.out.len() <= LIMIT;
            // What was not polled for want of room is polled now that there is some: nothing else would
            // wake this task for it.
            if heard || outbox_got_room || was_full && has_room {
                continue;
            }
            // More of the batch, of a COPY, or the client's end. A client that sends more than fits is
            // not heard until there is room.
            if !has_room || self.inbox.len() > self.inbox_limit() {
                return Poll::Pending;
            }
            match self.poll_hear(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                Poll::Ready(Ok(())) => {}
            }
        }
    }

    /// How much of the client's messages is taken in ahead of their turn.
    fn inbox_limit(&self) -> usize {
        match outline(&self.inbox) {
            Ok(Some(next)) if next.tag == tag::PARSE => LARGEST_PARSE + LIMIT,
            _ => LIMIT,
        }
    }

    /// Moves the client's messages to the node's buffer, as far as they belong to this batch. False if
    /// there is more of them than room.
    fn feed_node(&mut self, flight: &mut Flight) -> Result<bool, End> {
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

    /// Moves the node's messages to the client's buffer.
    fn feed_client(&mut self, flight: &mut Flight) -> Flow {
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

    /// The node is ready: what did the batch do to the session?
    fn settle(&mut self, flight: &mut Flight) {
        use super::Transaction;
        let effects = std::mem::take(&mut flight.effects);
        self.transaction =
            if flight.status == b'I' { Transaction::None } else { Transaction::Open(flight.side) };
        self.failed = flight.status == b'E';
        if flight.erred {
            if effects.iter().any(|effect| matches!(effect, Effect::Ended { kept: true })) {
                self.doubt_settings(flight.side);
            }
        } else {
            self.stage(flight.side, effects);
        }
        if flight.status == b'I' {
            let staged = std::mem::take(&mut self.staged);
            if !flight.rolled_back {
                self.apply(flight.side, staged);
            }
        }
        // It ran statements that were not read, so whatever they left behind is in the connection alone.
        if flight.read.is_some_and(|read| flight.completed > read) {
            self.pin(self.pins.with(Pins::OTHER));
        }
    }

    /// Notes effects for the time when the transaction is committed.
    fn stage(&mut self, side: Side, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ended { kept: true } => {
                    let staged = std::mem::take(&mut self.staged);
                    self.apply(side, staged);
                }
                Effect::Ended { kept: false } => self.staged.clear(),
                // One before which nothing happened need not be known.
                Effect::Savepoint(_) if self.staged.is_empty() => {}
                Effect::RollbackTo(name) => {
                    let savepoint = |one: &Effect| matches!(one, Effect::Savepoint(set) if *set == name);
                    let at = self.staged.iter().rposition(savepoint).map_or(0, |at| at + 1);
                    self.staged.truncate(at);
                }
                // Done already: no rollback takes it back.
                Effect::Deallocate(_) | Effect::DropDatabase(_) => {}
                effect => self.staged.push(effect),
            }
        }
    }

    /// Of a text that failed, part may have been committed: nobody knows how the connection is set now.
    fn doubt_settings(&mut self, side: Side) {
        if let Some(lease) = self.lease(side) {
            let mut doubtful = (*lease.kept.settings).clone();
            doubtful.set("", "");
            lease.kept.settings = Arc::new(doubtful);
        }
    }
}

impl Flight {
    /// Takes in the last message of the answer to a Describe.
    fn hear_description(&mut self, tag: u8, body: &[u8]) {
        match self.describes.front_mut() {
            None => self.portals = self.portals.saturating_sub(1),
            Some((0, _)) => {
                let mut types = std::mem::take(&mut self.types);
                types.hear(tag, body);
                if let Some((_, described)) = self.describes.pop_front() {
                    described.types.store(types.number(), Ordering::Relaxed);
                }
            }
            Some((portals, _)) => *portals -= 1,
        }
    }

    /// Forgets which answers are awaited: there will be none to what was sent.
    fn expect_nothing(&mut self) {
        self.parses.clear();
        self.closes.clear();
        self.describes.clear();
        self.portals = 0;
        self.types = Types::default();
    }

    /// Takes in one message of the answer to the router's own question.
    fn hear_answer(&mut self, tag: u8, body: &[u8]) {
        match tag {
            backend::tag::DATA_ROW => {
                // One column: its count, its length, its text.
                let text = body.get(6..).and_then(|text| std::str::from_utf8(text).ok());
                self.transaction = Some(text.and_then(|text| text.parse().ok()).unwrap_or(0));
            }
            backend::tag::READY => self.question = None,
            _ => {}
        }
    }
}

impl Session {
    /// Applies what has been committed to the session's own record.
    fn apply(&mut self, side: Side, effects: Vec<Effect>) {
        if effects.is_empty() {
            return;
        }
        // What the connection has, and what the session wants: a reset takes a connection back to what
        // it was at log-in, and the session to what its client asked for.
        let mut made = (*self.settings).clone();
        let mut pins = self.pins;
        for effect in effects {
            match effect {
                Effect::Set { key, sql } => made.set(&key, &sql),
                Effect::Reset(key) => made.reset(&key),
                Effect::ResetAll => made.reset_all(),
                Effect::DiscardAll => {
                    made = Settings::default();
                    pins = Pins::default();
                    self.forget(side, None);
                }
                // Noted before the statement was sent, or when it was completed.
                Effect::Pin(_)
                | Effect::Deallocate(_)
                | Effect::DropDatabase(_)
                | Effect::Ended { .. }
                | Effect::Savepoint(_)
                | Effect::RollbackTo(_) => {}
                Effect::Unpin(unpinned) => pins = pins.without(unpinned),
            }
        }
        self.pin(pins);
        let made = Arc::new(made);
        self.settings = Settings::over(&made, &self.base);
        if self.port.is_read_only() && !self.settings.is_read_only() {
            // Whatever its client says.
            let mut settings = (*self.settings).clone();
            settings.set_read_only();
            self.settings = Arc::new(settings);
        }
        if let Some(lease) = self.lease(side) {
            lease.kept.settings = made;
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

    fn forget(&mut self, side: Side, name: Option<&[u8]>) {
        match name {
            Some(name) => {
                self.prepared.remove(name);
            }
            None => self.prepared.clear(),
        }
        if let Some(lease) = self.lease(side) {
            match name {
                Some(name) => {
                    lease.kept.prepared.remove(name);
                }
                None => lease.kept.prepared.clear(),
            }
        }
    }
}
