//! A session and its node connections: got, made ready, given back.

use super::super::hub::{Doing, count};
use super::super::login::{Link, LoginError};
use super::super::pool::{Lease, PoolError};
use super::super::wire::backend::{self, Report, code, put_parameter, read_parameter};
use super::super::wire::frontend::put_query;
use super::ask::{Unanswered, ask, body};
use super::{End, LIMIT, Session, Side, Transaction};
use bytes::{Bytes, BytesMut};
use evenkeel_policy::database::{Role, View, Writer, reader};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// Statements that a connection keeps in transaction mode, before it is made as new.
const MOST_PREPARED: usize = 200;

/// Making a connection as new may take this long.
const RESET_TIMEOUT: Duration = Duration::from_secs(5);

/// How soon a node that refused a connection is asked again while a statement waits.
const RETRY: Duration = Duration::from_millis(50);

/// A session that waits this long for a connection gives back the one it does not need now: others
/// may wait for that one, and hold what this one waits for.
const GENEROSITY: Duration = Duration::from_millis(50);

/// The generation of connections to nodes that were not the writer when they were leased. A writer's
/// have the number of its timeline.
const NOT_A_WRITERS: u64 = 0;

/// Why a batch cannot be served.
#[derive(Debug)]
pub(super) enum Refusal {
    /// In the router's words.
    Report(Report),
    /// In a node's words: a whole ErrorResponse.
    Raw(Bytes),
    /// The session ends.
    End(End),
}

impl From<Report> for Refusal {
    fn from(report: Report) -> Self {
        Refusal::Report(report)
    }
}

impl Session {
    /// Whether this connection may not be used any more: it is a writer's, and another node is the
    /// writer, or two claim to be. That no writer is known is no reason: nobody else has taken over.
    /// Reads too: whoever reads at the writer for want of a replica could be let write there.
    pub(super) fn is_fenced(lease: &Lease, view: &View) -> bool {
        let claims = view.nodes.get(lease.node).is_some_and(|node| node.role == Some(Role::Writer));
        let of_a_writer = lease.generation != NOT_A_WRITERS || claims;
        match view.writer {
            Writer::Known { node, timeline } if lease.node == node => {
                !matches!(lease.generation, NOT_A_WRITERS) && lease.generation != u64::from(timeline)
            }
            Writer::Known { .. } | Writer::Conflict { .. } => of_a_writer,
            Writer::None => false,
        }
    }

    /// A side whose connection may not be used any more.
    pub(super) fn fenced(&self) -> Option<Side> {
        let view = self.hub.watch.view();
        let fenced =
            |lease: &Option<Lease>| lease.as_ref().is_some_and(|lease| Self::is_fenced(lease, &view));
        match (fenced(&self.writer), fenced(&self.near)) {
            (true, _) => Some(Side::Writer),
            (false, true) => Some(Side::Near),
            (false, false) => None,
        }
    }

    /// Sees to a usable connection on this side, waiting for a writer if there is none.
    pub(super) async fn attach(&mut self, side: Side, bytes: usize) -> Result<(), Refusal> {
        match self.try_attach(side).await? {
            true => Ok(()),
            false => self.attach_held(side, bytes).await,
        }
    }

    /// The statement waits, within the bounds of `database.hold`.
    async fn attach_held(&mut self, side: Side, bytes: usize) -> Result<(), Refusal> {
        let hub = Arc::clone(&self.hub);
        let hold = hub.limits.load().hold.clone();
        let _waiting = hub.held.enter(&hold, bytes)?;
        count(&hub.counters.held);
        self.now(Doing::Held);
        let deadline = Instant::now() + hold.timeout.to_duration();
        let mut views = hub.watch.subscribe();
        let mut paused = hub.paused.subscribe();
        let mut cancelled = std::pin::pin!(self.cancel.waiting());
        let attached = loop {
            views.borrow_and_update();
            paused.borrow_and_update();
            if self.try_attach(side).await? {
                break Ok(());
            }
            tokio::select! {
                biased;
                end = poll_fn(|cx| self.poll_patience(cx)) => break Err(Refusal::End(end)),
                _ = views.changed() => {}
                _ = paused.changed() => {}
                () = &mut cancelled => break Err(cancelled_by_client().into()),
                () = tokio::time::sleep(RETRY) => {}
                () = tokio::time::sleep_until(deadline) => {
                    count(&hub.counters.held_in_vain);
                    break Err(self.in_vain(side, hold.timeout.to_duration()).into());
                }
            }
        };
        self.now(Doing::Active);
        attached
    }

    fn in_vain(&self, side: Side, waited: Duration) -> Report {
        let view = self.hub.watch.view();
        let limits = self.hub.limits.load();
        let why = if *self.hub.paused.borrow() {
            "an operator paused the router".to_owned()
        } else {
            match (side, view.writer) {
                (Side::Near, _) => "no database node can be reached".to_owned(),
                (_, Writer::None) => "no writer is known".to_owned(),
                (_, Writer::Known { node, .. }) => {
                    format!("the writer {} gives no connection", limits.name(node))
                }
                (_, Writer::Conflict { nodes: (a, b), timeline }) => format!(
                    "{} and {} both claim to be the writer of timeline {timeline}",
                    limits.name(a),
                    limits.name(b)
                ),
            }
        };
        Report::error(
            code::CANNOT_CONNECT_NOW,
            format!("{why}; the statement waited {} s and was not run", waited.as_secs_f64()),
            "It is safe to try again. The limit is database.hold.timeout.",
        )
    }

    /// While a statement waits, its client may vanish.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        while self.inbox.len() <= 2 * LIMIT {
            match self.poll_hear(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Ready(Ok(())) => {}
            }
        }
        Poll::Pending
    }

    /// Sees to a usable connection on this side if that is possible now.
    async fn try_attach(&mut self, side: Side) -> Result<bool, Refusal> {
        let hub = Arc::clone(&self.hub);
        if *hub.paused.borrow() {
            return Ok(false);
        }
        let view = hub.watch.view();
        if side == Side::Writer && self.is_at_the_writer(&view) {
            return self.make_ready(side).await;
        }
        let limits = hub.limits.load_full();
        let (node, generation) = match (side, view.writer) {
            (Side::Writer, Writer::Known { node, timeline }) => (node, u64::from(timeline)),
            (Side::Writer, _) => return Ok(false),
            (Side::Near, _) => {
                let kept = self.near.as_ref().map(|lease| lease.node);
                match (self.choose_near(&view, &limits, kept), view.writer) {
                    (Some(node), Writer::Known { node: writer, timeline }) if node == writer => {
                        (node, u64::from(timeline))
                    }
                    (Some(node), _) => (node, NOT_A_WRITERS),
                    (None, _) => return Ok(false),
                }
            }
        };
        let pinned = side == self.home() && !self.pins.is_empty();
        if let Some(lease) = self.lease(side) {
            let same = lease.node == node && lease.generation == generation;
            // What the node has said since is passed on; if that was its farewell, the lease is over.
            if same && self.poll_quiet(&mut Context::from_waker(Waker::noop()), side) {
                return self.make_ready(side).await;
            }
            if pinned {
                // What the session had there cannot be moved.
                return Err(self.state_lost());
            }
            *self.lease(side) = None;
        }
        let _place = hub.admission.enter().await;
        let deadline = std::time::Instant::now() + limits.pool.connect_timeout.to_duration();
        let identity = Arc::clone(&self.identity);
        let mut acquiring = pin!(hub.pools.acquire(node, &identity, generation, deadline.into()));
        let acquired = match tokio::time::timeout(GENEROSITY, &mut acquiring).await {
            Ok(acquired) => acquired,
            Err(_) => {
                self.give_back_the_other(side);
                acquiring.await
            }
        };
        match acquired {
            Ok(mut lease) => {
                lease.generation = generation;
                *self.lease(side) = Some(lease);
            }
            Err(PoolError::Login(LoginError::Refused { code, raw, .. })) if !is_temporary(&code) => {
                return Err(Refusal::Raw(raw));
            }
            Err(PoolError::Login(error @ LoginError::Impossible(_))) => {
                tracing::warn!(%error, "a node asks for a log-in that the router does not make");
                return Err(Report::error(
                    code::INVALID_AUTHORIZATION,
                    error.to_string(),
                    "This is for the operator to change: trying again does not help.",
                )
                .into());
            }
            Err(PoolError::Login(error)) => {
                tracing::debug!(%error, "no connection to the node");
                hub.watch.suspect(node);
                return Ok(false);
            }
            Err(error @ PoolError::Exhausted { .. }) => {
                return Err(Report::error(
                    code::TOO_MANY_CONNECTIONS,
                    error.to_string(),
                    "The limits are database.pool.max and database.pool.connect_timeout.",
                )
                .into());
            }
        }
        self.make_ready(side).await
    }

    fn give_back_the_other(&mut self, side: Side) {
        let other = match side {
            Side::Near => Side::Writer,
            Side::Writer => Side::Near,
        };
        if self.pins.is_empty() || other != self.home() {
            self.release(other);
        }
    }

    /// Whether the session has a living connection to the writer that is known now.
    fn is_at_the_writer(&mut self, view: &View) -> bool {
        let at_it = match (&self.writer, view.writer) {
            (Some(lease), Writer::Known { node, timeline }) => {
                lease.node == node && lease.generation == u64::from(timeline)
            }
            _ => false,
        };
        // What the node has said since is passed on; if that was its farewell, the lease is over.
        at_it && self.poll_quiet(&mut Context::from_waker(Waker::noop()), Side::Writer)
    }

    fn choose_near(
        &self,
        view: &View,
        limits: &super::super::hub::Limits,
        kept: Option<usize>,
    ) -> Option<usize> {
        // A session stays with its replica as long as that one may be read.
        let draw = u64::from(self.cancel.key().1.unsigned_abs());
        let chosen = reader(view, &limits.rules, |node| limits.is_local(node), draw);
        let stays = |kept: usize| {
            chosen.is_some_and(|chosen| limits.is_local(chosen) == limits.is_local(kept))
                && reader(view, &limits.rules, |node| node == kept, 0) == Some(kept)
        };
        kept.filter(|kept| stays(*kept)).or(chosen)
    }

    fn state_lost(&mut self) -> Refusal {
        self.say_last(Report::fatal(
            code::ADMIN_SHUTDOWN,
            format!(
                "the node of this session is not in use any more, and with it goes what the session had there: {}",
                self.pins.words()
            ),
            "Connect again and make it anew.",
        ));
        Refusal::End(End::Said)
    }

    /// Makes the session's settings on its connection. False if the node went away meanwhile.
    async fn make_ready(&mut self, side: Side) -> Result<bool, Refusal> {
        let wanted = Arc::clone(&self.settings);
        let open = self.transaction != Transaction::None;
        let Some(lease) = self.lease(side) else { return Ok(false) };
        if Arc::ptr_eq(&lease.kept.settings, &wanted) || open {
            return Ok(true);
        }
        let node = lease.node;
        if let Some(sql) = lease.kept.settings.change_to(&wanted) {
            match run(lease, &sql).await {
                // What a node remarks on a client's own settings it is told once, as at any log-in.
                Ok(notices) if self.told.is_empty() => self.outbox.extend_from_slice(&notices),
                Ok(_) => {}
                Err(Unanswered::Refused(raw)) => {
                    *self.lease(side) = None;
                    return Err(Refusal::Raw(raw));
                }
                Err(Unanswered::Gone) => {
                    *self.lease(side) = None;
                    self.hub.watch.suspect(node);
                    return Ok(false);
                }
            }
        }
        if let Some(lease) = self.lease(side) {
            lease.kept.settings = wanted;
        }
        self.tell_parameters(side);
        Ok(true)
    }

    /// A parameter of the node has changed.
    pub(super) fn learn_parameter(&mut self, side: Side, body: &[u8]) {
        let Ok((name, value)) = read_parameter(body) else { return };
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        if let Some(lease) = self.lease(side) {
            note(&mut lease.parameters, &name, &value);
        }
        if side == self.home() || *name != *"in_hot_standby" {
            self.tell(&name, &value);
        }
    }

    /// Tells the client what is otherwise than it knows.
    pub(super) fn tell_parameters(&mut self, side: Side) {
        let is_home = side == self.home();
        let Some(lease) = self.lease(side) else { return };
        let parameters = std::mem::take(&mut lease.parameters);
        for (name, value) in &parameters {
            if is_home || name != "in_hot_standby" {
                self.tell(name, value);
            }
        }
        if let Some(lease) = self.lease(side) {
            lease.parameters = parameters;
        }
    }

    fn tell(&mut self, name: &str, value: &str) {
        if note(&mut self.told, name, value) {
            put_parameter(&mut self.outbox, name.as_bytes(), value.as_bytes());
        }
    }

    /// Gives a connection back. In session mode it is made as new first, in the background.
    pub(super) fn release(&mut self, side: Side) {
        let Some(lease) = self.lease(side).take() else { return };
        // Set anew with the next batch: a late request must not reach whoever uses this next.
        self.cancel.set(None);
        use evenkeel_config::database::Pooling;
        let new = match self.port.config.pooling {
            Pooling::Session => lease.kept.used,
            Pooling::Transaction => lease.kept.prepared.len() > MOST_PREPARED,
        };
        if new {
            tokio::spawn(reset(lease));
        } else {
            lease.give_back();
        }
    }

    /// The session ends: says what is left to say, and gives its connections back.
    pub(super) async fn part(&mut self, end: &End) {
        if matches!(end, End::Said) {
            let farewell = async {
                let _ = self.client.write_all(&self.outbox).await;
                let _ = self.client.shutdown().await;
            };
            let _ = tokio::time::timeout(RESET_TIMEOUT, farewell).await;
        }
        if self.transaction == Transaction::None && matches!(end, End::Terminated | End::Gone) {
            self.release(Side::Near);
            if self.pins.is_empty() {
                self.release(Side::Writer);
            }
        }
    }
}

fn cancelled_by_client() -> Report {
    Report::error(code::QUERY_CANCELED, "canceling statement due to user request", "")
}

/// The node's connection ended before the batch was on its way.
pub(super) fn gone_before() -> Report {
    Report::error(
        code::CONNECTION_FAILURE,
        "the node went away before the statement was sent",
        "It is safe to try again.",
    )
}

/// Whether a node that refuses a log-in with this code may accept the next one.
fn is_temporary(code: &str) -> bool {
    matches!(code, "57P03" | "57P01" | "57P02" | "53300")
}

/// Notes a parameter's value. True if it is news.
fn note(parameters: &mut Vec<(String, String)>, name: &str, value: &str) -> bool {
    match parameters.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) if known == value => false,
        Some((_, known)) => {
            value.clone_into(known);
            true
        }
        None => {
            parameters.push((name.to_owned(), value.to_owned()));
            true
        }
    }
}

/// Makes a connection as new and gives it back; closes it if that fails.
async fn reset(mut lease: Lease) {
    let asked = tokio::time::timeout(RESET_TIMEOUT, run(&mut lease, "DISCARD ALL")).await;
    if matches!(asked, Ok(Ok(_))) {
        lease.kept = Default::default();
        lease.give_back();
    }
}

/// Runs SQL of the router's own, and gives the node's notices.
async fn run(link: &mut Link, sql: &str) -> Result<BytesMut, Unanswered> {
    let (mut out, mut notices) = (BytesMut::new(), BytesMut::new());
    put_query(&mut out, sql.as_bytes());
    ask(link, &out, |link, tag, message| {
        match tag {
            backend::tag::NOTICE => notices.extend_from_slice(message),
            backend::tag::PARAMETER_STATUS => {
                if let Ok((name, value)) = read_parameter(body(message)) {
                    let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
                    note(&mut link.parameters, &name, &value);
                }
            }
            _ => {}
        }
        tag == backend::tag::NOTIFICATION
    })
    .await?;
    Ok(notices)
}
