//! When readiness and traffic stood as they should with a part gone: a region that is ready has its whole
//! share at every edge and in DNS, one that is not has none, and nothing moves any more.

use super::service::VERIFIED;
use crate::journal::{CompanionView, EdgeView, Journal, Ms, Observer, Seen};
use std::collections::BTreeMap;

/// From the fault. None: no companion noticed that a part is gone, or it did not settle until the fault was
/// undone.
pub fn settled(journal: &Journal, injected: Ms, undone: Ms) -> Option<Ms> {
    let mut states: BTreeMap<(Observer, &str), State> = BTreeMap::new();
    let mut noticed = false;
    let mut moved = injected;
    for sample in journal.samples.iter().filter(|sample| sample.at < undone) {
        let state = states.entry((sample.observer, sample.region.as_str())).or_default();
        let Some(seen) = sample.seen.as_ref().map(Standing::of) else {
            state.silent = true;
            continue;
        };
        if sample.at > injected && state.standing.as_ref().is_some_and(|known| *known != seen) {
            moved = moved.max(sample.at);
            let down = |standing: &Standing| match standing {
                Standing::Companion { down, .. } => down.len(),
                Standing::Edge(_) => 0,
            };
            noticed |= state.standing.as_ref().is_some_and(|known| down(&seen) > down(known));
        }
        *state = State { standing: Some(seen), silent: false };
    }
    // What is not seen at the end is not known to have settled.
    if !noticed || states.values().any(|state| state.silent) || undone - moved < VERIFIED {
        return None;
    }
    let standings: Vec<(&str, Standing)> =
        states.into_iter().filter_map(|((_, region), state)| Some((region, state.standing?))).collect();
    agrees(&standings).then_some(moved - injected).filter(|_| goes_there(journal, &standings, moved, undone))
}

#[derive(Default)]
struct State {
    standing: Option<Standing>,
    silent: bool,
}

/// What of a look matters here.
#[derive(PartialEq)]
enum Standing {
    Edge(BTreeMap<String, (bool, u8, u8)>),
    Companion { ready: bool, down: Vec<String>, dns: BTreeMap<String, u8> },
}

impl Standing {
    fn of(seen: &Seen) -> Standing {
        match seen {
            Seen::Edge(regions) => {
                let view = |view: &EdgeView| (view.healthy, view.breaker, view.share.round() as u8);
                Standing::Edge(regions.iter().map(|(name, region)| (name.clone(), view(region))).collect())
            }
            Seen::Companion(CompanionView { ready, down, dns, .. }) => {
                let mut down = down.clone();
                down.sort();
                let dns = dns.iter().map(|(name, share)| (name.clone(), share.round() as u8)).collect();
                Standing::Companion { ready: *ready, down, dns }
            }
        }
    }
}

/// Every share is what readiness asks for.
fn agrees(standings: &[(&str, Standing)]) -> bool {
    ready(standings).into_iter().all(|(region, ready)| {
        standings.iter().all(|(_, standing)| {
            let share = match standing {
                Standing::Edge(regions) => regions.get(region).map(|(_, _, share)| *share),
                Standing::Companion { dns, .. } => dns.get(region).copied(),
            };
            share.is_none_or(|share| share == if ready { 100 } else { 0 })
        })
    })
}

/// No region that is not ready answers.
fn goes_there(journal: &Journal, standings: &[(&str, Standing)], moved: Ms, undone: Ms) -> bool {
    let ready = ready(standings);
    let later = journal.requests.iter().filter(|request| request.due > moved && request.due < undone);
    let answered_by = |place: u8| journal.regions.get(usize::from(place)).map(String::as_str);
    later.filter_map(|request| answered_by(request.region?)).all(|region| ready.get(region) != Some(&false))
}

fn ready<'a>(standings: &[(&'a str, Standing)]) -> BTreeMap<&'a str, bool> {
    let of = |(region, standing): &(&'a str, Standing)| match standing {
        Standing::Companion { ready, .. } => Some((*region, *ready)),
        Standing::Edge(_) => None,
    };
    standings.iter().filter_map(of).collect()
}
