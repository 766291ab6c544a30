//! What Envoy's own metrics say, asked several times a second.

use super::http::{self, Pool};
use super::journal::{Breaker, Journal, Region, Sample, Standing};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Time between two looks: the resolution of everything read from metrics.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// The page with the filter's metrics.
pub const PAGE: &str = "/stats/prometheus?filter=evenkeel";

/// Looks every [`INTERVAL`] for as long as it is let.
pub async fn run(admin: SocketAddr, journal: Arc<Journal>) {
    let pool = Pool::new(admin);
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let asked = journal.now();
        // A page that fails is a gap in the samples, and the resolution shown grows with it.
        if let Ok(page) = http::get(&pool, PAGE).await {
            journal.sampled(Sample { asked, at: journal.now(), standings: standings(&page) });
        }
    }
}

/// What the page says of each region, in the order of [`Region::ALL`].
pub fn standings(page: &str) -> [Standing; 2] {
    let mut standings = [Standing::default(); 2];
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, region, value)) = series(line) else { continue };
        let standing = &mut standings[region as usize];
        match name {
            "evenkeel_region_healthy" => standing.healthy = Some(value != 0),
            "evenkeel_region_share" => standing.share = Some(value.min(100) as u8),
            "evenkeel_breaker_state" => {
                standing.breaker = match value {
                    0 => Some(Breaker::Closed),
                    1 => Some(Breaker::HalfOpen),
                    2 => Some(Breaker::Open),
                    _ => None,
                }
            }
            _ => (),
        }
    }
    standings
}

/// Splits `name{a="b",region="taiwan"} 1`; gauges in Envoy are whole numbers.
fn series(line: &str) -> Option<(&str, Region, u64)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.split_once('}')?;
    let region = labels
        .split(',')
        .find_map(|label| label.trim().strip_prefix("region=\"")?.strip_suffix('"'))
        .and_then(Region::from_name)?;
    Some((name, region, value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_gauges_of_each_region() {
        let page = "\
# TYPE evenkeel_region_healthy gauge
evenkeel_region_healthy{region=\"taiwan\"} 0
evenkeel_region_healthy{region=\"japan\"} 1
# TYPE evenkeel_region_share gauge
evenkeel_region_share{envoy=\"x\",region=\"taiwan\"} 37
evenkeel_region_share{region=\"japan\"} 100
evenkeel_breaker_state{region=\"taiwan\"} 1
evenkeel_breaker_state{region=\"japan\"} 7
evenkeel_breaker_state{region=\"mars\"} 2
evenkeel_requests_total{region=\"japan\",outcome=\"ok\"} 12345
evenkeel_build_info 1
odd {
";
        let [taiwan, japan] = standings(page);
        let expected = Standing { healthy: Some(false), share: Some(37), breaker: Some(Breaker::HalfOpen) };
        assert_eq!(taiwan, expected);
        assert_eq!(japan, Standing { healthy: Some(true), share: Some(100), breaker: None });
        assert_eq!(standings(""), [Standing::default(); 2]);
    }
}
