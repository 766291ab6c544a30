//! Client sessions, moved to the node that is right for each statement.
//!
//! | idea | module |
//! |---|---|
//! | messages as bytes | [`wire`] |

pub mod lexer;
pub mod settings;
pub mod statement;
pub mod wire;
