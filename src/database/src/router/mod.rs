//! Client sessions, moved to the node that is right for each statement.
//!
//! | idea | module |
//! |---|---|
//! | a listener: who may come in, how many, for how long | [`accept`] |
//! | from the first byte to a user who is known | [`startup`], [`scram`], [`credentials`], [`tls`] |
//! | connections to the nodes, and who may use them when | [`nodes`], [`login`], [`pool`] |
//! | cancel requests | [`cancel`] |
//! | messages as bytes, connections as streams | [`wire`], [`stream`] |

pub mod accept;
pub mod cancel;
pub mod credentials;
pub mod kept;
pub mod login;
pub mod nodes;
pub mod pool;
mod refusals;
pub mod scram;
mod secret;
pub mod startup;
pub mod stream;
pub mod tls;
pub mod wire;
