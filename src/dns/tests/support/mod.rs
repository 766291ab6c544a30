//! A zone of every policy, questions about it as resolvers write them, and answers as people read them.

pub mod mmdb;

use domain::base::iana::{Class, OptRcode, OptionCode, Rtype};
use domain::base::opt::ClientSubnet;
use domain::base::{Message, MessageBuilder, Name, ParsedName};
use domain::rdata::AllRecordData;
use evenkeel_config::Plan;
use evenkeel_dns::{Places, Query, Responder, Settings, Standing, Tally, Transport};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Instant;

/// The zone's file.
pub const ZONE: &str = include_str!("zone.yaml");

/// Where clients of the tests are.
pub const PLACES: [mmdb::Entry; 9] = [
    ("198.51.100.0/24", "AS", "TW", ""),
    ("203.0.113.0/24", "AS", "JP", ""),
    ("192.0.0.0/16", "NA", "US", "CA"),
    ("192.1.0.0/16", "NA", "US", "NV"),
    ("192.2.0.0/16", "NA", "US", ""),
    ("192.3.0.0/16", "NA", "CA", "QC"),
    ("192.4.0.0/20", "EU", "FR", ""),
    ("192.5.0.0/16", "AS", "", ""),
    ("2001:db8:7::/48", "AS", "JP", ""),
];

/// The settings that a topology file makes.
pub fn settings(file: &str) -> Settings {
    let plan = Plan::read(file.as_bytes(), Path::new("."), None).unwrap_or_else(|faults| panic!("{faults}"));
    Settings {
        zone: plan.zone.expect("there is a dns section"),
        dns: plan.file.dns.expect("there is a dns section"),
        regions: plan.file.regions.into_iter().map(|region| region.name).collect(),
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        geoip: None,
    }
}

/// The database of the tests.
pub fn places() -> Places {
    Places::from_bytes(mmdb::bytes(&PLACES)).expect("it was written a moment ago")
}

/// A responder for the zone, with the database, everything healthy.
pub fn responder() -> Responder {
    responder_of(ZONE)
}

/// The same for another file.
pub fn responder_of(file: &str) -> Responder {
    Responder::new(&settings(file), Some(places()), Standing::default()).expect("the zone is right")
}

/// The checks `taiwan, japan, ireland, orders` with these shares.
pub fn standing(shares: [u8; 4]) -> Standing {
    Standing { shares: shares.to_vec(), fresh: false }
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    pub name: String,
    pub rtype: Rtype,
    pub class: Class,
    pub from: IpAddr,
    pub transport: Transport,
    /// The size in OPT; none: no OPT.
    pub edns: Option<u16>,
    /// Options: the code and the data.
    pub options: Vec<(u16, Vec<u8>)>,
    pub random: u64,
}

/// Asks for a name's records of a type, by UDP with EDNS.
pub fn question(name: &str, rtype: Rtype) -> Question {
    Question {
        name: name.to_owned(),
        rtype,
        class: Class::IN,
        from: "192.0.2.200".parse().unwrap(),
        transport: Transport::Udp,
        edns: Some(1232),
        options: Vec::new(),
        random: 0,
    }
}

impl Question {
    pub fn from(mut self, address: &str) -> Self {
        self.from = address.parse().unwrap();
        self
    }

    pub fn by_tcp(mut self) -> Self {
        self.transport = Transport::Tcp;
        self
    }

    pub fn edns(mut self, size: u16) -> Self {
        self.edns = Some(size);
        self
    }

    pub fn without_edns(mut self) -> Self {
        self.edns = None;
        self
    }

    pub fn option(mut self, code: u16, data: &[u8]) -> Self {
        self.options.push((code, data.to_vec()));
        self
    }

    /// With Client Subnet, as `203.0.113.0/24`.
    pub fn subnet(self, network: &str) -> Self {
        let (address, length) = network.split_once('/').unwrap();
        let (address, length): (IpAddr, u8) = (address.parse().unwrap(), length.parse().unwrap());
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        let family = if address.is_ipv4() { 1 } else { 2 };
        let data = [&[0, family, length, 0], &octets[..usize::from(length).div_ceil(8)]].concat();
        self.option(8, &data)
    }

    pub fn random(mut self, random: u64) -> Self {
        self.random = random;
        self
    }

    /// The request, with number 0x4b45.
    pub fn bytes(&self) -> Vec<u8> {
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(0x4b45);
        message.header_mut().set_rd(true);
        let mut message = message.question();
        let name: Name<Vec<u8>> = self.name.parse().unwrap();
        message.push((name, self.rtype, self.class)).unwrap();
        let mut message = message.additional();
        if let Some(size) = self.edns {
            let options = |opt: &mut domain::base::message_builder::OptBuilder<'_, Vec<u8>>| {
                opt.set_udp_payload_size(size);
                self.options.iter().try_for_each(|(code, data)| {
                    opt.push_raw_option(OptionCode::from_int(*code), data.len() as u16, |to| {
                        to.extend_from_slice(data);
                        Ok(())
                    })
                })
            };
            message.opt(options).unwrap();
        }
        message.finish()
    }

    /// The answer; there must be one.
    pub fn ask(&self, responder: &Responder) -> Answer {
        let bytes = self.bytes();
        let answer = ask(responder, &bytes, self.from, self.transport, self.random);
        Answer::read(answer.expect("a right question is answered"))
    }
}

/// What comes back for these bytes.
pub fn ask(
    responder: &Responder,
    bytes: &[u8],
    from: IpAddr,
    transport: Transport,
    random: u64,
) -> Option<Vec<u8>> {
    let client = SocketAddr::new(from, 4711);
    let query = Query { bytes, client, transport, random, now: Instant::now() };
    let mut reply = Vec::new();
    responder.respond(&query, &mut reply, &mut Tally::default()).then_some(reply)
}

/// An answer as people read it.
#[derive(Clone, Debug)]
pub struct Answer {
    pub bytes: Vec<u8>,
    pub rcode: OptRcode,
    /// The flags that are set: `qr aa tc rd ra ad cd`.
    pub flags: String,
    /// `www.example.com. IN A`.
    pub question: Option<String>,
    /// Records as `www.example.com. 60 A 192.0.2.1`.
    pub answers: Vec<String>,
    pub authority: Vec<String>,
    /// Without OPT.
    pub additional: Vec<String>,
    /// The size in OPT.
    pub edns: Option<u16>,
    pub subnet: Option<ClientSubnet>,
}

impl Answer {
    pub fn read(bytes: Vec<u8>) -> Self {
        let message = Message::from_octets(&bytes[..]).expect("an answer has a header");
        let header = message.header();
        let flags = [
            (header.qr(), "qr"),
            (header.aa(), "aa"),
            (header.tc(), "tc"),
            (header.rd(), "rd"),
            (header.ra(), "ra"),
            (header.z(), "z"),
            (header.ad(), "ad"),
            (header.cd(), "cd"),
        ];
        let question = message.first_question();
        let opt = message.opt();
        let records = |section: domain::base::message::RecordSection<'_, &[u8]>| -> Vec<String> {
            let records = section.into_records::<AllRecordData<_, ParsedName<_>>>();
            let records = records.map(|record| record.expect("answers are well-formed"));
            records
                .filter(|record| record.rtype() != Rtype::OPT)
                .map(|record| {
                    let (owner, ttl) = (record.owner(), record.ttl().as_secs());
                    format!("{owner}. {ttl} {} {}", record.rtype(), record.data())
                })
                .collect()
        };
        let (_, answer, authority, additional) = message.sections().expect("answers are well-formed");
        Answer {
            rcode: message.opt_rcode(),
            flags: flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect::<Vec<_>>().join(" "),
            question: question.map(|q| format!("{}. {} {}", q.qname(), q.qclass(), q.qtype())),
            answers: records(answer),
            authority: records(authority),
            additional: records(additional),
            edns: opt.as_ref().map(|opt| opt.udp_payload_size()),
            subnet: opt.as_ref().and_then(|opt| opt.opt().client_subnet()),
            bytes: bytes.clone(),
        }
    }

    /// The data of the answers alone: `["192.0.2.1"]`.
    pub fn data(&self) -> Vec<String> {
        let data = |record: &String| record.splitn(4, ' ').last().unwrap_or_default().to_owned();
        self.answers.iter().map(data).collect()
    }

    /// The scope of Client Subnet.
    pub fn scope(&self) -> Option<u8> {
        self.subnet.map(|subnet| subnet.scope_prefix_len())
    }
}
