//! What a live edge's metrics say of each region.

use anyhow::{Context, bail};
use evenkeel_chaos::http::{self, Pool};
use evenkeel_chaos::watch::gauges::{PAGE, Page, read};
use std::net::ToSocketAddrs;

/// Asks Envoy's admin interface.
pub fn ask(url: &str) -> anyhow::Result<Page> {
    let place = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let address = place
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .with_context(|| format!("--envoy-admin {url}: use HOST:PORT, like http://127.0.0.1:9901"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(async { http::get(&Pool::new(address), PAGE).await })?;
    let page = read(&text);
    if page.regions.is_empty() {
        bail!(
            "{url}{PAGE}: no evenkeel_region_* metrics: is the filter loaded there, and are its labels \
             set up (stats_config.stats_tags, as evenkeel render envoy writes them)?"
        );
    }
    Ok(page)
}
