//! How one kind of request fared after the fault: RTO and outage.

use crate::figures::Service;
use crate::journal::{Ms, Request};

/// Good service must last so long to be a recovery. What lasts longer is asked for by the definition: every
/// request until the fault is undone must be good.
pub const VERIFIED: Ms = 1_000.0;

/// Of requests of one kind, in the order in which they were due.
pub fn service(requests: &[&Request], injected: Ms, undone: Ms, slow: Ms) -> Service {
    // What waits for its answer when the fault comes meets it too.
    let met = || requests.iter().copied().filter(|request| request.end > injected && request.due < undone);
    let is_late = |request: &Request| request.is_good() && request.latency() > slow;
    let is_bad = |request: &&Request| !request.is_good() || is_late(request);
    let mut service = Service {
        failed: met().filter(|request| !request.is_good()).count() as u64,
        late: met().filter(|request| is_late(request)).count() as u64,
        requests: met().count() as u64,
        ..Service::default()
    };
    let bad = || met().filter(is_bad);
    if let Some(first) = bad().map(|request| request.due).reduce(Ms::min) {
        let last = bad().map(|request| request.end).fold(first, Ms::max);
        service.outage = last - first.max(injected);
    }
    let last_bad = bad().map(|request| request.due).fold(Ms::NEG_INFINITY, Ms::max);
    let in_time = || met().filter(|request| !is_bad(request));
    let recovery = in_time().find(|request| request.due >= injected && request.due > last_bad);
    service.rto = recovery.filter(|recovery| undone - recovery.due >= VERIFIED).map(|recovery| {
        let answered = in_time().take_while(|request| request.due <= recovery.due);
        answered.map(|request| request.end).fold(recovery.end, Ms::max) - injected
    });
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULT: Ms = 10_000.0;

    /// Every 100 ms from 0 to 30 s, each answered after 20 ms; undone at 30 s.
    fn run(change: impl Fn(&mut Request)) -> Service {
        let mut requests: Vec<Request> = (0..300)
            .map(|n| {
                let due = Ms::from(n) * 100.0;
                let (end, sent) = (due + 20.0, due);
                Request { due, end, client: 0, order: true, status: 200, region: Some(0), sent, reads: None }
            })
            .collect();
        requests.iter_mut().for_each(change);
        service(&requests.iter().collect::<Vec<_>>(), FAULT, 30_000.0, 1_000.0)
    }

    #[test]
    fn without_an_outage_it_is_the_first_answer() {
        let service = run(|_| {});
        assert_eq!(service, Service { rto: Some(20.0), requests: 200, ..Service::default() });
    }

    #[test]
    fn failures_count_until_the_first_of_all_good_ones() {
        let service = run(|request| {
            if (10_000.0..12_000.0).contains(&request.due) || request.due == 13_000.0 {
                request.status = 503;
            }
        });
        assert_eq!((service.rto, service.failed), (Some(3_120.0), 21));
        assert_eq!(service.outage, 3_020.0);
    }

    #[test]
    fn what_is_held_is_no_recovery_until_it_is_answered() {
        // A writer that is back at 18 s, and answers then all that waited.
        let service = run(|request| {
            if (10_000.0..18_000.0).contains(&request.due) {
                request.end = 18_000.0;
            }
        });
        assert_eq!((service.rto, service.failed, service.late), (Some(8_000.0), 0, 70));
        assert_eq!(service.outage, 8_000.0);
    }

    #[test]
    fn what_waits_at_the_fault_meets_it() {
        let service = run(|request| {
            if request.due == 9_900.0 {
                (request.status, request.end) = (0, 10_400.0);
            }
        });
        assert_eq!((service.rto, service.failed, service.outage), (Some(20.0), 1, 400.0));
    }

    #[test]
    fn one_request_that_hangs_is_an_outage_for_its_client() {
        let service = run(|request| {
            if request.due == 10_100.0 {
                (request.status, request.end) = (0, 40_100.0);
            }
        });
        assert_eq!((service.rto, service.outage), (Some(220.0), 30_000.0));
    }

    #[test]
    fn a_moment_of_good_service_before_the_end_is_no_recovery() {
        let fails_until = |until: Ms| {
            run(move |request| {
                if (10_000.0..until).contains(&request.due) {
                    request.status = 503;
                }
            })
        };
        assert_eq!(fails_until(29_000.0).rto, Some(19_020.0));
        assert_eq!(fails_until(29_100.0).rto, None);
        assert_eq!(fails_until(40_000.0).rto, None);
        assert_eq!(service(&[], FAULT, 30_000.0, 1_000.0), Service::default());
    }
}
