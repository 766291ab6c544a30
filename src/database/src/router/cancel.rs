//! Cancel requests: a client's key leads to whatever node connection its session uses right now.

use super::login::open;
use super::nodes::Nodes;
use super::stream::Stream;
use super::wire::authentication::cancel_request;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// A node has this long to take a cancel request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The node connection that a session uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The node's place in the configuration.
    pub node: usize,
    /// The connection's own key there.
    pub key: (i32, i32),
}

/// All sessions' keys.
#[derive(Clone)]
pub struct Cancels(Arc<Inner>);

struct Inner {
    nodes: Nodes,
    /// By the process number that the client was told.
    sessions: Mutex<HashMap<i32, Session>>,
    under_way: UnderWay,
    sent: AtomicU64,
    unknown: AtomicU64,
}

struct Session {
    secret: i32,
    aim: Arc<Aim>,
}

/// What a session's cancel request hits.
#[derive(Default)]
struct Aim {
    target: Mutex<Option<Target>>,
    /// Told of requests that come while there is no target: the session's statement may be waiting here.
    waiting: Arc<Notify>,
}

impl Cancels {
    /// None yet; requests go to these nodes.
    pub fn new(nodes: Nodes) -> Self {
        Cancels(Arc::new(Inner {
            nodes,
            sessions: Mutex::default(),
            under_way: UnderWay::default(),
            sent: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
        }))
    }

    /// A key for a new session.
    pub fn register(&self) -> Registration {
        let secret = rand::random();
        let aim = Arc::new(Aim::default());
        let mut sessions = lock(&self.0.sessions);
        let pid = loop {
            let pid = rand::random_range(1..=i32::MAX);
            if !sessions.contains_key(&pid) {
                break pid;
            }
        };
        sessions.insert(pid, Session { secret, aim: aim.clone() });
        Registration { cancels: self.clone(), key: (pid, secret), aim }
    }

    /// Carries out a client's cancel request. A key that nobody has is counted, and that is all.
    pub async fn deliver(&self, (pid, secret): (i32, i32)) {
        let aim = lock(&self.0.sessions).get(&pid).and_then(|session| {
            let known = session.secret.to_be_bytes().ct_eq(&secret.to_be_bytes());
            bool::from(known).then(|| session.aim.clone())
        });
        let Some(aim) = aim else {
            self.0.unknown.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let begun = {
            // Under this lock: once the session has let go of the connection, no cancel can begin.
            let target = lock(&aim.target);
            if target.is_none() {
                aim.waiting.notify_waiters();
            }
            target.and_then(|target| self.0.under_way.begin(target))
        };
        if let Some(cancel) = begun {
            self.carry_out(cancel).await;
        }
    }

    /// Cancels what a connection is doing whose client has gone. The caller holds the connection until
    /// this is over.
    pub(crate) async fn stop(&self, target: Target) {
        if let Some(cancel) = self.0.under_way.begin(target) {
            self.carry_out(cancel).await;
        }
    }

    async fn carry_out(&self, cancel: Begun<'_>) {
        match tokio::time::timeout(TIMEOUT, self.send(cancel.target)).await {
            Ok(Ok(())) => {
                self.0.sent.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Err(why)) => tracing::warn!(node = cancel.target.node, %why, "a cancel request was not taken"),
            Err(_) => tracing::warn!(node = cancel.target.node, "a cancel request was not taken within 5s"),
        }
    }

    async fn send(&self, target: Target) -> Result<(), String> {
        let known = self.0.nodes.load();
        let node = known.addresses.get(target.node).ok_or("the node is no longer configured")?;
        let mut stream: Stream = open(node, known.tls.as_ref()).await.map_err(|error| error.to_string())?;
        let sent = async {
            stream.write_all(&cancel_request(target.key)).await?;
            stream.flush().await?;
            // The node closes the connection once the signal is sent: from then on the connection it
            // is meant for may serve another session. However it closes, it has closed.
            let _ = stream.read(&mut [0]).await;
            Ok::<(), std::io::Error>(())
        };
        sent.await.map_err(|error| error.to_string())
    }

    /// Whether a cancel request for this connection is on its way. The connection must not serve
    /// another session then: the signal would hit that one's statement.
    pub(crate) fn is_under_way(&self, target: Target) -> bool {
        self.0.under_way.holds(&target)
    }

    /// Requests that a node took.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Requests with a key that no session has.
    pub fn unknown(&self) -> u64 {
        self.0.unknown.load(Ordering::Relaxed)
    }
}

/// A session's key, as long as the session lives.
pub struct Registration {
    cancels: Cancels,
    key: (i32, i32),
    aim: Arc<Aim>,
}

impl Registration {
    /// The process number and secret to tell the client.
    pub fn key(&self) -> (i32, i32) {
        self.key
    }

    /// What a cancel request hits from now on. None must be said *before* the connection is given
    /// back to its pool, so that no request can reach the session that uses it next.
    pub fn set(&self, target: Option<Target>) {
        *lock(&self.aim.target) = target;
    }

    /// The statement waits here and is at no node: from now on a cancel request ends this.
    pub fn waiting(&self) -> OwnedNotified {
        self.set(None);
        Arc::clone(&self.aim.waiting).notified_owned()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.cancels.0.sessions).remove(&self.key.0);
    }
}

/// Cancel requests on their way to nodes.
#[derive(Default)]
struct UnderWay {
    /// How many there are: most of the time none, and then nobody takes the lock.
    count: AtomicUsize,
    targets: Mutex<HashSet<Target>>,
}

impl UnderWay {
    /// None if one for this connection is on its way already: one is enough.
    fn begin(&self, target: Target) -> Option<Begun<'_>> {
        let new = lock(&self.targets).insert(target);
        new.then(|| {
            self.count.fetch_add(1, Ordering::SeqCst);
            Begun { all: self, target }
        })
    }

    fn holds(&self, target: &Target) -> bool {
        self.count.load(Ordering::SeqCst) > 0 && lock(&self.targets).contains(target)
    }
}

struct Begun<'a> {
    all: &'a UnderWay,
    target: Target,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        lock(&self.all.targets).remove(&self.target);
        self.all.count.fetch_sub(1, Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::nodes::{Known, NodeAddress};
    use tokio::net::TcpListener;

    fn cancels(port: u16) -> Cancels {
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        let node = NodeAddress { index: 0, name: "a".to_owned(), address };
        Cancels::new(Nodes::new(Known { addresses: vec![node], tls: None }))
    }

    #[tokio::test]
    async fn only_the_whole_key_cancels_and_only_what_is_in_use() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cancels = cancels(listener.local_addr().unwrap().port());
        let session = cancels.register();
        let (pid, secret) = session.key();
        let target = Target { node: 0, key: (7, -9) };

        cancels.deliver((pid, secret ^ 1)).await;
        cancels.deliver((pid ^ 1, secret)).await;
        assert_eq!((cancels.unknown(), cancels.sent()), (2, 0));
        // Known, but nothing is in use.
        cancels.deliver((pid, secret)).await;
        assert_eq!((cancels.unknown(), cancels.sent()), (2, 0));

        session.set(Some(target));
        let node = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut packet = [0; 16];
            socket.read_exact(&mut packet).await.unwrap();
            assert_eq!(packet, cancel_request((7, -9)));
            assert_eq!(packet[..8], [0, 0, 0, 16, 4, 210, 22, 46]);
            assert!(cancels.is_under_way(target));
            assert!(!cancels.is_under_way(Target { node: 1, ..target }));
            // A second one while the first is on its way asks nothing of the node.
            cancels.deliver((pid, secret)).await;
        };
        tokio::join!(cancels.deliver((pid, secret)), node);
        assert_eq!(cancels.sent(), 1);
        assert!(!cancels.is_under_way(target));

        drop(session);
        cancels.deliver((pid, secret)).await;
        assert_eq!(cancels.unknown(), 3);
    }

    #[test]
    fn keys_are_all_different() {
        let cancels = cancels(1);
        let sessions: Vec<_> = (0..1000).map(|_| cancels.register()).collect();
        let pids: HashSet<i32> = sessions.iter().map(|session| session.key().0).collect();
        assert_eq!(pids.len(), 1000);
        assert!(pids.iter().all(|pid| *pid > 0));
        drop(sessions);
        assert!(lock(&cancels.0.sessions).is_empty());
    }
}
