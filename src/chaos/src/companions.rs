//! A target's companions: what they know, asked once.

use crate::selection::Writer;
use crate::target::Target;
use anyhow::{Context, Result};
use evenkeel_companion::client::{Client, TOKEN_VARIABLE};
use evenkeel_companion::status::Status;
use evenkeel_config::HostPort;
use std::path::Path;
use tokio::task::JoinSet;

/// The companion at this address, with the target's token.
///
/// # Errors
/// If the token's file cannot be read.
pub fn client(target: &Target, address: &HostPort) -> Result<Client> {
    with_token(address, target.token_file.as_deref())
}

/// The same with a token of one's own. Without a file the variable EVENKEEL_TOKEN counts.
///
/// # Errors
/// If the file cannot be read.
pub fn with_token(address: &HostPort, file: Option<&Path>) -> Result<Client> {
    let token = match file {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("token-file: {}: cannot be read", path.display()))?,
        ),
        None => std::env::var(TOKEN_VARIABLE).ok(),
    };
    Ok(Client::new(address.to_string(), token.as_deref()))
}

/// What each companion says, in the order of the target.
pub async fn statuses(target: &Target) -> Vec<(String, Result<Status>)> {
    let mut asked = JoinSet::new();
    for (index, place) in target.companions.iter().enumerate() {
        let client = client(target, &place.address);
        asked.spawn(async move { (index, status(client).await) });
    }
    let mut said = asked.join_all().await;
    said.sort_by_key(|(index, _)| *index);
    let named = said.into_iter().zip(&target.companions);
    named.map(|((_, status), place)| (place.region.clone(), status)).collect()
}

async fn status(client: Result<Client>) -> Result<Status> {
    let client = client?;
    let body = client.read("/v1/status").await?;
    serde_json::from_str(&body)
        .with_context(|| format!("{client} answered, but not as a companion of this version does"))
}

/// The database's writer at this moment. None: no companion knows one.
pub async fn writer(target: &Target) -> Option<Writer> {
    let statuses = statuses(target).await;
    let databases = statuses.iter().filter_map(|(_, status)| status.as_ref().ok()?.database.as_ref());
    let node = databases
        .filter(|database| !database.conflict)
        .find_map(|database| database.nodes.iter().find(|node| node.writer))?;
    Some(Writer { node: node.name.clone(), region: node.region.clone() })
}
