//! DNS answers: record sets with Route 53's policies, chosen by the same health as requests.
//!
//! A [`Records`] is a forest of sets; each set has one policy and its members, and a member leads to
//! a value or to another set. [`Records::choose`] walks from a set down to values. Health comes in as
//! one share per check, in per cent: 0 is unhealthy, 100 healthy, and what lies between is a region
//! on its way back, which is admitted in that part of the answers.
//!
//! The statements R1 to R34 that the tests name are Route 53's documented behaviour.

pub mod calculated;
pub mod choose;
mod client;
mod draws;
pub mod records;

pub use choose::{Choice, Step, Trace};
pub use client::Client;
pub use records::{
    CheckId, Latencies, Member, Place, Policy, Records, Set, SetId, Subdivision, Target, ValueId,
};
