//! A batch on its way, and what is known of its answer so far.

use super::super::statement::{Effect, Statement};
use super::super::wire::backend;
use super::super::wire::frontend::tag;
use super::ahead::Types;
use super::batch::Plan;
use super::{Prepared, Side};
use arrayvec::ArrayVec;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
pub(super) enum Flow {
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
pub(super) struct Expected {
    /// Whether the router sent it itself, so that the client must not see the answer.
    pub(super) ours: bool,
    pub(super) name: Box<[u8]>,
    pub(super) prepared: Option<Arc<Prepared>>,
}

/// A batch on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) side: Side,
    /// What the node is to be sent.
    pub(super) out: BytesMut,
    /// How often the node will say that it is ready.
    pub(super) awaited: u32,
    /// Extended messages were sent, and Sync was not.
    pub(super) open: bool,
    /// The client's COPY has ended, or none can have begun.
    pub(super) copy_ended: bool,
    /// A Sync was sent after the last Execute and before the end of a COPY that it may have begun.
    pub(super) copy_synced: bool,
    /// The node takes the data of a COPY.
    pub(super) copying: bool,
    /// Bytes of a large message that stream through, to the node and to the client.
    pub(super) to_node: usize,
    pub(super) to_client: usize,
    pub(super) question: Option<Question>,
    /// The number of the transaction, as the node gave it; 0 if it has none.
    pub(super) transaction: Option<u64>,
    pub(super) parses: VecDeque<Expected>,
    pub(super) closes: VecDeque<Expected>,
    /// Statements that the client asked to have described, and how many portals ahead of each.
    pub(super) describes: VecDeque<(usize, Arc<Prepared>)>,
    /// How many portals after them.
    pub(super) portals: usize,
    /// What the node has told of the first statement.
    pub(super) types: Types,
    /// An error came, and the batch is not over.
    pub(super) failed: bool,
    /// An error came.
    pub(super) erred: bool,
    /// The last command that was completed began with ROLLBACK.
    pub(super) rolled_back: bool,
    /// The client's outbox when the batch began, for taking an answer back.
    pub(super) mark: usize,
    /// A replica refused the batch: what else it says of it is nobody's business.
    pub(super) refused: bool,
    /// The whole batch, as long as it may be sent elsewhere.
    pub(super) retained: Option<Bytes>,
    /// What the statements do to the session, if they succeed.
    pub(super) effects: Vec<Effect>,
    /// Tags of the messages sent that a node answers one by one, for answering in its place.
    pub(super) tags: ArrayVec<u8, MOST_TAGS>,
    /// How many of them were answered.
    pub(super) answered: usize,
    /// How many commands were completed since the batch began.
    pub(super) completed: usize,
    /// One of them was a COMMIT.
    pub(super) committed: bool,
    /// The view's generation when the batch began.
    pub(super) generation: u64,
    /// The node's last words.
    pub(super) farewell: Option<String>,
    pub(super) query: Option<Statement>,
    /// How many statements of a query were read, if that was not all of it.
    pub(super) read: Option<usize>,
    pub(super) parsed: VecDeque<Arc<Prepared>>,
    /// How many statements it runs.
    pub(super) statements: usize,
    /// The batch is one statement, by the simple protocol.
    pub(super) alone: bool,
    /// Nothing of the batch ends the transaction that it runs in.
    pub(super) stays: bool,
    /// Nothing of the batch commits anything before its end.
    pub(super) atomic: bool,
    /// The transaction's status as the node last gave it.
    pub(super) status: u8,
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

    pub(super) fn is_extended(&self) -> bool {
        self.tags.first() != Some(&tag::QUERY)
    }

    pub(super) fn is_over(&self) -> bool {
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

    pub(super) fn note(&mut self, statement: Option<&Statement>) {
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

    /// Takes in the last message of the answer to a Describe.
    pub(super) fn hear_description(&mut self, tag: u8, body: &[u8]) {
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
    pub(super) fn expect_nothing(&mut self) {
        self.parses.clear();
        self.closes.clear();
        self.describes.clear();
        self.portals = 0;
        self.types = Types::default();
    }

    /// Takes in one message of the answer to the router's own question.
    pub(super) fn hear_answer(&mut self, tag: u8, body: &[u8]) {
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
