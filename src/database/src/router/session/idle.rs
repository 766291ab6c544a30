//! Waiting for the client, and for what happens to an idle session meanwhile.

use super::super::login::Link;
use super::super::wire::backend::{self, Report, code, put_error};
use super::super::wire::{HEADER, outline};
use super::{End, LIMIT, Session, Side, Transaction};
use bytes::{Buf, BytesMut};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A session without a buffer reads its next message's beginning into one of this size.
const SMALL: usize = 4096;

/// Something that an idle session must act on.
enum Event {
    /// The client sent a batch.
    Batch,
    /// A node connection has ended, or the writer is another one.
    Node(Side),
    /// It is time to see whether the node connections can be given back.
    Tick,
    /// The router stops.
    Stop,
}

impl Session {
    /// Waits until the client has sent a batch.
    pub(super) async fn idle(&mut self) -> Result<(), End> {
        loop {
            match self.event().await? {
                Event::Batch => return Ok(()),
                Event::Node(side) => {
                    self.lose_idle(side)?;
                    if let Some(other) = self.fenced() {
                        self.lose_idle(other)?;
                    }
                }
                Event::Tick => self.give_back_if_rested(),
                Event::Stop => {
                    self.say_last(Report::fatal(
                        code::ADMIN_SHUTDOWN,
                        "the router is shutting down",
                        "Connect again.",
                    ));
                    return Err(End::Said);
                }
            }
        }
    }

    async fn event(&mut self) -> Result<Event, End> {
        // The client's word comes first: no timer is needed for a busy session.
        if self.skip_until_sync()? && self.is_batch_ready()? {
            return Ok(Event::Batch);
        }
        if self.transaction == Transaction::None && self.is_stopping() {
            return Ok(Event::Stop);
        }
        match self.or_news(Self::poll_idle).await {
            Some(event) => event,
            None => Ok(self.fenced().map_or(Event::Tick, Event::Node)),
        }
    }

    fn is_stopping(&self) -> bool {
        self.news.as_ref().is_none_or(|news| news.borrow().stopping)
    }

    /// How long until the node connections could be given back.
    fn patience(&self) -> Duration {
        let release_after = self.hub.limits.load().pool.release_after.to_duration();
        release_after.saturating_sub(self.rested.elapsed()).max(Duration::from_millis(10))
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.near.is_none() && self.writer.is_none() {
            self.ticker = None;
            return Poll::Pending;
        }
        let patience = self.patience();
        let ticker = self.ticker.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        let ticked = ticker.as_mut().poll(cx);
        if ticked.is_ready() {
            self.ticker = None;
        }
        ticked
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, End>> {
        if self.poll_send(cx).is_err() {
            return Poll::Ready(Err(End::Gone));
        }
        if self.poll_tick(cx).is_ready() {
            return Poll::Ready(Ok(Event::Tick));
        }
        for side in [Side::Near, Side::Writer] {
            if !self.poll_quiet(cx, side) {
                return Poll::Ready(Ok(Event::Node(side)));
            }
        }
        if self.poll_send(cx).is_err() {
            return Poll::Ready(Err(End::Gone));
        }
        loop {
            // A client that does not read is not listened to.
            if self.outbox.len() > LIMIT {
                return Poll::Pending;
            }
            match self.poll_hear(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(end)) => return Poll::Ready(Err(end)),
                Poll::Ready(Ok(())) => {}
            }
            match self.skip_until_sync().and_then(|ready| Ok(ready && self.is_batch_ready()?)) {
                Ok(false) => {
                    if self.poll_send(cx).is_err() {
                        return Poll::Ready(Err(End::Gone));
                    }
                }
                Ok(true) => return Poll::Ready(Ok(Event::Batch)),
                Err(end) => return Poll::Ready(Err(end)),
            }
        }
    }

    /// Takes in what the client has sent.
    pub(super) fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let client = Pin::new(&mut self.client);
        let read = if self.inbox.capacity() == 0 {
            let mut small = [std::mem::MaybeUninit::uninit(); SMALL];
            let mut buffer = ReadBuf::uninit(&mut small);
            match client.poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => 0,
                Poll::Ready(Ok(())) => {
                    self.inbox.extend_from_slice(buffer.filled());
                    buffer.filled().len()
                }
            }
        } else {
            match poll_fill(client, cx, &mut self.inbox) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => read,
            }
        };
        Poll::Ready(if read == 0 { Err(End::Gone) } else { Ok(()) })
    }

    /// Sends what waits for the client, as far as it can be sent now.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        poll_drain(Pin::new(&mut self.client), cx, &mut self.outbox)
    }

    /// The same of what stands before `mark`, which moves with it.
    pub(super) fn poll_send_before(&mut self, cx: &mut Context<'_>, mark: &mut usize) -> std::io::Result<()> {
        let mut before = self.outbox.split_to((*mark).min(self.outbox.len()));
        let sent = poll_drain(Pin::new(&mut self.client), cx, &mut before);
        *mark = before.len();
        before.unsplit(std::mem::take(&mut self.outbox));
        self.outbox = before;
        sent
    }

    /// Passes on what a node says of its own accord: notifications, notices, changed parameters.
    /// False if its connection has ended.
    pub(super) fn poll_quiet(&mut self, cx: &mut Context<'_>, side: Side) -> bool {
        // What came with the end of the last answer.
        if !self.pass_on_quietly(side) {
            return false;
        }
        loop {
            let Some(lease) = self.lease(side) else { return true };
            let Link { stream, read, .. } = &mut **lease;
            match poll_fill(Pin::new(stream), cx, read) {
                Poll::Pending => return true,
                Poll::Ready(0) => return false,
                Poll::Ready(_) => {}
            }
            if !self.pass_on_quietly(side) {
                return false;
            }
        }
    }

    fn pass_on_quietly(&mut self, side: Side) -> bool {
        loop {
            let Some(lease) = self.lease(side) else { return true };
            let next = match outline(&lease.read) {
                Ok(Some(next)) if lease.read.len() >= next.len => next,
                Ok(_) => return true,
                Err(_) => return false,
            };
            let message = lease.read.split_to(next.len);
            match next.tag {
                backend::tag::NOTICE => self.outbox.extend_from_slice(&message),
                backend::tag::NOTIFICATION => self.put_notification(side, &message),
                backend::tag::PARAMETER_STATUS => {
                    let body = message.get(HEADER..).unwrap_or_default();
                    self.learn_parameter(side, body);
                }
                // An error is the node's farewell; the end of the connection follows.
                _ => return false,
            }
        }
    }

    /// Passes a notification on. It says which process notified: if that was the session itself, its
    /// client knows it by the number that it was told.
    pub(super) fn put_notification(&mut self, side: Side, message: &[u8]) {
        let (told, _) = self.cancel.key();
        let Some(lease) = self.lease(side) else { return };
        let (own, _) = lease.key;
        match message.split_at_checked(HEADER) {
            Some((header, body)) if body.starts_with(&own.to_be_bytes()) => {
                self.outbox.extend_from_slice(header);
                self.outbox.extend_from_slice(&told.to_be_bytes());
                self.outbox.extend_from_slice(body.get(4..).unwrap_or_default());
            }
            _ => self.outbox.extend_from_slice(message),
        }
    }

    /// After an error the rest of an extended batch is skipped, and Sync is answered. True if the
    /// inbox begins with what is to be served.
    fn skip_until_sync(&mut self) -> Result<bool, End> {
        use super::super::wire::frontend::tag;
        loop {
            if self.discarding > 0 {
                let dropped = self.discarding.min(self.inbox.len());
                self.inbox.advance(dropped);
                self.discarding -= dropped;
                if self.discarding > 0 {
                    return Ok(false);
                }
            }
            let Some(next) = outline(&self.inbox)? else { return Ok(!self.skipping) };
            // What is left of a COPY that has failed already; a Flush of what was sent long ago.
            let stray = matches!(next.tag, tag::COPY_DATA | tag::COPY_DONE | tag::COPY_FAIL | tag::FLUSH);
            if next.tag == tag::TERMINATE {
                return Err(End::Terminated);
            }
            if !self.skipping && !stray {
                return Ok(true);
            }
            self.scanned = 0;
            self.discarding = next.len;
            if next.tag == tag::SYNC {
                self.skipping = false;
                self.put_ready();
            }
        }
    }

    /// An idle session's node connection has ended, or must not be used any more.
    fn lose_idle(&mut self, side: Side) -> Result<(), End> {
        *self.lease(side) = None;
        self.cancel.set(None);
        if self.transaction == Transaction::Open(side) {
            super::super::hub::count(&self.hub.counters.lost_transactions);
            self.transaction = Transaction::Lost;
            self.staged.clear();
        }
        if side == self.home() && !self.pins.is_empty() {
            let held = self.pins.words();
            self.say_last(Report::fatal(
                code::ADMIN_SHUTDOWN,
                format!("the node of this session went away, and with it what the session had there: {held}"),
                "Connect again and make it anew.",
            ));
            return Err(End::Said);
        }
        Ok(())
    }

    /// Gives node connections back, and the buffers' memory, once the session has been idle long
    /// enough and holds no state there.
    fn give_back_if_rested(&mut self) {
        let limits = self.hub.limits.load();
        let release_after = limits.pool.release_after.to_duration();
        if self.transaction != Transaction::None || self.rested.elapsed() < release_after {
            return;
        }
        if self.pins.is_empty() {
            self.release(Side::Near);
            self.release(Side::Writer);
        } else if self.home() == Side::Writer {
            self.release(Side::Near);
        }
        for buffer in [&mut self.inbox, &mut self.outbox, &mut self.spare] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
        self.rested = Instant::now();
    }

    /// Appends an error that ends the session.
    pub(super) fn say_last(&mut self, report: Report) {
        put_error(&mut self.outbox, &report);
    }
}

/// Reads once into the buffer; 0 at the end and at an error.
pub(super) fn poll_fill(
    stream: Pin<&mut impl AsyncRead>,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<usize> {
    if buffer.capacity() - buffer.len() < 1024 {
        buffer.reserve(8 * 1024);
    }
    match tokio_util::io::poll_read_buf(stream, cx, buffer) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(read)) => Poll::Ready(read),
        Poll::Ready(Err(_)) => Poll::Ready(0),
    }
}

/// Writes as much of the buffer as can be written now.
pub(super) fn poll_drain(
    mut stream: Pin<&mut impl AsyncWrite>,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> std::io::Result<()> {
    while !buffer.is_empty() {
        match stream.as_mut().poll_write(cx, buffer) {
            Poll::Pending => break,
            Poll::Ready(Ok(0)) => return Err(std::io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(written)) => buffer.advance(written),
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    // TLS keeps what the socket did not take, also of what was written the last time.
    match stream.poll_flush(cx) {
        Poll::Ready(Err(error)) => Err(error),
        _ => Ok(()),
    }
}
