//! What a run comes to: its figures, and each criterion's verdict.
//!
//! It owns the words for results. It must never know how one is computed (`measure`, `verdict`) or shown
//! (`report`).

mod alerts;

pub use alerts::{AlertChange, AlertSeen, Alerts, BeforeFault};

use crate::journal::Ms;
use serde::Serialize;

/// All figures of a run. None: it could not be measured, or the run has no such thing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// From the fault to the first transition that it caused.
    pub detection: Option<Ms>,
    /// Who noticed or acted, in order of time, counted from the fault.
    pub layers: Vec<LayerActed>,
    /// Reads from the fault until the fault was undone.
    pub reads: Service,
    /// Orders in the same time.
    pub orders: Service,
    /// Requests from the fault until 60 s later, and those that waited for an answer at the fault.
    pub window: Errors,
    /// The reads among them.
    pub window_reads: Errors,
    /// Requests in all of the run.
    pub whole: Errors,
    /// How much of the 60 s after the fault there was load.
    pub window_length: Ms,
    /// Requests per second that were due in the window.
    pub rate: f64,
    /// The latest that a request of the run left after it was due. A generator that stalls sends too late
    /// what should have met the fault.
    pub lateness: Ms,
    /// How latency changed.
    pub latency: Latency,
    /// Acknowledged orders: those lost, and how far back the loss reaches. None: no audit.
    pub loss: Option<Loss>,
    /// Orders of the run that got no answer at all.
    pub unanswered_orders: u64,
    /// From the start of undoing until the steady state held again.
    pub healed: Option<Ms>,
    /// What became of alerts. None: nobody was asked.
    pub alerts: Option<Alerts>,
    /// From the fault until readiness and traffic stood as they should with a part gone.
    pub settled: Option<Ms>,
    /// From the fault until the struck regions gave no more than stray answers. None: they went on answering,
    /// nobody is known to have answered in their place, or no region was struck by name.
    pub evacuated: Option<Ms>,
    /// The longest time between two looks at one observer: the resolution of detection.
    pub look_resolution: Ms,
    /// The longest time between two requests that were due: the resolution of RTO.
    pub request_resolution: Ms,
}

/// A layer that noticed or acted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerActed {
    /// `edge`, `database`, `dns`, `readiness`.
    pub layer: &'static str,
    /// What it did, in words.
    pub what: String,
    /// After the fault.
    pub after: Ms,
}

/// How one kind of request fared after the fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Service {
    /// From the fault to verified recovery: until the first request is answered after which each one due until
    /// the fault was undone was answered well and in time, and all that were due before it and answered
    /// in time are. So a held request is no recovery until it is answered. Good service must last for at
    /// least a second then. None: it did not recover.
    pub rto: Option<Ms>,
    /// What clients saw: from when the first request was due that failed or came late (or from the fault, if
    /// it was on its way) until the last of them was answered or given up. 0: nothing.
    pub outage: Ms,
    /// Failed.
    pub failed: u64,
    /// Answered well, later than the load's `slow`.
    pub late: u64,
    /// All of them: those due, and those that waited for an answer at the fault.
    pub requests: u64,
}

/// Failures among requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Errors {
    /// All of them.
    pub requests: u64,
    /// Answered with a failure, or not at all.
    pub failed: u64,
}

impl Errors {
    /// Failures in per cent. None: there was no request.
    pub fn percent(self) -> Option<f64> {
        (self.requests > 0).then(|| 100.0 * self.failed as f64 / self.requests as f64)
    }
}

/// Percentiles of successful requests, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Ms,
    /// 95 of 100 are faster.
    pub p95: Ms,
    /// 99 of 100 are faster.
    pub p99: Ms,
}

/// How latency changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Answered before the fault by the regions that answered after recovery too.
    pub baseline: Option<Percentiles>,
    /// From the fault until recovery.
    pub during: Option<Percentiles>,
    /// From recovery until the fault was undone.
    pub recovered: Option<Percentiles>,
    /// One round trip between regions, which a request that goes to the other region has to pay.
    pub round_trip: Ms,
    /// Per cent by which the recovered 95th percentile is above the baseline's plus one round trip.
    pub increase_percent: Option<f64>,
}

/// What was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Loss {
    /// Acknowledged in all.
    pub acknowledged: u64,
    /// Acknowledged and gone.
    pub lost: u64,
    /// From the acknowledgement of the oldest lost order to the fault: RPO. Of those acknowledged after the
    /// fault and lost, from the fault to the newest, if that is longer. 0: nothing was lost.
    pub rpo: Ms,
    /// Doubled, changed, never asked for, or different between nodes.
    pub corrupt: u64,
    /// Reads that did not find a lost order. They are counted here and not among the failures: what they
    /// tell of is the loss, which has a criterion of its own.
    pub reads_of_lost: u64,
}

/// One criterion, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// The criterion's name in the file, like `rto-reads`.
    pub criterion: &'static str,
    /// In words for people, like `Reads recover`.
    pub title: &'static str,
    /// What was promised, like `≤ 5 s`.
    pub promised: String,
    /// What was measured, like `0.42 s`.
    pub measured: String,
    /// What is true of it.
    pub verdict: Verdict,
}

/// What is true of a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Held,
    /// It does not hold, or could not be measured although it was promised.
    Missed,
}

/// The whole verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The run was completed and every criterion holds, of which there is at least one.
    pub passed: bool,
    /// Why not, in a sentence, where no criterion says it (a run that was not completed).
    pub reason: Option<String>,
    /// One by one.
    pub criteria: Vec<Judged>,
}
