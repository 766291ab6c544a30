//! Where a companion's admin listener is, said on the command line, and asked once.

use anyhow::{Context, Result};
use evenkeel_companion::client::{Client, TOKEN_VARIABLE};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;

/// Where the companion is, and what proves that one may give orders.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The companion's admin listener, as host:port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9903")]
    admin: String,
    /// A file with the companion's token. Default: the variable EVENKEEL_TOKEN.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// It.
pub struct Admin(Client);

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Admin {
    /// # Errors
    /// If the token's file cannot be read.
    pub fn new(options: &Options) -> Result<Self> {
        let token = match &options.token_file {
            Some(path) => Some(
                std::fs::read_to_string(path)
                    .with_context(|| format!("--token-file {}: cannot be read", path.display()))?,
            ),
            None => std::env::var(TOKEN_VARIABLE).ok(),
        };
        Ok(Admin(Client::new(&options.admin, token.as_deref())))
    }

    /// Reads a page.
    ///
    /// # Errors
    /// Why there is none, with the remedy.
    pub fn read(&self, path: &str) -> Result<String> {
        runtime()?.block_on(self.0.read(path))
    }

    /// Gives an order.
    ///
    /// # Errors
    /// Why it was not taken, with the remedy.
    pub fn order(&self, path: &str, order: &Value) -> Result<Value> {
        runtime()?.block_on(self.0.order(path, order))
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
