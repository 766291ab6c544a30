//! Orders that were read, in Redis. A cache that does not answer is none: the order comes from the
//! database then.

use crate::order::Order;
use anyhow::{Context, Result};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// An order never changes; this bounds the memory.
const KEPT_SECONDS: u64 = 600;

/// A cache slower than this costs more than it saves.
const PATIENCE: Duration = Duration::from_millis(200);

/// A cache that could not be reached, or did not answer, is left alone for so long.
const REST: Duration = Duration::from_secs(1);

/// The cache, or nothing.
pub struct Cache {
    client: Option<redis::Client>,
    link: Arc<Mutex<Link>>,
}

/// The connection that all requests share. Nobody ever waits for another request's attempt at one: a cache
/// that is gone would line them all up.
enum Link {
    /// None, and it may be tried.
    Closed,
    /// Somebody tries.
    Connecting,
    Open(MultiplexedConnection),
    /// Left alone until then.
    Resting(Instant),
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.client.is_some() { "Cache(Redis)" } else { "Cache(none)" })
    }
}

impl Cache {
    /// # Errors
    /// If the address cannot be read.
    pub fn new(url: Option<&str>) -> Result<Cache> {
        let client = url.map(redis::Client::open).transpose();
        let client = client.context("--redis: write it like redis://127.0.0.1:6379/0")?;
        Ok(Cache { client, link: Arc::new(Mutex::new(Link::Closed)) })
    }

    /// The order, if it is there.
    pub async fn order(&self, id: Uuid) -> Option<Order> {
        let mut connection = self.connection().await?;
        let asked = connection.get::<_, Option<String>>(key(id));
        let text = self.heard(tokio::time::timeout(PATIENCE, asked).await)??;
        serde_json::from_str(&text).ok()
    }

    /// Remembers it.
    pub async fn keep(&self, order: &Order) {
        let (Some(mut connection), Ok(text)) = (self.connection().await, serde_json::to_string(order)) else {
            return;
        };
        let asked = connection.set_ex::<_, _, ()>(key(order.id), text, KEPT_SECONDS);
        self.heard(tokio::time::timeout(PATIENCE, asked).await);
    }

    async fn connection(&self) -> Option<MultiplexedConnection> {
        let client = self.client.clone()?;
        {
            let mut link = lock(&self.link);
            match &*link {
                Link::Open(connection) => return Some(connection.clone()),
                Link::Connecting => return None,
                Link::Resting(until) if Instant::now() < *until => return None,
                Link::Resting(_) | Link::Closed => *link = Link::Connecting,
            }
        }
        let link = self.link.clone();
        // A task of its own: it comes to its end though the request that began it is given up.
        let attempt = tokio::spawn(async move {
            let connected = tokio::time::timeout(PATIENCE, client.get_multiplexed_async_connection()).await;
            let connection = connected.ok().and_then(Result::ok);
            *lock(&link) = connection.clone().map_or_else(Link::rest, Link::Open);
            connection
        });
        attempt.await.ok()?
    }

    fn heard<T>(&self, answer: Result<redis::RedisResult<T>, tokio::time::error::Elapsed>) -> Option<T> {
        let value = answer.ok().and_then(Result::ok);
        if value.is_none() {
            *lock(&self.link) = Link::rest();
        }
        value
    }
}

impl Link {
    fn rest() -> Link {
        Link::Resting(Instant::now() + REST)
    }
}

fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(id: Uuid) -> String {
    format!("order:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As when a machine is lost: connections are made, or never, and nobody says anything.
    #[tokio::test]
    async fn a_cache_that_is_gone_lines_nobody_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("redis://{}", silent.local_addr().expect("its address"));
        let cache = Arc::new(Cache::new(Some(&url)).expect("an address"));
        let began = Instant::now();
        let asked = (0..100).map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.order(Uuid::nil()).await })
        });
        for answer in asked.collect::<Vec<_>>() {
            assert!(answer.await.expect("no panic").is_none());
        }
        // One after the other they would take 20 s.
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(matches!(*lock(&cache.link), Link::Resting(_)));
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_leaves_no_attempt_behind() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("redis://{}", silent.local_addr().expect("its address"));
        let cache = Cache::new(Some(&url)).expect("an address");
        let given_up = tokio::time::timeout(Duration::from_millis(20), cache.order(Uuid::nil())).await;
        assert!(given_up.is_err(), "the attempt takes longer");
        assert!(matches!(*lock(&cache.link), Link::Connecting));
        tokio::time::sleep(PATIENCE * 3).await;
        assert!(matches!(*lock(&cache.link), Link::Resting(_)));
    }
}
