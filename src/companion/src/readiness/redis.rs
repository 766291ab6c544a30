//! Redis: a key is set with an expiry and read back.

use crate::settings::Secret;
use evenkeel_config::companion as config;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The key expires by itself, so that a companion that is gone leaves nothing behind.
const EXPIRY_SECONDS: u64 = 10;

/// How Redis is asked.
#[derive(Debug)]
pub struct Redis {
    client: Result<Client, String>,
    key: String,
    required: bool,
    timeout: Duration,
    count: AtomicU64,
    kept: Mutex<Option<MultiplexedConnection>>,
}

impl Redis {
    /// By these settings; the key is this very process's own.
    pub fn new(settings: &config::Redis, password: Option<&Secret>, region: &str) -> Self {
        Redis {
            client: client(&settings.url, password).map_err(|error| told(&error)),
            key: format!(
                "evenkeel:readiness:{region}:{:x}-{:x}",
                std::process::id(),
                crate::clock::unix_ms()
            ),
            required: settings.required,
            timeout: settings.timeout.to_duration(),
            count: AtomicU64::new(0),
            kept: Mutex::default(),
        }
    }

    /// Whether it decides.
    pub fn required(&self) -> bool {
        self.required
    }

    /// The check as a whole takes no longer.
    pub fn limit(&self) -> Duration {
        self.timeout
    }

    /// Forgets the connection.
    pub fn reset(&self) {
        self.lock().take();
    }

    /// Asks.
    ///
    /// # Errors
    /// Why it is down.
    pub async fn run(&self) -> Result<(), String> {
        let kept = self.lock().clone();
        if let Some(mut connection) = kept {
            match self.ask(&mut connection).await {
                // The server went away and may be back: one new connection tells.
                Err(Failed::Broken(_)) => self.reset(),
                ended => return ended.map_err(Failed::into_words),
            }
        }
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| told(&error))?;
        self.ask(&mut connection).await.map_err(Failed::into_words)?;
        *self.lock() = Some(connection);
        Ok(())
    }

    async fn ask(&self, connection: &mut MultiplexedConnection) -> Result<(), Failed> {
        // Another value each time: an old answer must not pass for a new one.
        let value = self.count.fetch_add(1, Ordering::Relaxed).to_string();
        let mut set = redis::cmd("SET");
        set.arg(&self.key).arg(&value).arg("EX").arg(EXPIRY_SECONDS);
        let () = set.query_async(connection).await.map_err(Failed::from)?;
        let mut get = redis::cmd("GET");
        let found: Option<String> = get.arg(&self.key).query_async(connection).await.map_err(Failed::from)?;
        match found {
            Some(found) if found == value => Ok(()),
            Some(_) => Err(Failed::Answer("the key that was set reads as an older value".to_owned())),
            None => Err(Failed::Answer("the key that was set cannot be read back".to_owned())),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(url: &str, password: Option<&Secret>) -> redis::RedisResult<Client> {
    let info = url.into_connection_info()?;
    let settings = match password {
        Some(password) => info.redis_settings().clone().set_password(password.reveal()),
        None => info.redis_settings().clone(),
    };
    Client::open(info.set_redis_settings(settings))
}

enum Failed {
    Broken(String),
    Answer(String),
}

impl Failed {
    fn into_words(self) -> String {
        match self {
            Failed::Broken(reason) | Failed::Answer(reason) => reason,
        }
    }
}

impl From<redis::RedisError> for Failed {
    fn from(error: redis::RedisError) -> Self {
        // Whatever the server itself says (READONLY, OOM, NOAUTH, LOADING) would be said again.
        if error.code().is_some() { Failed::Answer(told(&error)) } else { Failed::Broken(told(&error)) }
    }
}

/// The server's or the system's words. The library's own never hold the password.
fn told(error: &redis::RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    }
}
