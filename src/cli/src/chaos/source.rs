//! Where an experiment comes from: the catalogue by its name, or a file.

use anyhow::{Context, Result, bail};
use evenkeel_chaos::catalog;
use evenkeel_chaos::experiment::Experiment;
use std::path::Path;

/// Its name, its text, and what that says.
pub struct Source {
    /// The catalogue's name, or the file's without its ending.
    pub name: String,
    /// As it is written.
    pub text: String,
    /// As it is read.
    pub experiment: Experiment,
}

/// Finds it. What has a dot or a slash is a file.
///
/// # Errors
/// If there is none, or something is wrong with it.
pub fn find(wanted: &str) -> Result<Source> {
    if let Some(entry) = catalog::find(wanted) {
        let experiment = entry.experiment().with_context(|| wanted.to_owned())?;
        return Ok(Source { name: wanted.to_owned(), text: entry.text.to_owned(), experiment });
    }
    let path = Path::new(wanted);
    if !wanted.contains(['.', '/']) && !path.exists() {
        let names: Vec<&str> = catalog::ALL.iter().map(|entry| entry.name).collect();
        bail!("{wanted}: there is no such experiment: name a file, or one of {}", names.join(", "));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("{wanted}: cannot be read"))?;
    let experiment = Experiment::read(text.as_bytes()).with_context(|| wanted.to_owned())?;
    let name = path.file_stem().map_or_else(|| wanted.to_owned(), |stem| stem.to_string_lossy().into_owned());
    // It becomes part of file names and of orders' keys.
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    Ok(Source { name: name.chars().map(plain).collect(), text, experiment })
}
