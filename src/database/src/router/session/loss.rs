//! What the client is told when its node went away: the truth, and no more than is known.

use super::super::hub::count;
use super::super::statement::Control;
use super::super::wire::backend::{self, Report, code, put_complete, put_empty, put_error, put_ready};
use super::super::wire::frontend::tag;
use super::super::wire::{HEADER, outline};
use super::attach::Refusal;
use super::batch::Plan;
use super::flight::Flight;
use super::{End, Session, Side, Transaction};
use crate::watch::Fate;
use bytes::Buf;
use std::time::Duration;

/// A writer that is gone is missed within this: two probes of a second each, and some more.
const MISSED: Duration = Duration::from_secs(3);

impl Session {
    /// Appends what tells the client that the session is ready for the next batch.
    pub(super) fn put_ready(&mut self) {
        let status = match self.transaction {
            Transaction::None => b'I',
            Transaction::Open(_) if !self.failed => b'T',
            Transaction::Open(_) | Transaction::Lost | Transaction::Failed => b'E',
        };
        put_ready(&mut self.outbox, status);
    }

    /// Answers the batch with an error in place of a node.
    pub(super) fn refuse(&mut self, refusal: Refusal) -> Result<(), End> {
        match refusal {
            Refusal::Report(report) => put_error(&mut self.outbox, &report),
            Refusal::Raw(raw) => self.put_as_error(&raw),
            Refusal::End(end) => return Err(end),
        }
        self.skip_batch()
    }

    /// A node that refuses a log-in calls it fatal; for the client's session it is not.
    fn put_as_error(&mut self, raw: &[u8]) {
        let body = raw.get(HEADER..).unwrap_or_default();
        if backend::report_field(body, b'V') == Some(b"ERROR") {
            return self.outbox.extend_from_slice(raw);
        }
        let text = |field| {
            String::from_utf8_lossy(backend::report_field(body, field).unwrap_or_default()).into_owned()
        };
        let code = backend::error_code(body).unwrap_or(code::CONNECTION_FAILURE);
        put_error(&mut self.outbox, &Report::error(code, text(b'M'), text(b'H')));
    }

    /// Drops the batch that the inbox begins with, and makes the session ready after it.
    fn skip_batch(&mut self) -> Result<(), End> {
        self.scanned = 0;
        let Some(next) = outline(&self.inbox)? else { return Ok(()) };
        if matches!(next.tag, tag::QUERY | tag::FUNCTION_CALL) {
            let dropped = next.len.min(self.inbox.len());
            self.inbox.advance(dropped);
            self.discarding = next.len - dropped;
            self.put_ready();
        } else {
            self.skipping = true;
        }
        Ok(())
    }

    /// The session's transaction went away with its node. Nothing of it was committed.
    pub(super) fn answer_lost(&mut self, plan: &Plan) -> Result<(), End> {
        let told = self.transaction == Transaction::Failed;
        self.failed = false;
        match plan.control {
            // Whoever was told may end it as any failed transaction: COMMIT then rolls back.
            Control::Rollback => return self.answer_in_place(plan, b"ROLLBACK"),
            Control::Commit if told => return self.answer_in_place(plan, b"ROLLBACK"),
            Control::Commit => self.transaction = Transaction::None,
            _ => self.transaction = Transaction::Failed,
        }
        let report = if told {
            Report::error(
                code::IN_FAILED_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
                "",
            )
        } else {
            Report::error(
                code::SERIALIZATION_FAILURE,
                "the transaction was lost with its node; nothing of it was committed",
                "It is safe to run the whole transaction again.",
            )
        };
        self.refuse(Refusal::Report(report))
    }

    /// Answers a whole batch of one statement as if a node had run it.
    fn answer_in_place(&mut self, plan: &Plan, command: &[u8]) -> Result<(), End> {
        let mut tags = Vec::new();
        let mut rest = self.inbox.get(..plan.len).unwrap_or_default();
        while let Some(next) = outline(rest)? {
            tags.push(next.tag);
            rest = rest.get(next.len..).unwrap_or_default();
        }
        self.scanned = 0;
        self.inbox.advance(plan.len);
        self.transaction = Transaction::None;
        self.put_answers(&tags, command);
        if !plan.whole {
            self.skipping = true;
        }
        Ok(())
    }

    /// Appends the answers that a node would have given to these messages, which run one command.
    fn put_answers(&mut self, tags: &[u8], command: &[u8]) {
        for message in tags {
            match *message {
                tag::PARSE => put_empty(&mut self.outbox, backend::tag::PARSE_COMPLETE),
                tag::BIND => put_empty(&mut self.outbox, backend::tag::BIND_COMPLETE),
                tag::DESCRIBE => put_empty(&mut self.outbox, backend::tag::NO_DATA),
                tag::CLOSE => put_empty(&mut self.outbox, backend::tag::CLOSE_COMPLETE),
                tag::EXECUTE => put_complete(&mut self.outbox, command),
                tag::QUERY => {
                    put_complete(&mut self.outbox, command);
                    self.put_ready();
                }
                tag::SYNC => self.put_ready(),
                _ => {}
            }
        }
    }

    /// The node went away while the batch was under way.
    pub(super) async fn lost(&mut self, side: Side, plan: &Plan, flight: Flight) -> Result<(), End> {
        if flight.to_client > 0 {
            // The client has half a message: no word of ours would be understood.
            return Err(End::Gone);
        }
        self.cancel.set(None);
        self.discarding = flight.unsent();
        let was_open = matches!(self.transaction, Transaction::Open(_));
        let commits = plan.control == Control::Commit && was_open;
        // A text or a pipeline may end the transaction among other things.
        let stays = flight.stays || plan.control == Control::Rollback;
        self.staged.clear();
        self.failed = false;
        if flight.is_completed_query() && side == Side::Writer {
            // PostgreSQL commits before it says so.
            self.transaction = if was_open && !commits { Transaction::Lost } else { Transaction::None };
            self.put_ready();
            return Ok(());
        }
        let report = if side == Side::Near || self.port.is_read_only() {
            retryable("the node went away while it answered; nothing was written")
        } else if commits {
            match self.fate(&flight).await {
                Fate::Committed => {
                    count(&self.hub.counters.commits_resolved);
                    self.transaction = Transaction::None;
                    let tags = flight.unanswered();
                    self.put_answers(&tags, b"COMMIT");
                    return Ok(());
                }
                Fate::Aborted => {
                    retryable("the transaction was lost with its node; nothing of it was committed")
                }
                Fate::Unknown => self.unknown("COMMIT"),
            }
        } else if was_open && stays || matches!(plan.control, Control::Begin { .. }) {
            count(&self.hub.counters.lost_transactions);
            retryable("the transaction was lost with its node; nothing of it was committed")
        } else if let (false, true, Some(words)) = (was_open, flight.left_nothing(), &flight.farewell) {
            // The node ended the statement, and said so in place of completing it.
            retryable(&format!("the node ended the statement ({words}); nothing of it was committed"))
        } else {
            self.unknown("the statement")
        };
        let goes_on = was_open && flight.stays;
        self.transaction = if goes_on { Transaction::Failed } else { Transaction::None };
        if !self.pins.is_empty() && side == self.home() {
            let held = self.pins.words();
            self.say_last(Report::fatal(
                report.code,
                format!("{}; the session's {held} went with it", report.message),
                report.hint,
            ));
            return Err(End::Said);
        }
        put_error(&mut self.outbox, &report);
        if flight.is_client_waiting() {
            self.put_ready();
        } else {
            self.skipping = true;
        }
        Ok(())
    }

    fn unknown(&self, what: &str) -> Report {
        count(&self.hub.counters.commits_unknown);
        Report::error(
            code::RESOLUTION_UNKNOWN,
            format!("the node went away before it answered: it is not known whether {what} took effect"),
            "Look before you run it again.",
        )
    }

    /// What became of the transaction whose COMMIT was not answered. Only the writer that follows can
    /// tell, so it is waited for, as long as statements wait for one.
    async fn fate(&self, flight: &Flight) -> Fate {
        let xid = match flight.transaction {
            // It had written nothing.
            Some(0) => return Fate::Committed,
            Some(xid) => xid,
            None => return Fate::Unknown,
        };
        let watch = &self.hub.watch;
        let mut views = watch.subscribe();
        let asking = async {
            loop {
                let view = views.borrow_and_update().clone();
                let fate = match view.writer() {
                    Some(_) => watch.fate(flight.generation, xid).await,
                    None => Fate::Unknown,
                };
                let follows = view.writer().is_some() && view.generation != flight.generation;
                if fate != Fate::Unknown || follows {
                    return fate;
                }
                // The writer of before: it may be a while until it is missed. If it is not, it will not
                // know more later.
                let missed = tokio::time::timeout(MISSED, views.changed()).await;
                if missed.is_err() && view.writer().is_some() {
                    return Fate::Unknown;
                }
            }
        };
        let patience = self.hub.limits.load().hold.timeout.to_duration();
        tokio::time::timeout(patience, asking).await.unwrap_or(Fate::Unknown)
    }
}

fn retryable(message: &str) -> Report {
    Report::error(code::SERIALIZATION_FAILURE, message, "It is safe to run it again.")
}
