//! What is wrong with a topology file, and where.

use evenkeel_policy::error::FieldError;
use std::fmt;

/// A place in the file, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, what stands there, and what would be right.
    pub error: FieldError,
    /// Where it stands, if it stands anywhere.
    pub place: Option<Place>,
}

/// Everything that is wrong with a file. Never empty when returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// One problem with the file as a whole.
    pub fn single(field: &str, remedy: impl Into<String>, place: Option<Place>) -> Self {
        let error = FieldError { field: field.to_owned(), value: String::new(), remedy: remedy.into() };
        Problems(vec![Problem { error, place }])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "line {}, column {}: ", place.line, place.column)?;
        }
        self.error.fmt(f)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
