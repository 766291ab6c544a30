//! What a live edge's metrics say of each region.

use crate::demo::http::{self, Pool};
use anyhow::{Context, bail};
use evenkeel_policy::breaker;
use std::collections::BTreeMap;
use std::net::ToSocketAddrs;

const PAGE: &str = "/stats/prometheus?filter=evenkeel";

/// What the page shows.
#[derive(Debug, Default, PartialEq)]
pub struct Page {
    pub regions: BTreeMap<String, Shown>,
    /// The fingerprint of the configuration in force.
    pub hash: Option<String>,
    pub prober_lost: bool,
}

/// What it shows of one region.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    pub healthy: Option<bool>,
    pub share: Option<u8>,
    pub breaker: Option<breaker::State>,
}

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

fn read(text: &str) -> Page {
    let mut page = Page::default();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.trim().parse::<u64>() else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let label = |key: &str| {
            labels.trim_end_matches('}').split(',').find_map(|label| {
                let (name, value) = label.trim().split_once('=')?;
                (name == key).then(|| value.trim_matches('"').to_owned())
            })
        };
        match (name, label("region")) {
            ("evenkeel_prober_lost", _) => page.prober_lost = value != 0,
            // A configuration that was replaced shows 0.
            ("evenkeel_config_info", _) if value != 0 => page.hash = label("hash"),
            ("evenkeel_region_healthy", Some(region)) => {
                page.regions.entry(region).or_default().healthy = Some(value != 0);
            }
            ("evenkeel_region_share", Some(region)) => {
                page.regions.entry(region).or_default().share = Some(value.min(100) as u8);
            }
            ("evenkeel_breaker_state", Some(region)) => {
                let states = [breaker::State::Closed, breaker::State::HalfOpen, breaker::State::Open];
                page.regions.entry(region).or_default().breaker =
                    states.into_iter().find(|state| state.gauge() == value);
            }
            _ => {}
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_read_whatever_else_stands_on_it() {
        let page = read(
            "# TYPE evenkeel_region_healthy gauge\n\
             evenkeel_region_healthy{region=\"taiwan\"} 0\n\
             evenkeel_region_share{envoy=\"x\",region=\"taiwan\"} 37\n\
             evenkeel_breaker_state{region=\"taiwan\"} 1\n\
             evenkeel_breaker_state{region=\"japan\"} 9\n\
             evenkeel_config_info{hash=\"0123456789abcdef\"} 1\n\
             evenkeel_config_info{hash=\"ffff\"} 0\n\
             evenkeel_prober_lost 1\n\
             evenkeel_decisions_total{region=\"taiwan\",reason=\"geo\"} 5\n\
             rubbish {\n",
        );
        let taiwan = Shown { healthy: Some(false), share: Some(37), breaker: Some(breaker::State::HalfOpen) };
        let regions = [("taiwan".to_owned(), taiwan), ("japan".to_owned(), Shown::default())];
        let expected = Page {
            regions: regions.into_iter().collect(),
            hash: Some("0123456789abcdef".to_owned()),
            prober_lost: true,
        };
        assert_eq!(page, expected);
    }
}
