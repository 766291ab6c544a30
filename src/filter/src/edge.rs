//! One VM's part of the edge: its copy of the rules' state, and what it does at each tick.

use crate::host::{Answer, Host, Token, Version};
use crate::metrics::Metrics;
use crate::prober::Prober;
use crate::random::Draws;
use crate::report::Reporter;
use evenkeel_policy::engine::{Attempt, Engine};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::topology::Topology;

/// Time between ticks. What one worker learns is written within one tick and read within the next,
/// so all know within 100 ms.
pub const TICK: Millis = Millis::new(50);

/// One VM's part of the edge.
#[derive(Debug)]
pub struct Edge<H> {
    pub(crate) host: H,
    pub(crate) engine: Engine,
    pub(crate) metrics: Metrics,
    pub(crate) draws: Draws,
    /// The time of the last tick.
    ticked: Time,
    /// Which configuration this is; a request that began under another one must not be mistaken.
    pub(crate) configuration: u32,
    /// The version of the shared state that `engine` holds.
    pub(crate) version: Option<Version>,
    /// Outcomes that the shared state has not seen yet.
    pub(crate) unsaid: Vec<Attempt>,
    pub(crate) prober: Prober,
    pub(crate) reporter: Reporter,
}

impl<H: Host> Edge<H> {
    /// Begins with this configuration. Takes up the state that other VMs, or an earlier life of this
    /// one, left in the process.
    ///
    /// # Errors
    /// What is wrong with the configuration, field by field.
    pub fn new(host: H, configuration: &[u8]) -> Result<Self, ConfigErrors> {
        let topology = Topology::from_json(configuration)?;
        let now = host.now();
        let mut draws = Draws::from_host();
        let metrics = Metrics::new(&host, &topology);
        let prober = Prober::new(draws.bits(), &topology);
        let reporter = Reporter::new(&host, &topology);
        let engine = Engine::new(topology, now);
        let mut edge = Edge {
            host,
            engine,
            metrics,
            draws,
            ticked: now,
            configuration: 0,
            version: None,
            unsaid: Vec::new(),
            prober,
            reporter,
        };
        edge.begin(now);
        Ok(edge)
    }

    /// Takes up another configuration and keeps what is known of the regions that stay. On an error
    /// the old one stays in force.
    ///
    /// # Errors
    /// What is wrong with the configuration, field by field.
    pub fn reconfigure(&mut self, configuration: &[u8]) -> Result<(), ConfigErrors> {
        let topology = Topology::from_json(configuration)?;
        let now = self.host.now();
        self.say_everything();
        self.metrics.tell(&self.host);
        if topology.hash != self.engine.topology().hash {
            Metrics::retire(&self.host, self.engine.topology());
        }
        self.metrics = Metrics::new(&self.host, &topology);
        self.prober.under(&topology);
        self.reporter = Reporter::new(&self.host, &topology);
        self.engine.reconfigure(topology, now);
        self.configuration = self.configuration.wrapping_add(1);
        self.version = None;
        self.begin(now);
        Ok(())
    }

    /// The rules' state as this VM knows it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The process around this VM.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Whether this VM is the one that probes.
    pub fn is_prober(&self) -> bool {
        self.prober.leads()
    }

    /// Called every [`TICK`].
    pub fn on_tick(&mut self) {
        let now = self.host.now();
        self.ticked = now;
        self.metrics.tell(&self.host);
        if !self.engine.topology().overrides.is_empty() {
            // Anew each time: the wall clock may be set while an order is in force.
            self.engine.order_from_configuration(now, self.host.unix_now());
        }
        self.pull(now);
        if self.unsaid.is_empty() {
            self.pass_time(now);
        } else {
            self.say_everything();
        }
        self.lead(now);
        if self.is_prober() {
            self.probe_what_is_due(now);
            self.metrics.show(&self.host, &self.engine);
            self.report_if_due(now);
        }
    }

    /// The answer to a call, or that there will be none.
    pub fn on_answer(&mut self, token: Token, answer: &Answer) {
        let now = self.host.now();
        if self.reporter.on_answer(token, answer) {
            return;
        }
        self.on_probe_answer(now, token, answer);
    }

    /// The time as well as a request needs it: that of the last tick, unless calls count as slow so
    /// soon that a tick matters.
    pub(crate) fn about_now(&self) -> Time {
        const COARSE: Millis = Millis::from_secs(2);
        if self.engine.topology().circuit_breaker.slow_call_duration_threshold >= COARSE {
            self.ticked
        } else {
            self.host.now()
        }
    }

    fn begin(&mut self, now: Time) {
        self.engine.order_from_configuration(now, self.host.unix_now());
        self.pull(now);
        self.leave_a_state(now);
        self.prepare_lease();
    }
}
