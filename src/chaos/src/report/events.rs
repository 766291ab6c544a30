//! What happened, in order: the incident's timeline, from the journal alone.

use super::alerts;
use super::seen::Timeline;
use super::slices::{Fared, fared, recovered, slow};
use super::words;
use crate::figures::Figures;
use crate::journal::{ActivityPart, Journal, Ms};
use crate::measure::counted;

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Since the run's start.
    pub at: Ms,
    /// Whose matter it is: `fault`, `clients`, `edge`, `database`, `dns`, `readiness`, `alert`, `operator`.
    pub who: String,
    /// In words.
    pub what: String,
    /// What stands out.
    pub weight: Weight,
    /// Whether the steady state held from here on.
    pub steady: Steady,
}

/// How much a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A fault, a recovery: what the run is about.
    Turn,
    /// Everything else.
    Plain,
}

/// The steady state at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steady {
    /// All probes were within what is tolerated.
    Yes,
    /// Clients were served, with a part gone.
    Clients,
    /// Not.
    No,
}

/// The timeline, in order of time.
pub fn events(journal: &Journal, figures: &Figures, seen: &Timeline) -> Vec<Event> {
    let mut events = Vec::new();
    let mut say = |at: Ms, who: &str, what: String, weight: Weight| {
        events.push(Event { at, who: who.to_owned(), what, weight, steady: Steady::No });
    };
    say(0.0, "clients", begins(journal), Weight::Plain);
    let met = if journal.before.met { "holds" } else { "does not hold" };
    say(journal.before.at, "probes", format!("The steady state {met} before"), Weight::Plain);
    if let Some(at) = journal.rollback {
        say(at, "undo", "Undoing begins".to_owned(), Weight::Turn);
    }
    for activity in &journal.activities {
        let error = activity.error.as_ref().map(|error| format!(": could not be done: {error}"));
        let on =
            if activity.met.is_empty() { String::new() } else { format!(" ({})", activity.met.join(", ")) };
        let (who, weight) = match activity.part {
            ActivityPart::Method => ("fault", Weight::Turn),
            ActivityPart::Rollback => ("undo", Weight::Plain),
        };
        say(activity.began, who, format!("{}{on}{}", activity.name, error.unwrap_or_default()), weight);
    }
    if let Some(injected) = journal.injected {
        clients(journal, figures, injected, &mut say);
        for layer in &figures.layers {
            say(injected + layer.after, layer.layer, layer.what.clone(), Weight::Plain);
        }
        shares(seen, injected, &mut say);
        if let Some(seen) = &figures.alerts {
            alerts::rows(seen, injected, &mut |at, what| say(at, "alert", what, Weight::Plain));
        }
    }
    match (journal.healed, &journal.after) {
        (Some(at), _) => say(at, "probes", "Healed: the steady state holds again".to_owned(), Weight::Turn),
        (None, Some(after)) => {
            say(after.at, "probes", "The steady state does not hold again".to_owned(), Weight::Turn)
        }
        (None, None) => (),
    }
    say(journal.ended, "clients", "The load ends".to_owned(), Weight::Plain);
    events.sort_by(|a, b| a.at.total_cmp(&b.at));
    let back = recovered(journal, figures);
    for event in &mut events {
        event.steady = steady(journal, back, event.at);
    }
    events
}

fn begins(journal: &Journal) -> String {
    let load = &journal.experiment.load;
    format!("The load begins: {} requests per second, {} % of them orders", load.rate, load.orders)
}

fn clients(
    journal: &Journal,
    figures: &Figures,
    injected: Ms,
    say: &mut impl FnMut(Ms, &str, String, Weight),
) {
    let slow = slow(journal);
    let requests = counted(journal);
    // What waits for its answer when the fault comes meets it too.
    let after = || requests.iter().filter(|request| request.end > injected);
    let word = |order: bool| if order { "an order" } else { "a read" };
    match after().find(|request| fared(request, slow) == Fared::Failed) {
        Some(first) => {
            let how =
                if first.status == 0 { "got no answer".to_owned() } else { format!("got {}", first.status) };
            let who = journal.clients.get(usize::from(first.client)).map_or("", String::as_str);
            let what = format!("First failure: {} due now from a client of {who} {how}", word(first.order));
            say(first.due, "clients", what, Weight::Plain);
        }
        None if after().next().is_some() => {
            say(injected, "clients", "No request fails from here on".to_owned(), Weight::Plain);
        }
        None => (),
    }
    if let Some(first) = after().find(|request| fared(request, slow) == Fared::Late) {
        let took = words::seconds(first.latency());
        let what = format!("First late answer: {} due now is answered after {took}", word(first.order));
        say(first.due, "clients", what, Weight::Plain);
    }
    for (name, service) in [("Reads", figures.reads), ("Orders", figures.orders)] {
        if let Some(rto) = service.rto.filter(|_| service.outage > 0.0) {
            let what = format!("{name} recovered: each one due from here on is answered well and in time");
            say(injected + rto, "clients", what, Weight::Turn);
        }
    }
}

/// A region that lost some of its share, and when it has all of it again.
fn shares(seen: &Timeline, injected: Ms, say: &mut impl FnMut(Ms, &str, String, Weight)) {
    for (region, steps) in &seen.shares {
        let less =
            |(at, share): &&(Ms, Option<f64>)| *at > injected && share.is_some_and(|share| share < 100.0);
        let Some((last, _)) = steps.iter().rfind(less) else { continue };
        if let Some((at, _)) = steps.iter().find(|(at, share)| at > last && *share == Some(100.0)) {
            say(*at, "edge", format!("{region} has its whole share again"), Weight::Plain);
        }
    }
}

fn steady(journal: &Journal, back: Option<Ms>, at: Ms) -> Steady {
    let yes = |holds: bool| if holds { Steady::Yes } else { Steady::No };
    match journal.injected {
        Some(injected) if at >= injected => match (journal.healed, back) {
            (Some(healed), _) if at >= healed => yes(journal.after.as_ref().is_none_or(|after| after.met)),
            (_, Some(back)) if at >= back => Steady::Clients,
            _ => Steady::No,
        },
        _ => yes(journal.before.met),
    }
}
