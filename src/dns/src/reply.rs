//! The response to one request.

use crate::answer::{Ask, Outcome, Target, Walk};
use crate::counts::Transport;
use crate::request::{Edns, Request};
use domain::base::MessageBuilder;
use domain::base::iana::OptionCode;
use domain::base::message_builder::{OptBuilder, StaticCompressor};
use domain::dep::octseq::OctetsBuilder;

/// The most bytes of a response by UDP: what passes every path in one piece (DNS Flag Day 2020).
pub(crate) const MAX_DATAGRAM: usize = 1232;

/// The same without EDNS (RFC 1035).
const MAX_PLAIN_DATAGRAM: usize = 512;

const OPT: usize = 11;
const KEEPALIVE: usize = 6;

/// How long a TCP connection may idle, in tenths of a second (RFC 7828).
pub(crate) const IDLE_TENTHS: u16 = 100;

/// Writes it. None: it cannot be written, which no request can bring about.
pub(crate) fn write(ask: &Ask<'_>, request: &Request<'_>, reply: &mut Vec<u8>) -> Option<Outcome> {
    let Ok(mut message) = MessageBuilder::from_target(StaticCompressor::new(reply));
    let header = message.header_mut();
    header.set_id(request.header.id());
    header.set_qr(true);
    header.set_opcode(request.header.opcode());
    header.set_rd(request.header.rd());

    let keepalive = ask.transport == Transport::Tcp && request.edns.is_some_and(|edns| edns.keepalive);
    let (limit, reserved) = limits(ask, request.edns.as_ref(), keepalive);
    // The builder's limit is the first length that is too long.
    message.set_push_limit(limit - reserved + 1);
    let mut message = message.question();
    if let Some(question) = &request.question {
        message.push((question.name, question.rtype, question.class)).ok()?;
    }
    let mut walk = Walk::new(ask, request.edns.as_ref());
    let mut message = match (&request.question, request.fault) {
        (_, Some(fault)) => {
            walk.outcome.rcode = fault;
            message.additional()
        }
        (Some(question), None) if !ask.slip => walk.answer(question, message.answer()),
        (_, None) => {
            walk.outcome.truncated = true;
            message.additional()
        }
    };
    let outcome = walk.finish();

    if outcome.truncated {
        message.header_mut().set_tc(true);
    }
    message.set_push_limit(limit + 1);
    if let Some(edns) = &request.edns {
        let write = |opt: &mut OptBuilder<'_, Target<'_>>| {
            opt.set_udp_payload_size(MAX_DATAGRAM as u16);
            opt.set_dnssec_ok(edns.dnssec_ok);
            opt.set_rcode(outcome.rcode);
            if let Some(subnet) = &edns.subnet {
                subnet.write(outcome.scope, opt)?;
            }
            if keepalive {
                let tenths = IDLE_TENTHS.to_be_bytes();
                opt.push_raw_option(OptionCode::TCP_KEEPALIVE, 2, |to| to.append_slice(&tenths))?;
            }
            Ok(())
        };
        message.opt(write).ok()?;
    } else {
        message.header_mut().set_rcode(outcome.rcode.rcode());
    }
    Some(outcome)
}

/// The most bytes of the response, and of those the ones that OPT needs.
fn limits(ask: &Ask<'_>, edns: Option<&Edns>, keepalive: bool) -> (usize, usize) {
    let limit = match (ask.transport, edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, Some(edns)) => usize::from(edns.payload).clamp(MAX_PLAIN_DATAGRAM, MAX_DATAGRAM),
        (Transport::Udp, None) => MAX_PLAIN_DATAGRAM,
    };
    let reserved = edns.map_or(0, |edns| {
        OPT + edns.subnet.map_or(0, |subnet| subnet.length()) + if keepalive { KEEPALIVE } else { 0 }
    });
    (limit, reserved)
}
