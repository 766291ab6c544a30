//! Journals that never happened, to see pages by: a region that fails, a database whose orders are held, a
//! run that misses. Their figures are what such runs look like, and prove nothing about Evenkeel.

use evenkeel_chaos::experiment::Experiment;
use evenkeel_chaos::journal::{
    Activity, ActivityPart, Alert, AlertState, AlertWatch, Audit, CompanionView, EdgeView, Environment, Fate,
    Journal, Ms, Observer, Order, Probed, Request, Sample, Seen, Status, SteadyState, order_key,
};
use std::collections::BTreeMap;

/// When the fault comes, when it is undone and when the load ends.
const FAULT: Ms = 20_000.0;
const UNDONE: Ms = 80_000.0;
const HEALED: Ms = 92_400.0;
const END: Ms = 120_000.0;

/// The same numbers each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn experiment(title: &str, kind: &str, on: &str, criteria: &str) -> Experiment {
    let yaml = format!(
        "title: {title}\ndescription: All that serves in one region is killed at once; its database nodes are left alone.\n\
         kind: {kind}\nsteady-state-hypothesis:\n  title: Every region serves and every node is there\n  probes:\n\
         \x20 - {{name: shares are whole, provider: {{type: evenkeel, look: shares-whole}}}}\n\
         \x20 - {{name: orders are taken, provider: {{type: evenkeel, look: orders-taken}}}}\n\
         method:\n- {{name: Kill it, provider: {{type: evenkeel, fault: {{name: kill}}, \"on\": {on}}}, pauses: {{after: 60s}}}}\n\
         criteria: {criteria}\nschedule: {{every: month, monday: 1}}\n"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

fn steady(at: Ms, met: bool) -> SteadyState {
    let probed = |name: &str, met, output: serde_json::Value| Probed { name: name.to_owned(), met, output };
    SteadyState {
        met,
        at,
        probes: vec![
            probed("shares are whole", true, true.into()),
            probed("orders are taken", met, if met { true.into() } else { "taiwan: 503".into() }),
        ],
    }
}

/// Every 5 ms a request, from Taiwan and Japan in turn, every fifth an order; `fares` says what becomes of
/// one that is due at a moment: its status, its latency and who answered.
fn requests(fares: impl Fn(Ms, u8, bool, &mut Dice) -> (u16, Ms, Option<u8>)) -> Vec<Request> {
    let mut dice = Dice(7);
    (0..(END / 5.0) as usize)
        .map(|n| {
            let (due, client, order) = (n as Ms * 5.0, (n % 2) as u8, n % 5 == 0);
            let (status, took, region) = fares(due, client, order, &mut dice);
            Request { due, end: due + took, client, order, status, region, sent: due, reads: None }
        })
        .collect()
}

/// What a healthy region takes: mostly 4 ms, sometimes 40.
fn quick(dice: &mut Dice, far: bool) -> Ms {
    let tail = if dice.roll() > 0.97 { 30.0 * dice.roll() } else { 0.0 };
    3.0 + 3.0 * dice.roll() + tail + if far { 33.0 } else { 0.0 }
}

fn samples(of: impl Fn(Ms, &str) -> (Option<EdgeView>, CompanionView)) -> Vec<Sample> {
    let mut samples = Vec::new();
    for n in 0..(END / 200.0) as usize {
        let asked = n as Ms * 200.0;
        for region in ["taiwan", "japan"] {
            let (edge, companion) = of(asked, region);
            let whole = EdgeView { healthy: true, breaker: 0, share: 100.0 };
            let edge = edge.map(|taiwan| {
                Seen::Edge(BTreeMap::from([("taiwan".to_owned(), taiwan), ("japan".to_owned(), whole)]))
            });
            for (observer, seen) in
                [(Observer::Edge, edge), (Observer::Companion, Some(Seen::Companion(companion)))]
            {
                samples.push(Sample { asked, at: asked + 3.0, observer, region: region.to_owned(), seen });
            }
        }
    }
    samples
}

fn companion(at: Ms, writer: Option<&str>, lag: f64) -> CompanionView {
    let lag = [("tw-b", 0.012), ("jp-a", lag)]
        .map(|(node, lag)| (node.to_owned(), lag + 0.004 * ((at / 700.0).sin() + 1.0)));
    CompanionView {
        ready: true,
        down: vec![],
        writer: writer.map(str::to_owned),
        lag: lag.into(),
        unreachable: vec![],
        dns: BTreeMap::from([("taiwan".to_owned(), 100.0), ("japan".to_owned(), 100.0)]),
    }
}

/// What a Prometheus says each second of a run: none, it does not answer; else the alerts that are active, by
/// name, region and state.
pub fn alerts(
    of: impl Fn(Ms) -> Option<Vec<(&'static str, &'static str, AlertState)>>,
) -> Option<AlertWatch> {
    let mut watch = AlertWatch::new(1_000.0);
    for n in 0..(END / 1_000.0) as u32 {
        let asked = Ms::from(n) * 1_000.0 + 100.0;
        let active = of(asked).map(|active| {
            let alert = |name: &str, region: &str| {
                let labels = [("node", "tw-a"), ("region", region), ("severity", "critical")];
                // What concerns a node names it.
                let labels =
                    labels.into_iter().filter(|(label, _)| *label != "node" || name.contains("Database"));
                let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
                Alert { name: name.to_owned(), labels }
            };
            active.into_iter().map(|(name, region, state)| (alert(name, region), state)).collect()
        });
        watch.note(asked, asked + 10.0, active);
    }
    Some(watch)
}

fn journal(run: &str, experiment: Experiment, met: &[&str]) -> Journal {
    let activity = |name: &str, part, at: Ms| Activity {
        name: name.to_owned(),
        part,
        began: at,
        ended: at + 240.0,
        met: met.iter().map(ToString::to_string).collect(),
        error: None,
    };
    Journal {
        version: 1,
        run: format!("{run}-20261207T020000Z"),
        began: "2026-12-07T02:00:00.250Z".to_owned(),
        name: run.to_owned(),
        experiment,
        environment: Environment {
            target: "compose".to_owned(),
            profile: Some("rpo0".to_owned()),
            command: format!("evenkeel chaos run {run} --target compose/target.yaml"),
            evenkeel: "0.1.0".to_owned(),
            config: "5f1c09a2".to_owned(),
            versions: [
                ("docker", "28.0.1"),
                ("envoy", "1.40.1"),
                ("postgresql", "18.1"),
                ("kernel", "6.1.0"),
            ]
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .into(),
            cpus: 2,
            memory: 8 << 30,
            round_trip: Some(33.0),
        },
        status: Status::Completed,
        reason: None,
        before: steady(19_400.0, true),
        after: Some(steady(HEALED, true)),
        injected: Some(FAULT),
        rollback: Some(UNDONE),
        healed: Some(HEALED),
        ended: END,
        activities: vec![
            activity("Kill all of Taiwan", ActivityPart::Method, FAULT),
            activity("Start what was killed", ActivityPart::Rollback, UNDONE),
        ],
        clients: vec!["taiwan".to_owned(), "japan".to_owned()],
        regions: vec!["taiwan".to_owned(), "japan".to_owned()],
        requests: vec![],
        samples: vec![],
        alerts: None,
        ledger: vec![],
        audit: Some(Audit::default()),
    }
}

/// The orders as their clients know them.
fn kept(mut journal: Journal) -> Journal {
    let orders = journal.requests.iter().enumerate().filter(|(_, request)| request.order);
    journal.ledger = orders
        .map(|(n, request)| Order {
            key: order_key(&journal.run, n as u32),
            due: request.due,
            end: request.end,
            client: request.client,
            total_cents: 8500,
            fate: match request.status {
                0 => Fate::Unknown,
                200..300 => Fate::Acknowledged(n.to_string()),
                status => Fate::Refused(status),
            },
        })
        .collect();
    journal
}

/// Taiwan is killed; its clients are served by Japan 0.4 s later.
pub fn region_failure() -> Journal {
    let criteria = "{rto-reads: 5s, rto-orders: 5s, error-rate-percent: 0.1, latency-increase-percent: 50, rpo: {rpo0: 0s}, lost-orders: {rpo0: 0}, corrupt-orders: 0}";
    let experiment = experiment("Complete region failure", "region-failure", "{region: taiwan}", criteria);
    let parts = ["taiwan-app-1", "taiwan-app-2", "taiwan-companion", "taiwan-redis"];
    let mut journal = journal("region-failure", experiment, &parts);
    journal.requests = requests(|due, client, order, dice| {
        let ramp = ((due - HEALED) / 25_000.0).clamp(0.05, 1.0);
        let gone = (FAULT..UNDONE).contains(&due);
        let away = gone || ((UNDONE..END).contains(&due) && (due < HEALED || dice.roll() > ramp));
        if gone && due < FAULT + 400.0 && client == 0 {
            // Reads are repeated in Japan within the request; an order that was under way is not.
            return if order && dice.roll() > 0.6 {
                (503, 260.0, None)
            } else {
                (200, 290.0 + 80.0 * dice.roll(), Some(1))
            };
        }
        let answers = if client == 0 && !away { 0 } else { 1 };
        (if order { 201 } else { 200 }, quick(dice, client != answers), Some(answers))
    });
    // The machine is small: a node's processors are busy whatever happens.
    journal.alerts = alerts(|at| {
        let mut active = vec![("EvenkeelDatabaseCpu", "taiwan", AlertState::Pending)];
        match at - FAULT {
            5_000.0..20_000.0 => active.push(("EvenkeelRegionOut", "taiwan", AlertState::Pending)),
            20_000.0..75_000.0 => active.push(("EvenkeelRegionOut", "taiwan", AlertState::Firing)),
            _ => {}
        }
        Some(active)
    });
    journal.samples = samples(|at, region| {
        let gone = (FAULT..UNDONE).contains(&at);
        let share = match at {
            at if at < FAULT + 400.0 => 100.0,
            at if at < HEALED => 0.0,
            at => (5.0 + 95.0 * (at - HEALED) / 25_000.0).min(100.0),
        };
        let breaker = if gone && at > FAULT + 300.0 { 2 } else { u8::from((UNDONE..HEALED).contains(&at)) };
        let edge = EdgeView { healthy: !(FAULT + 5_000.0..UNDONE + 8_000.0).contains(&at), breaker, share };
        let mut view = companion(at, Some("tw-a"), 0.021);
        if gone && at > FAULT + 7_000.0 {
            view.dns.insert("taiwan".to_owned(), 0.0);
        }
        view.ready = !(gone && region == "taiwan");
        (Some(edge), view)
    });
    journal.samples.iter_mut().filter(|sample| sample.region == "taiwan").for_each(|sample| {
        if (FAULT..UNDONE).contains(&sample.asked) && sample.observer == Observer::Companion {
            sample.seen = None;
        }
    });
    kept(journal)
}

/// The writer is frozen; orders are held until there is a new one.
pub fn database_failure() -> Journal {
    let criteria = "{rto-reads: 1s, rto-orders: 30s, lost-orders: {rpo0: 0}, error-rate-percent: 0.1}";
    let experiment =
        experiment("Database primary failure", "database-failure", "{roles: [writer]}", criteria);
    let mut journal = journal("database-failure", experiment, &["tw-a"]);
    let back = FAULT + 20_400.0;
    journal.requests = requests(|due, client, order, dice| {
        let took = quick(dice, false);
        if order && (FAULT..back).contains(&due) {
            return (201, back - due + 300.0 * dice.roll(), Some(client));
        }
        (if order { 201 } else { 200 }, took, Some(client))
    });
    journal.alerts = alerts(|_| Some(vec![]));
    journal.samples = samples(|at, _| {
        let writer = match at {
            at if at < FAULT + 1_200.0 => Some("tw-a"),
            at if at < FAULT + 19_900.0 => None,
            _ => Some("tw-b"),
        };
        let mut view =
            companion(at, writer, if (FAULT..back).contains(&at) { (at - FAULT) / 1000.0 } else { 0.02 });
        if writer.is_none() {
            view.unreachable.push("tw-a".to_owned());
        }
        (Some(EdgeView { healthy: true, breaker: 0, share: 100.0 }), view)
    });
    kept(journal)
}

/// Taiwan is killed and nobody notices for long; orders are lost.
pub fn missed() -> Journal {
    let mut journal = region_failure();
    let back = FAULT + 48_000.0;
    journal.requests = requests(|due, client, order, dice| {
        let gone = (FAULT..back).contains(&due) && client == 0;
        match () {
            () if gone && dice.roll() > 0.4 => (0, 30_000.0 * dice.roll(), None),
            () if gone => (503, 2_000.0, None),
            () => (if order { 201 } else { 200 }, quick(dice, client == 0 && due > back), Some(1)),
        }
    });
    journal.alerts = alerts(|_| None);
    journal.after = Some(steady(HEALED, false));
    journal.healed = None;
    let mut journal = kept(journal);
    let lost =
        journal.ledger.iter().filter(|order| order.end < FAULT).rev().take(3).map(|order| order.key.clone());
    let lost = lost.collect();
    journal.audit = Some(Audit { lost, unknown_present: 12, ..Audit::default() });
    journal
}

/// Words that would be markup.
pub const HOSTILE: &str = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";

/// A run in which every name is hostile.
pub fn hostile() -> Journal {
    let mut journal = region_failure();
    let bad = || HOSTILE.to_owned();
    journal.run = bad();
    journal.name = bad();
    journal.began = bad();
    journal.experiment.title = bad();
    journal.experiment.description = bad();
    journal.experiment.method[0].name = bad();
    journal.experiment.steady_state_hypothesis.title = bad();
    journal.environment.target = bad();
    journal.environment.profile = Some(bad());
    journal.environment.command = bad();
    journal.environment.versions.insert(bad(), bad());
    journal.clients = vec![bad(), bad()];
    journal.activities[0].met = vec![bad()];
    journal.activities[0].error = Some(bad());
    journal.before.probes[0].output = bad().into();
    for sample in &mut journal.samples {
        match &mut sample.seen {
            Some(Seen::Edge(edges)) => {
                let view = edges["taiwan"];
                edges.insert(bad(), view);
            }
            Some(Seen::Companion(view)) => {
                view.writer = Some(bad());
                view.lag.insert(bad(), 0.5);
                view.dns.insert(bad(), 50.0);
            }
            None => (),
        }
    }
    journal.regions[0] = bad();
    for alert in journal.alerts.iter_mut().flat_map(|watch| &mut watch.known) {
        alert.name = bad();
        alert.labels = BTreeMap::from([(bad(), bad()), ("severity".to_owned(), bad())]);
    }
    journal
}

/// Nothing but what cannot be left out.
pub fn bare() -> Journal {
    let mut journal = region_failure();
    journal.requests.clear();
    journal.samples.clear();
    journal.alerts = None;
    journal.ledger.clear();
    journal.activities.clear();
    journal.audit = None;
    journal.status = Status::Failed;
    journal.before = SteadyState { met: false, at: 0.0, probes: vec![] };
    (journal.after, journal.injected, journal.rollback, journal.healed) = (None, None, None, None);
    journal.ended = 0.0;
    journal.environment = Environment::default();
    journal.experiment.schedule = None;
    journal.experiment.criteria = Default::default();
    journal
}
