//! Clients of one front: some that keep their session and write at a steady rate, new ones that come
//! all the time, and some that only keep a session.

use super::ledger::{Key, Ledger};
use crate::front::Kind;
use crate::session::{self, Session};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// Clients that keep their session.
const STEADY: i32 = 10;
/// How often each of them writes.
const PERIOD: Duration = Duration::from_millis(20);
/// How often a new client comes. Each proves a password, which costs all three parties CPU time.
const NEW: Duration = Duration::from_millis(100);
/// No client waits longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The client number of all new ones; they count their writes together.
const NEWCOMER: i32 = 1000;

/// The table that everything is written to. It has no key: a write that was repeated must show.
pub const TABLE: &str =
    "CREATE TABLE ledger (front text NOT NULL, client int NOT NULL, number bigint NOT NULL)";
const INSERT: &str = "INSERT INTO ledger VALUES ($1, $2, $3)";

/// Starts the clients that write; they end with the set.
pub fn start(front: Kind, address: SocketAddr, ledger: &Arc<Ledger>, clients: &mut JoinSet<()>) {
    for client in 0..STEADY {
        clients.spawn(steady(front, address, client, ledger.clone()));
    }
    clients.spawn(newcomers(front, address, ledger.clone()));
}

/// One that keeps its session for as long as it can.
async fn steady(front: Kind, address: SocketAddr, client: i32, ledger: Arc<Ledger>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    loop {
        ticks.tick().await;
        let Ok(mut session) = session::open(address).await else { continue };
        let Ok(insert) = session.prepare(INSERT).await else { continue };
        while !session.is_closed() {
            ticks.tick().await;
            number += 1;
            let key = Key { front, client, number };
            ledger.send(key);
            let written = async {
                // Every second client asks for a transaction: its COMMIT is what may get lost.
                if client % 2 == 0 {
                    return session.execute(&insert, &[&front.id(), &client, &number]).await;
                }
                let transaction = session.client().transaction().await?;
                let rows = transaction.execute(&insert, &[&front.id(), &client, &number]).await?;
                transaction.commit().await.map(|()| rows)
            };
            match tokio::time::timeout(PATIENCE, written).await {
                Ok(Ok(1)) => ledger.acknowledge(key),
                Ok(_) => (),
                // Nobody waits for ever.
                Err(_) => break,
            }
        }
    }
}

async fn newcomers(front: Kind, address: SocketAddr, ledger: Arc<Ledger>) {
    let mut ticks = tokio::time::interval(NEW);
    let mut coming = JoinSet::new();
    for number in 0_i64.. {
        ticks.tick().await;
        let ledger = ledger.clone();
        coming.spawn(async move {
            let Ok(session) = session::open(address).await else { return };
            let key = Key { front, client: NEWCOMER, number };
            ledger.send(key);
            let insert = async { session.execute(INSERT, &[&front.id(), &NEWCOMER, &number]).await };
            if let Ok(Ok(1)) = tokio::time::timeout(Duration::from_secs(10), insert).await {
                ledger.acknowledge(key);
            }
        });
        while coming.try_join_next().is_some() {}
    }
}

/// Sessions that do nothing.
pub struct Idle {
    front: Kind,
    address: SocketAddr,
    wanted: usize,
    sessions: Vec<Session>,
}

/// What became of them in a failover.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Through which front.
    pub front: Kind,
    /// How many there were.
    pub of: usize,
    /// How many answered afterwards.
    pub kept: usize,
    /// Until all had answered or failed.
    pub took: Duration,
}

impl Idle {
    /// None yet.
    pub fn new(front: Kind, address: SocketAddr, wanted: usize) -> Self {
        Idle { front, address, wanted, sessions: Vec::new() }
    }

    /// Opens those that are missing.
    ///
    /// # Errors
    /// If one cannot log in.
    pub async fn fill(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.sessions.len() < self.wanted {
            match self.one().await {
                Ok(session) => self.sessions.push(session),
                // HAProxy closes a connection as long as its first checks have not found the writer.
                Err(error) if begun.elapsed() > PATIENCE => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Ok(())
    }

    async fn one(&self) -> anyhow::Result<Session> {
        let session = session::open(self.address).await?;
        session.query_one("SELECT 1", &[]).await?;
        Ok(session)
    }

    /// Asks each of them something, all at once, and forgets those that do not answer.
    pub async fn ask(&mut self) -> Kept {
        let (of, begun) = (self.sessions.len(), Instant::now());
        let mut asking = JoinSet::new();
        for session in self.sessions.drain(..) {
            asking.spawn(async move {
                let answer = tokio::time::timeout(PATIENCE, session.query_one("SELECT 1", &[])).await;
                matches!(answer, Ok(Ok(_))).then_some(session)
            });
        }
        self.sessions = asking.join_all().await.into_iter().flatten().collect();
        Kept { front: self.front, of, kept: self.sessions.len(), took: begun.elapsed() }
    }
}
