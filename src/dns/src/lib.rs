//! # evenkeel-dns: the authoritative responder
//!
//! What lives here: the DNS protocol (UDP and TCP), where a client is (MaxMind's databases, EDNS Client
//! Subnet), rate limits, counters, and what an answer would be ([`explain`]).
//!
//! What must not: probes, votes and everything else that makes a region healthy or not. They come in as
//! a [`Standing`]; which record is answered is `evenkeel-policy`'s ([`evenkeel_policy::dns`]).
//!
//! A request's way: [`Server`]'s sockets, [`Responder::respond`] (bytes in, bytes out), the request read,
//! the reply written.

#![forbid(unsafe_code)]

mod answer;
mod counts;
pub mod explain;
mod limit;
mod places;
mod reply;
mod request;
mod responder;
mod server;
mod settings;
mod standing;
mod subnet;
mod table;
mod tcp;
mod udp;

pub use counts::{AnswerCount, Counts, Tally, Transport};
pub use explain::{Explanation, explain};
pub use places::Places;
pub use responder::{Query, Responder};
pub use server::Server;
pub use settings::Settings;
pub use standing::Standing;
