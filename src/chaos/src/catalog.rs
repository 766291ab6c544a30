//! The experiments that come with Evenkeel, by name.
//!
//! It owns the files in `experiments/`. It must never know where they run.

use crate::experiment::Experiment;
use evenkeel_config::Problems;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What it is called.
    pub name: &'static str,
    /// The file.
    pub text: &'static str,
}

impl Entry {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it: nothing, by this module's tests.
    pub fn experiment(&self) -> Result<Experiment, Problems> {
        Experiment::read(self.text.as_bytes())
    }
}

macro_rules! entries {
    ($($name:literal),+ $(,)?) => {
        [$(Entry { name: $name, text: include_str!(concat!("experiments/", $name, ".yaml")) }),+]
    };
}

/// All of them: what is due monthly, what is due quarterly, and the rest.
pub const ALL: [Entry; 9] = entries![
    "region-failure",
    "database-failure",
    "network-partition",
    "cache-failure",
    "application-failure",
    "multi-component-failure",
    "prolonged-degradation",
    "cross-region-latency",
    "disaster-recovery",
];

/// The one of this name.
pub fn find(name: &str) -> Option<Entry> {
    ALL.into_iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Every;
    use std::collections::BTreeSet;

    #[test]
    fn each_is_sound_and_is_written_as_it_is_read() {
        for entry in ALL {
            let experiment =
                entry.experiment().unwrap_or_else(|problems| panic!("{}: {problems}", entry.name));
            let json = serde_json::to_vec(&experiment).expect("it is written");
            assert_eq!(Experiment::read(&json).expect("it is read again"), experiment, "{}", entry.name);
        }
    }

    #[test]
    fn the_calendar_is_the_seeds() {
        let due = |name: &str| {
            let schedule = find(name)?.experiment().ok()?.schedule?;
            Some((schedule.every, schedule.monday, schedule.at))
        };
        for (name, monday) in
            [("region-failure", 1), ("database-failure", 2), ("network-partition", 3), ("cache-failure", 4)]
        {
            assert_eq!(due(name), Some((Every::Month, monday, "02:00".to_owned())), "{name}");
        }
        let quarterly: BTreeSet<u8> = ALL
            .iter()
            .filter_map(|entry| due(entry.name))
            .filter(|(every, ..)| *every == Every::Quarter)
            .map(|(_, monday, _)| monday)
            .collect();
        assert_eq!(quarterly, BTreeSet::from([1, 2, 3, 4]), "four, spread over the Mondays");
        // Two that are due at once would meet each other's faults.
        let times: Vec<_> =
            ALL.iter().filter_map(|entry| due(entry.name)).map(|(_, m, at)| (m, at)).collect();
        assert_eq!(times.iter().collect::<BTreeSet<_>>().len(), times.len());
    }
}
