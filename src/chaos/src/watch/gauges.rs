//! What a live edge's metrics say of each region: the page that Envoy's admin interface shows.

use evenkeel_policy::breaker;
use std::collections::BTreeMap;

/// The page with the filter's metrics.
pub const PAGE: &str = "/stats/prometheus?filter=evenkeel";

/// What the page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Each region that it names.
    pub regions: BTreeMap<String, Shown>,
    /// The fingerprint of the configuration in force.
    pub hash: Option<String>,
    /// No VM of the process probes.
    pub prober_lost: bool,
}

/// What it shows of one region. None: the metric is not there (yet).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shown {
    /// Its probes say so.
    pub healthy: Option<bool>,
    /// Per cent of its normal share.
    pub share: Option<u8>,
    /// The breaker's state.
    pub breaker: Option<breaker::State>,
}

/// Reads the page, whatever else stands on it.
pub fn read(text: &str) -> Page {
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
