//! Operators' orders that outlive the daemon: the region's drain and drained database nodes.

use crate::clock;
use evenkeel_policy::time::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The longest drain of a region: edges follow no longer one, and longer orders belong where people
/// see them, into the topology file.
pub const LONGEST_DRAIN: Millis = Millis::from_secs(24 * 3600);

/// The file in the data directory.
const FILE: &str = "orders.json";

/// What was ordered, all times in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// This region gives its traffic away until then.
    #[serde(default)]
    drain_until: Option<u64>,
    /// Database nodes out of use, by name, until then; without end where none is given.
    #[serde(default)]
    nodes: BTreeMap<String, Option<u64>>,
}

/// The orders in force.
#[derive(Debug)]
pub struct Orders {
    path: PathBuf,
    kept: Mutex<Kept>,
}

impl Orders {
    /// Takes up what was ordered before. The directory is made if it does not exist.
    ///
    /// # Errors
    /// If it cannot be written to, or what lies there is damaged: the path and the remedy.
    pub fn open(data_dir: &Path) -> Result<Orders, String> {
        let path = data_dir.join(FILE);
        std::fs::create_dir_all(data_dir).map_err(|error| {
            format!(
                "companion.data_dir: {}: cannot be made: {error}: make it, or name one that this user may write to",
                data_dir.display()
            )
        })?;
        let kept = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                format!("{}: is damaged ({error}): remove it, and the orders in it are gone", path.display())
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(format!("{}: cannot be read: {error}", path.display())),
        };
        let orders = Orders { path, kept: Mutex::new(kept) };
        // Better now than when somebody gives an order.
        orders.change(|_| {})?;
        Ok(orders)
    }

    /// What remains of the region's drain.
    pub fn drain_remaining(&self) -> Option<Millis> {
        remaining(self.lock().drain_until?)
    }

    /// Drains the region for so long, or ends that.
    ///
    /// # Errors
    /// If it cannot be kept: it is not in force then.
    pub fn drain(&self, span: Option<Millis>) -> Result<(), String> {
        self.change(|kept| kept.drain_until = span.map(until))
    }

    /// Takes a database node out of use, for so long or without end.
    ///
    /// # Errors
    /// If it cannot be kept: it is not in force then.
    pub fn drain_node(&self, node: &str, span: Option<Millis>) -> Result<(), String> {
        self.change(|kept| {
            kept.nodes.insert(node.to_owned(), span.map(until));
        })
    }

    /// Gives a database node back.
    ///
    /// # Errors
    /// If that cannot be kept: it stays out then.
    pub fn undrain_node(&self, node: &str) -> Result<(), String> {
        self.change(|kept| {
            kept.nodes.remove(node);
        })
    }

    /// Whether a database node is out of use, and what remains of that if it has an end.
    pub fn node_drained(&self, node: &str) -> Option<Option<Millis>> {
        match self.lock().nodes.get(node)? {
            None => Some(None),
            Some(until) => remaining(*until).map(Some),
        }
    }

    /// Makes the change on a copy, keeps that on disk, then lets it be in force.
    fn change(&self, change: impl FnOnce(&mut Kept)) -> Result<(), String> {
        let mut kept = self.lock();
        let mut changed = kept.clone();
        change(&mut changed);
        changed.drain_until = changed.drain_until.filter(|until| remaining(*until).is_some());
        changed.nodes.retain(|_, until| until.is_none_or(|until| remaining(until).is_some()));
        self.write(&changed)
            .map_err(|error| format!("{}: cannot be written: {error}", self.path.display()))?;
        *kept = changed;
        Ok(())
    }

    /// Written aside, forced to disk and moved in one step: a crash leaves the old file or the new.
    fn write(&self, kept: &Kept) -> std::io::Result<()> {
        let aside = self.path.with_extension("json.new");
        let mut file = std::fs::File::create(&aside)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        file.sync_all()?;
        std::fs::rename(&aside, &self.path)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn until(span: Millis) -> u64 {
    clock::unix_ms().saturating_add(span.get())
}

fn remaining(until: u64) -> Option<Millis> {
    let rest = until.saturating_sub(clock::unix_ms());
    (rest > 0).then(|| Millis::new(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_outlive_the_daemon_and_end_by_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let orders = Orders::open(&folder.path().join("new")).unwrap();
        orders.drain(Some(Millis::from_secs(60))).unwrap();
        orders.drain_node("tw-a", None).unwrap();
        orders.drain_node("tw-b", Some(Millis::ZERO)).unwrap();
        drop(orders);
        let orders = Orders::open(&folder.path().join("new")).unwrap();
        let rest = orders.drain_remaining().unwrap();
        assert!(rest > Millis::from_secs(50) && rest <= Millis::from_secs(60), "{rest}");
        assert_eq!(orders.node_drained("tw-a"), Some(None));
        assert_eq!(orders.node_drained("tw-b"), None);
        orders.drain(None).unwrap();
        orders.undrain_node("tw-a").unwrap();
        assert_eq!((orders.drain_remaining(), orders.node_drained("tw-a")), (None, None));
    }

    #[test]
    fn what_cannot_be_kept_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Orders::open(folder.path()).unwrap_err().contains("is damaged"));
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Orders::open(&file.join("dir")).unwrap_err().contains("companion.data_dir"));
    }
}
