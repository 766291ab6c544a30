//! A region's evacuation for practice: an experiment without a fault, on a platform that lives.
//!
//! It owns what a drill is and when a region counts as evacuated. It must never know how one is run.

use crate::experiment::{
    ActionProvider, Criteria, Experiment, Fault, Hypothesis, Kind, Load, Look, Pauses, Probe, ProbeProvider,
    Selection, Step, StopCondition,
};
use crate::journal::{Journal, Ms};
use crate::target::Target;
use evenkeel_policy::error::FieldError;
use evenkeel_policy::time::Millis;

/// The operator's order outlives the drill by so much: it ends by itself if nobody is left to end it.
const SPARE: Millis = Millis::from_secs(30);

/// A region without an answer of its own for so long before the drill's end is evacuated.
const QUIET: Ms = 5_000.0;

/// The drill of a region: its traffic goes elsewhere for so long.
///
/// # Errors
/// If the region is unknown, has no companion, or is the only one.
pub fn experiment(target: &Target, region: &str, span: Millis, rate: u32) -> Result<Experiment, FieldError> {
    let wrong =
        |remedy: String| FieldError { field: "region".to_owned(), value: format!("{region:?}"), remedy };
    let regions = target.regions();
    if !regions.contains(&region) {
        return Err(wrong(format!("use {}", regions.join(", "))));
    }
    if regions.len() < 2 {
        return Err(wrong("is the only region: its traffic has nowhere to go".to_owned()));
    }
    if !target.companions.iter().any(|place| place.region == region) {
        return Err(wrong(format!(
            "the target {} names no companion of it, which would drain it",
            target.name
        )));
    }
    let look = |name: &str, look: Look| Probe {
        name: name.to_owned(),
        provider: ProbeProvider::Evenkeel { look },
        tolerance: true.into(),
    };
    Ok(Experiment {
        version: "1.0.0".to_owned(),
        title: format!("Evacuation of {region}"),
        description: format!(
            "An operator moves {region}'s traffic away, and back after {span}. Nothing is struck. It begins only \
             while every region is whole at every edge and every companion is ready, so that the last eligible \
             region is never drained."
        ),
        kind: Kind::Drill,
        tags: vec!["drill".to_owned()],
        load: Load { rate, baseline: Millis::from_secs(10), ..Load::default() },
        steady_state_hypothesis: Hypothesis {
            title: "Every region is whole and none is drained".to_owned(),
            probes: vec![
                look("every region has its whole share at every edge", Look::SharesWhole),
                look("every companion is ready and hears every voter", Look::CompanionsReady),
                look("an order is taken and read back at every edge", Look::OrdersTaken),
            ],
        },
        method: vec![Step {
            name: format!("drain {region}"),
            provider: ActionProvider::Evenkeel {
                fault: Fault::Drain { ttl: Millis::new(span.get().saturating_add(SPARE.get())) },
                on: Selection { region: Some(region.to_owned()), ..Selection::default() },
            },
            pauses: Pauses { before: Millis::ZERO, after: span },
        }],
        rollbacks: Vec::new(),
        criteria: Criteria {
            rto_reads: Some(Millis::from_secs(1)),
            rto_orders: Some(Millis::from_secs(1)),
            // Errors are counted over 60 s: a shorter drill has no such rate.
            error_rate_percent: (span >= Millis::from_secs(60)).then_some(0.1),
            corrupt_orders: (!target.audit.is_empty()).then_some(0),
            healed: Some(Millis::from_secs(180)),
            ..Criteria::default()
        },
        // A live platform is left alone at once.
        stop_condition: StopCondition { error_rate_percent: 5.0, over: Millis::from_secs(10) },
        schedule: None,
    })
}

/// From the order until the region gave its last answer. None: it answered to the end, or nothing was done.
pub fn evacuated(journal: &Journal, region: &str) -> Option<Ms> {
    let (began, ended) = (journal.injected?, journal.rollback?);
    let place = journal.regions.iter().position(|known| known == region)?;
    let of_region = journal.requests.iter().filter(|request| {
        request.region.map(usize::from) == Some(place) && (began..ended).contains(&request.sent)
    });
    let last = of_region.map(|request| request.end).fold(began, f64::max);
    (last + QUIET <= ended).then_some(last - began)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;
    use std::path::Path;

    fn target() -> Target {
        let text = include_str!("../../../compose/target.yaml");
        Target::read(text, Path::new("."), |_| None).expect("sound")
    }

    #[test]
    fn a_drill_is_a_sound_experiment_that_fits_the_platform() {
        let drill = experiment(&target(), "taiwan", Millis::from_secs(300), 50).expect("a drill");
        let json = serde_json::to_vec(&drill).expect("written");
        assert_eq!(Experiment::read(&json).expect("sound"), drill);
        crate::selection::check(&target(), &drill).expect("it fits");
    }

    #[test]
    fn an_unknown_region_and_the_last_one_are_refused() {
        let span = Millis::from_secs(60);
        let error = experiment(&target(), "mars", span, 50).expect_err("unknown").to_string();
        assert!(error.contains("\"mars\"") && error.contains("taiwan, japan"), "{error}");
        let mut alone = target();
        alone.clients.truncate(1);
        alone.parts.retain(|part| part.region.as_deref() == Some("taiwan"));
        let error = experiment(&alone, "taiwan", span, 50).expect_err("the last").to_string();
        assert!(error.contains("only region"), "{error}");
    }
}
