//! From the question's name to the records that answer it.

use crate::counts::Transport;
use crate::places::Whereabouts;
use crate::request::{Edns, Question};
use crate::responder::State;
use crate::table::{Entry, Found, Node, Wire};
use arrayvec::ArrayVec;
use domain::base::Name;
use domain::base::charstr::CharStr;
use domain::base::iana::{Class, OptRcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, PushError, StaticCompressor};
use domain::base::rdata::ComposeRecordData;
use domain::rdata::{A, Aaaa, Cname, Hinfo, Ns};
use evenkeel_policy::dns::{Choice, Client, SetId};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::words::DnsReason;
use std::net::IpAddr;

/// The most names on the way from an alias to an address.
pub(crate) const MAX_HOPS: usize = 8;

/// What a response depends on besides the request.
pub(crate) struct Ask<'a> {
    pub(crate) state: &'a State,
    pub(crate) client: IpAddr,
    pub(crate) transport: Transport,
    pub(crate) random: u64,
    /// It is to be truncated whatever it is.
    pub(crate) slip: bool,
}

/// What became of it.
pub(crate) struct Outcome {
    pub(crate) rcode: OptRcode,
    pub(crate) truncated: bool,
    /// The prefix length of the network for which it holds; 0: for everyone.
    pub(crate) scope: u8,
    /// The records that were asked on the way, in order.
    pub(crate) hops: ArrayVec<Hop, MAX_HOPS>,
}

/// One record that was asked.
pub(crate) struct Hop {
    pub(crate) set: SetId,
    /// The random number it chose with.
    pub(crate) random: u64,
    pub(crate) region: Option<RegionId>,
    pub(crate) reason: DnsReason,
    pub(crate) ttl_lowered: bool,
    /// Where it is counted; none: it had nothing of that type.
    pub(crate) answered: Option<usize>,
}

/// What a response is written into.
pub(crate) type Target<'a> = StaticCompressor<&'a mut Vec<u8>>;

/// What follows a name's records.
enum End {
    /// Nothing.
    Here,
    /// The SOA record, by which it is kept how long there is nothing.
    Nothing,
    /// The name servers' addresses.
    Servers,
}

/// Where the records of one name lead.
enum Next<'a> {
    End(End),
    /// An alias of that name.
    Alias(&'a Wire),
}

/// The way from the question's name to its records.
pub(crate) struct Walk<'a> {
    ask: &'a Ask<'a>,
    /// What is looked up, if it has to be.
    address: Option<IpAddr>,
    place: Option<Whereabouts>,
    pub(crate) outcome: Outcome,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(ask: &'a Ask<'a>, edns: Option<&Edns>) -> Self {
        let subnet = edns.and_then(|edns| edns.subnet);
        let address = subnet.map_or(Some(ask.client), |subnet| subnet.address());
        let outcome = Outcome { rcode: OptRcode::NOERROR, truncated: false, scope: 0, hops: ArrayVec::new() };
        Walk { ask, address, place: None, outcome }
    }

    pub(crate) fn finish(mut self) -> Outcome {
        self.outcome.scope = self.place.map_or(0, |place| place.prefix);
        self.outcome
    }

    /// Writes the answer's records and what belongs to them.
    pub(crate) fn answer<'m>(
        &mut self,
        question: &Question<'_>,
        mut answers: AnswerBuilder<Target<'m>>,
    ) -> AdditionalBuilder<Target<'m>> {
        let table = &self.ask.state.table;
        let end = self.records(question, &mut answers);
        answers.header_mut().set_aa(self.outcome.rcode != OptRcode::REFUSED);
        let Ok(end) = end else {
            // Part of a set is worse than none: the client asks again by TCP.
            self.outcome.truncated = true;
            answers.rewind();
            return answers.additional();
        };
        let mut authority = answers.authority();
        if matches!(end, End::Nothing) {
            let soa = (&table.origin, Class::IN, table.negative_ttl, &table.soa);
            self.outcome.truncated = authority.push(soa).is_err();
        }
        let mut additional = authority.additional();
        if matches!(end, End::Servers) {
            for (name, addresses) in &table.nameservers {
                for address in addresses {
                    // What does not fit is asked for.
                    let _ = match *address {
                        IpAddr::V4(address) => additional.push((name, Class::IN, table.ttl, A::new(address))),
                        IpAddr::V6(address) => {
                            additional.push((name, Class::IN, table.ttl, Aaaa::new(address)))
                        }
                    };
                }
            }
        }
        additional
    }

    fn records(
        &mut self,
        question: &Question<'_>,
        answers: &mut AnswerBuilder<Target<'_>>,
    ) -> Result<End, PushError> {
        let state = self.ask.state;
        let refused = matches!(question.rtype, Rtype::AXFR | Rtype::IXFR) || question.class != Class::IN;
        // Labels' lengths are below 64, where there are no letters.
        let mut lower: ArrayVec<u8, 255> = question.name.as_slice().iter().copied().collect();
        lower.make_ascii_lowercase();
        let (mut key, mut owner) = (lower.as_slice(), question.name);
        let mut passed: ArrayVec<&Node, MAX_HOPS> = ArrayVec::new();
        loop {
            let node = match state.table.find(key) {
                Found::Node(node) if !refused => node,
                Found::Nothing if !refused => {
                    self.outcome.rcode = OptRcode::NXDOMAIN;
                    return Ok(End::Nothing);
                }
                _ if passed.is_empty() => {
                    self.outcome.rcode = OptRcode::REFUSED;
                    return Ok(End::Here);
                }
                _ => return Ok(End::Here),
            };
            // An alias that leads back, or too far.
            if passed.iter().any(|before| std::ptr::eq(*before, node)) || passed.try_push(node).is_err() {
                return Ok(End::Here);
            }
            match self.node(node, owner, question.rtype, answers)? {
                Next::End(end) => return Ok(end),
                Next::Alias(name) => (key, owner) = (name.as_slice(), name.for_slice()),
            }
        }
    }

    /// The records of one name.
    fn node(
        &mut self,
        node: &Node,
        owner: &Name<[u8]>,
        rtype: Rtype,
        answers: &mut AnswerBuilder<Target<'_>>,
    ) -> Result<Next<'a>, PushError> {
        let table = &self.ask.state.table;
        match (rtype, &node.entry) {
            (Rtype::SOA, _) if node.apex => {
                answers.push((owner, Class::IN, table.ttl, &table.soa))?;
                Ok(Next::End(End::Here))
            }
            (Rtype::NS, _) if node.apex => {
                for (name, _) in &table.nameservers {
                    answers.push((owner, Class::IN, table.ttl, Ns::new(name)))?;
                }
                Ok(Next::End(End::Servers))
            }
            (_, Some(entry)) => self.entry(entry, owner, rtype, answers),
            (Rtype::ANY, None) if node.apex || !node.addresses.is_empty() => {
                minimal(owner, table.ttl, answers)?;
                Ok(Next::End(End::Here))
            }
            (_, None) => {
                let mut end = End::Nothing;
                for address in &node.addresses {
                    match (rtype, *address) {
                        (Rtype::A, IpAddr::V4(address)) => {
                            answers.push((owner, Class::IN, table.ttl, A::new(address)))?;
                        }
                        (Rtype::AAAA, IpAddr::V6(address)) => {
                            answers.push((owner, Class::IN, table.ttl, Aaaa::new(address)))?;
                        }
                        _ => continue,
                    }
                    end = End::Here;
                }
                Ok(Next::End(end))
            }
        }
    }

    /// What the policy chooses of a record.
    fn entry(
        &mut self,
        entry: &Entry,
        owner: &Name<[u8]>,
        rtype: Rtype,
        answers: &mut AnswerBuilder<Target<'_>>,
    ) -> Result<Next<'a>, PushError> {
        let state = self.ask.state;
        let client = if entry.by_place { self.place().client } else { Client::default() };
        // Each record on the way draws for itself.
        let random = self.ask.random.rotate_left(self.outcome.hops.len() as u32 * 23);
        let choice =
            state.table.zone.records.choose(entry.set, &client, &state.standing.shares, random, &mut ());
        let (ttl, ttl_lowered) = state.table.ttl(entry, state.standing.fresh);
        let (region, reason) = (choice.region, choice.reason);
        let mut hop = Hop { set: entry.set, random, region, reason, ttl_lowered, answered: None };

        let alias = choice.values.first().and_then(|first| state.table.value(*first)?.cname.as_ref());
        let next = match alias {
            Some(name) => {
                answers.push((owner, Class::IN, ttl, Cname::new(name)))?;
                hop.answered = Some(entry.series(region));
                match rtype {
                    Rtype::CNAME | Rtype::ANY => Next::End(End::Here),
                    _ => Next::Alias(name),
                }
            }
            None if rtype == Rtype::ANY && !choice.values.is_empty() => {
                minimal(owner, ttl, answers)?;
                hop.answered = Some(entry.series(region));
                Next::End(End::Here)
            }
            None if self.values(&choice, owner, rtype, ttl, answers)? => {
                hop.answered = Some(entry.series(region));
                Next::End(End::Here)
            }
            None => Next::End(End::Nothing),
        };
        let _ = self.outcome.hops.try_push(hop);
        Ok(next)
    }

    /// Writes the values' records of the type, and says whether there are any.
    fn values(
        &self,
        choice: &Choice,
        owner: &Name<[u8]>,
        rtype: Rtype,
        ttl: u32,
        answers: &mut AnswerBuilder<Target<'_>>,
    ) -> Result<bool, PushError> {
        let before = answers.counts().ancount();
        for (at, id) in choice.values.iter().enumerate() {
            // Two members may answer the same; an alias cannot stand beside others.
            let known = choice.values.iter().take(at).any(|earlier| earlier == id);
            let Some(value) = self.ask.state.table.value(*id).filter(|value| !known && value.cname.is_none())
            else {
                continue;
            };
            match rtype {
                Rtype::A => push_all(answers, owner, ttl, value.a.iter().map(|address| A::new(*address)))?,
                Rtype::AAAA => {
                    push_all(answers, owner, ttl, value.aaaa.iter().map(|address| Aaaa::new(*address)))?;
                }
                Rtype::TXT => push_all(answers, owner, ttl, value.txt.iter())?,
                _ => {}
            }
        }
        Ok(answers.counts().ancount() > before)
    }

    /// Where the client is; looked up once, and only if it matters.
    fn place(&mut self) -> Whereabouts {
        *self.place.get_or_insert_with(|| {
            let places = self.ask.state.places.as_ref();
            places.zip(self.address).map(|(places, address)| places.find(address)).unwrap_or_default()
        })
    }
}

fn push_all<D: ComposeRecordData>(
    answers: &mut AnswerBuilder<Target<'_>>,
    owner: &Name<[u8]>,
    ttl: u32,
    data: impl Iterator<Item = D>,
) -> Result<(), PushError> {
    for data in data {
        answers.push((owner, Class::IN, ttl, data))?;
    }
    Ok(())
}

/// The whole answer to ANY (RFC 8482): short, so that nobody gains by asking it in another's name.
fn minimal(owner: &Name<[u8]>, ttl: u32, answers: &mut AnswerBuilder<Target<'_>>) -> Result<(), PushError> {
    let text = |text: &'static [u8]| CharStr::from_octets(text);
    let (Ok(why), Ok(empty)) = (text(b"RFC8482"), text(b"")) else { return Ok(()) };
    answers.push((owner, Class::IN, ttl, Hinfo::new(why, empty)))
}
