//! What a text of SQL means for its way: may a replica try it, and what will the session hold after it?

use super::lexer::{Lexer, Token};

/// State of a session that lives in one node connection alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pins(u8);

impl Pins {
    /// It listens.
    pub const LISTEN: Pins = Pins(1);
    /// It has temporary tables.
    pub const TEMPORARY: Pins = Pins(2);
    /// It has statements prepared by SQL.
    pub const PREPARED: Pins = Pins(4);
    /// It may hold session-level advisory locks.
    pub const LOCK: Pins = Pins(8);
    /// It may have cursors WITH HOLD.
    pub const CURSOR: Pins = Pins(16);
    /// Something else.
    pub const OTHER: Pins = Pins(32);

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both together.
    pub const fn with(self, other: Pins) -> Pins {
        Pins(self.0 | other.0)
    }

    /// Without the other's.
    pub const fn without(self, other: Pins) -> Pins {
        Pins(self.0 & !other.0)
    }

    /// In words, for errors.
    pub fn words(self) -> String {
        let names = [
            (Pins::LISTEN, "LISTEN"),
            (Pins::TEMPORARY, "temporary tables"),
            (Pins::PREPARED, "statements prepared by SQL"),
            (Pins::LOCK, "session-level advisory locks"),
            (Pins::CURSOR, "cursors WITH HOLD"),
            (Pins::OTHER, "settings or libraries of its own"),
        ];
        let held: Vec<&str> =
            names.iter().filter(|(pin, _)| self.0 & pin.0 != 0).map(|(_, name)| *name).collect();
        held.join(", ")
    }
}

/// What a statement does to the session, if it succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It sets what `key` names, by the words of `sql`.
    Set {
        /// A parameter's name in lower case, or `role`, `session authorization`, …
        key: String,
        /// The statement.
        sql: String,
    },
    /// It takes a setting back.
    Reset(String),
    /// It takes all parameters back.
    ResetAll,
    /// It makes the session as new.
    DiscardAll,
    /// It forgets a prepared statement; all, where no name is given.
    Deallocate(Option<Vec<u8>>),
    /// It ends the transaction in the middle of a text, and keeps what came before, or drops it.
    Ended {
        /// Whether it keeps it.
        kept: bool,
    },
    /// It sets a savepoint of this name.
    Savepoint(Vec<u8>),
    /// It drops what came after the savepoint of this name.
    RollbackTo(Vec<u8>),
    /// It drops a database, to which nothing may be connected.
    DropDatabase(Vec<u8>),
    /// It makes state that lives in the connection.
    Pin(Pins),
    /// It ends such state.
    Unpin(Pins),
}

/// What a statement means for the transaction, where it stands alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Control {
    /// Nothing.
    #[default]
    None,
    /// It begins one.
    Begin {
        /// READ ONLY, in an isolation that a replica has.
        near: bool,
    },
    /// It ends one and keeps it.
    Commit,
    /// It ends one and drops it.
    Rollback,
}

/// Whether a text would let a session write that only reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unlock {
    /// No.
    #[default]
    None,
    /// From the next transaction on: before that the session can be set right.
    Later,
    /// Before anything can be done about it.
    Now,
}

impl Unlock {
    /// What it is among other statements, of which one may end the transaction.
    pub fn together(self, stays: bool) -> Unlock {
        if self == Unlock::Later && !stays { Unlock::Now } else { self }
    }
}

/// What a text of SQL means for its way. The default is that of a text that was not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Whether a replica may try it: it seems to read, and nothing that would silently differ there.
    pub near: bool,
    /// What it means for the transaction.
    pub control: Control,
    /// How many statements it consists of.
    pub count: usize,
    /// What it does to the session.
    pub effects: Vec<Effect>,
    /// It is one statement, or none.
    pub alone: bool,
    /// None of its statements ends the transaction that it runs in.
    pub stays: bool,
    /// None of its statements commits anything by itself, or in the middle: what is not completed has
    /// left nothing.
    pub atomic: bool,
    /// Whether it would let a session write that only reads.
    pub unlocks: Unlock,
}

impl Statement {
    /// Reads a text, which may hold several statements.
    pub fn read(sql: &[u8]) -> Self {
        let mut whole =
            Statement { near: true, alone: true, stays: true, atomic: true, ..Statement::default() };
        let mut one = One::default();
        let mut start = None;
        let mut close = |one: &mut One<'_>, start: Option<usize>, end: usize| {
            let text = start.and_then(|start| sql.get(start..end)).unwrap_or_default();
            let found = one.finish(text, &mut whole.effects);
            whole.count += 1;
            whole.near &= found.near;
            whole.stays &= found.stays;
            whole.atomic &= found.atomic;
            whole.unlocks = whole.unlocks.max(found.unlocks);
            whole.alone = whole.count == 1;
            whole.control = if whole.alone { found.control } else { Control::None };
            *one = One::default();
        };
        for (at, token) in Lexer::new(sql) {
            if token == Token::End {
                if start.is_some() {
                    close(&mut one, start, at);
                    start = None;
                }
            } else {
                start.get_or_insert(at);
                one.take(token);
            }
        }
        if start.is_some() {
            close(&mut one, start, sql.len());
        }
        if whole.alone {
            // The transaction's own end says what became of it.
            whole.effects.retain(|effect| !matches!(effect, Effect::Ended { .. }));
        } else {
            whole.unlocks = whole.unlocks.together(whole.stays);
        }
        whole
    }

    /// What of the effects makes state that lives in the connection.
    pub fn pins(&self) -> Pins {
        self.effects.iter().fold(Pins::default(), |pins, effect| match effect {
            Effect::Pin(pin) => pins.with(*pin),
            _ => pins,
        })
    }
}

/// How many of a statement's first tokens are looked at one by one.
const HEAD: usize = 8;

/// First words of statements that commit nothing by themselves. CALL and DO may, and so does much of
/// what manages the database: CREATE INDEX CONCURRENTLY, VACUUM, CREATE DATABASE, …
const ATOMIC: &[&str] = &[
    "select",
    "values",
    "table",
    "with",
    "explain",
    "insert",
    "update",
    "delete",
    "merge",
    "copy",
    "truncate",
    "execute",
    "begin",
    "start",
    "savepoint",
    "release",
    "rollback",
    "abort",
    "declare",
    "fetch",
    "move",
    "close",
    "lock",
    "set",
    "show",
    "reset",
];

/// What one statement means.
struct Found {
    near: bool,
    control: Control,
    stays: bool,
    atomic: bool,
    unlocks: Unlock,
}

/// One statement, as its tokens come in.
#[derive(Debug, Default)]
struct One<'a> {
    head: Vec<Token<'a>>,
    /// A word that a replica refuses, or that differs there.
    writes: bool,
    temporary: bool,
    hold: bool,
    serializable: bool,
    read_only: bool,
    read_write: bool,
    /// It names the parameters that say whether a transaction may write.
    names_read_only: bool,
    sets_config: bool,
    /// The last token, to see words that belong together.
    last: Option<Token<'a>>,
    /// Inside the call of set_config: how deep in parentheses.
    set_config: Option<usize>,
    pins: Pins,
    unpins: Pins,
}

impl<'a> One<'a> {
    fn take(&mut self, token: Token<'a>) {
        match token {
            Token::Word(word) => self.word(word),
            // A function's or a schema's name may stand in quotes.
            Token::Quoted(name) => self.function(&lower(name)),
            Token::Sign(sign) => self.sign(sign),
            Token::Constant(text) => self.names_read_only |= names_read_only(text),
            Token::End => {}
        }
        if self.head.len() < HEAD {
            self.head.push(token);
        }
        self.last = Some(token);
    }

    fn word(&mut self, word: &[u8]) {
        let word = lower(word);
        let after = |keyword: &str| self.last.is_some_and(|last| last.is(keyword));
        match word.as_str() {
            "insert" | "update" | "delete" | "merge" | "into" | "call" | "execute" | "truncate"
            | "create" | "refresh" => self.writes = true,
            "share" | "no" | "key" if after("for") => self.writes = true,
            "temp" | "temporary" => self.temporary = true,
            "hold" if after("with") => self.hold = true,
            "serializable" => self.serializable = true,
            "only" if after("read") => self.read_only = true,
            "write" if after("read") => self.read_write = true,
            "transaction_read_only" | "default_transaction_read_only" => self.names_read_only = true,
            _ => self.function(&word),
        }
    }

    /// Functions that need the writer, or leave something in the connection.
    fn function(&mut self, name: &str) {
        match name {
            "pg_advisory_unlock_all" => self.unpins = self.unpins.with(Pins::LOCK),
            "set_config" => {
                self.set_config = Some(0);
                self.sets_config = true;
            }
            _ => {}
        }
        if name.starts_with("pg_advisory_") || name.starts_with("pg_try_advisory_") {
            self.writes = true;
            if !name.contains("xact") && !name.contains("unlock") {
                self.pins = self.pins.with(Pins::LOCK);
            }
        }
        if name.starts_with("pg_temp") {
            self.temporary = true;
        }
        let needs_writer = matches!(
            name,
            "nextval"
                | "setval"
                | "currval"
                | "lastval"
                | "set_config"
                | "pg_notify"
                | "dblink"
                | "pg_current_xact_id"
                | "pg_current_xact_id_if_assigned"
                | "pg_switch_wal"
                | "pg_create_restore_point"
                | "pg_export_snapshot"
                | "pg_reload_conf"
                | "pg_terminate_backend"
                | "pg_cancel_backend"
                | "pg_backend_pid"
                | "pg_prepared_statements"
                | "pg_cursors"
                | "pg_listening_channels"
        ) || name.starts_with("txid_current")
            || name.starts_with("pg_current_wal")
            || name.starts_with("lo_");
        self.writes |= needs_writer;
    }

    fn sign(&mut self, sign: u8) {
        let Some(depth) = self.set_config else { return };
        match sign {
            b'(' => self.set_config = Some(depth + 1),
            b')' if depth <= 1 => {
                // Its last argument says whether it ends with the transaction.
                let local = self.last.is_some_and(|last| last.is("true"));
                if !local {
                    self.pins = self.pins.with(Pins::OTHER);
                }
                self.set_config = None;
            }
            b')' => self.set_config = Some(depth - 1),
            _ => {}
        }
    }

    fn at(&self, index: usize, keyword: &str) -> bool {
        self.head.get(index).is_some_and(|token| token.is(keyword))
    }

    fn has(&self, keyword: &str) -> bool {
        self.head.iter().any(|token| token.is(keyword))
    }

    /// The statement is whole: whether it may be tried near, and what it means for the transaction.
    fn finish(&mut self, text: &[u8], effects: &mut Vec<Effect>) -> Found {
        let first = match self.head.first() {
            Some(Token::Word(word)) => lower(word),
            // ( SELECT … )
            Some(Token::Sign(b'(')) => "select".to_owned(),
            _ => String::new(),
        };
        let (mut control, mut near, mut stays) = (Control::None, false, true);
        let atomic = ATOMIC.contains(&first.as_str());
        match first.as_str() {
            "select" | "values" | "table" | "with" | "explain" => near = !self.writes,
            "begin" => control = Control::Begin { near: self.read_only && !self.serializable },
            "start" if self.at(1, "transaction") => {
                control = Control::Begin { near: self.read_only && !self.serializable };
            }
            "rollback" if self.has("to") => {
                if let Some(name) = self.last_name() {
                    effects.push(Effect::RollbackTo(name));
                }
            }
            "savepoint" => effects.extend(self.last_name().map(Effect::Savepoint)),
            "commit" | "end" => {
                stays = false;
                if !self.has("prepared") && !self.has("chain") {
                    control = Control::Commit;
                }
                effects.push(Effect::Ended { kept: true });
            }
            "rollback" | "abort" => {
                stays = false;
                if !self.has("prepared") && !self.has("chain") {
                    control = Control::Rollback;
                }
                effects.push(Effect::Ended { kept: false });
            }
            "set" => self.set(text, effects),
            "reset" => self.reset(effects),
            "discard" if self.at(1, "all") => effects.push(Effect::DiscardAll),
            "discard" if self.at(1, "temp") || self.at(1, "temporary") => {
                effects.push(Effect::Unpin(Pins::TEMPORARY));
            }
            "listen" => effects.push(Effect::Pin(Pins::LISTEN)),
            "unlisten" if self.head.get(1) == Some(&Token::Sign(b'*')) => {
                effects.push(Effect::Unpin(Pins::LISTEN));
            }
            "prepare" if self.at(1, "transaction") => stays = false,
            "prepare" => effects.push(Effect::Pin(Pins::PREPARED)),
            "deallocate" => self.deallocate(effects),
            "drop" if self.at(1, "database") => {
                let name = if self.at(2, "if") && self.at(3, "exists") { 4 } else { 2 };
                effects.extend(
                    self.head.get(name).and_then(|token| identifier(*token)).map(Effect::DropDatabase),
                );
            }
            "close" if self.at(1, "all") => effects.push(Effect::Unpin(Pins::CURSOR)),
            "load" => effects.push(Effect::Pin(Pins::OTHER)),
            _ => {}
        }
        if self.hold && first == "declare" {
            self.pins = self.pins.with(Pins::CURSOR);
        }
        if self.temporary && first != "discard" {
            self.pins = self.pins.with(Pins::TEMPORARY);
            near = false;
        }
        if !self.unpins.is_empty() {
            effects.push(Effect::Unpin(self.unpins));
        }
        if !self.pins.is_empty() {
            effects.push(Effect::Pin(self.pins));
        }
        Found { near, control, stays, atomic, unlocks: self.unlocks(&first) }
    }

    fn unlocks(&self, first: &str) -> Unlock {
        let of_session = self.at(1, "session") && self.at(2, "characteristics");
        let local = self.at(1, "local") || self.at(1, "transaction");
        let own = self.head.iter().any(|token| token.is("transaction_read_only"));
        match first {
            "reset" if self.at(1, "all") || self.names_read_only => Unlock::Later,
            "set" if of_session && self.read_write => Unlock::Later,
            "set" if self.names_read_only && !local && !own => Unlock::Later,
            "set" | "begin" | "start" if self.names_read_only || self.read_write => Unlock::Now,
            "do" if self.names_read_only => Unlock::Now,
            _ if self.names_read_only && self.sets_config => Unlock::Now,
            _ => Unlock::None,
        }
    }

    /// The name that the statement ends with.
    fn last_name(&self) -> Option<Vec<u8>> {
        identifier(self.last?)
    }

    fn set(&self, text: &[u8], effects: &mut Vec<Effect>) {
        if self.at(1, "local") || self.at(1, "transaction") || self.at(1, "constraints") {
            return;
        }
        let skip = 1 + usize::from(self.at(1, "session") && !self.at(2, "characteristics"));
        let words = self.head.get(skip..).unwrap_or_default();
        let (key, value_at) = match words {
            [a, b, ..] if a.is("session") && b.is("characteristics") => {
                ("session characteristics".to_owned(), 2)
            }
            [a, ..] if self.at(1, "session") && a.is("authorization") => {
                ("session authorization".to_owned(), 1)
            }
            [a, b, ..] if a.is("time") && b.is("zone") => ("timezone".to_owned(), 2),
            [a, ..] if a.is("names") => ("client_encoding".to_owned(), 1),
            [a, ..] if a.is("schema") => ("search_path".to_owned(), 1),
            [a, b, ..] if a.is("xml") && b.is("option") => ("xmloption".to_owned(), 2),
            [a, ..] if a.is("seed") => {
                effects.push(Effect::Pin(Pins::OTHER));
                return;
            }
            [a, ..] if a.is("role") => ("role".to_owned(), 1),
            words => {
                let Some((key, used)) = name(words) else { return };
                (key, used + 1)
            }
        };
        if words.get(value_at).is_some_and(|value| value.is("default")) {
            effects.push(Effect::Reset(key));
            return;
        }
        // Anything else than UTF-8 cannot be said again by us.
        match std::str::from_utf8(text) {
            Ok(sql) => effects.push(Effect::Set { key, sql: sql.trim().to_owned() }),
            Err(_) => effects.push(Effect::Pin(Pins::OTHER)),
        }
    }

    fn reset(&self, effects: &mut Vec<Effect>) {
        let words = self.head.get(1..).unwrap_or_default();
        let key = match words {
            [a, ..] if a.is("all") => {
                effects.push(Effect::ResetAll);
                return;
            }
            [a, b, ..] if a.is("session") && b.is("authorization") => "session authorization".to_owned(),
            [a, b, ..] if a.is("time") && b.is("zone") => "timezone".to_owned(),
            words => match name(words) {
                Some((key, _)) => key,
                None => return,
            },
        };
        effects.push(Effect::Reset(key));
    }

    fn deallocate(&self, effects: &mut Vec<Effect>) {
        let named = 1 + usize::from(self.at(1, "prepare"));
        match self.head.get(named) {
            Some(all) if all.is("all") => {
                effects.push(Effect::Deallocate(None));
                effects.push(Effect::Unpin(Pins::PREPARED));
            }
            _ => effects.extend(
                self.head
                    .get(named)
                    .and_then(|token| identifier(*token))
                    .map(|name| Effect::Deallocate(Some(name))),
            ),
        }
    }
}

/// A name as PostgreSQL takes it: in lower case unless it is quoted.
fn identifier(token: Token<'_>) -> Option<Vec<u8>> {
    match token {
        Token::Word(name) => Some(name.to_ascii_lowercase()),
        Token::Quoted(name) => Some(name.to_vec()),
        _ => None,
    }
}

/// A parameter's name, which may have a prefix (`app.user`), and how many tokens it takes.
fn name(words: &[Token<'_>]) -> Option<(String, usize)> {
    let part = |token: Option<&Token<'_>>| match token {
        Some(Token::Word(word) | Token::Quoted(word)) => Some(lower(word)),
        _ => None,
    };
    let first = part(words.first())?;
    if words.get(1) == Some(&Token::Sign(b'.')) {
        return Some((format!("{first}.{}", part(words.get(2))?), 3));
    }
    Some((first, 1))
}

/// Whether a text names the parameters that say whether a transaction may write.
fn names_read_only(text: &[u8]) -> bool {
    const NAME: &[u8] = b"transaction_read_only";
    text.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME))
}

fn lower(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_lowercase()
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
