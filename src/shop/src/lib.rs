//! # evenkeel-shop: the demo application
//!
//! A small shop with one job, the order: written through the companion's `auto` listener, read back
//! near, remembered in Redis, told to Kafka. It is what people try Evenkeel with, and what experiments
//! count orders by.
//!
//! What lives here: what an application does to run well on Evenkeel (idempotency keys, repeats where
//! they are harmless, an outbox). What must not: anything of Evenkeel itself; the shop knows it as a
//! PostgreSQL address.

#![forbid(unsafe_code)]

mod api;
#[cfg(feature = "broken")]
mod broken;
mod cache;
mod events;
mod order;
mod store;

use anyhow::{Context, Result};
use clap::Parser;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// A small shop: POST /orders, GET /orders/ID.
#[derive(Debug, Parser)]
#[command(name = "evenkeel-shop", version)]
struct Options {
    /// Where it listens.
    #[arg(long, env = "SHOP_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The region it stands in; every order says where it was taken.
    #[arg(long, env = "SHOP_REGION")]
    region: String,
    /// The companion's `auto` listener, as a PostgreSQL connection string.
    #[arg(long, env = "SHOP_DATABASE", hide_env_values = true)]
    database: String,
    /// A file with the database user's password.
    #[arg(long, env = "SHOP_DATABASE_PASSWORD_FILE")]
    database_password_file: Option<std::path::PathBuf>,
    /// Redis, which remembers orders that were read. Default: none.
    #[arg(long, env = "SHOP_REDIS", hide_env_values = true)]
    redis: Option<String>,
    /// Kafka brokers, comma-separated, which are told of each order. Default: none.
    #[arg(long, env = "SHOP_KAFKA", value_delimiter = ',')]
    kafka: Vec<String>,
    /// Connections to the database.
    #[arg(long, env = "SHOP_CONNECTIONS", default_value_t = 16)]
    connections: usize,
}

/// What every answer needs.
#[derive(Debug)]
struct Shop {
    region: String,
    store: store::Store,
    cache: cache::Cache,
}

/// Serves until it is told to end.
///
/// # Errors
/// If an option cannot be used.
pub fn serve() -> Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run(options))
}

async fn run(options: Options) -> Result<()> {
    let password = match &options.database_password_file {
        None => None,
        Some(path) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("--database-password-file {}: cannot be read", path.display()))?,
        ),
    };
    let store =
        store::Store::new(&options.database, password.as_deref().map(str::trim), options.connections)?;
    let cache = cache::Cache::new(options.redis.as_deref())?;
    let listener = tokio::net::TcpListener::bind(options.listen).await.with_context(|| {
        format!("--listen {}: cannot listen: stop what listens there, or choose another port", options.listen)
    })?;
    tracing::info!(region = options.region, listen = %options.listen, "shop started");
    if !options.kafka.is_empty() {
        tokio::spawn(events::publish(store.clone(), options.kafka.clone(), options.region.clone()));
    }
    let shop = Arc::new(Shop { region: options.region, store, cache });
    axum::serve(listener, api::router(shop)).with_graceful_shutdown(ended()).await?;
    tracing::info!("stopped");
    Ok(())
}

async fn ended() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
