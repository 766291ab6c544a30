//! What a stranger's bytes ask for.
//!
//! The work is bounded by their number: the question's name is read without pointers, and of all other
//! records only OPT is looked into.

use crate::subnet::Subnet;
use domain::base::iana::{Class, Opcode, OptRcode, OptionCode, Rtype};
use domain::base::name::ToLabelIter;
use domain::base::opt::{Opt, OptRecord, UnknownOptData};
use domain::base::{Header, Message, Name};

/// The most bytes of a request that are looked at. A question needs 271 at most; the rest is room for
/// EDNS options.
pub(crate) const MAX_REQUEST: usize = 4096;

/// Where the question begins; less is no request.
pub(crate) const HEADER: usize = 12;

/// A request, as far as it could be read.
pub(crate) struct Request<'a> {
    pub(crate) header: Header,
    /// None: the answer repeats none.
    pub(crate) question: Option<Question<'a>>,
    /// None: the client does not speak EDNS, or nobody got as far as that.
    pub(crate) edns: Option<Edns>,
    /// Why it is not answered, whatever it asks for.
    pub(crate) fault: Option<OptRcode>,
}

/// The one question.
pub(crate) struct Question<'a> {
    /// The name in the case it was asked in.
    pub(crate) name: &'a Name<[u8]>,
    pub(crate) rtype: Rtype,
    pub(crate) class: Class,
}

/// What the OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The largest answer by UDP, as the client says.
    pub(crate) payload: u16,
    pub(crate) dnssec_ok: bool,
    pub(crate) subnet: Option<Subnet>,
    /// The client asks how long a TCP connection may idle (RFC 7828).
    pub(crate) keepalive: bool,
}

impl<'a> Request<'a> {
    /// None: no answer at all. It is too short to have a number, or is an answer itself.
    pub(crate) fn read(bytes: &'a [u8], client_subnet: bool) -> Option<Self> {
        let message = Message::from_slice(bytes).ok()?;
        let header = message.header();
        if header.qr() {
            return None;
        }
        let mut request = Request { header, question: None, edns: None, fault: None };
        let filled = match bytes.len() {
            ..=MAX_REQUEST => request.fill(message, bytes, client_subnet),
            _ => Err(OptRcode::FORMERR),
        };
        request.fault = match header.opcode() {
            Opcode::QUERY => filled.err(),
            _ => Some(OptRcode::NOTIMP),
        };
        Some(request)
    }

    fn fill(
        &mut self,
        message: &'a Message<[u8]>,
        bytes: &'a [u8],
        client_subnet: bool,
    ) -> Result<(), OptRcode> {
        let malformed = |_| OptRcode::FORMERR;
        if message.header_counts().qdcount() != 1 {
            return Err(OptRcode::FORMERR);
        }
        let mut section = message.question();
        let read = section.next().ok_or(OptRcode::FORMERR)?.map_err(malformed)?;
        // A name that is written in one piece ends where the type begins; there is nothing before it
        // that a pointer could rightly lead to.
        let end = HEADER + usize::from(read.qname().compose_len());
        let name = bytes.get(HEADER..end).and_then(|name| Name::from_slice(name).ok());
        let (Some(name), true) = (name, section.pos() == end + 4) else { return Err(OptRcode::FORMERR) };
        self.question = Some(Question { name, rtype: read.qtype(), class: read.qclass() });

        for record in message.additional().map_err(malformed)? {
            let record = record.map_err(malformed)?;
            if record.rtype() != Rtype::OPT {
                continue;
            }
            if self.edns.is_some() || !record.owner().is_root() {
                return Err(OptRcode::FORMERR);
            }
            let record = record.into_record::<Opt<_>>().map_err(malformed)?.ok_or(OptRcode::FORMERR)?;
            self.edns(&OptRecord::from(record), client_subnet)?;
        }
        Ok(())
    }

    fn edns(&mut self, opt: &OptRecord<&'a [u8]>, client_subnet: bool) -> Result<(), OptRcode> {
        let edns = self.edns.insert(Edns {
            payload: opt.udp_payload_size(),
            dnssec_ok: opt.dnssec_ok(),
            subnet: None,
            keepalive: false,
        });
        if opt.version() > 0 {
            return Err(OptRcode::BADVERS);
        }
        for option in opt.opt().iter::<UnknownOptData<_>>() {
            let option = option.map_err(|_| OptRcode::FORMERR)?;
            match option.code() {
                OptionCode::CLIENT_SUBNET if client_subnet && edns.subnet.is_none() => {
                    edns.subnet = Some(Subnet::read(option.as_slice()).ok_or(OptRcode::FORMERR)?);
                }
                OptionCode::TCP_KEEPALIVE => edns.keepalive = true,
                _ => {}
            }
        }
        Ok(())
    }
}
