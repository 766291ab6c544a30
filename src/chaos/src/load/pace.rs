//! An open loop: what is due leaves, whatever became of what left before. Who waits for answers first
//! measures a system that is asked only when it can answer (coordinated omission).

use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// When the n-th is due, after the first: evenly spaced. A rate of 0 counts as 1 each second.
pub fn due(n: u64, rate: u32) -> Duration {
    let rate = u64::from(rate.max(1));
    Duration::from_secs(n / rate) + Duration::from_nanos(n % rate * 1_000_000_000 / rate)
}

/// A fixed, well-mixed number for each n (splitmix64), so that two runs do the same.
pub fn scatter(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Lets them leave as they are due until `stop` turns true, then waits for those on their way.
pub async fn run<F>(
    first: Instant,
    rate: u32,
    mut stop: watch::Receiver<bool>,
    mut leave: impl FnMut(u64, Instant) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    for n in 0.. {
        let due = first + due(n, rate);
        tokio::select! {
            biased;
            // An error means that whoever could stop it is gone.
            _ = stop.wait_for(|stop| *stop) => break,
            () = tokio::time::sleep_until(due.into()) => (),
        }
        under_way.spawn(leave(n, due));
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn arrivals_are_even_for_ever() {
        for rate in [1, 7, 200, 300, 5000] {
            let gap = Duration::from_secs(1) / rate;
            for n in [0, 1, 99, 1_000_000_007, u64::from(u32::MAX) * 5000] {
                let found = due(n + 1, rate) - due(n, rate);
                assert!(found.abs_diff(gap) <= Duration::from_nanos(1), "{rate} {n}: {found:?}");
            }
            assert_eq!(due(u64::from(rate) * 3600, rate), Duration::from_secs(3600));
        }
        assert_eq!(due(2, 0), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_holds_nobody_up_and_is_waited_for_at_the_end() {
        let (tell, stop) = watch::channel(false);
        let left = Arc::new(Mutex::new(Vec::new()));
        let first = tokio::time::Instant::now().into_std();
        let load = tokio::spawn({
            let left = left.clone();
            run(first, 100, stop, move |n, due| {
                let left = left.clone();
                async move {
                    left.lock().unwrap().push((n, due));
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
            })
        });
        tokio::time::sleep(Duration::from_millis(1_005)).await;
        tell.send(true).unwrap();
        let stopped = tokio::time::Instant::now();
        load.await.unwrap();
        assert!(stopped.elapsed() > Duration::from_secs(29), "it waits for those on their way");
        let left = left.lock().unwrap();
        assert_eq!(left.len(), 101);
        for (n, due) in left.iter() {
            assert_eq!(*due, first + Duration::from_millis(n * 10));
        }
    }
}
