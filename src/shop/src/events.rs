//! The outbox: Kafka is told of every order at least once, in the order of writing.

use crate::store::Store;
use rskafka::BackoffConfig;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::record::Record;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TOPIC: &str = "orders";

/// Between two looks at an empty outbox, and after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// An acknowledgement that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells of orders that this region took, for ever.
pub async fn publish(store: Store, brokers: Vec<String>, region: String) {
    let mut producer = None;
    loop {
        match once(&store, &brokers, &region, &mut producer).await {
            Ok(0) => tokio::time::sleep(PAUSE).await,
            Ok(_) => {}
            Err(why) => {
                tracing::warn!(why, "orders wait in the outbox");
                producer = None;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn once(
    store: &Store,
    brokers: &[String],
    region: &str,
    producer: &mut Option<PartitionClient>,
) -> Result<usize, String> {
    let events = store.untold(region).await.map_err(|why| why.0)?;
    if events.is_empty() {
        return Ok(0);
    }
    if producer.is_none() {
        *producer = Some(within(connect(brokers)).await?);
    }
    let Some(partition) = producer else { return Ok(0) };
    let mut timestamp = Default::default();
    timestamp += SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let record = |(_, event): &(i64, String)| Record {
        key: None,
        value: Some(event.clone().into_bytes()),
        headers: BTreeMap::new(),
        timestamp,
    };
    let told = partition.produce(events.iter().map(record).collect(), Compression::NoCompression);
    within(async { told.await.map_err(|error| error.to_string()) }).await?;
    let ids: Vec<i64> = events.iter().map(|(id, _)| *id).collect();
    store.told(&ids).await.map_err(|why| why.0)?;
    Ok(ids.len())
}

async fn connect(brokers: &[String]) -> Result<PartitionClient, String> {
    let backoff = BackoffConfig { deadline: Some(PATIENCE), ..BackoffConfig::default() };
    let client = ClientBuilder::new(brokers.to_vec()).backoff_config(backoff).build().await;
    let client = client.map_err(|error| error.to_string())?;
    if let Ok(controller) = client.controller_client() {
        // It exists already, most of the time.
        let _ = controller.create_topic(TOPIC, 1, 1, 1_000).await;
    }
    let partition = client.partition_client(TOPIC, 0, UnknownTopicHandling::Error).await;
    partition.map_err(|error| error.to_string())
}

async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err("Kafka did not answer in time".to_owned()))
}
