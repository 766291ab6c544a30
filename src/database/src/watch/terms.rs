//! Who wrote under which generation, and what is certain of a transaction of that time.

use super::Fate;
use super::node::Node;
use super::session::Session;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How many are kept: older generations' transactions are nobody's question any more.
const KEPT: usize = 64;

/// How long a transaction that is still in progress is waited for. Its COMMIT may wait for a standby.
const PATIENCE: Duration = Duration::from_secs(2);

/// One writer's time.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) generation: u64,
    pub(super) node: Arc<Node>,
    pub(super) timeline: u32,
    /// The number of the probe's session at its beginning.
    pub(super) session: u64,
    /// The next transaction's number that the node had replayed when it was last seen as a replica, if
    /// it was one since its last term.
    pub(super) xmax: Option<u64>,
}

/// The terms, the newest last.
#[derive(Debug, Default)]
pub(super) struct Terms(VecDeque<Term>);

/// What must be asked to know a transaction's fate.
#[derive(Debug)]
pub(super) struct Inquiry {
    pub(super) node: Arc<Node>,
    /// The probe's session must still be this one.
    session: Option<u64>,
}

impl Terms {
    pub(super) fn push(&mut self, term: Term) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(term);
    }

    /// The timeline on which a generation's positions mean something.
    pub(super) fn timeline(&self, generation: u64) -> Option<u32> {
        self.0.iter().find(|term| term.generation == generation).map(|term| term.timeline)
    }

    /// Whom to ask of transaction `xid` of that generation while generation `now` is in force; none if
    /// nobody's answer would be certain.
    ///
    /// PostgreSQL's own answer, `pg_xact_status`, may be about another transaction of the same number.
    /// It is certain in two cases. The writer is the same, and one session to it has lasted from the
    /// beginning of the term, so it has not restarted: a crash may give numbers out anew. Or the writer
    /// is the promoted standby that followed, and the number is below what that standby had replayed
    /// before: then it met this very transaction, and what it did not see committed never will be.
    pub(super) fn inquiry(&self, generation: u64, xid: u64, now: u64) -> Option<Inquiry> {
        let place = self.0.iter().position(|term| term.generation == generation)?;
        let (term, current) = (self.0.get(place)?, self.0.back()?);
        if current.generation != now {
            return None;
        }
        let (node, has_timelines) = (current.node.clone(), current.node.engine.has_timelines());
        if Arc::ptr_eq(&term.node, &current.node) {
            // It may have been others' turn in between only if a timeline began.
            let same = self.0.iter().skip(place).all(|each| Arc::ptr_eq(&each.node, &term.node));
            return (same && term.timeline == current.timeline)
                .then_some(Inquiry { node, session: Some(term.session) });
        }
        let follows = place + 2 == self.0.len() && (current.timeline > term.timeline || !has_timelines);
        (follows && current.xmax.is_some_and(|xmax| xid < xmax)).then_some(Inquiry { node, session: None })
    }
}

impl Inquiry {
    /// Asks on the probe's session.
    pub(super) async fn ask(&self, xid: u64) -> Fate {
        let begun = Instant::now();
        loop {
            let (probing, sessions) = {
                let kept = self.node.kept();
                (kept.session.clone(), kept.sessions)
            };
            let Some(probing) = probing.filter(|_| self.session.is_none_or(|session| session == sessions))
            else {
                return Fate::Unknown;
            };
            match status(&probing.session, xid).await.as_deref() {
                Some("committed") => return Fate::Committed,
                Some("aborted") => return Fate::Aborted,
                Some("in progress") if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(20)).await,
                _ => return Fate::Unknown,
            }
        }
    }
}

async fn status(session: &Session, xid: u64) -> Option<String> {
    let rows = session.ask_once(&format!("SELECT pg_xact_status('{xid}'::xid8)")).await.ok()?;
    rows.first()?.try_get(0).ok().flatten()
}
