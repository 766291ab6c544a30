//! What observers said over time, put together: several look at one thing, and each only now and then.

use crate::journal::{Journal, Ms, Observer, Seen};
use std::collections::BTreeMap;

/// A value from each moment at which it changed. None: nobody said.
pub type Steps<T> = Vec<(Ms, Option<T>)>;

/// How edges treat a region, the worst of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Its probes say that it is well, its breaker is closed.
    Healthy,
    /// Its breaker tries.
    HalfOpen,
    /// Its probes say that it is not well.
    Unhealthy,
    /// Its breaker is open.
    Open,
}

impl Standing {
    /// In a word, with the class that colours it.
    pub const fn shown(self) -> (&'static str, &'static str) {
        match self {
            Standing::Healthy => ("healthy", "good"),
            Standing::HalfOpen => ("half-open", "half"),
            Standing::Unhealthy => ("unhealthy", "bad"),
            Standing::Open => ("open", "bad"),
        }
    }
}

/// All that is drawn of what observers said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// The lowest share of each region among edges, in per cent.
    pub shares: BTreeMap<String, Steps<f64>>,
    /// The lowest share of each region in DNS answers among companions, in per cent.
    pub dns: BTreeMap<String, Steps<f64>>,
    /// The largest replication lag of each node among companions, in seconds.
    pub lag: BTreeMap<String, Steps<f64>>,
    /// How edges treat each region.
    pub standing: BTreeMap<String, Steps<Standing>>,
    /// Each region's readiness, as its companion says.
    pub ready: BTreeMap<String, Steps<bool>>,
    /// The writer's node, as the companion that was asked last says.
    pub writer: Steps<String>,
}

/// Puts together what was sampled.
pub fn timeline(journal: &Journal) -> Timeline {
    let mut timeline = Timeline::default();
    let mut latest: BTreeMap<(Observer, &str), Option<&Seen>> = BTreeMap::new();
    let mut samples: Vec<_> = journal.samples.iter().collect();
    samples.sort_by(|a, b| a.at.total_cmp(&b.at));
    for sample in samples {
        latest.insert((sample.observer, &sample.region), sample.seen.as_ref());
        let edges = || {
            latest
                .values()
                .filter_map(|seen| if let Some(Seen::Edge(edge)) = seen { Some(edge) } else { None })
        };
        let companions = || {
            latest
                .values()
                .filter_map(|seen| if let Some(Seen::Companion(view)) = seen { Some(view) } else { None })
        };
        match sample.observer {
            Observer::Edge => {
                for region in &journal.regions {
                    let views = || edges().filter_map(|edge| edge.get(region));
                    let share = views().map(|view| view.share).min_by(f64::total_cmp);
                    step(&mut timeline.shares, region, sample.at, share);
                    let standing = views().map(|view| match (view.breaker, view.healthy) {
                        (2.., _) => Standing::Open,
                        (_, false) => Standing::Unhealthy,
                        (1, true) => Standing::HalfOpen,
                        (0, true) => Standing::Healthy,
                    });
                    step(&mut timeline.standing, region, sample.at, standing.max());
                }
            }
            Observer::Companion => {
                let mut lag: BTreeMap<&str, f64> = BTreeMap::new();
                let mut dns: BTreeMap<&str, f64> = BTreeMap::new();
                for view in companions() {
                    for (node, value) in &view.lag {
                        let most = lag.entry(node).or_insert(*value);
                        *most = most.max(*value);
                    }
                    for (region, value) in &view.dns {
                        let least = dns.entry(region).or_insert(*value);
                        *least = least.min(*value);
                    }
                }
                all(&mut timeline.lag, &lag, sample.at);
                all(&mut timeline.dns, &dns, sample.at);
                let ready = match &sample.seen {
                    Some(Seen::Companion(view)) => Some(view.ready),
                    _ => None,
                };
                step(&mut timeline.ready, &sample.region, sample.at, ready);
                if let Some(Seen::Companion(view)) = &sample.seen {
                    change(&mut timeline.writer, sample.at, view.writer.clone());
                }
            }
        }
    }
    timeline
}

/// What is not told any more has no value from now on.
fn all(into: &mut BTreeMap<String, Steps<f64>>, now: &BTreeMap<&str, f64>, at: Ms) {
    for (_, steps) in into.iter_mut().filter(|(name, _)| !now.contains_key(name.as_str())) {
        change(steps, at, None);
    }
    for (name, value) in now {
        step(into, name, at, Some(*value));
    }
}

fn step<T: PartialEq>(into: &mut BTreeMap<String, Steps<T>>, name: &str, at: Ms, value: Option<T>) {
    match into.get_mut(name) {
        Some(steps) => change(steps, at, value),
        None => {
            into.insert(name.to_owned(), vec![(at, value)]);
        }
    }
}

fn change<T: PartialEq>(steps: &mut Steps<T>, at: Ms, value: Option<T>) {
    if steps.last().is_none_or(|(_, last)| *last != value) {
        steps.push((at, value));
    }
}

/// How much of the time until orders were back passed before there was a new writer.
#[derive(Clone, Debug, PartialEq)]
pub struct Promotion {
    /// The writer before the fault.
    pub from: String,
    /// The writer after it.
    pub to: String,
    /// From the fault until a companion first said so.
    pub took: Ms,
    /// From the fault until orders were back.
    pub orders: Ms,
}

impl Promotion {
    /// The engine's share in per cent.
    pub fn share(&self) -> f64 {
        if self.orders > 0.0 { (100.0 * self.took / self.orders).min(100.0) } else { 100.0 }
    }

    /// What is left: Evenkeel's own time, and the application's.
    pub fn rest(&self) -> Ms {
        (self.orders - self.took).max(0.0)
    }
}

/// The engine's promotion, where the writer changed while orders were away. `orders` is their RTO.
pub fn promotion(journal: &Journal, timeline: &Timeline, orders: Option<Ms>) -> Option<Promotion> {
    let (injected, orders) = (journal.injected?, orders?);
    let known = |(at, node): &(Ms, Option<String>)| Some((*at, node.clone()?));
    let (_, from) = timeline.writer.iter().filter(|(at, _)| *at <= injected).filter_map(known).next_back()?;
    let (at, to) = timeline
        .writer
        .iter()
        .filter(|(at, _)| *at > injected)
        .filter_map(known)
        .find(|(_, node)| *node != from)?;
    // A change after orders were back has nothing to do with how long they were away.
    (orders > 0.0 && at - injected <= orders + SLACK).then_some(Promotion {
        from,
        to,
        took: at - injected,
        orders,
    })
}

/// A companion is asked now and then: it may say it a little after the first order was taken.
const SLACK: Ms = 1000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::fixture::empty;
    use crate::journal::{CompanionView, EdgeView, Sample};

    fn sample(at: Ms, region: &str, seen: Option<Seen>) -> Sample {
        let observer = match seen {
            Some(Seen::Edge(_)) => Observer::Edge,
            _ => Observer::Companion,
        };
        Sample { asked: at - 1.0, at, observer, region: region.to_owned(), seen }
    }

    fn edge(taiwan: EdgeView) -> Option<Seen> {
        Some(Seen::Edge(BTreeMap::from([("taiwan".to_owned(), taiwan)])))
    }

    fn companion(writer: Option<&str>, lag: &[(&str, f64)]) -> Option<Seen> {
        Some(Seen::Companion(CompanionView {
            ready: true,
            writer: writer.map(str::to_owned),
            lag: lag.iter().map(|(node, lag)| ((*node).to_owned(), *lag)).collect(),
            ..CompanionView::default()
        }))
    }

    #[test]
    fn several_observers_are_put_together_by_the_worst() {
        let mut journal = empty();
        let well = EdgeView { healthy: true, breaker: 0, share: 100.0 };
        journal.samples = vec![
            sample(1.0, "taiwan", edge(well)),
            sample(2.0, "japan", edge(well)),
            sample(3.0, "japan", edge(EdgeView { breaker: 2, share: 0.0, ..well })),
            // The other still sends it everything, which changes nothing about the worst.
            sample(4.0, "taiwan", edge(well)),
            sample(5.0, "japan", edge(EdgeView { breaker: 1, share: 5.0, ..well })),
            sample(6.0, "japan", edge(well)),
            sample(7.0, "taiwan", companion(Some("a"), &[("b", 0.1)])),
            sample(8.0, "japan", companion(Some("a"), &[("b", 0.3), ("c", 0.2)])),
            sample(9.0, "japan", None),
        ];
        let seen = timeline(&journal);
        assert_eq!(
            seen.shares["taiwan"],
            [(1.0, Some(100.0)), (3.0, Some(0.0)), (5.0, Some(5.0)), (6.0, Some(100.0))]
        );
        let standing: Vec<_> = seen.standing["taiwan"].iter().map(|(_, standing)| *standing).collect();
        assert_eq!(
            standing,
            [Standing::Healthy, Standing::Open, Standing::HalfOpen, Standing::Healthy].map(Some)
        );
        assert_eq!(seen.lag["b"], [(7.0, Some(0.1)), (8.0, Some(0.3)), (9.0, Some(0.1))]);
        assert_eq!(seen.lag["c"], [(8.0, Some(0.2)), (9.0, None)]);
        assert_eq!(seen.ready["japan"], [(8.0, Some(true)), (9.0, None)]);
        assert_eq!(seen.writer, [(7.0, Some("a".to_owned()))]);
    }

    #[test]
    fn the_engines_share_is_the_time_without_a_writer() {
        let mut journal = empty();
        journal.samples = vec![
            sample(19_000.0, "taiwan", companion(Some("a"), &[])),
            sample(21_000.0, "taiwan", companion(None, &[])),
            sample(38_000.0, "taiwan", companion(Some("b"), &[])),
        ];
        let seen = timeline(&journal);
        let found = promotion(&journal, &seen, Some(20_000.0)).unwrap();
        assert_eq!((found.from.as_str(), found.to.as_str(), found.took), ("a", "b", 18_000.0));
        assert_eq!((found.share(), found.rest()), (90.0, 2_000.0));
        // Told by the companion a little after the first order was taken.
        let told_late = promotion(&journal, &seen, Some(17_900.0)).unwrap();
        assert_eq!((told_late.share(), told_late.rest()), (100.0, 0.0));
        // Orders were back long before: it was not the writer that they waited for.
        assert_eq!(promotion(&journal, &seen, Some(400.0)), None);
        assert_eq!(promotion(&journal, &seen, None), None);
        journal.samples.pop();
        assert_eq!(promotion(&journal, &timeline(&journal), Some(20_000.0)), None);
    }
}
