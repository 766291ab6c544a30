//! The responder, asked as resolvers ask it.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod explaining;
mod hostile;
mod live;
mod places;
mod protocol;
