//! One run of an experiment: hypothesis, load, method, and whatever happens the way back; then the
//! hypothesis again, the audit, and the journal.
//!
//! It owns the order of these. It must never know how something is struck, nor compute a figure.

mod environment;
pub mod hypothesis;
mod session;

use crate::audit::audit;
use crate::clock::Clock;
use crate::experiment::{ActionProvider, Experiment, Step};
use crate::faults;
use crate::journal::{Activity, ActivityPart, Journal, Status, SteadyState};
use crate::selection;
use crate::target::Target;
use crate::undo::{self, Book, Real};
use crate::{companions, load, watch};
use anyhow::{Context, Result};
use evenkeel_config::Plan;
use session::{End, Session};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use session::{Now, Progress};

/// How long the steady state is waited for before anything is done.
const BEFORE: Duration = Duration::from_secs(120);

/// How long it is waited for after everything is undone.
const AFTER: Duration = Duration::from_secs(180);

/// Load that goes on when all is well again, so that the journal shows it.
const AFTERGLOW: Duration = Duration::from_secs(3);

/// What one run is done with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the state file goes, and the journals.
    pub out: PathBuf,
    /// What the whole was started by, to do it again.
    pub command: String,
    /// What the platform is said to promise; it must agree with what the platform says itself.
    pub profile: Option<String>,
    /// Turns true when somebody wants the run to end.
    pub stop: tokio::sync::watch::Receiver<bool>,
}

/// Runs it. The target is held by the caller ([`undo::Hold`]) and healed ([`Book::left`]).
///
/// # Errors
/// If it cannot be begun: it does not fit the target, or the target cannot be looked at. Whatever goes wrong
/// later stands in the journal.
pub async fn run(
    experiment: &Experiment,
    name: &str,
    target: &Target,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Journal> {
    selection::check(target, experiment).with_context(|| format!("{name} does not fit {}", target.name))?;
    let plan = topology(target)?;
    let environment = environment::environment(target, &plan, options).await?;
    let clock = Clock::start();
    let run = run_name(name, &clock.began());
    let mut journal = Journal {
        version: 1,
        run: run.clone(),
        began: clock.began(),
        name: name.to_owned(),
        experiment: experiment.clone(),
        environment,
        status: Status::Completed,
        reason: None,
        before: SteadyState::default(),
        after: None,
        injected: None,
        rollback: None,
        healed: None,
        ended: 0.0,
        activities: Vec::new(),
        clients: target.clients.iter().map(|client| client.region.clone()).collect(),
        regions: plan.file.regions.iter().map(|region| region.name.clone()).collect(),
        requests: Vec::new(),
        samples: Vec::new(),
        alerts: None,
        ledger: Vec::new(),
        audit: None,
    };
    let watch = watch::start(target, &clock)?;
    let mut session = Session::new(experiment, target, &clock, &watch, options.stop.clone(), progress);

    session.say("waiting for the steady state");
    let (before, ended) = session.steady(BEFORE, false).await;
    let met = before.met;
    journal.before = before;
    if let Some(end) = ended.or((!met).then_some(End::Unsteady)) {
        end.note(&mut journal);
        (journal.samples, journal.alerts) = watch.stop().await;
        journal.ended = clock.now();
        return Ok(journal);
    }

    session.say(&format!("the steady state holds; load: {} requests/s", experiment.load.rate));
    let load = load::start(target, &experiment.load, &run, &clock)?;
    session.loaded(&load);
    let mut book = Book::new(&options.out, &target.name, &run, experiment.rollbacks.clone());
    let mut ended = session.pause(experiment.load.baseline.to_duration()).await.err();
    if ended.is_none() {
        ended = method(&mut session, &mut book, &mut journal).await.err();
    }

    // Whatever happened.
    journal.rollback = Some(clock.now());
    session.say("undoing everything");
    let mut undone = Vec::new();
    let healed = book.heal(&Real, &|| clock.now(), &mut |activity| undone.push(activity)).await;
    for activity in undone {
        session.done(&activity);
        journal.activities.push(activity);
    }
    let interrupted = matches!(ended, Some(End::Interrupted));
    let patience = if interrupted { Duration::ZERO } else { AFTER };
    let (after, _) = session.steady(patience, true).await;
    journal.healed = after.met.then_some(after.at);
    match after.met {
        true => session.say("the steady state holds again"),
        false => session.say("the steady state does not hold again"),
    }
    journal.after = Some(after);
    if !interrupted {
        session.rest(AFTERGLOW).await;
    }
    session.say("waiting for the last answers");
    (journal.requests, journal.ledger) = load.stop().await;
    (journal.samples, journal.alerts) = watch.stop().await;
    journal.ended = clock.now();
    if let Some(end) = ended {
        end.note(&mut journal);
    }
    if let Err(error) = healed {
        let left = book.path().display();
        let reason =
            format!("not all could be undone ({left} says what): {error:#}; try evenkeel chaos abort");
        let reason =
            [journal.reason.take(), Some(reason)].into_iter().flatten().collect::<Vec<_>>().join("; ");
        (journal.status, journal.reason) = (Status::Aborted, Some(reason));
    }
    if !target.audit.is_empty() && journal.healed.is_some() {
        progress.event(clock.now(), "comparing the ledger with every database node");
        match audit(target, &run, &journal.ledger).await {
            Ok(found) => journal.audit = Some(found),
            Err(error) => progress.event(clock.now(), &format!("no audit: {error:#}")),
        }
    }
    Ok(journal)
}

/// The topology of a target, as anybody sees it.
///
/// # Errors
/// What is wrong with it.
pub fn topology(target: &Target) -> Result<Plan> {
    let plan = Plan::load_anywhere(&target.topology);
    plan.map_err(|problems| anyhow::anyhow!("topology: {}: {problems}", target.topology.display()))
}

/// `region-failure-20261124T020000Z`.
fn run_name(name: &str, began: &str) -> String {
    let seconds = began.split('.').next().unwrap_or(began).trim_end_matches('Z');
    format!("{name}-{}Z", seconds.replace(['-', ':'], ""))
}

/// Does what the experiment is about, step by step.
async fn method(session: &mut Session<'_>, book: &mut Book, journal: &mut Journal) -> Result<(), End> {
    let (experiment, target) = (session.experiment, session.target);
    for step in &experiment.method {
        session.pause(step.pauses.before.to_duration()).await?;
        let activity = perform(step, target, book, journal, session.clock()).await;
        session.done(&activity);
        let error = activity.error.clone();
        journal.activities.push(activity);
        if let Some(error) = error {
            return Err(End::Broken(format!("{}: {error}", step.name)));
        }
        session.pause(step.pauses.after.to_duration()).await?;
    }
    Ok(())
}

/// Does one step. What undoes it is on disk before.
async fn perform(
    step: &Step,
    target: &Target,
    book: &mut Book,
    journal: &mut Journal,
    clock: &Clock,
) -> Activity {
    let mut activity = Activity {
        name: step.name.clone(),
        part: ActivityPart::Method,
        began: clock.now(),
        ended: clock.now(),
        met: Vec::new(),
        error: None,
    };
    let result = async {
        let ActionProvider::Evenkeel { fault, on } = &step.provider else {
            // What its rollback needs is on disk too.
            book.note(Vec::new())?;
            activity.began = clock.now();
            journal.injected.get_or_insert(activity.began);
            return undo::perform(step).await;
        };
        let writer = match selection::needs_writer(on) {
            true => companions::writer(target).await,
            false => None,
        };
        let met = selection::resolve(target, *fault, on, writer.as_ref())
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        let blows = faults::prepare(target, *fault, &met).await?;
        activity.met = blows.iter().map(|blow| blow.whom.clone()).collect();
        book.note(blows.iter().map(|blow| blow.undo.clone()).collect())?;
        activity.began = clock.now();
        journal.injected.get_or_insert(activity.began);
        faults::strike(blows).await
    };
    let error = result.await.err().map(|error| format!("{error:#}"));
    activity.error = error;
    activity.ended = clock.now();
    activity
}

/// Where a run's files are.
pub fn folder(out: &Path, run: &str) -> PathBuf {
    out.join(run)
}

/// Writes a run's journal, whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn save(journal: &Journal, out: &Path) -> Result<PathBuf> {
    let folder = folder(out, &journal.run);
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let path = folder.join("journal.json");
    faults::process::write_whole(&path, &serde_json::to_vec(journal)?)
        .with_context(|| format!("{}: cannot be written", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_after_its_experiment_and_its_moment() {
        assert_eq!(run_name("drill", "2026-11-24T02:00:00.123Z"), "drill-20261124T020000Z");
    }
}
