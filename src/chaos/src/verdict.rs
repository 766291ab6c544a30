//! Each criterion of an experiment, judged by the figures of a run. What was promised and cannot be measured is
//! missed.
//!
//! It owns what it takes for a run to be believed at all. It must never measure.

use crate::experiment::Criteria;
use crate::figures::{Errors, Figures, Judged, Outcome, Service, Verdict};
use crate::journal::{Journal, Ms, Status};
use crate::measure::WINDOW;
use crate::measure::evacuated::BELOW;
use evenkeel_policy::time::Millis;

/// A request that leaves so late no longer stands for the moment that it was due at: one that should have met the
/// fault may have come after it.
const LATEST: Ms = 500.0;

/// An error rate below one in a thousand needs so many requests per second to be told.
const RATE: f64 = 200.0;

/// How much of a rate must be there. The rest is the edges of the window.
const KEPT: f64 = 0.99;

/// The whole verdict.
pub fn judge(journal: &Journal, figures: &Figures) -> Outcome {
    let bench = Bench { journal, figures, judged: Vec::new() };
    let criteria = bench.criteria(&journal.experiment.criteria);
    let reason = unbelievable(journal, figures, &criteria);
    let passed = reason.is_none() && criteria.iter().all(|judged| judged.verdict == Verdict::Held);
    Outcome { passed, reason, criteria }
}

/// Why a run proves nothing, whatever its figures are.
fn unbelievable(journal: &Journal, figures: &Figures, criteria: &[Judged]) -> Option<String> {
    if journal.status != Status::Completed {
        let how = match journal.status {
            Status::Failed => "the steady state did not hold before: nothing was done",
            Status::Interrupted => "it was stopped by hand",
            Status::Aborted | Status::Completed => "it was stopped early",
        };
        return Some(journal.reason.clone().unwrap_or_else(|| how.to_owned()));
    }
    if !journal.before.met {
        return Some("the steady state did not hold before".to_owned());
    }
    if let Some(failed) = journal.activities.iter().find(|activity| activity.error.is_some()) {
        let why = failed.error.as_deref().unwrap_or_default();
        return Some(format!("a step could not be done: {}: {why}", failed.name));
    }
    let Some(injected) = journal.injected else {
        return Some("nothing was injected: there is nothing to recover from".to_owned());
    };
    if criteria.is_empty() {
        return Some("no criterion is given for this target: nothing is promised".to_owned());
    }
    if !journal.requests.iter().any(|request| request.end <= injected && request.is_good()) {
        return Some("no request was answered before the fault: there is no baseline".to_owned());
    }
    if !journal.requests.iter().any(|request| request.due >= injected) {
        return Some("no request was due after the fault: nobody saw it".to_owned());
    }
    if figures.lateness > LATEST {
        let late = time(figures.lateness);
        return Some(format!(
            "the load generator fell behind: a request left {late} after it was due: give it more processor"
        ));
    }
    let asked = f64::from(journal.experiment.load.rate);
    if figures.rate < asked * KEPT {
        let rate = figures.rate;
        return Some(format!("the load generator fell behind: {rate:.0} of {asked:.0} requests/s were due"));
    }
    match &journal.after {
        Some(after) if after.met => None,
        Some(_) => Some("the steady state did not hold again after everything was undone".to_owned()),
        None => Some("nobody looked whether the steady state holds again".to_owned()),
    }
}

/// Where criteria are judged one by one.
struct Bench<'a> {
    journal: &'a Journal,
    figures: &'a Figures,
    judged: Vec<Judged>,
}

impl Bench<'_> {
    fn criteria(mut self, criteria: &Criteria) -> Vec<Judged> {
        let figures = self.figures;
        self.recovery("rto-reads", "Reads recover", criteria.rto_reads, figures.reads);
        self.recovery("rto-orders", "Orders recover", criteria.rto_orders, figures.orders);
        self.loss(criteria);
        if let Some(bound) = criteria.unanswered_orders {
            let (unanswered, placed) = (figures.unanswered_orders, self.journal.ledger.len());
            let found = match placed {
                0 => Err("no order was placed".to_owned()),
                _ => Ok(Found {
                    holds: unanswered <= bound,
                    words: format!("{unanswered} of {placed} placed"),
                }),
            };
            self.push("unanswered-orders", "Orders stay without an answer", format!("≤ {bound}"), found);
        }
        self.errors("error-rate-percent", "Requests fail", criteria.error_rate_percent, figures.window);
        let reads = criteria.read_error_rate_percent;
        self.errors("read-error-rate-percent", "Reads fail", reads, figures.window_reads);
        if let Some(bound) = criteria.latency_increase_percent {
            let increase = figures.latency.increase_percent;
            let why = match (figures.latency.baseline, figures.latency.recovered) {
                (_, None) => "it did not recover",
                _ => "the surviving regions answered nothing before",
            };
            let found = increase
                .ok_or(why.to_owned())
                .map(|increase| Found { holds: increase < bound, words: format!("{increase:+.1} %") });
            self.push("latency-increase-percent", "Latency grows", format!("< {bound} %"), found);
        }
        self.time("detection", "It is noticed", criteria.detection, figures.detection, "nobody noticed it");
        let unsettled = "readiness and traffic did not come to stand as configured";
        self.time("settled", "Readiness and traffic settle", criteria.settled, figures.settled, unsettled);
        let remains = format!("its share of the answers did not stay below {BELOW} %");
        let title = "The region is evacuated";
        self.time("evacuated", title, criteria.evacuated, figures.evacuated, &remains);
        let unhealed = "the steady state did not hold again";
        self.time("healed", "Everything is whole again", criteria.healed, figures.healed, unhealed);
        self.judged
    }

    fn recovery(
        &mut self,
        criterion: &'static str,
        title: &'static str,
        bound: Option<Millis>,
        service: Service,
    ) {
        let none =
            if service.requests == 0 { "none was sent after the fault" } else { "they did not recover" };
        self.time(criterion, title, bound, service.rto, none);
    }

    /// What only an audit tells. The bounds by profile are promised to that profile alone.
    fn loss(&mut self, criteria: &Criteria) {
        let profile = self.journal.environment.profile.as_deref();
        let lost = profile.and_then(|profile| criteria.lost_orders.get(profile));
        let rpo = profile.and_then(|profile| criteria.rpo.get(profile));
        // A target without a profile has no database: there is nothing that could be corrupt.
        let corrupt = criteria.corrupt_orders.filter(|_| profile.is_some() || self.journal.audit.is_some());
        let loss = match self.figures.loss {
            None => Err("the databases were not looked at afterwards".to_owned()),
            Some(loss) if loss.acknowledged == 0 => {
                Err("no order was acknowledged: nothing could be lost".to_owned())
            }
            Some(loss) => Ok(loss),
        };
        if let Some(bound) = lost {
            let found = loss.clone().map(|loss| Found {
                holds: loss.lost <= *bound,
                words: format!("{} of {} acknowledged", loss.lost, loss.acknowledged),
            });
            self.push("lost-orders", "Acknowledged orders are lost", format!("≤ {bound}"), found);
        }
        if let Some(bound) = rpo {
            let found = loss
                .clone()
                .map(|loss| Found { holds: loss.rpo <= bound.get() as Ms, words: time(loss.rpo) });
            self.push("rpo", "The loss reaches back", format!("≤ {bound}"), found);
        }
        if let Some(bound) = corrupt {
            let found =
                loss.map(|loss| Found { holds: loss.corrupt <= bound, words: loss.corrupt.to_string() });
            let title = "Orders are doubled, changed or different";
            self.push("corrupt-orders", title, format!("≤ {bound}"), found);
        }
    }

    fn errors(&mut self, criterion: &'static str, title: &'static str, bound: Option<f64>, errors: Errors) {
        let Some(bound) = bound else { return };
        let asked = f64::from(self.journal.experiment.load.rate);
        let (rate, length) = (self.figures.rate, self.figures.window_length);
        let found = match errors.percent() {
            None => Err("none was sent after the fault".to_owned()),
            Some(_) if rate < asked.min(RATE) * KEPT => {
                let needed = asked.min(RATE);
                Err(format!("only {rate:.0} requests/s were due: fewer than {needed:.0} tell no such rate"))
            }
            Some(_) if length < WINDOW * KEPT => Err(format!(
                "the load ended {} after the fault: it is judged over {}",
                time(length),
                time(WINDOW)
            )),
            Some(percent) => {
                let slow = if asked < RATE { format!(", at {rate:.0}/s only") } else { String::new() };
                let words = format!("{percent:.3} %: {} of {}{slow}", errors.failed, errors.requests);
                Ok(Found { holds: percent < bound || (bound == 0.0 && errors.failed == 0), words })
            }
        };
        let sign = if bound == 0.0 { "=" } else { "<" };
        self.push(criterion, title, format!("{sign} {bound} %"), found);
    }

    fn time(
        &mut self,
        criterion: &'static str,
        title: &'static str,
        bound: Option<Millis>,
        measured: Option<Ms>,
        none: &str,
    ) {
        let Some(bound) = bound else { return };
        let found = measured
            .map(|measured| Found { holds: measured <= bound.get() as Ms, words: time(measured) })
            .ok_or(none.to_owned());
        self.push(criterion, title, format!("≤ {bound}"), found);
    }

    /// An error is a promise that could not be measured.
    fn push(
        &mut self,
        criterion: &'static str,
        title: &'static str,
        promised: String,
        found: Result<Found, String>,
    ) {
        let (holds, measured) = match found {
            Ok(found) => (found.holds, found.words),
            Err(why) => (false, why),
        };
        let verdict = if holds { Verdict::Held } else { Verdict::Missed };
        self.judged.push(Judged { criterion, title, promised, measured, verdict });
    }
}

/// What was found, and whether it is what was promised.
struct Found {
    holds: bool,
    words: String,
}

fn time(ms: Ms) -> String {
    if ms < 1000.0 { format!("{ms:.0} ms") } else { format!("{:.2} s", ms / 1000.0) }
}
