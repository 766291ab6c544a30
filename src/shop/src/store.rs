//! Orders in PostgreSQL, behind the companion's `auto` listener.
//!
//! An order is written and given back by one statement, in one round trip to the writer: orders that
//! waited for a new one are taken as fast as so few connections can. An order that was there before is read
//! in the same session: with session consistency that comes from a near replica that has it. Errors that
//! end with nobody's knowledge of the write's fate are repeated under the same idempotency key, which is
//! harmless.

use crate::order::{NewOrder, Order};
use anyhow::{Context, Result};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, Row};
use uuid::Uuid;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

const COLUMNS: &str =
    "id, customer, items, total_cents, region, (extract(epoch from created_at) * 1000)::bigint";

/// The orders.
#[derive(Clone, Debug)]
pub struct Store {
    /// What waits for a writer fills these, and nobody who reads waits behind it.
    writes: Pool,
    reads: Pool,
    patience: Duration,
}

/// What became of a new order.
#[derive(Debug)]
pub enum Placed {
    /// It is taken.
    New(Order),
    /// It was taken before, under the same key.
    Repeated(Order),
    /// The key was used for another order.
    Conflict,
}

/// Why the database did not serve; the customer may come again.
#[derive(Debug)]
pub struct Unavailable(pub String);

impl Store {
    /// `connections` for what writes, and as many for what reads. An order that the database has not taken
    /// after `patience` is given up.
    ///
    /// # Errors
    /// If the connection string cannot be read.
    pub fn new(
        database: &str,
        password: Option<&str>,
        connections: usize,
        patience: Duration,
    ) -> Result<Store> {
        let mut config: tokio_postgres::Config = database
            .parse()
            .context("--database: write it like \"host=127.0.0.1 port=6434 user=shop dbname=shop\"")?;
        if let Some(password) = password {
            config.password(password);
        }
        config.application_name("evenkeel-shop").connect_timeout(Duration::from_secs(2));
        let pool = |wait| {
            // The companion answers for its sessions by itself: no question ahead of each use.
            let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
            Pool::builder(Manager::from_config(config.clone(), NoTls, manager))
                .max_size(connections)
                .runtime(Runtime::Tokio1)
                .timeouts(Timeouts { wait, create: Some(Duration::from_secs(3)), recycle: None })
                .build()
                .context("no pool")
        };
        // Orders that wait for a writer stand in one line until their patience ends, the first served first.
        Ok(Store { writes: pool(Some(patience))?, reads: pool(Some(Duration::from_secs(2)))?, patience })
    }

    /// Takes the order, once for each key, whatever happens in between.
    ///
    /// # Errors
    /// If the database did not serve in time: the order may have been taken or not, and asking again
    /// with the same key tells.
    pub async fn place(&self, key: &str, order: &NewOrder, region: &str) -> Result<Placed, Unavailable> {
        let by = Instant::now() + self.patience;
        loop {
            let why = match self.try_to_place(by, key, order, region).await {
                Ok(placed) => return Ok(placed),
                Err(Failure::Lasting(why)) => return Err(Unavailable(why)),
                Err(Failure::Passing(why)) => why,
            };
            if Instant::now() + PAUSE >= by {
                return Err(Unavailable(why));
            }
            tracing::debug!(why, "the order is tried again under its key");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_to_place(
        &self,
        by: Instant,
        key: &str,
        order: &NewOrder,
        region: &str,
    ) -> Result<Placed, Failure> {
        let late = || Failure::Lasting("the database did not answer in time".to_owned());
        let client = tokio::time::timeout_at(by, connection(&self.writes)).await.map_err(|_| late())??;
        match tokio::time::timeout_at(by, placed(&client, key, order, region)).await {
            Ok(placed) => placed,
            Err(_) => {
                // Its statement still waits for an answer: the next order must not wait behind it.
                drop(Object::take(client));
                Err(late())
            }
        }
    }

    /// The order of this number.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn order(&self, id: Uuid) -> Result<Option<Order>, Unavailable> {
        let asked = async {
            let client = connection(&self.reads).await?;
            let statement =
                client.prepare_cached(&format!("SELECT {COLUMNS} FROM orders WHERE id = $1")).await?;
            client.query_opt(&statement, &[&id]).await?.as_ref().map(read).transpose()
        };
        asked.await.map_err(|failure: Failure| Unavailable(failure.told()))
    }

    /// The next events of this region that Kafka was not told yet, the oldest first.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn untold(&self, region: &str) -> Result<Vec<(i64, String)>, Unavailable> {
        let asked = async {
            let client = connection(&self.writes).await?;
            // FOR UPDATE takes the statement to the writer: what a late replica still shows was told before.
            let sql = "SELECT id, event::text FROM outbox WHERE region = $1 ORDER BY id LIMIT 100 FOR UPDATE";
            let statement = client.prepare_cached(sql).await?;
            let rows = client.query(&statement, &[&region]).await?;
            let events = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
            events.collect::<Result<_, tokio_postgres::Error>>().map_err(Failure::from)
        };
        asked.await.map_err(|failure: Failure| Unavailable(failure.told()))
    }

    /// Forgets events that Kafka has acknowledged.
    ///
    /// # Errors
    /// If the database does not serve: they are told again then.
    pub async fn told(&self, ids: &[i64]) -> Result<(), Unavailable> {
        let asked = async {
            let client = connection(&self.writes).await?;
            let statement = client.prepare_cached("DELETE FROM outbox WHERE id = ANY($1)").await?;
            client.execute(&statement, &[&ids]).await?;
            Ok(())
        };
        asked.await.map_err(|failure: Failure| Unavailable(failure.told()))
    }

    /// Makes the tables where they are missing.
    ///
    /// # Errors
    /// If the database does not serve.
    pub async fn prepare(&self) -> Result<(), Unavailable> {
        let asked =
            async { Ok(connection(&self.writes).await?.batch_execute(include_str!("schema.sql")).await?) };
        asked.await.map_err(|failure: Failure| Unavailable(failure.told()))
    }

    /// Changes an order behind its customer's back.
    ///
    /// # Errors
    /// If the database does not serve.
    #[cfg(feature = "broken")]
    pub async fn change(&self, sql: &str, key: &str) -> Result<(), Unavailable> {
        let asked = async {
            connection(&self.writes).await?.execute(sql, &[&key]).await?;
            Ok(())
        };
        asked.await.map_err(|failure: Failure| Unavailable(failure.told()))
    }
}

/// The order as the database has it under this key, after it was offered.
async fn placed(
    client: &deadpool_postgres::Client,
    key: &str,
    order: &NewOrder,
    region: &str,
) -> Result<Placed, Failure> {
    let id = Uuid::new_v4();
    let items = serde_json::to_value(&order.items).map_err(|error| Failure::Lasting(error.to_string()))?;
    let fingerprint = order.fingerprint();
    // One statement is one transaction: order and event exist together or not at all.
    let statement = client
        .prepare_cached(&format!(
            "WITH placed AS (
               INSERT INTO orders (id, idempotency_key, fingerprint, customer, items, total_cents, region)
               VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (idempotency_key) DO NOTHING RETURNING {COLUMNS}),
             event AS (
               INSERT INTO outbox (order_id, region, event)
               SELECT id, $7, jsonb_build_object('type', 'OrderPlaced', 'id', id, 'total_cents', $6::bigint) FROM placed)
             SELECT * FROM placed",
        ))
        .await?;
    let total = order.total_cents();
    let new = client
        .query_opt(&statement, &[&id, &key, &fingerprint, &order.customer, &items, &total, &region])
        .await?;
    if let Some(row) = new {
        return Ok(Placed::New(read(&row)?));
    }
    let select = format!("SELECT {COLUMNS}, fingerprint FROM orders WHERE idempotency_key = $1");
    let statement = client.prepare_cached(&select).await?;
    let row = client.query_one(&statement, &[&key]).await?;
    let same = row.try_get::<_, Vec<u8>>(6)? == fingerprint;
    Ok(if same { Placed::Repeated(read(&row)?) } else { Placed::Conflict })
}

async fn connection(pool: &Pool) -> Result<Object, Failure> {
    pool.get().await.map_err(|error| Failure::Passing(format!("no connection: {error}")))
}

/// Whether it is worth trying again.
enum Failure {
    Passing(String),
    Lasting(String),
}

impl Failure {
    fn told(self) -> String {
        match self {
            Failure::Passing(why) | Failure::Lasting(why) => why,
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let why = error
            .as_db_error()
            .map_or_else(|| error.to_string(), |db| format!("{}: {}", db.code().code(), db.message()));
        // What is wrong with the statement stays wrong; a lost session, a lost transaction, a missing
        // writer and a shutdown pass.
        let passing = |code: &SqlState| {
            let class = code.code().get(..2).unwrap_or_default();
            matches!(class, "08" | "40" | "53" | "57" | "58") || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        };
        match error.code() {
            Some(code) if !passing(code) => Failure::Lasting(why),
            _ => Failure::Passing(why),
        }
    }
}

fn read(row: &Row) -> Result<Order, Failure> {
    let items: serde_json::Value = row.try_get(2)?;
    Ok(Order {
        id: row.try_get(0)?,
        customer: row.try_get(1)?,
        items: serde_json::from_value(items).map_err(|error| Failure::Lasting(format!("items: {error}")))?,
        total_cents: row.try_get(3)?,
        region: row.try_get(4)?,
        created_at: row.try_get(5)?,
    })
}
