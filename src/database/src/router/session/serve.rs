//! A batch, from the client's word to the answer: where it goes, and what if it does not get there.

use super::super::cancel::Target;
use super::super::hub::count;
use super::super::statement::{Control, Effect, Unlock};
use super::super::wire::backend::{Report, code};
use super::super::wire::frontend::tag;
use super::super::wire::{Outline, outline};
use super::attach::{Refusal, gone_before};
use super::batch::Plan;
use super::flight::{Flight, Outcome, Question};
use super::{End, LARGEST_PARSE, LIMIT, Seen, Session, Side, Transaction};
use bytes::{Bytes, BytesMut};
use evenkeel_config::database::{Mode, Pooling};
use std::sync::atomic::Ordering;

/// How often a batch of which the client saw nothing is sent anew.
const ATTEMPTS: usize = 3;

impl Session {
    /// Serves the batch that the inbox begins with.
    pub(super) async fn serve(&mut self) -> Result<(), End> {
        if let Some(report) = outline(&self.inbox)?.and_then(Self::too_large) {
            return self.refuse(Refusal::Report(report));
        }
        let mut plan = self.plan()?;
        if matches!(self.transaction, Transaction::Lost | Transaction::Failed) {
            return self.answer_lost(&plan);
        }
        if let Err(report) = self.keep_locked(&plan).and_then(|()| self.pin_for(&plan)) {
            return self.refuse(Refusal::Report(report));
        }
        self.clear_databases_for(&plan);
        let mut side = self.side_for(&plan);
        for attempt in 1.. {
            match self.prepare(&mut side, &plan).await {
                Ok(()) => {}
                Err(Refusal::End(end)) => return Err(end),
                Err(refusal) => return self.refuse(refusal),
            }
            if matches!(self.transaction, Transaction::Lost) {
                return self.answer_lost(&plan);
            }
            let mut flight = self.take_off(side, &mut plan);
            let outcome = self.exchange(&mut flight).await?;
            let again = match outcome {
                Outcome::Done => {
                    self.landed(side, &plan);
                    return Ok(());
                }
                Outcome::Refused => {
                    side = Side::Writer;
                    self.note_refused(&plan);
                    flight.retained.take()
                }
                Outcome::Lost => {
                    if let Some(lease) = self.lease(side).take() {
                        self.hub.watch.suspect(lease.node);
                    }
                    // Only a read, and only one of which the client saw nothing, is sent anew.
                    let retained = flight.retained.take();
                    self.outbox.truncate(if retained.is_some() { flight.mark() } else { self.outbox.len() });
                    if retained.is_none() || attempt == ATTEMPTS {
                        return self.lost(side, &plan, flight).await;
                    }
                    retained
                }
            };
            let Some(batch) = again else { return Ok(()) };
            self.put_back(&batch);
            plan = self.plan()?;
        }
        Ok(())
    }

    /// A Parse must be kept whole, so its size is bounded.
    pub(super) fn too_large(next: Outline) -> Option<Report> {
        let is_too_large = next.tag == tag::PARSE && next.len > LARGEST_PARSE;
        is_too_large.then(|| {
            Report::error(
                code::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "the statement is {} bytes long: at most {LARGEST_PARSE} can be prepared through the router",
                    next.len
                ),
                "Send values as parameters, or the text as a simple query.",
            )
        })
    }

    /// On a listener that only reads nobody is let write, at the writer no more than at a replica. What
    /// asks for it between transactions is let through, as a replica does, and taken back after it.
    fn keep_locked(&self, plan: &Plan) -> Result<(), Report> {
        let unlocks = match plan.unlocks {
            Unlock::None => false,
            Unlock::Later => self.transaction != Transaction::None,
            Unlock::Now => true,
        };
        if !unlocks || !self.port.is_read_only() {
            return Ok(());
        }
        Err(Report::error(
            code::READ_ONLY,
            format!("listener {} only reads: no transaction of it may write", self.port.config.name()),
            "Connect to a listener of mode writer or auto to write.",
        ))
    }

    /// Makes room for a session that keeps its connection, before the statement that needs it is sent.
    fn pin_for(&mut self, plan: &Plan) -> Result<(), Report> {
        if plan.pins.is_empty() {
            return Ok(());
        }
        let most = self.hub.limits.load().pool.pinned_max;
        if self.pins.is_empty() && self.hub.pinned.load(Ordering::Relaxed) >= most {
            return Err(Report::error(
                code::CONFIGURATION_LIMIT,
                format!(
                    "{most} sessions keep node connections for state of theirs already; this one would for {}",
                    plan.pins.words()
                ),
                "The limit is database.pool.pinned_max.",
            ));
        }
        self.pin(self.pins.with(plan.pins));
        Ok(())
    }

    /// A database can only be dropped when nothing is connected to it, idle connections of ours too.
    fn clear_databases_for(&self, plan: &Plan) {
        for effect in plan.effects() {
            if let Effect::DropDatabase(name) = effect {
                self.hub.pools.fence_database(name);
            }
        }
    }

    fn side_for(&self, plan: &Plan) -> Side {
        if let Transaction::Open(side) = self.transaction {
            return side;
        }
        if !self.pins.is_empty() {
            return self.home();
        }
        match self.port.config.mode {
            _ if self.port.is_read_only() => Side::Near,
            Mode::Auto if plan.near || plan.control == (Control::Begin { near: true }) => Side::Near,
            _ => Side::Writer,
        }
    }

    /// Sees to a connection there; a read that cannot be served near goes to the writer.
    async fn prepare(&mut self, side: &mut Side, plan: &Plan) -> Result<(), Refusal> {
        if let Transaction::Open(open) = self.transaction {
            let view = self.hub.watch.view();
            let gone = match self.lease(open) {
                None => true,
                Some(lease) => Self::is_fenced(lease, &view),
            };
            if gone {
                *self.lease(open) = None;
                self.staged.clear();
                count(&self.hub.counters.lost_transactions);
                self.transaction = Transaction::Lost;
                return Ok(());
            }
            return self.prepare_ahead(*side, plan).await.map(|_| ());
        }
        for _ in 0..ATTEMPTS {
            self.attach(*side, plan.len).await?;
            if *side == Side::Near && !self.port.is_read_only() && !self.sees_enough().await {
                *side = Side::Writer;
                self.attach(Side::Writer, plan.len).await?;
            }
            if self.prepare_ahead(*side, plan).await? {
                return Ok(());
            }
        }
        Err(gone_before().into())
    }

    fn take_off(&mut self, side: Side, plan: &mut Plan) -> Flight {
        let movable = side == Side::Near
            && self.transaction == Transaction::None
            && plan.whole
            && plan.near
            && plan.len <= LIMIT;
        let retained =
            movable.then(|| Bytes::copy_from_slice(self.inbox.get(..plan.len).unwrap_or_default()));
        let asks = side == Side::Writer
            && plan.control == Control::Commit
            && self.transaction == Transaction::Open(Side::Writer)
            && !self.failed
            && plan.whole
            && self.hub.limits.load().hold.resolve_commits;
        let view = self.hub.watch.view();
        if let Some(lease) = self.lease(side) {
            let target = Target { node: lease.node, key: lease.key };
            self.cancel.set(Some(target));
        }
        let counters = &self.hub.counters;
        count(match side {
            Side::Writer => &counters.to_writer,
            Side::Near => match self.near.as_ref().map(|lease| lease.node) {
                Some(node) if view.writer() == Some(node) => &counters.to_writer,
                Some(node) if self.hub.limits.load().is_local(node) => &counters.to_local_replica,
                _ => &counters.to_other_replica,
            },
        });
        Flight::new(side, view.generation, plan, asks.then_some(Question::Transaction), retained)
    }

    /// The batch was answered.
    fn landed(&mut self, side: Side, plan: &Plan) {
        if side == Side::Writer && !plan.near {
            self.seen = Seen::OwnWrites;
        }
        if self.port.config.pooling == Pooling::Transaction
            && self.transaction == Transaction::None
            && self.pins.is_empty()
        {
            self.release(side);
        }
    }

    /// A replica refused the batch: its statements go to the writer from now on.
    fn note_refused(&mut self, plan: &Plan) {
        for prepared in plan.bound.iter().chain(&plan.parsed) {
            prepared.refused.store(true, Ordering::Relaxed);
        }
    }

    /// The batch is the next to be served again.
    fn put_back(&mut self, batch: &[u8]) {
        let mut inbox = BytesMut::with_capacity(batch.len() + self.inbox.len());
        inbox.extend_from_slice(batch);
        inbox.extend_from_slice(&self.inbox);
        self.inbox = inbox;
        self.scanned = 0;
    }
}
