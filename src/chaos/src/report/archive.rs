//! Journals on disk: reading one, and the index over all that a folder holds.

use super::trends::{Promise, Run, written};
use crate::journal::Journal;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The form of journals that this code reads.
pub const VERSION: u32 = 1;

/// A journal that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// Why, with the remedy.
    pub error: String,
}

/// The index over a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The page.
    pub html: String,
    /// What it leaves out, and says so.
    pub unreadable: Vec<Unreadable>,
}

/// Reads a journal.
///
/// # Errors
/// One sentence: it is not there, is cut off, is no journal or is of another version, and what to do.
pub fn read(path: &Path) -> Result<Journal, Unreadable> {
    #[derive(Deserialize)]
    struct Form {
        version: u32,
    }
    let unreadable = |error: String| Unreadable { path: path.to_owned(), error };
    let bytes = std::fs::read(path).map_err(|error| unreadable(format!("it cannot be read: {error}")))?;
    if bytes.trim_ascii().is_empty() {
        return Err(unreadable("it is empty: the run ended before its journal was written".to_owned()));
    }
    let form = |error: serde_json::Error| {
        unreadable(if error.is_eof() {
            format!(
                "it is cut off at line {}, column {}: run the experiment again",
                error.line(),
                error.column()
            )
        } else {
            format!("it is not a journal of a run: {error}")
        })
    };
    let Form { version } = serde_json::from_slice(&bytes).map_err(form)?;
    if version != VERSION {
        return Err(unreadable(format!(
            "its version is {version}, and this Evenkeel reads {VERSION}: report it with the Evenkeel that wrote it"
        )));
    }
    serde_json::from_slice(&bytes).map_err(form)
}

/// Reads `FOLDER/RUN/journal.json` one after the other, judges each and writes the index over them. What
/// cannot be read is left out and told.
///
/// # Errors
/// The folder itself cannot be listed.
pub fn index(folder: &Path, promise: &Promise) -> std::io::Result<Index> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path().join("journal.json");
        if path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let (mut runs, mut unreadable) = (Vec::new(), Vec::new());
    for path in paths {
        // One at a time: a journal holds tens of thousands of requests, a run's summary a dozen figures.
        match read(&path) {
            Ok(journal) => {
                let mut run = Run::new(&journal);
                // A folder may have been renamed: the link must lead to what is there.
                if let Some(name) = path.parent().and_then(Path::file_name) {
                    run.run = name.to_string_lossy().into_owned();
                }
                runs.push(run);
            }
            Err(error) => unreadable.push(error),
        }
    }
    Ok(Index { html: written(&runs, &unreadable, promise), unreadable })
}
