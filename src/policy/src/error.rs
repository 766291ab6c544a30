//! What is wrong with a configuration, said so that it can be mended.

use std::fmt;

/// One thing that is wrong: which field, what stands there, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path, like `regions[1].weight`.
    pub field: String,
    /// What stands there.
    pub value: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.value.is_empty() {
            write!(f, "{}: {}", self.field, self.remedy)
        } else {
            write!(f, "{}: {}: {}", self.field, self.value, self.remedy)
        }
    }
}

/// Everything that is wrong with a configuration. Never empty when returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<FieldError>);

impl ConfigErrors {
    /// Notes one more fault.
    pub fn add(&mut self, field: impl Into<String>, value: impl fmt::Display, remedy: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), value: value.to_string(), remedy: remedy.into() });
    }

    /// `value` if nothing was wrong.
    ///
    /// # Errors
    /// All faults that were noted.
    pub fn into_result<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// One error for text that could not be read at all.
    pub fn single(field: impl Into<String>, remedy: impl Into<String>) -> Self {
        ConfigErrors(vec![FieldError { field: field.into(), value: String::new(), remedy: remedy.into() }])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
