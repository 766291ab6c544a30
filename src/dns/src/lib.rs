//! # evenkeel-dns: the authoritative responder
//!
//! What lives here: the DNS protocol (UDP and TCP), where a client is (MaxMind's databases, EDNS Client
//! Subnet), rate limits, counters, and what an answer would be ([`explain`]).
//!
//! What must not: probes, votes and everything else that makes a region healthy or not. They come in as
//! a [`Standing`]; which record is answered is `evenkeel-policy`'s ([`evenkeel_policy::dns`]).

#![forbid(unsafe_code)]

pub mod explain;
mod standing;

pub use standing::Standing;
