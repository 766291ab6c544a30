//! A short run of the chaos library: load, something done, the verdict.

use evenkeel_chaos::clock::Clock;
use evenkeel_chaos::experiment::Experiment;
use evenkeel_chaos::figures::{Figures, Outcome, Verdict};
use evenkeel_chaos::journal::{Audit, Environment, Journal, Order, Status, SteadyState};
use evenkeel_chaos::target::Target;
use evenkeel_chaos::{load, measure, verdict, watch};
use serde_json::{Value, json};
use std::time::Duration;

/// What is done and what is promised.
pub struct Run<'a> {
    pub name: String,
    pub target: &'a Target,
    pub load: Value,
    pub criteria: Value,
    /// How long before the fault, and after it.
    pub spans: [Duration; 2],
}

/// What it came to.
pub struct Result {
    pub journal: Journal,
    pub figures: Figures,
    pub outcome: Outcome,
}

impl Run<'_> {
    /// Runs it: `strike` is the fault, `look` the audit.
    pub async fn run(
        self,
        strike: impl AsyncFnOnce(),
        look: impl AsyncFnOnce(&str, &[Order]) -> Option<Audit>,
    ) -> Result {
        let experiment = experiment(&self.load, &self.criteria);
        let clock = Clock::start();
        let load = load::start(self.target, &experiment.load, &self.name, &clock).expect("the load starts");
        let watch = watch::start(self.target, &clock).expect("the watch starts");
        tokio::time::sleep(self.spans[0]).await;
        let injected = clock.now();
        strike().await;
        tokio::time::sleep(self.spans[1]).await;
        let undone = clock.now();
        let (requests, ledger) = load.stop().await;
        let (samples, alerts) = watch.stop().await;
        let audit = look(&self.name, &ledger).await;
        let steady = SteadyState { met: true, at: undone, probes: Vec::new() };
        let journal = Journal {
            version: 1,
            run: self.name,
            began: clock.began(),
            name: "test".to_owned(),
            experiment,
            environment: Environment { profile: Some("rpo0".to_owned()), ..Environment::default() },
            status: Status::Completed,
            reason: None,
            before: steady.clone(),
            after: Some(steady),
            injected: Some(injected),
            rollback: Some(undone),
            healed: Some(undone),
            ended: undone,
            activities: Vec::new(),
            clients: self.target.clients.iter().map(|client| client.region.clone()).collect(),
            regions: vec!["taiwan".to_owned(), "japan".to_owned()],
            requests,
            samples,
            alerts,
            ledger,
            audit,
        };
        // As whoever reads the file later gets it.
        let journal: Journal =
            serde_json::from_str(&serde_json::to_string(&journal).expect("JSON")).expect("the same journal");
        let figures = measure::figures(&journal);
        let outcome = verdict::judge(&journal, &figures);
        Result { journal, figures, outcome }
    }
}

impl Result {
    /// The names of the criteria that are missed.
    pub fn missed(&self) -> Vec<&str> {
        let missed = self.outcome.criteria.iter().filter(|judged| judged.verdict == Verdict::Missed);
        missed.map(|judged| judged.criterion).collect()
    }

    /// The machine was too busy for the load: the run tells nothing, and is done again.
    pub fn fell_behind(&self) -> bool {
        self.outcome.reason.as_ref().is_some_and(|reason| reason.contains("fell behind"))
    }
}

fn experiment(load: &Value, criteria: &Value) -> Experiment {
    serde_json::from_value(json!({
        "title": "a test", "description": "a test", "kind": "application-failure",
        "load": load,
        "steady-state-hypothesis": {"title": "it runs", "probes": []},
        "method": [],
        "criteria": criteria
    }))
    .expect("an experiment")
}

/// A target: clients by region, country and edge; the rest as given.
pub fn target(clients: &[(&str, &str, String)], fields: Value) -> Target {
    let clients: Vec<Value> = clients
        .iter()
        .map(|(region, country, edge)| json!({"region": region, "country": country, "edge": edge}))
        .collect();
    let whole = json!({"name": "test", "clients": clients, "parts": []});
    serde_json::from_value(evenkeel_tests::companion::merged(whole, fields)).expect("a target")
}
