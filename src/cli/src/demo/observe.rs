//! What Envoy's own metrics say, asked several times a second.

use super::journal::{Breaker, Journal, Region, Sample, Standing};
use evenkeel_chaos::http::{self, Pool};
use evenkeel_chaos::watch::gauges;
use evenkeel_policy::breaker;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Time between two looks: the resolution of everything read from metrics.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Looks every [`INTERVAL`] for as long as it is let.
pub async fn run(admin: SocketAddr, journal: Arc<Journal>) {
    let pool = Pool::new(admin);
    let mut looks = tokio::time::interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let asked = journal.now();
        // A page that fails is a gap in the samples, and the resolution shown grows with it.
        if let Ok(page) = http::get(&pool, gauges::PAGE).await {
            journal.sampled(Sample { asked, at: journal.now(), standings: standings(&page) });
        }
    }
}

/// What the page says of each region, in the order of [`Region::ALL`].
pub fn standings(page: &str) -> [Standing; 2] {
    let page = gauges::read(page);
    Region::ALL.map(|region| {
        let shown = page.regions.get(region.name()).copied().unwrap_or_default();
        let breaker = shown.breaker.map(|state| match state {
            breaker::State::Closed => Breaker::Closed,
            breaker::State::HalfOpen => Breaker::HalfOpen,
            breaker::State::Open => Breaker::Open,
        });
        Standing { healthy: shown.healthy, share: shown.share, breaker }
    })
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
