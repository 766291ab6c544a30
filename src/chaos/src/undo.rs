//! What must be undone: on disk before it is done, off it when it is undone, so that whoever comes next
//! heals what a run left behind.
//!
//! It owns the state file and the order of undoing. It must never know how something is undone.

use crate::experiment::{ActionProvider, Step};
use crate::faults::action;
use crate::faults::process::write_whole;
use crate::faults::undo::Undo;
use crate::journal::{Activity, ActivityPart, Ms};
use anyhow::{Context, Result, bail, ensure};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The form of the state file.
const VERSION: u32 = 1;

/// All that a run has to undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    /// The run that did it.
    run: String,
    /// What each step of the method did, in order.
    steps: Vec<Vec<Undo>>,
    /// The experiment's own, which come after everything else.
    rollbacks: Vec<Step>,
}

/// The state file of one target.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    record: Record,
}

/// Whoever can undo.
pub trait Hands {
    /// Restores one that was met.
    fn restore(&self, undo: &Undo) -> impl Future<Output = Result<()>> + Send;
    /// Does a step of the experiment's own.
    fn roll_back(&self, step: &Step) -> impl Future<Output = Result<()>> + Send;
}

/// The real ones.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl Hands for Real {
    async fn restore(&self, undo: &Undo) -> Result<()> {
        undo.restore().await
    }

    async fn roll_back(&self, step: &Step) -> Result<()> {
        perform(step).await
    }
}

/// Does a request or a program of the experiment's own.
///
/// # Errors
/// If it fails, or is neither.
pub async fn perform(step: &Step) -> Result<()> {
    match &step.provider {
        ActionProvider::Http { url, method, body, timeout } => {
            let status = action::request(url, method, body, timeout.to_duration()).await?;
            ensure!((200..300).contains(&status), "{url}: status {status}");
            Ok(())
        }
        ActionProvider::Process { path, arguments, timeout } => {
            let code = action::program(path, arguments, timeout.to_duration()).await?;
            ensure!(code == 0, "{path}: exit code {code}");
            Ok(())
        }
        ActionProvider::Evenkeel { .. } => bail!("{}: a fault is no step of a rollback", step.name),
    }
}

impl Book {
    /// An empty one, which is written at the first note.
    pub fn new(out: &Path, target: &str, run: &str, rollbacks: Vec<Step>) -> Book {
        let record = Record { version: VERSION, run: run.to_owned(), steps: Vec::new(), rollbacks };
        Book { path: place(out, target), record }
    }

    /// What an earlier run left. None: nothing.
    ///
    /// # Errors
    /// If the state file cannot be read.
    pub fn left(out: &Path, target: &str) -> Result<Option<Book>> {
        let path = place(out, target);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", path.display())),
        };
        let record: Record = serde_json::from_slice(&text).with_context(|| {
            format!("{}: is not understood: restore the target by hand, then remove the file", path.display())
        })?;
        ensure!(
            record.version == VERSION,
            "{}: version {}: was written by another Evenkeel: heal with that one",
            path.display(),
            record.version
        );
        Ok(Some(Book { path, record }))
    }

    /// The run that it is about.
    pub fn run(&self) -> &str {
        &self.record.run
    }

    /// Where it is on disk.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whom it has yet to restore.
    pub fn whom(&self) -> Vec<&str> {
        self.record.steps.iter().flatten().map(Undo::whom).collect()
    }

    /// Writes down what the next step will have to have undone. When this returns it is on disk.
    ///
    /// # Errors
    /// If it cannot be written: then nothing may be done.
    pub fn note(&mut self, undos: Vec<Undo>) -> Result<()> {
        self.record.steps.push(undos);
        self.save()
    }

    fn save(&self) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("{}: cannot be made", folder.display()))?;
        }
        write_whole(&self.path, &serde_json::to_vec_pretty(&self.record)?)
            .with_context(|| format!("{}: cannot be written", self.path.display()))
    }

    /// Undoes everything, the last step first, those of one step at once, and goes on after an error. What
    /// could not be undone stays on disk. `now` gives the time for what is told to `said`.
    ///
    /// # Errors
    /// Each that could not be undone, in one.
    pub async fn heal(
        &mut self,
        hands: &impl Hands,
        now: &(dyn Fn() -> Ms + Sync),
        said: &mut (dyn FnMut(Activity) + Send),
    ) -> Result<()> {
        let mut errors = Vec::new();
        for index in (0..self.record.steps.len()).rev() {
            let Some(undos) = self.record.steps.get(index).cloned().filter(|undos| !undos.is_empty()) else {
                continue;
            };
            let began = now();
            let results = join_all(undos.iter().map(|undo| hands.restore(undo))).await;
            let failed: Vec<(Undo, String)> = undos
                .iter()
                .zip(results)
                .filter_map(|(undo, result)| Some((undo.clone(), format!("{:#}", result.err()?))))
                .collect();
            let error = (!failed.is_empty())
                .then(|| failed.iter().map(|(_, error)| error.as_str()).collect::<Vec<_>>().join("; "));
            errors.extend(error.clone());
            let met: Vec<String> = undos.iter().map(|undo| undo.whom().to_owned()).collect();
            let name = format!("restore {}", met.join(", "));
            said(Activity { name, part: ActivityPart::Rollback, began, ended: now(), met, error });
            if let Some(step) = self.record.steps.get_mut(index) {
                *step = failed.into_iter().map(|(undo, _)| undo).collect();
            }
            // On an error here the file says too much, which harms nothing: undoing twice is allowed.
            errors.extend(self.save().err().map(|error| format!("{error:#}")));
        }
        let mut kept = Vec::new();
        for step in std::mem::take(&mut self.record.rollbacks) {
            let began = now();
            tokio::time::sleep(step.pauses.before.to_duration()).await;
            let error = hands.roll_back(&step).await.err().map(|error| format!("{error:#}"));
            tokio::time::sleep(step.pauses.after.to_duration()).await;
            errors.extend(error.clone());
            let (name, ended) = (step.name.clone(), now());
            if error.is_some() {
                kept.push(step);
            }
            said(Activity { name, part: ActivityPart::Rollback, began, ended, met: Vec::new(), error });
        }
        self.record.rollbacks = kept;
        if errors.is_empty() {
            return self.remove();
        }
        errors.extend(self.save().err().map(|error| format!("{error:#}")));
        bail!("{}", errors.join("; "))
    }

    fn remove(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            // Nothing was noted.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("{}: cannot be removed", self.path.display())),
        }
    }
}

fn place(out: &Path, target: &str) -> PathBuf {
    out.join(format!("undo-{target}.json"))
}

/// Holds a target for one run; given back when it is dropped, or when the process ends however it does.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "it holds by being there")] File);

impl Hold {
    /// Takes it.
    ///
    /// # Errors
    /// If another run has it.
    pub fn take(target_file: &Path) -> Result<Hold> {
        let said = target_file.display();
        let file = File::open(target_file).with_context(|| format!("{said}: cannot be read"))?;
        match file.try_lock() {
            Ok(()) => Ok(Hold(file)),
            Err(TryLockError::WouldBlock) => {
                bail!("{said}: another experiment runs against this target: wait until it has ended")
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{said}: cannot be locked"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    /// Notes what it is asked for, and fails for those it is told to fail for.
    struct Noting {
        asked: Mutex<Vec<String>>,
        fails: Vec<String>,
    }

    impl Hands for Noting {
        async fn restore(&self, undo: &Undo) -> Result<()> {
            self.asked.lock().expect("unpoisoned").push(undo.whom().to_owned());
            ensure!(!self.fails.iter().any(|name| name == undo.whom()), "{}: stays", undo.whom());
            Ok(())
        }

        async fn roll_back(&self, step: &Step) -> Result<()> {
            self.asked.lock().expect("unpoisoned").push(step.name.clone());
            Ok(())
        }
    }

    fn container(part: String) -> Undo {
        Undo::Container { service: part.clone(), part, project: "p".to_owned() }
    }

    fn rollback() -> Step {
        serde_json::from_value(serde_json::json!({
            "name": "own", "provider": {"type": "process", "path": "true"}
        }))
        .expect("a step")
    }

    async fn healed(book: &mut Book, fails: &[String]) -> (Vec<String>, Vec<Activity>, Result<()>) {
        let hands = Noting { asked: Mutex::default(), fails: fails.to_vec() };
        let mut told = Vec::new();
        let result = book.heal(&hands, &|| 0.0, &mut |activity| told.push(activity)).await;
        (hands.asked.into_inner().expect("unpoisoned"), told, result)
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime")
    }

    proptest! {
        // Each case waits for the disk a dozen times.
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever was done, and whatever fails to be undone: the order is the inverse, nobody is left
        /// out, what failed stays on disk and nothing else, and a second time heals it.
        #[test]
        fn undoing_is_the_inverse_of_doing(
            sizes in proptest::collection::vec(1usize..4, 1..6),
            failing in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let dir = tempfile::tempdir().expect("a folder");
            let mut book = Book::new(dir.path(), "t", "run", vec![rollback()]);
            let mut steps = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                let names: Vec<String> = (0..*size).map(|n| format!("part-{index}-{n}")).collect();
                book.note(names.iter().cloned().map(container).collect()).expect("noted");
                // On disk before anything is done.
                let left = Book::left(dir.path(), "t").expect("read").expect("there");
                prop_assert_eq!(left.whom(), book.whom());
                steps.push(names);
            }
            let names: Vec<String> = steps.iter().flatten().cloned().collect();
            let fails: Vec<String> =
                names.iter().zip(&failing).filter(|(_, fails)| **fails).map(|(name, _)| name.clone()).collect();
            let runtime = runtime();
            let (asked, told, result) = runtime.block_on(healed(&mut book, &fails));
            let mut expected: Vec<String> = steps.iter().rev().flatten().cloned().collect();
            expected.push("own".to_owned());
            prop_assert_eq!(asked, expected);
            prop_assert_eq!(told.len(), steps.len() + 1);
            prop_assert_eq!(result.is_ok(), fails.is_empty());
            if let Err(error) = result {
                let error = error.to_string();
                prop_assert!(fails.iter().all(|name| error.contains(name)), "{}", error);
            }
            let left = Book::left(dir.path(), "t").expect("read");
            let mut whom: Vec<String> =
                left.iter().flat_map(|book| book.whom()).map(str::to_owned).collect();
            whom.sort();
            let mut sorted = fails.clone();
            sorted.sort();
            prop_assert_eq!(&whom, &sorted);
            if let Some(mut left) = left {
                let (asked, _, result) = runtime.block_on(healed(&mut left, &[]));
                prop_assert!(result.is_ok() && asked.len() == fails.len());
            }
            prop_assert!(Book::left(dir.path(), "t").expect("read").is_none());
        }
    }

    #[test]
    fn a_state_file_that_is_cut_short_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("undo-t.json"), "{\"version\": 1, \"ru").expect("written");
        let error = Book::left(dir.path(), "t").expect_err("cut short").to_string();
        assert!(error.contains("undo-t.json") && error.contains("by hand"), "{error}");
    }

    #[test]
    fn two_runs_on_one_target_refuse_each_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("target.yaml");
        std::fs::write(&file, "").expect("written");
        let hold = Hold::take(&file).expect("free");
        let error = Hold::take(&file).expect_err("taken").to_string();
        assert!(error.contains("another experiment"), "{error}");
        drop(hold);
        Hold::take(&file).expect("free again");
    }
}
