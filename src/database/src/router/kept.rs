//! What the router remembers of a node connection while it lives.

use super::settings::Settings;
use std::collections::HashMap;
use std::sync::Arc;

/// What the router remembers of a node connection while it lives.
#[derive(Debug, Default)]
pub struct Kept {
    /// The settings that were made on it.
    pub settings: Arc<Settings>,
    /// The prepared statements that it has, by name, with the number of the Parse that made them.
    pub prepared: HashMap<Box<[u8]>, u64>,
    /// Whether a session has used it since it was last as new.
    pub used: bool,
}
