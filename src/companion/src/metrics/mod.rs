//! `/metrics`, in OpenMetrics' text form.
//!
//! Gauges are written from what is known at the moment of the scrape, so none outlives what it
//! speaks of. README lists every name.

mod database;
mod dns;
mod oracle;

use crate::oracle::Oracle;
use crate::readiness::Status;
use crate::world::World;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What [`written`] is in.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// What is counted where it happens.
#[derive(Debug)]
pub struct Counters {
    /// Topology files that were not taken.
    pub reload_failures: Counter,
    /// Another node became the writer.
    pub writer_changes: Counter,
    readiness: Family<Labels, Counter>,
    readiness_seconds: Histogram,
    edge_posts: Family<Labels, Counter>,
    edge_transitions: Family<Labels, Counter>,
}

impl Default for Counters {
    fn default() -> Self {
        Counters {
            reload_failures: Counter::default(),
            writer_changes: Counter::default(),
            readiness: Family::default(),
            readiness_seconds: Histogram::new([0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]),
            edge_posts: Family::default(),
            edge_transitions: Family::default(),
        }
    }
}

impl Counters {
    /// A readiness answer.
    pub fn readiness(&self, status: Status, took: Duration) {
        let result = if status == Status::Up { "up" } else { "down" };
        self.readiness.get_or_create(&vec![("result", result.to_owned())]).inc();
        self.readiness_seconds.observe(took.as_secs_f64());
    }

    /// An edge's post.
    pub fn edge_posts(&self, result: &'static str) {
        self.edge_posts.get_or_create(&vec![("result", result.to_owned())]).inc();
    }
}

impl Counters {
    /// A transition that an edge told of. Regions that the topology does not know count as one, so that
    /// nobody can make labels without end.
    pub fn edge_transition(
        &self,
        transition: &crate::edges::Transition,
        regions: &[evenkeel_config::Region],
    ) {
        let region = match &transition.region {
            None => "all",
            Some(name) if regions.iter().any(|region| region.name == *name) => name,
            Some(_) => "unknown",
        };
        let labels = vec![
            ("region", region.to_owned()),
            ("kind", transition.kind.as_str().to_owned()),
            ("to", transition.to.as_str().to_owned()),
            ("cause", transition.cause.map_or("none", |cause| cause.as_str()).to_owned()),
        ];
        self.edge_transitions.get_or_create(&labels).inc();
    }
}

/// Everything, as Prometheus reads it.
///
/// # Errors
/// Never in practice: writing to memory does not fail.
pub fn written(world: &World) -> Result<String, std::fmt::Error> {
    let mut page = Page(Registry::default());
    own(world, &mut page);
    components(world, &mut page);
    edges(world, &mut page);
    alerts(world, &mut page);
    database::write(world, &mut page);
    if let Some(oracle) = &world.oracle {
        oracle::write(oracle, &mut page);
    }
    if let Some(dns) = &world.dns {
        dns::write(dns.counts(), &mut page);
    }
    page.text()
}

/// The same of a witness, which has votes alone.
///
/// # Errors
/// As [`written`].
pub fn of_witness(oracle: &Oracle, hash: &str) -> Result<String, std::fmt::Error> {
    let mut page = Page(Registry::default());
    identity(hash, &mut page);
    oracle::write(oracle, &mut page);
    page.text()
}

struct Page(Registry);

impl Page {
    fn gauges(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        self.family(name, help, None, samples);
    }

    fn seconds(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, f64)>) {
        self.family(name, help, Some(Unit::Seconds), samples);
    }

    fn family(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels).set(value);
        }
        match unit {
            Some(unit) => self.0.register_with_unit(name, help, unit, family),
            None => self.0.register(name, help, family),
        }
    }

    fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }

    /// One value without labels.
    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    /// The same; `name` without its `_total`.
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let counter: Counter = Counter::default();
        counter.inc_by(value);
        self.0.register(name, help, counter);
    }

    /// `name` without its `_total`.
    fn counters(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels, u64)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }
}

fn identity(hash: &str, page: &mut Page) {
    // Gauges rather than OpenMetrics' own type for this, which the older text form does not know.
    let info = |name: &'static str, value: &str| [(vec![(name, value.to_owned())], 1.0)];
    page.gauges("evenkeel_build_info", "The companion's version", info("version", env!("CARGO_PKG_VERSION")));
    page.gauges("evenkeel_config_info", "The configuration in force", info("hash", hash));
}

fn own(world: &World, page: &mut Page) {
    let counters = &world.counters;
    let config = world.config_status();
    identity(&config.hash, page);
    page.0.register(
        "evenkeel_config_reload_failures",
        "Topology files that were not taken",
        counters.reload_failures.clone(),
    );
    page.gauge(
        "evenkeel_config_in_force",
        "1 if the topology file as it is now is in force, else 0",
        f64::from(u8::from(config.error.is_none())),
    );
    page.seconds(
        "evenkeel_region_drain",
        "What remains of an operator's drain of this region",
        [(
            vec![("region", world.settings().region.clone())],
            seconds(world.orders.drain_remaining().map_or(0, |rest| rest.get())),
        )],
    );
    page.0.register("evenkeel_readiness_requests", "Readiness answers", counters.readiness.clone());
    page.0.register_with_unit(
        "evenkeel_readiness_duration",
        "How long a readiness answer took",
        Unit::Seconds,
        counters.readiness_seconds.clone(),
    );
    page.0.register(
        "evenkeel_edge_transitions",
        "Transitions that edges told of",
        counters.edge_transitions.clone(),
    );
    page.0.register("evenkeel_edge_posts", "Edges' posts of their state", counters.edge_posts.clone());
}

fn components(world: &World, page: &mut Page) {
    let readiness = world.board().known(world.seen().as_ref());
    let labels =
        |component: &str| vec![("region", readiness.region.clone()), ("component", component.to_owned())];
    let up = readiness.components.iter().filter(|(_, component)| component.status != Status::Unknown);
    page.gauges(
        "evenkeel_component_up",
        "1 if the component works, else 0",
        up.map(|(name, component)| (labels(name), f64::from(u8::from(component.status == Status::Up)))),
    );
    page.seconds(
        "evenkeel_component_check_duration",
        "How long the component's last check took",
        readiness
            .components
            .iter()
            .filter_map(|(name, component)| Some((labels(name), seconds(component.latency_ms?)))),
    );
    page.counters(
        "evenkeel_component_checks",
        "How often the component itself was asked",
        world.board().checks().into_iter().map(|(name, count)| (labels(name), count)),
    );
}

fn edges(world: &World, page: &mut Page) {
    let now = crate::clock::now();
    let edges = world.edges.all(now);
    page.gauges(
        "evenkeel_edge_heard",
        "1 if the edge posted its state within 15 s, else 0",
        edges
            .iter()
            .map(|edge| (vec![("edge", edge.state.edge.clone())], f64::from(u8::from(edge.in_force(now))))),
    );
    page.gauges(
        "evenkeel_edge_prober_lost",
        "1 if the edge has lost its prober, else 0",
        edges.iter().map(|edge| {
            (vec![("edge", edge.state.edge.clone())], f64::from(u8::from(edge.state.prober_lost)))
        }),
    );
    page.gauges(
        "evenkeel_edge_region_share",
        "Percent of its normal share that the region gets from the edge",
        edges.iter().filter(|edge| edge.in_force(now)).flat_map(|edge| {
            edge.state.regions.iter().map(|(region, state)| {
                (vec![("edge", edge.state.edge.clone()), ("region", region.clone())], f64::from(state.share))
            })
        }),
    );
    page.gauges(
        "evenkeel_companion_heard",
        "1 if the region's companion answers, else 0",
        world
            .peers
            .all()
            .into_iter()
            .map(|peer| (vec![("region", peer.region.clone())], f64::from(u8::from(!peer.silent())))),
    );
}

fn alerts(world: &World, page: &mut Page) {
    let counts = world.alerts.counts();
    let results = counts.iter().flat_map(|(name, counts)| {
        [("sent", counts.sent), ("failed", counts.failed), ("dropped", counts.dropped)]
            .map(|(result, count)| (vec![("webhook", name.clone()), ("result", result.to_owned())], count))
    });
    page.counters("evenkeel_alerts", "Alerts by what became of them", results);
    let active = world.alerts.active();
    page.gauges(
        "evenkeel_alerts_active",
        "What is wrong now, by kind",
        active.iter().map(|alert| {
            let count = active.iter().filter(|other| other.kind == alert.kind).count();
            (
                vec![
                    ("kind", alert.kind.as_str().to_owned()),
                    ("severity", alert.severity.as_str().to_owned()),
                ],
                count as f64,
            )
        }),
    );
}

fn seconds(ms: u64) -> f64 {
    seconds_of(ms as f64)
}

fn seconds_of(ms: f64) -> f64 {
    ms / 1000.0
}
