//! One client's session.
//!
//! It reads a batch of messages, decides where the batch goes, sees to a node connection there, and
//! relays until the node is ready again. Outside transactions it may move between batches, and an
//! idle session holds no node connection.

mod ahead;
mod ask;
mod attach;
mod batch;
mod exchange;
mod flight;
mod greet;
mod hearing;
mod idle;
mod loss;
mod reads;
mod sending;
mod serve;
mod settle;

use super::cancel::Registration;
use super::hub::{Doing, Hub, News, Port};
use super::login::Identity;
use super::pool::Lease;
use super::settings::Settings;
use super::startup::Client;
use super::statement::{Effect, Pins, Statement};
use super::stream::Stream;
use super::wire::WireError;
use bytes::{Bytes, BytesMut};
use evenkeel_policy::database::Lsn;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::sync::watch;
use tokio::time::Sleep;

/// A message or batch up to this size is taken in whole before it is sent on; what is larger
/// streams through. Also how much waits for a slow reader before the node is not read any more.
const LIMIT: usize = 64 * 1024;

/// The largest Parse: it is kept, so that the session can move.
const LARGEST_PARSE: usize = 1024 * 1024;

/// Where a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// To a node for reads.
    Near,
    /// To the writer.
    Writer,
}

/// Where the session's transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transaction {
    /// There is none.
    None,
    /// Open at a node; failed or not, the node knows.
    Open(Side),
    /// Its node went away while the client was idle, which the client does not know yet.
    Lost,
    /// Its node went away, the client was told, and has to roll back.
    Failed,
}

/// Why a session ends.
#[derive(Debug)]
enum End {
    /// The client closed it.
    Terminated,
    /// The client vanished, or does not speak the protocol any more.
    Gone,
    /// Something was said to the client that ends the session; it is sent before closing.
    Said,
}

impl From<WireError> for End {
    fn from(_: WireError) -> Self {
        End::Gone
    }
}

/// A prepared statement, kept so that it can be prepared again elsewhere.
#[derive(Debug)]
struct Prepared {
    /// Unlike every other Parse of this process.
    id: u64,
    /// The whole Parse message.
    message: Bytes,
    /// What it means.
    statement: Statement,
    /// A replica refused it as a write.
    refused: AtomicBool,
    /// The types that the client was told, as a number; 0 as long as it was told none.
    types: AtomicU64,
}

/// What the next read must see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing in particular.
    Anything,
    /// The session wrote since its writer's position was last asked.
    OwnWrites,
    /// At least this position of this generation.
    Position(u64, Lsn),
}

/// One client's session.
struct Session {
    hub: Arc<Hub>,
    port: Arc<Port>,
    identity: Arc<Identity>,
    client: Stream,
    /// What the client sent and was not taken in yet.
    inbox: BytesMut,
    /// What the client is to be sent.
    outbox: BytesMut,
    /// How much of the inbox was found to be whole messages of an unfinished batch.
    scanned: usize,
    /// After an error in an extended batch: its rest is skipped until Sync.
    skipping: bool,
    /// Bytes of a large message of the client that are to be dropped.
    discarding: usize,
    cancel: Registration,
    near: Option<Lease>,
    writer: Option<Lease>,
    /// What the client asked for at log-in.
    base: Arc<Settings>,
    /// What is in force.
    settings: Arc<Settings>,
    /// Effects of the open transaction.
    staged: Vec<Effect>,
    prepared: HashMap<Box<[u8]>, Arc<Prepared>>,
    /// Parameters as the client knows them.
    told: Vec<(String, String)>,
    transaction: Transaction,
    /// The open transaction has failed: it can only be rolled back.
    failed: bool,
    pins: Pins,
    seen: Seen,
    doing: Doing,
    /// When the session last became idle.
    rested: Instant,
    /// Fires some time after the session became idle. It is not wound up anew for every statement.
    ticker: Option<Pin<Box<Sleep>>>,
    /// None only while someone waits on it.
    news: Option<watch::Receiver<News>>,
    /// A buffer for the next exchange.
    spare: BytesMut,
}

/// Serves a client that has logged in, until it or the router ends the session.
pub async fn run(hub: Arc<Hub>, port: Arc<Port>, client: Client) {
    let mut client = client;
    let asked = std::mem::take(&mut client.parameters);
    let mut session = Box::new(Session::new(hub, port, client, &asked));
    let end = session.live(asked).await;
    session.part(&end).await;
}

impl Session {
    fn new(hub: Arc<Hub>, port: Arc<Port>, client: Client, asked: &[(String, String)]) -> Self {
        let mut settings =
            Settings::of_startup(asked.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if port.is_read_only() {
            settings.set_read_only();
        }
        port.sessions.add(Doing::Active);
        let base = Arc::new(settings);
        Session {
            cancel: hub.cancels.register(),
            news: Some(hub.news.subscribe()),
            ticker: None,
            spare: BytesMut::new(),
            hub,
            port,
            identity: client.identity,
            client: client.stream,
            inbox: client.read,
            outbox: BytesMut::new(),
            scanned: 0,
            skipping: false,
            discarding: 0,
            near: None,
            writer: None,
            settings: Arc::clone(&base),
            base,
            staged: Vec::new(),
            prepared: HashMap::new(),
            told: Vec::new(),
            transaction: Transaction::None,
            failed: false,
            pins: Pins::default(),
            seen: Seen::Anything,
            doing: Doing::Active,
            rested: Instant::now(),
        }
    }

    async fn live(&mut self, asked: Vec<(String, String)>) -> End {
        if let Err(end) = self.greet(&asked).await {
            return end;
        }
        drop(asked);
        loop {
            self.rest();
            if let Err(end) = self.idle().await {
                return end;
            }
            self.now(Doing::Active);
            if let Err(end) = self.serve().await {
                return end;
            }
        }
    }

    /// The session has nothing to do.
    fn rest(&mut self) {
        self.rested = Instant::now();
        self.now(match self.transaction {
            Transaction::None => Doing::Idle,
            _ => Doing::IdleInTransaction,
        });
    }

    fn now(&mut self, doing: Doing) {
        if self.doing != doing {
            self.port.sessions.remove(self.doing);
            self.port.sessions.add(doing);
            self.doing = doing;
        }
    }

    /// Waits until there is news for `work`, or until it is over.
    async fn or_news<T>(
        &mut self,
        mut work: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        let mut news = self.news.take()?;
        let done = tokio::select! {
            biased;
            done = poll_fn(|cx| work(self, cx)) => Some(done),
            _ = news.changed() => None,
        };
        self.news = Some(news);
        done
    }

    fn lease(&mut self, side: Side) -> &mut Option<Lease> {
        match side {
            Side::Near => &mut self.near,
            Side::Writer => &mut self.writer,
        }
    }

    /// Where a session with state in its connection must go.
    fn home(&self) -> Side {
        if self.port.is_read_only() { Side::Near } else { Side::Writer }
    }

    /// Notes that the session has state in its connection, or has it no longer.
    fn pin(&mut self, pins: Pins) {
        match (self.pins.is_empty(), pins.is_empty()) {
            (true, false) => {
                self.hub.pinned.fetch_add(1, Ordering::Relaxed);
            }
            (false, true) => {
                self.hub.pinned.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
        self.pins = pins;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.port.sessions.remove(self.doing);
        self.pin(Pins::default());
    }
}
