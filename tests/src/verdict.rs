//! What was promised, and what became of it.

use serde_json::{Value, json};
use std::fmt::{self, Display};

/// One promise.
pub struct Verdict {
    promise: String,
    found: String,
    met: Option<bool>,
}

impl Verdict {
    /// A promise that this run could judge.
    pub fn of(promise: impl Into<String>, found: impl Into<String>, met: bool) -> Self {
        Verdict { promise: promise.into(), found: found.into(), met: Some(met) }
    }

    /// A promise that it could not, and why.
    pub fn none(promise: impl Into<String>, why: impl Into<String>) -> Self {
        Verdict { promise: promise.into(), found: why.into(), met: None }
    }

    /// Whether it was broken.
    pub fn is_missed(&self) -> bool {
        self.met == Some(false)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({"promise": self.promise, "found": self.found, "met": self.met})
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.met {
            Some(true) => "met       ",
            Some(false) => "MISSED    ",
            None => "not judged",
        };
        write!(f, "{mark} {}: {}", self.promise, self.found)
    }
}
