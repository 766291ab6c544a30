//! A batch relayed to a node, and the answer back, both ways at once.

use super::super::cancel::Target;
use super::super::login::Link;
use super::super::pool::Lease;
use super::super::wire::frontend::{put_query, tag};
use super::super::wire::outline;
use super::flight::{Flight, Flow, Outcome};
use super::idle::{poll_drain, poll_fill};
use super::{End, LARGEST_PARSE, LIMIT, Session};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Terminate, whole.
const GOODBYE: [u8; 5] = [tag::TERMINATE, 0, 0, 0, 4];

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
}
