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
