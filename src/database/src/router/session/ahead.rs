//! What a node must have before a batch is sent to it: statements that the client prepared elsewhere.
//!
//! Most are prepared in the same breath as they are used. Two kinds are not. A client that was told a
//! statement's types once goes by them for ever, so they must be the same here: PostgreSQL refuses a
//! plan whose types have changed, and a statement that is prepared anew would hide the change. And a
//! statement that DEALLOCATE names must be there.

use super::super::login::Link;
use super::super::statement::Effect;
use super::super::wire::Fields;
use super::super::wire::backend::{self, put_types_changed};
use super::super::wire::frontend::{Kind, SYNC, put_target, tag};
use super::ask::{Unanswered, ask, body};
use super::attach::Refusal;
use super::batch::Plan;
use super::{Prepared, Session, Side, Transaction};
use bytes::BytesMut;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The types of a statement's parameters and results, as a client is told them.
#[derive(Debug, Default)]
pub(super) struct Types(DefaultHasher);

impl Types {
    /// Takes in a ParameterDescription, a RowDescription or a NoData.
    pub(super) fn hear(&mut self, tag: u8, body: &[u8]) {
        tag.hash(&mut self.0);
        if tag != backend::tag::ROW_DESCRIPTION {
            return body.hash(&mut self.0);
        }
        let mut fields = Fields::new(tag, body.get(2..).unwrap_or_default());
        while let Ok(name) = fields.text() {
            name.hash(&mut self.0);
            // From which table it comes does not matter, nor its format: it is not known yet.
            let Some((column, rest)) = fields.rest().split_at_checked(18) else { return };
            column.get(6..16).hash(&mut self.0);
            fields = Fields::new(tag, rest);
        }
    }

    /// One number for all of them; never 0, which stands for none.
    pub(super) fn number(&self) -> u64 {
        self.0.finish().max(1)
    }
}

impl Session {
    /// Prepares on the node of this side what the batch needs to find there. False if the node went away
    /// meanwhile, and there is no transaction that was lost with it.
    pub(super) async fn prepare_ahead(&mut self, side: Side, plan: &Plan) -> Result<bool, Refusal> {
        for prepared in self.lacking(side, plan) {
            let name: Box<[u8]> = prepared.name().into();
            let told = prepared.types.load(Ordering::Relaxed);
            let Some(lease) = self.lease(side) else { return Ok(false) };
            let node = lease.node;
            let mut out = BytesMut::new();
            if !name.is_empty() && lease.kept.prepared.remove(&name).is_some() {
                put_target(&mut out, tag::CLOSE, Kind::Statement, &name);
            }
            out.extend_from_slice(&prepared.message);
            put_target(&mut out, tag::DESCRIBE, Kind::Statement, &name);
            out.extend_from_slice(&SYNC);
            lease.kept.used = true;
            match describe(lease, &out).await {
                Ok(types) => {
                    if let Some(lease) = self.lease(side) {
                        lease.kept.prepared.insert(name, prepared.id);
                    }
                    if told != 0 && told != types {
                        let mut raw = BytesMut::new();
                        put_types_changed(&mut raw);
                        return Err(Refusal::Raw(raw.freeze()));
                    }
                }
                Err(Unanswered::Refused(raw)) => {
                    self.failed |= self.transaction != Transaction::None;
                    return Err(Refusal::Raw(raw));
                }
                Err(Unanswered::Gone) => {
                    *self.lease(side) = None;
                    self.hub.watch.suspect(node);
                    if let Transaction::Open(_) = self.transaction {
                        self.staged.clear();
                        self.transaction = Transaction::Lost;
                        return Ok(true);
                    }
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The statements that the node of this side must have first, and has not.
    fn lacking(&mut self, side: Side, plan: &Plan) -> Vec<Arc<Prepared>> {
        let described = |prepared: &&Arc<Prepared>| prepared.types.load(Ordering::Relaxed) != 0;
        let deallocated = plan.effects().filter_map(|effect| match effect {
            Effect::Deallocate(Some(name)) => self.prepared.get(&name[..]),
            _ => None,
        });
        let mut wanted: Vec<Arc<Prepared>> = Vec::new();
        for prepared in plan.bound.iter().filter(described).chain(deallocated) {
            // What this very batch prepares comes with it.
            let is_old = self.prepared.get(prepared.name()).is_some_and(|own| own.id == prepared.id);
            if is_old && !wanted.iter().any(|one| one.id == prepared.id) {
                wanted.push(Arc::clone(prepared));
            }
        }
        let there = self.lease(side).as_ref().map(|lease| &lease.kept.prepared);
        wanted.retain(|one| there.is_some_and(|there| there.get(one.name()) != Some(&one.id)));
        wanted
    }
}

/// Parses and describes: one number for the statement's types.
async fn describe(link: &mut Link, out: &[u8]) -> Result<u64, Unanswered> {
    let mut types = Types::default();
    ask(link, out, |_, tag, message| match tag {
        backend::tag::PARAMETER_DESCRIPTION | backend::tag::ROW_DESCRIPTION | backend::tag::NO_DATA => {
            types.hear(tag, body(message));
            false
        }
        tag => {
            matches!(tag, backend::tag::NOTIFICATION | backend::tag::NOTICE | backend::tag::PARAMETER_STATUS)
        }
    })
    .await?;
    Ok(types.number())
}
