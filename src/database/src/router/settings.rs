//! A session's settings, as the SQL that makes them: what a node connection needs to be told before
//! it can serve the session.

use std::fmt::Write;
use std::sync::Arc;

/// Says whether transactions may write unless they say so themselves.
const READ_ONLY: &str = "default_transaction_read_only";

/// What a session has set and not reset, in the order in which it was set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<Setting>);

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    /// What is set, in lower case: a parameter's name, or `role`, `session authorization`, …
    key: String,
    /// The statement that sets it.
    sql: String,
}

impl Settings {
    /// The settings of a startup message.
    pub fn of_startup<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut settings = Settings::default();
        for (name, value) in parameters {
            settings.set_value(name, value);
        }
        settings
    }

    /// Sets a parameter to a value in the form of a startup message, where a list is one text.
    pub fn set_value(&mut self, name: &str, value: &str) {
        self.set(&name.to_ascii_lowercase(), &set_config(name, value));
    }

    /// Notes that `sql` was what set `key`.
    pub fn set(&mut self, key: &str, sql: &str) {
        // Whoever is authorised anew loses the role.
        if key == "session authorization" {
            self.reset("role");
        }
        self.reset(key);
        self.0.push(Setting { key: key.to_owned(), sql: sql.to_owned() });
    }

    /// Forgets a setting.
    pub fn reset(&mut self, key: &str) {
        self.0.retain(|setting| setting.key != key);
    }

    /// Forgets what RESET ALL resets: every parameter, but neither role nor authorisation.
    pub fn reset_all(&mut self) {
        self.0.retain(|setting| matches!(setting.key.as_str(), "role" | "session authorization"));
    }

    /// Whether transactions only read unless they say otherwise.
    pub fn is_read_only(&self) -> bool {
        let says = |setting: &Setting| setting.key == READ_ONLY && setting.sql == set_config(READ_ONLY, "on");
        self.0.iter().any(says) && !self.0.iter().any(|setting| setting.key == "session characteristics")
    }

    /// Sees to that.
    pub fn set_read_only(&mut self) {
        self.reset("session characteristics");
        self.set_value(READ_ONLY, "on");
    }

    /// `settings`, with those of `base` that it lacks.
    pub fn over(settings: &Arc<Settings>, base: &Settings) -> Arc<Settings> {
        let lacking = |one: &&Setting| !settings.0.iter().any(|other| other.key == one.key);
        let lacking: Vec<Setting> = base.0.iter().filter(lacking).cloned().collect();
        if lacking.is_empty() {
            return Arc::clone(settings);
        }
        Arc::new(Settings(settings.0.iter().cloned().chain(lacking).collect()))
    }

    /// The SQL that turns a connection with `self` into one with `wanted`. None if they are the same.
    pub fn change_to(&self, wanted: &Settings) -> Option<String> {
        if self == wanted {
            return None;
        }
        let mut sql = String::new();
        let add = |sql: &mut String, statement: &str| {
            let _ = write!(sql, "{};", statement.trim_end().trim_end_matches(';'));
        };
        let kept = wanted.0.strip_prefix(&self.0[..]);
        if kept.is_none() {
            for statement in ["RESET SESSION AUTHORIZATION", "RESET ROLE", "RESET ALL"] {
                add(&mut sql, statement);
            }
        }
        for setting in kept.unwrap_or(&wanted.0) {
            add(&mut sql, &setting.sql);
        }
        Some(sql)
    }
}

/// Not SET: that would take a list in quotes for one name.
fn set_config(name: &str, value: &str) -> String {
    format!("SELECT pg_catalog.set_config({}, {}, false)", literal(name), literal(value))
}

/// A text as an SQL constant.
fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    // Where backslashes escape depends on a setting; in this form they always do.
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_settings_need_no_word() {
        let settings = Settings::of_startup([("DateStyle", "ISO"), ("search_path", "a, b")]);
        assert_eq!(settings.change_to(&settings.clone()), None);
    }

    #[test]
    fn what_was_added_is_all_that_is_said() {
        let plain = Settings::of_startup([("application_name", "it's \\ me")]);
        assert_eq!(
            Settings::default().change_to(&plain).unwrap(),
            r"SELECT pg_catalog.set_config('application_name', E'it''s \\ me', false);"
        );
        let mut more = plain.clone();
        more.set("timezone", "SET TIME ZONE 'UTC'; ");
        assert_eq!(plain.change_to(&more).unwrap(), "SET TIME ZONE 'UTC';");
    }

    #[test]
    fn what_was_taken_away_is_reset() {
        let mut one = Settings::default();
        one.set("work_mem", "SET work_mem = '8MB'");
        let mut two = Settings::default();
        two.set("role", "SET ROLE reader");
        assert_eq!(
            one.change_to(&two).unwrap(),
            "RESET SESSION AUTHORIZATION;RESET ROLE;RESET ALL;SET ROLE reader;"
        );
    }

    #[test]
    fn the_last_word_counts_and_reset_all_keeps_the_role() {
        let mut settings = Settings::default();
        settings.set("role", "SET ROLE a");
        settings.set("work_mem", "SET work_mem = 1");
        settings.set("work_mem", "SET work_mem = 2");
        assert_eq!(settings.0.len(), 2);
        settings.reset_all();
        assert_eq!(settings.0.len(), 1);
        settings.set("session authorization", "SET SESSION AUTHORIZATION b");
        assert_eq!(settings.0.len(), 1);
    }
}
