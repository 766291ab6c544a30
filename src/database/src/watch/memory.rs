//! The highest timeline ever seen, on disk: `highest-timeline.json` in the companion's folder.
//!
//! ```json
//! {"version": 1, "timelines": {"7711693444842972014": 3}}
//! ```
//!
//! The key is the database's own identifier, so that one database's promotions say nothing of
//! another's.

use evenkeel_policy::database::Timeline;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "highest-timeline.json";
const VERSION: u64 = 1;

/// Why the file cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error(
        "{}: is damaged ({reason}): find out which node is the right primary, then remove the file; \
         without it a primary that was replaced before could be written to", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A later Evenkeel wrote it.
    #[error("{}: has version {version}, this Evenkeel knows version {VERSION}: run the newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
}

#[derive(Debug, Deserialize)]
struct Version {
    version: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u64,
    timelines: BTreeMap<u64, Timeline>,
}

/// What is remembered, and where.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    folder: PathBuf,
    content: Content,
}

impl Memory {
    /// Reads the file; without one nothing is remembered.
    pub(super) fn open(folder: &Path) -> Result<Memory, MemoryError> {
        let path = folder.join(NAME);
        let damaged =
            |error: serde_json::Error| MemoryError::Damaged { path: path.clone(), reason: error.to_string() };
        let content = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Content { version: VERSION, timelines: BTreeMap::new() }
            }
            Err(source) => return Err(MemoryError::Unreadable { path, source }),
            Ok(bytes) => {
                let Version { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
                if version > VERSION {
                    return Err(MemoryError::Newer { path, version });
                }
                serde_json::from_slice(&bytes).map_err(damaged)?
            }
        };
        Ok(Memory { folder: folder.to_owned(), content })
    }

    /// The highest timeline of a database; 0 if it was never seen.
    pub(super) fn highest(&self, system: u64) -> Timeline {
        self.content.timelines.get(&system).copied().unwrap_or(0)
    }

    /// Takes up a higher one. True if it is new, and [`write`](Self::write) has work.
    pub(super) fn raise(&mut self, system: u64, timeline: Timeline) -> bool {
        let known = self.content.timelines.entry(system).or_default();
        let new = timeline > *known;
        *known = timeline.max(*known);
        new
    }

    /// Writes the file so that a crash at any moment leaves the old one or the new one.
    pub(super) fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let beside = self.folder.join(format!("{NAME}.new"));
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(&self.content)?)?;
        file.sync_all()?;
        fs::rename(&beside, self.folder.join(NAME))?;
        // The new name is on disk when the folder is.
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_has_its_own_timeline_and_it_only_grows() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("not/there/yet");
        let mut memory = Memory::open(&data).unwrap();
        assert!(memory.raise(7, 3));
        assert!(!memory.raise(7, 2));
        assert!(memory.raise(u64::MAX, 1));
        memory.write().unwrap();
        let memory = Memory::open(&data).unwrap();
        assert_eq!([7, u64::MAX, 8].map(|system| memory.highest(system)), [3, 1, 0]);
    }

    #[test]
    fn a_file_that_cannot_be_obeyed_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for (content, part) in [
            ("", "is damaged"),
            ("{\"version\": 1, \"timelines\": {\"7\"", "is damaged"),
            ("{\"version\": 1, \"timelines\": {\"7\": -1}}", "remove the file"),
            ("{\"version\": 1, \"timelines\": {}, \"more\": 1}", "is damaged"),
            ("{\"version\": 2, \"else\": {}}", "has version 2"),
        ] {
            fs::write(&path, content).unwrap();
            let error = Memory::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(NAME), "{error}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(Memory::open(folder.path()).unwrap_err().to_string().contains("cannot be read"));
    }
}
