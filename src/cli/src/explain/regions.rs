//! Each region's standing, and when it is back.

use super::scene::Scene;
use evenkeel_policy::breaker;
use evenkeel_policy::region::RegionId;
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::words::{Cause, Phase};
use serde::Serialize;

/// What is said of one region.
#[derive(Debug, Serialize)]
pub struct RegionAnswer {
    pub region: String,
    pub healthy: bool,
    pub breaker: &'static str,
    pub share: u8,
    pub standing: &'static str,
    pub cause: Option<&'static str>,
    /// What that means, and what comes next.
    pub says: String,
}

/// One answer for each region, in configuration order.
pub fn answers(scene: &Scene) -> Vec<RegionAnswer> {
    let (engine, topology) = (&scene.engine, scene.engine.topology());
    let known = topology.ids().zip(&engine.state().regions);
    known
        .map(|(id, state)| RegionAnswer {
            region: topology.name(id).to_owned(),
            healthy: state.health.is_healthy(),
            breaker: state.breaker.state().as_str(),
            share: engine.view().share(id),
            standing: state.standing.phase().as_str(),
            cause: state.standing.cause().map(Cause::as_str),
            says: says(scene, id),
        })
        .collect()
}

fn says(scene: &Scene, id: RegionId) -> String {
    let (engine, topology, now) = (&scene.engine, scene.engine.topology(), scene.now);
    let Some(region) = engine.state().regions.get(id.index()) else { return String::new() };
    let (health, breaker, failback) = (&topology.health_check, &topology.circuit_breaker, &topology.failback);
    let leans = topology.ids().any(|other| other != id && engine.view().share(other) == 100);
    let back = if leans {
        format!("then {} of hold and {} of ramp", failback.hold, failback.ramp)
    } else {
        "then at once with all of its share, since no other region has all of its own".to_owned()
    };
    let half_open = region.breaker.state() == breaker::State::HalfOpen;
    let frozen =
        if engine.state().frozen { "; frozen: nothing of this moves before the freeze ends" } else { "" };
    let words = match region.standing.phase() {
        Phase::Full if !region.health.is_healthy() || region.breaker.state() != breaker::State::Closed => {
            "not well, but it keeps its share".to_owned()
        }
        Phase::Full => "has all of its share".to_owned(),
        Phase::Ramp => format!(
            "is ramping up: it takes {} % of its share now, all of it {}; more than {} % of failed calls halve \
             the share",
            engine.view().share(id),
            when(scene, region.standing.next_step(failback, now), failback.ramp),
            failback.max_error_rate
        ),
        Phase::Hold if half_open => format!(
            "is being tested by trials: when {} of them have ended and fewer than {} % failed, its breaker \
             closes. {}",
            breaker.minimum_number_of_calls.min(breaker.permitted_number_of_calls_in_half_open_state),
            breaker.failure_rate_threshold,
            if leans {
                format!(
                    "Its ramp of {} begins then, but not before its hold ends {}",
                    failback.ramp,
                    when(scene, region.standing.next_step(failback, now), failback.hold)
                )
            } else {
                "Then it has all of its share, since no other region has all of its own".to_owned()
            }
        ),
        Phase::Hold if !scene.times_known => format!(
            "gets nothing yet: it is held after its trouble (failback.hold, at most {}) or drained",
            failback.hold
        ),
        Phase::Hold => format!(
            "is well again and held: its ramp begins {}, and lasts {}",
            when(scene, region.standing.next_step(failback, now), failback.hold),
            failback.ramp
        ),
        _ => match region.standing.cause() {
            Some(Cause::BreakerOpen) => format!(
                "gets nothing: live calls to it failed. Trials begin {}, {back}",
                when(scene, region.breaker.trials_begin(breaker), breaker.wait_duration_in_open_state)
            ),
            Some(Cause::Stale) => format!(
                "gets nothing: no probe of it completed for {}. Back after {} good probes in a row, {back}",
                health.max_age, health.healthy_threshold
            ),
            Some(Cause::Drain) => match drained_until(scene, id) {
                Some(until) => {
                    format!("gets nothing: it is drained for another {}, {back}", span(until.since(now)))
                }
                None => format!("gets nothing: it is drained, {back}"),
            },
            Some(Cause::NoCluster) => format!(
                "gets nothing: Envoy has no cluster {:?} to probe it by",
                topology.region(id).map_or("", |region| region.health_cluster.as_str())
            ),
            _ => format!(
                "gets nothing: its probes fail. Back after {} good probes in a row, {back}",
                health.healthy_threshold
            ),
        },
    };
    format!("{words}{frozen}")
}

fn drained_until(scene: &Scene, id: RegionId) -> Option<Time> {
    use evenkeel_policy::overrides::Directive;
    let drains = |order: &Directive| matches!(order, Directive::Drain { region, .. } if *region == id);
    scene.engine.orders(scene.now).filter(|order| drains(&order.order)).map(|order| order.until).max()
}

fn when(scene: &Scene, at: Option<Time>, longest: Millis) -> String {
    match at {
        _ if !scene.times_known => format!("within {longest}"),
        Some(at) => format!("in {}", span(at.since(scene.now))),
        None => format!("within {longest}, counted from the end of the freeze"),
    }
}

/// A span to the second: nobody on call wants milliseconds.
pub fn span(span: Millis) -> String {
    let whole = Millis::from_secs(span.get().div_ceil(1000));
    whole.to_string()
}
