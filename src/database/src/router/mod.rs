//! Client sessions, moved to the node that is right for each statement.
//!
//! | idea | module |
//! |---|---|
//! | a listener: who may come in, how many, for how long | [`accept`] |
//! | from the first byte to a user who is known | [`startup`], [`scram`], [`credentials`], [`tls`] |
//! | connections to the nodes, and who may use them when | [`nodes`], [`login`], [`pool`] |
//! | cancel requests | [`cancel`] |
//! | the router as a whole | [`service`] |
//! | one client's session | [`session`] |
//! | what a text of SQL means for its way | [`statement`], [`lexer`], [`settings`] |
//! | what sessions share, and the threads they run on | [`hub`], [`lanes`] |
//! | messages as bytes, connections as streams | [`wire`], [`stream`] |

pub mod accept;
pub mod cancel;
pub mod credentials;
pub mod hub;
pub mod kept;
pub mod lanes;
pub mod lexer;
pub mod login;
pub mod nodes;
pub mod pool;
mod refusals;
pub mod scram;
mod secret;
pub mod service;
pub mod session;
pub mod settings;
pub mod startup;
pub mod statement;
pub mod stream;
pub mod tls;
pub mod wire;

pub use service::{ListenerStats, Router, RouterError, Settings};
