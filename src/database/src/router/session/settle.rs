//! What a batch has done to the session, once it was answered.

use super::super::settings::Settings;
use super::super::statement::{Effect, Pins};
use super::flight::Flight;
use super::{Session, Side, Transaction};
use std::sync::Arc;

impl Session {
    /// The node is ready: what did the batch do to the session?
    pub(super) fn settle(&mut self, flight: &mut Flight) {
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

    pub(super) fn forget(&mut self, side: Side, name: Option<&[u8]>) {
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
