//! Recorded or invented events, in virtual time, through the very rules that run in production.
//!
//! One JSON event a line in, one JSON line out. Time begins at 0.

use crate::breaker::Permit;
use crate::decision::{Hop, Request};
use crate::engine::{Attempt, Engine};
use crate::geography::{Continent, Country};
use crate::health::{Probe, ProbeResult};
use crate::overrides::{Directive, Override};
use crate::region::{Order, RegionId, RegionSet};
use crate::state::Transition;
use crate::time::{Millis, Time};
use crate::topology::Topology;
use crate::words::Outcome;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::HashMap;

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    engine: Engine,
    now: u64,
    line: usize,
    calls: HashMap<u64, OpenCall>,
}

/// Why a line was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ReplayError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, with the value and what would be right.
    pub problem: String,
}

/// A request that may still report.
#[derive(Debug)]
struct OpenCall {
    order: Order,
    permit: Option<Permit>,
    reported: RegionSet,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    at_ms: u64,
    probe: Option<ProbeEvent>,
    request: Option<RequestEvent>,
    outcome: Option<OutcomeEvent>,
    #[serde(rename = "override")]
    order: Option<OverrideEvent>,
    tick: Option<TickEvent>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TickEvent {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeEvent {
    region: String,
    ok: bool,
    #[serde(default)]
    latency_ms: u64,
    /// What remains of a drain that the readiness answer announced.
    drain: Option<Millis>,
    #[serde(default)]
    no_cluster: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestEvent {
    id: u64,
    country: Option<String>,
    continent: Option<String>,
    key: Option<String>,
    #[serde(default)]
    random: f64,
    method: Option<String>,
    hop: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OutcomeEvent {
    id: u64,
    region: Option<String>,
    ok: Option<bool>,
    #[serde(default)]
    duration_ms: u64,
    #[serde(default)]
    ignored: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideEvent {
    drain: Option<String>,
    pin: Option<String>,
    #[serde(default)]
    freeze: bool,
    ttl: Millis,
    #[serde(default)]
    force: bool,
}

impl Replay {
    /// A replay of this topology. `start_unix_ms` is what the wall clock shows at 0: it matters only
    /// to the configuration's own overrides.
    pub fn new(topology: Topology, start_unix_ms: u64) -> Self {
        let mut engine = Engine::new(topology, Time::ZERO);
        engine.order_from_configuration(Time::ZERO, start_unix_ms);
        engine.tick(Time::ZERO);
        Replay { engine, now: 0, line: 0, calls: HashMap::new() }
    }

    /// The last event's time.
    pub fn now(&self) -> Time {
        Time::from_millis(self.now)
    }

    /// The rules' state after the last event.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Plays one line. None for a blank one.
    ///
    /// # Errors
    /// What is wrong with the line, by its number. The replay stays as it was before the line.
    pub fn line(&mut self, text: &str) -> Result<Option<String>, ReplayError> {
        self.line += 1;
        if text.trim().is_empty() {
            return Ok(None);
        }
        let event: Event = serde_json::from_str(text).map_err(|error| {
            // The reader sees one line only, so its "line 1" would contradict the number before it.
            let message = error.to_string();
            let problem = message.split(" at line ").next().unwrap_or(&message);
            self.wrong(format!("column {}: {problem}", error.column()))
        })?;
        self.play(event).map(Some).map_err(|problem| self.wrong(problem))
    }

    /// The same for a line as it stands in a file, with or without its end.
    ///
    /// # Errors
    /// As [`Replay::line`]; also if it is not UTF-8.
    pub fn raw_line(&mut self, bytes: &[u8]) -> Result<Option<String>, ReplayError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.line(text),
            Err(error) => {
                self.line += 1;
                let column = error.valid_up_to().saturating_add(1);
                Err(self.wrong(format!("column {column}: is not UTF-8: save the events as UTF-8")))
            }
        }
    }

    fn wrong(&self, problem: String) -> ReplayError {
        ReplayError { line: self.line, problem }
    }

    fn play(&mut self, event: Event) -> Result<String, String> {
        let Event { at_ms, probe, request, outcome, order, tick } = event;
        if at_ms < self.now {
            return Err(format!("at_ms: {at_ms}: time must not go back: use {} or more", self.now));
        }
        let kinds = [probe.is_some(), request.is_some(), outcome.is_some(), order.is_some(), tick.is_some()];
        if kinds.iter().filter(|present| **present).count() != 1 {
            return Err("give exactly one of probe, request, outcome, override and tick".to_owned());
        }
        // Everything is checked before anything changes.
        let step = self.understand(probe, request, outcome, order)?;
        self.now = at_ms;
        let now = Time::from_millis(at_ms);
        self.engine.tick(now);
        let decision = self.take(step, now);
        let changes = self.engine.take_changes();
        let line = Line { at_ms, replay: self, decision, changes: &changes };
        serde_json::to_string(&line).map_err(|error| error.to_string())
    }

    fn take(&mut self, step: Step, now: Time) -> Option<crate::decision::Decision> {
        match step {
            Step::Tick => None,
            Step::Probe(region, probe) => {
                self.engine.on_probe(now, region, &probe);
                None
            }
            Step::Order(order, ttl) => {
                self.engine.order(Override { order, until: now.plus(ttl) });
                self.engine.tick(now);
                None
            }
            Step::Request(id, request, random) => {
                let (decision, permit) = self.engine.route(now, &request, random);
                let call = OpenCall { order: decision.order.clone(), permit, reported: RegionSet::EMPTY };
                self.calls.insert(id, call);
                Some(decision)
            }
            Step::Outcome(id, attempt) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.reported.insert(attempt.region);
                }
                self.engine.report(now, &attempt);
                self.engine.tick(now);
                None
            }
        }
    }

    fn understand(
        &self,
        probe: Option<ProbeEvent>,
        request: Option<RequestEvent>,
        outcome: Option<OutcomeEvent>,
        order: Option<OverrideEvent>,
    ) -> Result<Step, String> {
        if let Some(probe) = probe {
            let region = self.region("probe.region", &probe.region)?;
            let result = match (probe.ok, probe.no_cluster) {
                (true, false) => ProbeResult::Ok,
                (false, false) => ProbeResult::Failed,
                (false, true) => ProbeResult::NoCluster,
                (true, true) => {
                    return Err(
                        "probe.no_cluster: true: a good probe had a cluster: leave one out".to_owned()
                    );
                }
            };
            let latency = Millis::new(probe.latency_ms);
            return Ok(Step::Probe(region, Probe { result, latency, drain: probe.drain }));
        }
        if let Some(request) = request {
            return self.understand_request(request);
        }
        if let Some(outcome) = outcome {
            return self.understand_outcome(outcome);
        }
        let Some(order) = order else { return Ok(Step::Tick) };
        let directive = match (&order.drain, &order.pin, order.freeze) {
            (Some(name), None, false) => {
                Directive::Drain { region: self.region("override.drain", name)?, force: order.force }
            }
            (None, Some(name), false) => Directive::Pin { region: self.region("override.pin", name)? },
            (None, None, true) => Directive::Freeze,
            _ => {
                return Err(
                    "override: say exactly one of drain: REGION, pin: REGION and freeze: true".to_owned()
                );
            }
        };
        if order.ttl == Millis::ZERO {
            return Err(format!("override.ttl: {}: use a duration above zero", order.ttl));
        }
        Ok(Step::Order(directive, order.ttl))
    }

    fn understand_request(&self, request: RequestEvent) -> Result<Step, String> {
        let RequestEvent { id, country, continent, key, random, method, hop } = request;
        if self.calls.get(&id).is_some_and(|call| call.reported.is_empty() && !call.order.is_empty()) {
            return Err(format!("request.id: {id}: is still open: report its outcome or use another id"));
        }
        if !(0.0..1.0).contains(&random) {
            return Err(format!("request.random: {random}: use a number from 0 up to but not including 1"));
        }
        let topology = self.engine.topology();
        let hop = match hop {
            None => Hop::None,
            Some(name) => match (self.region("request.hop", &name)?, topology.local) {
                (region, Some(local)) if region == local => Hop::Here,
                _ => Hop::Elsewhere,
            },
        };
        let method = method.unwrap_or_else(|| "GET".to_owned());
        let request = Request {
            country: country.and_then(|code| Country::parse(code.as_bytes())),
            continent: continent.and_then(|code| Continent::parse(code.as_bytes())),
            key: key
                .filter(|_| topology.sticky != crate::topology::StickyKey::None)
                .map(|key| topology.seed.digest(key.as_bytes())),
            safe: topology.is_safe(method.as_bytes()),
            hop,
        };
        Ok(Step::Request(id, request, random))
    }

    fn understand_outcome(&self, outcome: OutcomeEvent) -> Result<Step, String> {
        let OutcomeEvent { id, region, ok, duration_ms, ignored } = outcome;
        let Some(call) = self.calls.get(&id) else {
            return Err(format!("outcome.id: {id}: no request has this id: send the request first"));
        };
        let Some(first) = call.order.first().copied() else {
            return Err(format!("outcome.id: {id}: the request was refused, so nothing can come of it"));
        };
        let region = region.map_or(Ok(first), |name| self.region("outcome.region", &name))?;
        // A permit comes back at most once, so giving it back after the result changes nothing.
        if call.reported.contains(region) && !ignored {
            let name = self.engine.topology().name(region);
            return Err(format!("outcome.id: {id}: has its outcome for \"{name}\" already"));
        }
        let outcome = match (ok, ignored) {
            (None | Some(_), true) => Outcome::Ignored,
            (Some(true), false) => Outcome::Ok,
            (Some(false), false) => Outcome::Error,
            (None, false) => {
                return Err(format!("outcome.id: {id}: say ok: true, ok: false or ignored: true"));
            }
        };
        let permit = call.permit.filter(|_| region == first);
        Ok(Step::Outcome(id, Attempt { region, permit, outcome, duration: Millis::new(duration_ms) }))
    }

    fn region(&self, field: &str, name: &str) -> Result<RegionId, String> {
        let topology = self.engine.topology();
        topology.region_id(name).ok_or_else(|| {
            let names: Vec<&str> = topology.regions.iter().map(|region| region.name.as_str()).collect();
            format!("{field}: {name:?}: no region has this name: use one of {}", names.join(", "))
        })
    }
}

enum Step {
    Tick,
    Probe(RegionId, Probe),
    Request(u64, Request, f64),
    Outcome(u64, Attempt),
    Order(Directive, Millis),
}

struct Line<'a> {
    at_ms: u64,
    replay: &'a Replay,
    decision: Option<crate::decision::Decision>,
    changes: &'a [Transition],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let engine = &self.replay.engine;
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("at_ms", &self.at_ms)?;
        line.serialize_entry("regions", &Regions(engine))?;
        if let Some(decision) = &self.decision {
            line.serialize_entry("decision", &DecisionLine { engine, decision })?;
        }
        line.serialize_entry("transitions", &Transitions { engine, changes: self.changes })?;
        line.end()
    }
}

/// Every region's health, breaker and share, as `replay` and the edge's report show them.
pub struct Regions<'a>(pub &'a Engine);

impl Serialize for Regions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            healthy: bool,
            breaker: &'static str,
            share: u8,
        }
        let mut map = serializer.serialize_map(Some(self.0.topology().regions.len()))?;
        for ((region, known), view) in
            self.0.topology().regions.iter().zip(&self.0.state().regions).zip(&self.0.view().regions)
        {
            let shown = Shown {
                healthy: known.health.is_healthy(),
                breaker: known.breaker.state().as_str(),
                share: view.share,
            };
            map.serialize_entry(region.name.as_str(), &shown)?;
        }
        map.end()
    }
}

struct DecisionLine<'a> {
    engine: &'a Engine,
    decision: &'a crate::decision::Decision,
}

impl Serialize for DecisionLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let topology = self.engine.topology();
        let order: Vec<&str> = self.decision.order.iter().map(|id| topology.name(*id)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("order", &order)?;
        map.serialize_entry("reason", self.decision.reason.as_str())?;
        if let Some(from) = self.decision.from {
            map.serialize_entry("from", topology.name(from))?;
        }
        if let Some(cause) = self.decision.cause {
            map.serialize_entry("cause", cause.as_str())?;
        }
        map.end()
    }
}

/// Transitions in the contract's form.
pub struct Transitions<'a> {
    /// Whose regions they speak of.
    pub engine: &'a Engine,
    /// The transitions, oldest first.
    pub changes: &'a [Transition],
}

impl Serialize for Transitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            region: Option<&'a str>,
            kind: &'static str,
            from: &'static str,
            to: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            cause: Option<&'static str>,
        }
        let mut list = serializer.serialize_seq(Some(self.changes.len()))?;
        for change in self.changes {
            list.serialize_element(&Shown {
                region: change.region().map(|id| self.engine.topology().name(id)),
                kind: change.kind.as_str(),
                from: change.from.as_str(),
                to: change.to.as_str(),
                cause: change.cause.map(|cause| cause.as_str()),
            })?;
        }
        list.end()
    }
}
