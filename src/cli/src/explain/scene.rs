//! The regions as they are, or are supposed to be, when the request comes.

use super::{Options, Suppose, edge};
use crate::replay::{self, Stop};
use anyhow::{Context, anyhow};
use evenkeel_policy::breaker;
use evenkeel_policy::engine::Engine;
use evenkeel_policy::overrides::{Directive, Override};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::replay::Replay;
use evenkeel_policy::supposed::Supposed;
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::topology::Topology;
use evenkeel_policy::words::Cause;
use std::io;

/// The regions when the request comes.
pub struct Scene {
    pub engine: Engine,
    pub now: Time,
    /// Where their state comes from.
    pub source: String,
    /// Whether the standings' times are known, or only their length.
    pub times_known: bool,
    /// What the source does not tell, and what does not fit.
    pub unknown: Vec<String>,
}

/// How long an order lasts that was only supposed.
const SUPPOSED_TTL: Millis = Millis::from_secs(600);

/// Sets the scene. The inner error: the events are wrong.
pub fn set(topology: Topology, options: &Options) -> anyhow::Result<Result<Scene, String>> {
    let unix_now = options.at.unwrap_or_else(replay::unix_now);
    let mut scene = if let Some(events) = &options.state_from {
        let mut lines = replay::open(events)?;
        let mut replay = Replay::new(topology, unix_now);
        match replay::play(&mut replay, &mut lines, &mut io::sink()) {
            Ok(()) => {}
            Err(Stop::Wrong(error)) => return Ok(Err(format!("{}: {error}", events.display()))),
            Err(Stop::Input(error) | Stop::Output(error)) => {
                return Err(error).with_context(|| format!("{} cannot be read", events.display()));
            }
        }
        Scene {
            source: format!("{} up to {} ms", events.display(), replay.now().as_millis()),
            now: replay.now(),
            engine: replay.engine().clone(),
            times_known: true,
            unknown: Vec::new(),
        }
    } else {
        let mut engine = Engine::new(topology, Time::ZERO);
        engine.order_from_configuration(Time::ZERO, unix_now);
        let mut scene = Scene {
            engine,
            now: Time::ZERO,
            source: "supposed: all regions well, but for what was said".to_owned(),
            times_known: options.envoy_admin.is_none(),
            unknown: Vec::new(),
        };
        match &options.envoy_admin {
            Some(url) => scene.look_at(url, edge::ask(url)?),
            None => scene.engine.tick(Time::ZERO),
        }
        scene
    };
    scene.suppose(&options.suppose)?;
    Ok(Ok(scene))
}

impl Scene {
    /// Takes over what a live edge shows. Time does not pass over it: the edge did that already.
    fn look_at(&mut self, url: &str, page: evenkeel_chaos::watch::gauges::Page) {
        self.source = format!("{url}, read now");
        let topology = self.engine.topology();
        let mut state = self.engine.state().clone();
        for id in topology.ids() {
            let name = topology.name(id);
            let shown = page.regions.get(name).copied().unwrap_or_default();
            if shown.healthy.is_none() || shown.share.is_none() || shown.breaker.is_none() {
                self.unknown
                    .push(format!("{name}: the edge does not show all of its state; it is taken as well"));
            }
            let supposed = Supposed {
                unhealthy: (shown.healthy == Some(false)).then_some(Cause::Unhealthy),
                breaker: shown.breaker.unwrap_or_default(),
                share: shown.share.unwrap_or(100),
            };
            state.suppose(id, supposed, self.now);
        }
        state.prober_lost = page.prober_lost;
        if page.hash.as_ref().is_some_and(|hash| *hash != topology.hash) {
            self.unknown.push(format!(
                "the edge runs another configuration ({}) than this file ({}): what it says may not hold there",
                page.hash.as_deref().unwrap_or("-"),
                topology.hash
            ));
        }
        if page.prober_lost {
            self.unknown
                .push("the edge's prober is lost: health is what it was when probing stopped".to_owned());
        }
        for text in [
            "why probes fail (an answer, no answer, or none for too long), and how many more are needed",
            "how much of a hold, a ramp or an open breaker's wait has passed",
            "drains that a region's own readiness answer asks for, and freezes: a share of 0 or one that \
             stands still may be theirs",
            "how many trials of a half-open region are under way",
        ] {
            self.unknown.push(text.to_owned());
        }
        let by_latency = topology.policy == evenkeel_policy::settings::RoutingPolicy::Latency
            || topology.default == evenkeel_policy::settings::DefaultPolicy::Latency;
        if by_latency {
            self.unknown.push("which region is nearest: the local one is taken".to_owned());
        }
        self.engine.adopt(state, self.now);
    }

    fn suppose(&mut self, suppose: &Suppose) -> anyhow::Result<()> {
        let mut state = self.engine.state().clone();
        let well = Supposed { unhealthy: None, breaker: breaker::State::Closed, share: 0 };
        let cases = [
            (&suppose.down, Supposed { unhealthy: Some(Cause::Unhealthy), ..well }),
            (&suppose.breaker_open, Supposed { breaker: breaker::State::Open, ..well }),
            (&suppose.half_open, Supposed { breaker: breaker::State::HalfOpen, ..well }),
        ];
        for (names, supposed) in cases {
            for name in names {
                state.suppose(self.region(name)?, supposed, self.now);
            }
        }
        for (name, share) in &suppose.share {
            state.suppose(self.region(name)?, Supposed { share: *share, ..well }, self.now);
        }
        let mut orders = Vec::new();
        for name in &suppose.drain {
            orders.push(Directive::Drain { region: self.region(name)?, force: false });
        }
        if let Some(name) = &suppose.pin {
            orders.push(Directive::Pin { region: self.region(name)? });
        }
        if suppose.freeze {
            orders.push(Directive::Freeze);
        }
        if state == *self.engine.state() && orders.is_empty() {
            return Ok(());
        }
        // A freeze holds what was supposed, so it must come after it.
        self.engine.adopt(state, self.now);
        self.engine.tick(self.now);
        for order in orders {
            self.engine.order(Override { order, until: self.now.plus(SUPPOSED_TTL) });
        }
        self.engine.tick(self.now);
        Ok(())
    }

    fn region(&self, name: &str) -> anyhow::Result<RegionId> {
        let topology = self.engine.topology();
        topology.region_id(name).ok_or_else(|| {
            let names: Vec<&str> = topology.regions.iter().map(|region| region.name.as_str()).collect();
            anyhow!("{name:?}: no region has this name: use one of {}", names.join(", "))
        })
    }
}
