//! Files that are reloaded when they change.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Editors write a file in several steps, and tools write several files: all within this are one change.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Watches the folders that hold the files, since editors and Kubernetes replace files by renaming.
pub struct Files {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
    content: Option<HashMap<PathBuf, u64>>,
    news: Arc<Notify>,
    /// Something happened that was not looked at yet.
    stirred: bool,
}

impl Files {
    /// Begins with these files as they are now.
    pub fn watch(files: &[PathBuf]) -> Self {
        let news = Arc::new(Notify::new());
        let told = news.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too, and reading is what follows from one.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                told.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(
                |error| tracing::warn!(%error, "changes of files are not noticed: send SIGHUP after one"),
            )
            .ok();
        let mut watch = Files {
            watcher,
            folders: BTreeSet::new(),
            files: Vec::new(),
            content: None,
            news,
            stirred: false,
        };
        watch.taken(files);
        watch
    }

    /// Notes what is in the files now, before it is read: what changes later is news again.
    pub fn look(&mut self) {
        self.content = Some(content(&self.files));
    }

    /// Goes on with these files.
    pub fn taken(&mut self, files: &[PathBuf]) {
        self.files = files.to_vec();
        let mut known = self.content.take().unwrap_or_default();
        let digest = |path: &PathBuf| (path.clone(), known.remove(path).unwrap_or_else(|| digest(path)));
        self.content = Some(files.iter().map(digest).collect());
        let folders: BTreeSet<PathBuf> = files.iter().map(|file| folder(file)).collect();
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.folders.difference(&folders) {
            let _ = watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "changes here are not noticed: send SIGHUP after one");
            }
        }
        self.folders = folders;
    }

    /// What is there now is not in force: any further change may mend it.
    pub fn refused(&mut self) {
        self.content = None;
    }

    /// Waits for a change of what is in the files. May be dropped and called again.
    pub async fn changed(&mut self) {
        loop {
            if !self.stirred {
                self.news.notified().await;
                self.stirred = true;
            }
            tokio::time::sleep(DEBOUNCE).await;
            self.stirred = false;
            let now = content(&self.files);
            if self.content.as_ref() != Some(&now) {
                self.content = Some(now);
                return;
            }
        }
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn content(files: &[PathBuf]) -> HashMap<PathBuf, u64> {
    files.iter().map(|path| (path.clone(), digest(path))).collect()
}

fn digest(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    std::fs::read(path).ok().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_renamed_into_place_is_noticed_and_a_neighbour_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, "one").unwrap();
        let mut files = Files::watch(std::slice::from_ref(&file));
        std::fs::write(folder.path().join("neighbour"), "x").unwrap();
        let patience = Duration::from_millis(600);
        assert!(tokio::time::timeout(patience, files.changed()).await.is_err());
        std::fs::write(folder.path().join("a.new"), "two").unwrap();
        std::fs::rename(folder.path().join("a.new"), &file).unwrap();
        tokio::time::timeout(Duration::from_secs(5), files.changed()).await.expect("the change is noticed");
    }
}
