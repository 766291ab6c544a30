//! What is said of one decision: the facts, and a sentence for each question.

use super::RequestOptions;
use super::regions::{self, RegionAnswer, span};
use super::scene::Scene;
use evenkeel_policy::decision::{Decision, Hop, Request, decide};
use evenkeel_policy::geography::{Continent, Country};
use evenkeel_policy::overrides::Directive;
use evenkeel_policy::region::RegionId;
use evenkeel_policy::settings::AllUnhealthy;
use evenkeel_policy::topology::{StickyKey, Topology};
use evenkeel_policy::words::{Cause, Reason};
use serde::Serialize;

/// Everything said of one decision. With --json it is printed as it stands.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub request: Asked,
    pub decision: Decided,
    /// Where it goes, why, and what happens then, each in a sentence.
    pub goes_to: String,
    pub why: String,
    pub on_failure: String,
    /// Where such requests go over all draws, if not all to one region.
    pub spread: Vec<Part>,
    pub regions: Vec<RegionAnswer>,
    pub orders: Vec<String>,
    /// Which settings decide it.
    pub change: Vec<String>,
    pub state_from: String,
    pub unknown: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Asked {
    pub method: String,
    pub safe_to_repeat: bool,
    pub country: Option<String>,
    pub continent: Option<String>,
    pub key: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Decided {
    pub order: Vec<String>,
    pub reason: &'static str,
    pub from: Option<String>,
    pub cause: Option<&'static str>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Part {
    pub region: String,
    pub reason: &'static str,
    pub per_cent: f64,
}

/// Asks the rules, and puts their answer into words.
pub fn explain(scene: &Scene, asked: &RequestOptions) -> Explanation {
    let (topology, view) = (scene.engine.topology(), scene.engine.view());
    let method = asked.method.to_ascii_uppercase();
    let mut unknown = scene.unknown.clone();
    if asked.key.is_some() && topology.sticky == StickyKey::None {
        unknown.push("--key has no effect: routing.sticky.source is none".to_owned());
    }
    let request = Request {
        country: asked.country.as_ref().and_then(|code| Country::parse(code.as_bytes())),
        continent: asked.continent.as_ref().and_then(|code| Continent::parse(code.as_bytes())),
        key: asked
            .key
            .as_ref()
            .filter(|_| topology.sticky != StickyKey::None)
            .map(|key| topology.seed.digest(key.as_bytes())),
        safe: topology.is_safe(method.as_bytes()),
        hop: Hop::None,
    };
    let decision = decide(topology, view, &request, asked.random.unwrap_or(0.5));
    let name = |id: RegionId| topology.name(id).to_owned();
    Explanation {
        request: Asked {
            method: method.clone(),
            safe_to_repeat: request.safe,
            country: asked.country.clone(),
            continent: asked.continent.clone(),
            key: asked.key.clone(),
        },
        decision: Decided {
            order: decision.order.iter().map(|id| name(*id)).collect(),
            reason: decision.reason.as_str(),
            from: decision.from.map(name),
            cause: decision.cause.map(Cause::as_str),
        },
        goes_to: match decision.first() {
            Some(first) => format!("{method} goes to {}.", name(first)),
            None => format!("{method} is refused with 503."),
        },
        why: why(scene, &request, &decision),
        on_failure: on_failure(topology, &method, &request, &decision),
        spread: if asked.random.is_none() { spread(scene, &request) } else { Vec::new() },
        regions: regions::answers(scene),
        orders: orders(scene),
        change: change(&decision),
        state_from: scene.source.clone(),
        unknown,
    }
}

fn why(scene: &Scene, request: &Request, decision: &Decision) -> String {
    let topology = scene.engine.topology();
    let first = decision.first().map_or("no region", |id| topology.name(id));
    let from = decision.from.map_or("none", |id| topology.name(id));
    let claim = |id: RegionId| match request.country {
        Some(country) if topology.claims.country(country) == Some(id) => {
            format!("{} claims the country {}", topology.name(id), country.as_str())
        }
        _ => format!("{} claims the client's continent", topology.name(id)),
    };
    let ought = || match decision.from {
        Some(id) if topology.claims.region(request.country, request.continent) == Some(id) => claim(id),
        _ => format!("{from} should have it"),
    };
    let nobody = "no region is eligible";
    match decision.reason {
        Reason::Override => format!("an operator pinned all requests to {first}."),
        Reason::Geo => decision.first().map_or_else(String::new, |id| format!("{}.", claim(id))),
        Reason::Weighted => {
            let views = &scene.engine.view().regions;
            let total: u64 = views.iter().map(|region| region.drawn).sum();
            let part = decision.first().and_then(|id| views.get(id.index())).map_or(0, |region| region.drawn);
            let percent = 100.0 * part as f64 / total.max(1) as f64;
            format!(
                "no region claims the client, and the draw by weight gave {first}: its part is {percent:.1} % now."
            )
        }
        Reason::Latency => format!("{first} answers probes fastest, and no other is 20 % and 10 ms better."),
        Reason::Local => format!("{first} is this edge's own region."),
        Reason::Sticky => format!("the key belongs to {first}, and keeps it while {first} is eligible."),
        Reason::Failover => format!("{}, but {}.", ought(), because(decision.cause)),
        Reason::Trial => format!(
            "{first} is recovering: its breaker is half-open, and this is one of the few calls that test it. \
             Only requests that are safe to repeat are."
        ),
        Reason::Degraded => match (topology.all_unhealthy, topology.local) {
            (AllUnhealthy::Local, Some(_)) => {
                format!("{nobody}, and all_unhealthy is local: this edge's own region gets it all the same.")
            }
            _ => format!("{nobody}: the weights alone decide."),
        },
        Reason::Rejected => format!("{nobody}, and all_unhealthy is reject."),
        Reason::Hop => "another edge decided already.".to_owned(),
    }
}

fn because(cause: Option<Cause>) -> &'static str {
    match cause {
        Some(Cause::Unhealthy) => "its probes fail or failed a short while ago",
        Some(Cause::Stale) => "its last probe is too old",
        Some(Cause::BreakerOpen) => "live calls to it failed, and it is not back yet",
        Some(Cause::Ramp) => "it is coming back, and this request is not among those admitted yet",
        Some(Cause::Drain) => "it is or was drained",
        Some(Cause::Pin) => "another region is pinned",
        Some(Cause::NoCluster) => "Envoy has no such cluster",
        None => "it is not eligible",
    }
}

fn on_failure(topology: &Topology, method: &str, request: &Request, decision: &Decision) -> String {
    let (first, next) = match decision.order.as_slice() {
        [] => return "nothing is tried.".to_owned(),
        [first] => {
            return format!("{} is the only one to try: its answer is the client's.", topology.name(*first));
        }
        [first, next, ..] => (topology.name(*first), topology.name(*next)),
    };
    if request.safe {
        format!(
            "if {first} cannot be reached, resets, times out or answers 5xx, the same request goes to {next}, \
             once; the client sees only {next}'s answer."
        )
    } else {
        format!(
            "only if {first} cannot be reached, so that nothing was sent, it goes to {next}. A {method} that \
             may have been processed is never sent twice: any other failure reaches the client."
        )
    }
}

/// Where such requests go, by trying a thousand draws in even steps.
fn spread(scene: &Scene, request: &Request) -> Vec<Part> {
    const DRAWS: u32 = 1000;
    if request.key.is_some() {
        return Vec::new();
    }
    let (topology, view) = (scene.engine.topology(), scene.engine.view());
    let mut parts: Vec<Part> = Vec::new();
    for draw in 0..DRAWS {
        let decision = decide(topology, view, request, (f64::from(draw) + 0.5) / f64::from(DRAWS));
        let region = decision.first().map_or("refused", |id| topology.name(id));
        let reason = decision.reason.as_str();
        match parts.iter_mut().find(|part| part.region == region && part.reason == reason) {
            Some(part) => part.per_cent += 1.0,
            None => parts.push(Part { region: region.to_owned(), reason, per_cent: 1.0 }),
        }
    }
    if parts.len() < 2 {
        return Vec::new();
    }
    for part in &mut parts {
        part.per_cent *= 100.0 / f64::from(DRAWS);
    }
    parts.sort_by(|a, b| b.per_cent.total_cmp(&a.per_cent));
    parts
}

fn orders(scene: &Scene) -> Vec<String> {
    let (topology, now) = (scene.engine.topology(), scene.now);
    let mut said = Vec::new();
    for order in scene.engine.orders(now) {
        let left = span(order.until.since(now));
        said.push(match order.order {
            Directive::Drain { region, .. } if scene.engine.state().frozen => {
                format!("drain {} (waits for the freeze to end), for another {left}", topology.name(region))
            }
            Directive::Drain { region, .. } => {
                let refused = scene
                    .engine
                    .state()
                    .regions
                    .get(region.index())
                    .is_some_and(|known| known.drain == evenkeel_policy::state::Drain::Refused);
                let note = if refused { " (ignored: nothing would be left)" } else { "" };
                format!("drain {}{note}, for another {left}", topology.name(region))
            }
            Directive::Pin { region } => format!("pin {}, for another {left}", topology.name(region)),
            Directive::Freeze => {
                format!("freeze: eligibility and shares stay as they are, for another {left}")
            }
        });
    }
    said
}

/// The settings that decide it.
fn change(decision: &Decision) -> Vec<String> {
    let mut settings = Vec::new();
    match decision.reason {
        Reason::Override => settings.push("overrides (the pin), or wait for its end"),
        Reason::Geo => settings.push("regions[].countries and regions[].continents"),
        Reason::Weighted => settings.push("regions[].weight, routing.default"),
        Reason::Latency => settings.push("routing.policy, routing.default"),
        Reason::Local => settings.push("local_region, routing.policy"),
        Reason::Sticky => settings.push("routing.sticky, regions[].weight"),
        Reason::Trial => settings.push("circuit_breaker.permitted_number_of_calls_in_half_open_state"),
        Reason::Degraded | Reason::Rejected => settings.push("all_unhealthy"),
        Reason::Failover | Reason::Hop => {}
    }
    match decision.cause {
        Some(Cause::Unhealthy) => {
            settings.push("health_check (thresholds, max_latency); failback.hold for the time after");
        }
        Some(Cause::Stale) => settings.push("health_check.max_age; and see why no probe completes"),
        Some(Cause::BreakerOpen) => settings.push("circuit_breaker (thresholds, wait); failback.hold"),
        Some(Cause::Ramp) => settings.push("failback.ramp, failback.max_error_rate"),
        Some(Cause::Drain) => settings.push("overrides (the drain), or wait for its end; failback.hold"),
        Some(Cause::Pin) => settings.push("overrides (the pin), or wait for its end"),
        Some(Cause::NoCluster) => settings.push("regions[].cluster and health.cluster, or Envoy's clusters"),
        None => {}
    }
    settings.into_iter().map(str::to_owned).collect()
}
