//! What was asked and answered, in numbers.
//!
//! Each thread counts for itself in a [`Tally`], so that none waits for another; [`Counts`] is their sum.

use domain::base::iana::OptRcode;
use evenkeel_policy::words::DnsReason;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram, whose source nobody has verified.
    Udp,
    /// A connection.
    Tcp,
}

impl Transport {
    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        }
    }
}

/// Response codes that are given lie below; the greatest is BADVERS.
const RCODES: usize = 17;
const REASONS: usize = DnsReason::ALL.len();

/// What one thread has counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    answers: Vec<u64>,
    reasons: [u64; REASONS],
    responses: [u64; RCODES],
    queries: [u64; 2],
    pub(crate) truncated: u64,
    pub(crate) dropped: u64,
    pub(crate) slipped: u64,
    pub(crate) malformed: u64,
}

impl Tally {
    pub(crate) fn query(&mut self, transport: Transport) {
        add(&mut self.queries, transport as usize);
    }

    pub(crate) fn response(&mut self, code: OptRcode) {
        add(&mut self.responses, usize::from(code.to_int()));
    }

    pub(crate) fn answer(&mut self, series: usize, reason: DnsReason) {
        if self.answers.len() <= series {
            self.answers.resize(series + 1, 0);
        }
        add(&mut self.answers, series);
        self.reason(reason);
    }

    pub(crate) fn reason(&mut self, reason: DnsReason) {
        add(&mut self.reasons, reason.index());
    }
}

fn add(counts: &mut [u64], at: usize) {
    if let Some(count) = counts.get_mut(at) {
        *count += 1;
    }
}

/// A number for each pair of record and region, which it keeps when the zone is loaded anew.
#[derive(Debug, Default)]
pub(crate) struct Series(Mutex<HashMap<(String, String), usize>>);

impl Series {
    pub(crate) fn number(&self, record: &str, region: &str) -> usize {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = known.len();
        *known.entry((record.to_owned(), region.to_owned())).or_insert(next)
    }
}

/// What was asked and answered since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Answers with records, by record and region; those that there were.
    pub answers: Vec<AnswerCount>,
    /// Answers by reason ([`DnsReason`]); `no_answer` counts those that no record serves.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Responses by code: `NOERROR`, …
    pub responses: BTreeMap<String, u64>,
    /// Queries by transport: `udp`, `tcp`.
    pub queries: BTreeMap<&'static str, u64>,
    /// Responses that did not fit, slipped ones not included.
    pub truncated: u64,
    /// Queries left without a response by the rate limit.
    pub dropped: u64,
    /// Queries over the rate limit that were answered as truncated.
    pub slipped: u64,
    /// Requests that are none: too short, garbled, or responses themselves.
    pub malformed: u64,
}

/// How often a record was answered with a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AnswerCount {
    /// The record's name within the zone, `@` for the zone itself.
    pub record: String,
    /// The region, or `none`.
    pub region: String,
    /// So often.
    pub count: u64,
}

impl Counts {
    pub(crate) fn sum<'a>(tallies: impl Iterator<Item = &'a Mutex<Tally>>, series: &Series) -> Self {
        let mut sum = Tally::default();
        for tally in tallies {
            let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            if sum.answers.len() < tally.answers.len() {
                sum.answers.resize(tally.answers.len(), 0);
            }
            merge(&mut sum.answers, &tally.answers);
            merge(&mut sum.reasons, &tally.reasons);
            merge(&mut sum.responses, &tally.responses);
            merge(&mut sum.queries, &tally.queries);
            sum.truncated += tally.truncated;
            sum.dropped += tally.dropped;
            sum.slipped += tally.slipped;
            sum.malformed += tally.malformed;
        }
        let known = series.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers: Vec<AnswerCount> = known
            .iter()
            .filter_map(|((record, region), number)| {
                let count = sum.answers.get(*number).copied().filter(|count| *count > 0)?;
                Some(AnswerCount { record: record.clone(), region: region.clone(), count })
            })
            .collect();
        answers.sort();
        let codes = (0..).zip(sum.responses).filter(|(_, count)| *count > 0);
        let transports = [Transport::Udp, Transport::Tcp];
        Counts {
            answers,
            reasons: DnsReason::ALL.iter().map(|reason| reason.as_str()).zip(sum.reasons).collect(),
            responses: codes
                .map(|(code, count)| (OptRcode::masked_from_int(code).to_string(), count))
                .collect(),
            queries: transports.map(Transport::as_str).into_iter().zip(sum.queries).collect(),
            truncated: sum.truncated,
            dropped: sum.dropped,
            slipped: sum.slipped,
            malformed: sum.malformed,
        }
    }
}

fn merge(sum: &mut [u64], more: &[u64]) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}
