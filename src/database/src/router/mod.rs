//! Client sessions, moved to the node that is right for each statement.

pub mod accept;
pub mod cancel;
pub mod credentials;
pub mod kept;
pub mod login;
pub mod nodes;
pub mod pool;
mod refusals;
pub mod scram;
pub mod startup;
pub mod stream;
pub mod tls;
