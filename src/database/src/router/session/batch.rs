//! What the client sent: is a batch whole, and what does it ask for?

use super::super::statement::{Control, Effect, Pins, Statement, Unlock};
use super::super::wire::frontend::{Bind, Kind, Parse, read_target, tag};
use super::super::wire::{HEADER, WireError, outline};
use super::{LARGEST_PARSE, LIMIT, Prepared, Session};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a batch asks for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// How many bytes of the inbox were looked at.
    pub len: usize,
    /// Whether these are all: they end with a Query, a FunctionCall or a Sync.
    pub whole: bool,
    /// Whether a replica may try it.
    pub near: bool,
    /// What it means for the transaction, where it is one statement.
    pub control: Control,
    /// State that it makes in the connection.
    pub pins: Pins,
    /// Whether it would let a session write that only reads.
    pub unlocks: Unlock,
    /// The statement of a Query.
    pub query: Option<Statement>,
    /// The prepared statements that it runs, as far as more than their way matters.
    pub bound: Vec<Arc<Prepared>>,
    /// The statements of its Parse messages, in order.
    pub parsed: VecDeque<Arc<Prepared>>,
}

impl Session {
    /// Whether the inbox begins with something that can be served: a whole batch, or as much of one as
    /// is taken in at once.
    pub(super) fn is_batch_ready(&mut self) -> Result<bool, WireError> {
        loop {
            let rest = self.inbox.get(self.scanned..).unwrap_or_default();
            let Some(next) = outline(rest)? else { return Ok(self.inbox.len() > LIMIT) };
            if rest.len() < next.len {
                // A large message streams. Of a Parse all is needed, unless it is refused anyway.
                let streams = next.tag != tag::PARSE || next.len > LARGEST_PARSE;
                return Ok(self.inbox.len() > LIMIT && streams);
            }
            self.scanned += next.len;
            match next.tag {
                tag::PARSE | tag::BIND | tag::DESCRIBE | tag::EXECUTE | tag::CLOSE => {}
                _ => return Ok(true),
            }
        }
    }

    /// Looks at the batch that the inbox begins with, and takes nothing out of it.
    pub(super) fn plan(&mut self) -> Result<Plan, WireError> {
        let inbox = std::mem::take(&mut self.inbox);
        let plan = self.plan_of(&inbox);
        self.inbox = inbox;
        plan
    }

    fn plan_of(&self, inbox: &[u8]) -> Result<Plan, WireError> {
        let mut plan = Plan { near: true, ..Plan::default() };
        let (mut bound, mut stays) = (0, true);
        loop {
            let rest = inbox.get(plan.len..).unwrap_or_default();
            let Some(next) = outline(rest)? else { break };
            let Some(message) = rest.get(..next.len) else {
                // Of a large query what has come is read; how much more it does, its answer tells.
                if next.tag == tag::QUERY {
                    let read = Statement::read(rest.get(HEADER..).unwrap_or_default());
                    let statement = Statement { alone: false, stays: false, atomic: false, ..read };
                    plan.take(&statement);
                    plan.query = Some(statement);
                }
                break;
            };
            let body = message.get(HEADER..).unwrap_or_default();
            match next.tag {
                tag::QUERY => {
                    let sql = body.strip_suffix(&[0]).unwrap_or(body);
                    let statement = Statement::read(sql);
                    plan.take(&statement);
                    plan.control = statement.control;
                    plan.query = Some(statement);
                    plan.len += next.len;
                    plan.whole = true;
                    return Ok(plan);
                }
                tag::PARSE => {
                    let parse = Parse::read(body)?;
                    let prepared = self.prepared_of(parse.sql, message);
                    plan.take(&prepared.statement);
                    plan.parsed.push_back(Arc::new(prepared));
                }
                tag::BIND => {
                    let bind = Bind::read(body)?;
                    bound += 1;
                    match self.named(&plan, bind.statement).map(Arc::clone) {
                        Some(named) => {
                            let statement = &named.statement;
                            plan.near &= named.is_near();
                            plan.pins = plan.pins.with(statement.pins());
                            stays &= statement.stays;
                            plan.unlocks = plan.unlocks.max(statement.unlocks).together(stays || bound == 1);
                            plan.control = if bound == 1 { statement.control } else { Control::None };
                            let is_described = named.types.load(Ordering::Relaxed) != 0;
                            if statement.near || is_described || !statement.effects.is_empty() {
                                plan.bound.push(named);
                            }
                        }
                        None => plan.near = false,
                    }
                }
                tag::DESCRIBE => {
                    if let (Kind::Statement, name) = read_target(next.tag, body)? {
                        let near = self.named(&plan, name).is_some_and(|named| named.is_near());
                        plan.near &= near;
                    }
                }
                tag::EXECUTE | tag::CLOSE => {}
                tag::SYNC => {
                    plan.len += next.len;
                    plan.whole = true;
                    return Ok(plan);
                }
                tag::FUNCTION_CALL => {
                    plan.near = false;
                    plan.len += next.len;
                    plan.whole = true;
                    return Ok(plan);
                }
                // Flush: what follows is not known yet, so nothing can be promised of it.
                _ => {
                    plan.near = false;
                    break;
                }
            }
            plan.len += next.len;
        }
        plan.near = false;
        Ok(plan)
    }

    /// A statement that a Parse message prepares.
    pub(super) fn prepared_of(&self, sql: &[u8], message: &[u8]) -> Prepared {
        Prepared {
            id: self.hub.parses.fetch_add(1, Ordering::Relaxed),
            message: Bytes::copy_from_slice(message),
            statement: Statement::read(sql),
            refused: AtomicBool::new(false),
            types: AtomicU64::new(0),
        }
    }

    /// The prepared statement of this name, as it will be when the batch so far has been taken in.
    fn named<'a>(&'a self, plan: &'a Plan, name: &[u8]) -> Option<&'a Arc<Prepared>> {
        let of_batch = plan.parsed.iter().rev().find(|prepared| prepared.name() == name);
        of_batch.or_else(|| self.prepared.get(name))
    }
}

impl Plan {
    /// What its statements do to the session, if they succeed.
    pub(super) fn effects(&self) -> impl Iterator<Item = &Effect> {
        let of_bound = self.bound.iter().flat_map(|bound| &bound.statement.effects);
        self.query.iter().flat_map(|query| &query.effects).chain(of_bound)
    }

    fn take(&mut self, statement: &Statement) {
        self.near &= statement.near;
        self.pins = self.pins.with(statement.pins());
        self.unlocks = self.unlocks.max(statement.unlocks);
    }
}

impl Prepared {
    /// Whether a replica may try it.
    fn is_near(&self) -> bool {
        self.statement.near && !self.refused.load(Ordering::Relaxed)
    }

    /// The statement's name; empty for the unnamed one.
    pub(super) fn name(&self) -> &[u8] {
        let body = self.message.get(HEADER..).unwrap_or_default();
        Parse::read(body).map_or(&[], |parse| parse.name)
    }
}
