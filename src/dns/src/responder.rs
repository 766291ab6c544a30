//! From a request's bytes to the response's: the one way for live traffic, tests and fuzzing.

use crate::answer::Ask;
use crate::counts::{Counts, Series, Tally, Transport};
use crate::limit::{Limit, Verdict};
use crate::places::Places;
use crate::reply;
use crate::request::Request;
use crate::table::Table;
use crate::{Settings, Standing};
use arc_swap::ArcSwap;
use domain::base::iana::OptRcode;
use evenkeel_policy::words::DnsReason;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A request and what else its answer depends on.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// What was sent, without the length that TCP puts before it.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub client: SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// A fresh random number.
    pub random: u64,
    /// The time.
    pub now: Instant,
}

/// Answers requests.
pub struct Responder {
    state: ArcSwap<State>,
    series: Series,
}

/// What answers are made of at one moment.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) table: Arc<Table>,
    pub(crate) places: Option<Places>,
    pub(crate) standing: Arc<Standing>,
    limit: Arc<Limit>,
}

impl State {
    fn new(
        settings: &Settings,
        places: Option<Places>,
        standing: Arc<Standing>,
        series: &Series,
        before: Option<&State>,
    ) -> Result<Self, String> {
        let before = before.map(|state| state.table.soa.serial());
        let table = Arc::new(Table::new(settings, series, before)?);
        let limit = Arc::new(Limit::new(&settings.dns.rate_limit)?);
        Ok(State { table, places, standing, limit })
    }
}

impl Responder {
    /// # Errors
    /// A line that names the field that cannot be used.
    pub fn new(settings: &Settings, places: Option<Places>, standing: Standing) -> Result<Self, String> {
        let series = Series::default();
        let state = State::new(settings, places, Arc::new(standing), &series, None)?;
        Ok(Responder { state: ArcSwap::from_pointee(state), series })
    }

    /// Answers follow this health from now on.
    pub fn set(&self, standing: Standing) {
        let standing = Arc::new(standing);
        self.state.rcu(|state| State { standing: standing.clone(), ..State::clone(state) });
    }

    /// Takes up a new zone and database, whole or not at all. Health stays, and so do counts.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn reload(&self, settings: &Settings, places: Option<Places>) -> Result<(), String> {
        let before = self.state.load_full();
        let next = State::new(settings, places, before.standing.clone(), &self.series, Some(&before))?;
        // Health may have changed in between.
        self.state.rcu(|state| State { standing: state.standing.clone(), ..next.clone() });
        Ok(())
    }

    /// Writes the response into `reply`, and says whether there is one.
    pub fn respond(&self, query: &Query<'_>, reply: &mut Vec<u8>, tally: &mut Tally) -> bool {
        let state = self.state.load();
        tally.query(query.transport);
        reply.clear();
        let Some(request) = Request::read(query.bytes, state.table.client_subnet) else {
            tally.malformed += 1;
            return false;
        };
        let verdict = match query.transport {
            Transport::Udp => state.limit.admit(query.client.ip(), query.now, query.random),
            Transport::Tcp => Verdict::Answer,
        };
        if verdict == Verdict::Drop {
            tally.dropped += 1;
            return false;
        }
        let ask = Ask {
            state: &state,
            client: query.client.ip(),
            transport: query.transport,
            random: query.random,
            slip: verdict == Verdict::Slip,
        };
        let Some(outcome) = reply::write(&ask, &request, reply) else { return false };

        tally.response(outcome.rcode);
        match outcome.rcode {
            _ if ask.slip => tally.slipped += 1,
            _ if outcome.truncated => tally.truncated += 1,
            OptRcode::FORMERR => tally.malformed += 1,
            _ => {
                for hop in &outcome.hops {
                    match hop.answered {
                        Some(series) => tally.answer(series, hop.reason),
                        // A value without records of the type says nothing of the policy.
                        None if hop.reason == DnsReason::NoAnswer => tally.reason(hop.reason),
                        None => {}
                    }
                }
            }
        }
        true
    }

    pub(crate) fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    pub(crate) fn counts<'a>(&self, tallies: impl Iterator<Item = &'a Mutex<Tally>>) -> Counts {
        Counts::sum(tallies, &self.series)
    }
}

/// The state of a moment that needs no server.
pub(crate) fn offline(
    settings: &Settings,
    places: Option<Places>,
    standing: &Standing,
) -> Result<State, String> {
    State::new(settings, places, Arc::new(standing.clone()), &Series::default(), None)
}
