//! Any bytes as SQL: read to the end, and nothing that is said of them may contradict itself.
#![no_main]

use evenkeel_database::router::lexer::Lexer;
use evenkeel_database::router::settings::Settings;
use evenkeel_database::router::statement::{Effect, Statement};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|sql: &[u8]| {
    let mut last = None;
    for (at, _) in Lexer::new(sql) {
        assert!(last.is_none_or(|last| last < at) && at < sql.len());
        last = Some(at);
    }
    let statement = Statement::read(sql);
    // Whatever leaves something in the connection must not be tried on another one first.
    assert!(!statement.near || statement.effects.is_empty(), "{statement:?}");
    let mut settings = Settings::default();
    for effect in &statement.effects {
        match effect {
            Effect::Set { key, sql } => settings.set(key, sql),
            Effect::Reset(key) => settings.reset(key),
            Effect::ResetAll => settings.reset_all(),
            _ => {}
        }
    }
    assert_eq!(settings.change_to(&settings.clone()), None);
});
