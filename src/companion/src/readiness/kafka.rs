//! Kafka: one small record is produced and acknowledged.

use evenkeel_config::companion as config;
use rskafka::BackoffConfig;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Finding the brokers, and making the topic where it is missing, may take longer than one check: it
/// goes on behind it, and the next check finds what it came to.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How Kafka is asked.
#[derive(Debug)]
pub struct Kafka {
    brokers: Vec<String>,
    topic: String,
    required: bool,
    timeout: Duration,
    producer: Mutex<Option<Arc<PartitionClient>>>,
    connecting: tokio::sync::Mutex<Option<JoinHandle<Result<PartitionClient, String>>>>,
    /// Whether the last check had a producer, and so was waiting for the acknowledgement.
    sent: AtomicBool,
}

impl Kafka {
    /// By these settings.
    pub fn new(settings: &config::Kafka) -> Self {
        Kafka {
            brokers: settings.brokers.iter().map(ToString::to_string).collect(),
            topic: settings.topic.clone(),
            required: settings.required,
            timeout: settings.timeout.to_duration(),
            producer: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            sent: AtomicBool::new(false),
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

    /// What it means that the limit was reached.
    pub fn too_late(&self) -> String {
        let limit = humantime::format_duration(self.timeout);
        match self.sent.load(Ordering::Relaxed) {
            true => format!("no acknowledgement within {limit}"),
            false => format!("no connection to a broker within {limit}"),
        }
    }

    /// Forgets the producer with its connections.
    pub fn reset(&self) {
        self.lock().take();
    }

    /// Asks.
    ///
    /// # Errors
    /// Why it is down.
    pub async fn run(&self) -> Result<(), String> {
        self.sent.store(false, Ordering::Relaxed);
        let known = self.lock().clone();
        let producer = match known {
            Some(producer) => producer,
            None => self.connect().await?,
        };
        self.sent.store(true, Ordering::Relaxed);
        let mut record = Record {
            key: None,
            value: Some(b"evenkeel".to_vec()),
            headers: BTreeMap::new(),
            timestamp: Default::default(),
        };
        // From 1970 on: brokers drop records that look old.
        record.timestamp += Duration::from_millis(crate::clock::unix_ms());
        match producer.produce(vec![record], Compression::NoCompression).await {
            Ok(_) => Ok(()),
            Err(error) => Err(told(&error)),
        }
    }

    async fn connect(&self) -> Result<Arc<PartitionClient>, String> {
        let mut connecting = self.connecting.lock().await;
        let attempt = connecting.get_or_insert_with(|| {
            let (brokers, topic) = (self.brokers.clone(), self.topic.clone());
            tokio::spawn(async move {
                // A deadline of its own: the library tries for ever.
                let attempt = tokio::time::timeout(CONNECT_WITHIN, producer(&brokers, &topic));
                attempt.await.unwrap_or_else(|_| Err("no connection to a broker".to_owned()))
            })
        });
        // A check that ends here for lack of time leaves the attempt to the next one.
        let ended = attempt.await;
        *connecting = None;
        let producer = Arc::new(ended.map_err(|error| error.to_string())??);
        *self.lock() = Some(producer.clone());
        Ok(producer)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<PartitionClient>>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn producer(brokers: &[String], topic: &str) -> Result<PartitionClient, String> {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_millis(500),
        base: 2.0,
        deadline: Some(CONNECT_WITHIN),
    };
    let client = ClientBuilder::new(brokers.to_vec())
        .client_id("evenkeel")
        .backoff_config(backoff)
        .build()
        .await
        .map_err(|error| told(&error))?;
    match client.partition_client(topic, 0, UnknownTopicHandling::Error).await {
        Ok(producer) => return Ok(producer),
        Err(Error::ServerError { protocol_error: ProtocolError::UnknownTopicOrPartition, .. }) => {}
        Err(error) => return Err(told(&error)),
    }
    create(&client, topic).await?;
    client.partition_client(topic, 0, UnknownTopicHandling::Retry).await.map_err(|error| told(&error))
}

/// Makes the topic, with as many replicas as the brokers hold usual.
async fn create(client: &Client, topic: &str) -> Result<(), String> {
    let controller = client.controller_client().map_err(|error| told(&error))?;
    // -1 asks for the brokers' default (KIP-464); brokers before 2.4 want a number.
    for replicas in [-1, 1] {
        match controller.create_topic(topic, 1, replicas, 5_000).await {
            Ok(()) | Err(Error::ServerError { protocol_error: ProtocolError::TopicAlreadyExists, .. }) => {
                tracing::info!(topic, "kafka: the topic was missing and was made");
                return Ok(());
            }
            Err(Error::ServerError { protocol_error: ProtocolError::InvalidReplicationFactor, .. }) => {}
            Err(error) => {
                return Err(format!("topic {topic} does not exist and cannot be made: {}", told(&error)));
            }
        }
    }
    Err(format!("topic {topic} does not exist and the broker takes no number of replicas for it: make it"))
}

fn told(error: &Error) -> String {
    match error {
        Error::ServerError { protocol_error, error_message, .. } => match error_message {
            Some(message) if !message.is_empty() => format!("{protocol_error:?}: {message}"),
            _ => format!("{protocol_error:?}"),
        },
        other => other.to_string(),
    }
}
