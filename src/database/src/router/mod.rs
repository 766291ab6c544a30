//! Client sessions, moved to the node that is right for each statement.
