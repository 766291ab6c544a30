//! A region's evacuation for practice: an experiment without a fault, on a platform that lives.
//!
//! It owns what a drill is and how soon a region has to be evacuated. It must never know how one is run, nor
//! how that is measured.

use crate::experiment::{
    ActionProvider, Criteria, Experiment, Fault, Hypothesis, Kind, Load, Look, Pauses, Probe, ProbeProvider,
    Selection, Step, StopCondition,
};
use crate::target::Target;
use evenkeel_policy::error::FieldError;
use evenkeel_policy::time::Millis;

/// The operator's order outlives the drill by so much: it ends by itself if nobody is left to end it.
const SPARE: Millis = Millis::from_secs(30);

/// How soon a region has to be without traffic: an edge hears of a drain by its next probe (5 s by default) and
/// the answer's way.
const EVACUATED: Millis = Millis::from_secs(10);

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
            evacuated: Some(EVACUATED),
            healed: Some(Millis::from_secs(180)),
            ..Criteria::default()
        },
        // A live platform is left alone at once.
        stop_condition: StopCondition { error_rate_percent: 5.0, over: Millis::from_secs(10) },
        schedule: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Outcome, Verdict};
    use crate::journal::fixture::{empty, request};
    use crate::journal::{Journal, Ms, SteadyState};
    use crate::{measure, report, verdict};
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

    /// A drill of Taiwan, which gave its last answer so long after the order: 50 requests a second, half of them
    /// Taiwan's before, each answered well.
    fn drilled(after: Ms) -> Journal {
        let mut journal = empty();
        journal.experiment = experiment(&target(), "taiwan", Millis::from_secs(60), 50).expect("a drill");
        let taiwan_until = 20_000.0 + after;
        let answered = |n: u32| {
            let sent = Ms::from(n) * 20.0;
            let taiwan = n.is_multiple_of(2) && sent < taiwan_until;
            request(sent, 8.0, n.is_multiple_of(5), 200, Some(u8::from(!taiwan)))
        };
        journal.requests = (0..5_000).map(answered).collect();
        journal.healed = Some(90_000.0);
        journal.after = Some(SteadyState { met: true, at: 90_000.0, probes: Vec::new() });
        journal
    }

    fn judged(journal: &Journal) -> (Outcome, String) {
        let figures = measure::figures(journal);
        let outcome = verdict::judge(journal, &figures);
        let page = report::page_of(journal, &figures, &outcome);
        (outcome, page)
    }

    #[test]
    fn a_region_that_keeps_its_traffic_misses_the_drill_in_verdict_and_report() {
        let (outcome, page) = judged(&drilled(3_000.0));
        assert!(outcome.passed, "{outcome:?}");
        assert!(page.contains("The region is evacuated") && !page.contains("criteria missed"), "{page}");
        for (after, measured) in
            [(15_000.0, "14.89 s"), (60_000.0, "its share of the answers did not stay below 1 %")]
        {
            let (outcome, page) = judged(&drilled(after));
            assert!(!outcome.passed && outcome.reason.is_none(), "{outcome:?}");
            let missed = outcome.criteria.iter().filter(|one| one.verdict == Verdict::Missed);
            let missed: Vec<_> = missed.map(|one| (one.criterion, one.measured.as_str())).collect();
            assert_eq!(missed, [("evacuated", measured)]);
            let said = format!("The region is evacuated: {measured} (promised ≤ 10s)");
            assert!(page.contains("1 of 5 criteria missed") && page.contains(&said), "{page}");
        }
    }
}
