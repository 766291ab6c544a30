//! What is remembered of a node connection while it waits in the pool.

/// What the session that last used a connection left behind in it.
#[derive(Clone, Debug, Default)]
pub struct Kept {}
