//! Orders that were read, in Redis. A cache that does not answer is none: the order comes from the
//! database then.

use crate::order::Order;
use anyhow::{Context, Result};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

/// An order never changes; this bounds the memory.
const KEPT_SECONDS: u64 = 600;

/// A cache slower than this costs more than it saves.
const PATIENCE: Duration = Duration::from_millis(200);

/// The cache, or nothing.
pub struct Cache {
    client: Option<redis::Client>,
    connection: Mutex<Option<MultiplexedConnection>>,
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
        Ok(Cache { client, connection: Mutex::new(None) })
    }

    /// The order, if it is there.
    pub async fn order(&self, id: Uuid) -> Option<Order> {
        let mut connection = self.connection().await?;
        let asked = connection.get::<_, Option<String>>(key(id));
        let text = self.heard(tokio::time::timeout(PATIENCE, asked).await).await??;
        serde_json::from_str(&text).ok()
    }

    /// Remembers it.
    pub async fn keep(&self, order: &Order) {
        let (Some(mut connection), Ok(text)) = (self.connection().await, serde_json::to_string(order)) else {
            return;
        };
        let asked = connection.set_ex::<_, _, ()>(key(order.id), text, KEPT_SECONDS);
        self.heard(tokio::time::timeout(PATIENCE, asked).await).await;
    }

    async fn connection(&self) -> Option<MultiplexedConnection> {
        let client = self.client.as_ref()?;
        let mut kept = self.connection.lock().await;
        if kept.is_none() {
            let connected = tokio::time::timeout(PATIENCE, client.get_multiplexed_async_connection()).await;
            *kept = connected.ok()?.ok();
        }
        kept.clone()
    }

    /// A connection that failed is made anew the next time.
    async fn heard<T>(
        &self,
        answer: Result<redis::RedisResult<T>, tokio::time::error::Elapsed>,
    ) -> Option<T> {
        match answer {
            Ok(Ok(value)) => Some(value),
            _ => {
                *self.connection.lock().await = None;
                None
            }
        }
    }
}

fn key(id: Uuid) -> String {
    format!("order:{id}")
}
