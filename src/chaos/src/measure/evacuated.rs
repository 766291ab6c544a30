//! When a struck region no longer had the traffic: by what clients were answered, and by whom.

use crate::experiment::ActionProvider;
use crate::journal::{Journal, Ms, Request};

/// Shares are taken over so long; a region that is to count as evacuated must have so much time left for it.
const OVER: Ms = 5_000.0;

/// A region that gives fewer than so many per cent of the answers is evacuated: one request that is sent there
/// because the other region failed it takes nothing back.
pub const BELOW: f64 = 1.0;

/// From the fault until the last answer of the struck regions at which they still had their share: over the
/// 5 s from when it was sent, 1 % of all answers or more. None: no step names a region, it was so less than 5 s
/// before the fault was undone, or nobody is known to have answered since.
pub fn evacuated(journal: &Journal, injected: Ms, undone: Ms) -> Option<Ms> {
    let struck = struck(journal);
    if struck.is_empty() {
        return None;
    }
    let sent_then = |request: &&Request| (injected..undone).contains(&request.sent);
    let mut answered: Vec<(&Request, bool)> = journal
        .requests
        .iter()
        .filter(sent_then)
        .filter_map(|request| Some((request, struck.contains(&request.region?))))
        .collect();
    answered.sort_by(|(a, _), (b, _)| a.sent.total_cmp(&b.sent));
    let last = last_with_share(&answered).map_or(injected, |end| end.max(injected));
    let somebody = answered.iter().any(|(request, struck)| !struck && request.end > last);
    (last + OVER <= undone && somebody).then_some(last - injected)
}

/// The end of the last answer of theirs at which the struck regions still had too many for an evacuated one.
fn last_with_share(answered: &[(&Request, bool)]) -> Option<Ms> {
    let (mut to, mut theirs) = (0, 0);
    let mut last: Option<Ms> = None;
    for (from, (request, struck)) in answered.iter().enumerate() {
        let within = |(next, _): &&(&Request, bool)| next.sent < request.sent + OVER;
        while let Some((_, struck)) = answered.get(to).filter(within) {
            theirs += usize::from(*struck);
            to += 1;
        }
        if *struck {
            if theirs as f64 * 100.0 >= BELOW * (to - from) as f64 {
                last = Some(last.map_or(request.end, |last| last.max(request.end)));
            }
            theirs -= 1;
        }
    }
    last
}

/// The regions that steps of the method name, by their places in the journal.
fn struck(journal: &Journal) -> Vec<u8> {
    let named = |place: &u8| {
        let name = journal.regions.get(usize::from(*place)).map(String::as_str);
        journal.experiment.method.iter().any(|step| match &step.provider {
            ActionProvider::Evenkeel { on, .. } => name.is_some() && on.region.as_deref() == name,
            _ => false,
        })
    };
    (0..=u8::MAX).take(journal.regions.len()).filter(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::fixture::{empty, request};
    use serde_json::json;

    /// From 20 s to 80 s Taiwan is drained; 50 requests a second, each answered after 8 ms, by Taiwan if it
    /// was sent at such a time.
    fn drained(taiwan: impl Fn(Ms) -> bool) -> Journal {
        let mut journal = empty();
        journal.experiment.method = serde_json::from_value(json!([{
            "name": "drain it",
            "provider": {"type": "evenkeel", "fault": {"name": "drain", "ttl": "90s"}, "on": {"region": "taiwan"}}
        }]))
        .expect("a method");
        let answered = |sent| request(sent, 8.0, false, 200, Some(u8::from(!taiwan(sent))));
        journal.requests = (0..5_000).map(|n| answered(Ms::from(n) * 20.0)).collect();
        journal
    }

    fn found(journal: &Journal) -> Option<Ms> {
        evacuated(journal, 20_000.0, 80_000.0)
    }

    #[test]
    fn it_is_until_the_last_answer_that_is_no_straggler() {
        // The last two of a hundred and more are below the bound.
        assert_eq!(found(&drained(|sent| sent < 22_000.0)), Some(1_948.0));
        assert_eq!(found(&drained(|sent| sent < 20_000.0)), Some(0.0));
        let straggles = |sent: Ms| sent < 22_000.0 || sent == 50_000.0;
        assert_eq!(found(&drained(straggles)), Some(1_948.0));
        // What was sent before the fault is no sign of anything after it.
        let mut before = drained(|sent| sent < 20_000.0);
        before.requests[999].end = 40_000.0;
        assert_eq!(found(&before), Some(0.0));
    }

    #[test]
    fn a_region_that_gets_traffic_again_was_not_evacuated_before() {
        let returns = |sent: Ms| sent < 22_000.0 || (60_000.0..61_000.0).contains(&sent);
        assert_eq!(found(&drained(returns)), Some(40_948.0));
        // Three of 250 are above the bound, two are not.
        let trickles = |sent: Ms| [50_000.0, 51_000.0, 52_000.0].contains(&sent);
        assert_eq!(found(&drained(trickles)), Some(30_008.0));
        // A failure of its own is an answer of its own.
        let mut failing = drained(returns);
        failing.requests.iter_mut().for_each(|request| request.status = 503);
        assert_eq!(found(&failing), Some(40_948.0));
    }

    #[test]
    fn a_held_request_counts_when_it_is_answered() {
        let mut journal = drained(|sent| sent < 22_000.0);
        journal.requests[1_050].end = 45_000.0;
        assert_eq!(found(&journal), Some(25_000.0));
    }

    #[test]
    fn what_was_not_seen_is_not_evacuated() {
        assert_eq!(found(&drained(|_| true)), None);
        assert_eq!(found(&drained(|sent| sent < 76_000.0)), None);
        assert_eq!(found(&drained(|sent| sent > 79_000.0)), None);
        let mut unnamed = drained(|_| false);
        unnamed.requests.iter_mut().for_each(|request| request.region = None);
        assert_eq!(found(&unnamed), None);
        // Nobody answers at all any more.
        let mut dead = drained(|sent| sent < 22_000.0);
        let later = dead.requests.iter_mut().filter(|request| request.sent >= 22_000.0);
        later.for_each(|request| (request.status, request.region) = (0, None));
        assert_eq!(found(&dead), None);
        let mut nobody = drained(|_| false);
        nobody.experiment.method.clear();
        assert_eq!(found(&nobody), None);
    }
}
