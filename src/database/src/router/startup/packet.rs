//! The start-up packet: what a stranger says first. Pure, and borne whatever it says.

use crate::router::wire::authentication::{CANCEL_CODE, GSS_CODE, PROTOCOL, SSL_CODE};
use crate::router::wire::backend::{Code, Report, code};
use crate::router::wire::{Fields, WireError};

/// The longest start-up packet, PostgreSQL's `MAX_STARTUP_PACKET_LENGTH`.
const MAX_PACKET: usize = 10_000;

/// Bytes of length and code.
const MIN_PACKET: usize = 8;

/// The longest user or database name, in bytes: PostgreSQL cuts longer ones off, which would let one
/// user in as another.
const MAX_NAME: usize = 63;

const SYNTAX_ERROR: Code = *b"42601";
const BAD_ENCODING: Code = *b"22021";
const NAME_TOO_LONG: Code = *b"42622";

/// What a start-up packet asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// TLS.
    Tls,
    /// GSSAPI encryption.
    Gss,
    /// To cancel what the session with this process number and secret does.
    Cancel(i32, i32),
    /// A session.
    Startup(Startup),
}

/// What a client wants its session to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// The protocol's minor version.
    pub minor: u16,
    /// Who it says it is.
    pub user: String,
    /// The database; the user's name where it names none.
    pub database: String,
    /// The settings to begin with, those in `options` first, as PostgreSQL applies them.
    pub parameters: Vec<(String, String)>,
    /// Protocol options (`_pq_.…`) that it asked for and that are not known.
    pub unknown: Vec<String>,
}

/// The length of what follows a start-up packet's length field.
pub(super) fn body_length(field: [u8; 4]) -> Result<usize, Report> {
    match usize::try_from(u32::from_be_bytes(field)) {
        Ok(length) if (MIN_PACKET..=MAX_PACKET).contains(&length) => Ok(length - field.len()),
        _ => Err(fatal(code::PROTOCOL_VIOLATION, "invalid length of startup packet")),
    }
}

/// Reads a start-up packet, without its length.
///
/// # Errors
/// What the client is to be told.
pub fn read(body: &[u8]) -> Result<Request, Report> {
    let mut fields = Fields::new(b' ', body);
    let version = fields.number().map_err(malformed)?.cast_unsigned();
    match version {
        SSL_CODE | GSS_CODE if !fields.rest().is_empty() => {
            Err(fatal(code::PROTOCOL_VIOLATION, "invalid length of startup packet"))
        }
        SSL_CODE => Ok(Request::Tls),
        GSS_CODE => Ok(Request::Gss),
        CANCEL_CODE => {
            let (pid, secret) = (fields.number().map_err(malformed)?, fields.number().map_err(malformed)?);
            if fields.rest().is_empty() {
                Ok(Request::Cancel(pid, secret))
            } else {
                Err(fatal(code::PROTOCOL_VIOLATION, "invalid length of startup packet"))
            }
        }
        _ if version >> 16 == PROTOCOL >> 16 => {
            let minor = u16::try_from(version & 0xffff).unwrap_or_default();
            startup(minor, fields).map(Request::Startup)
        }
        _ => Err(fatal(
            code::FEATURE_NOT_SUPPORTED,
            format!(
                "unsupported frontend protocol {}.{}: this router speaks 3.0",
                version >> 16,
                version & 0xffff
            ),
        )),
    }
}

fn startup(minor: u16, mut fields: Fields<'_>) -> Result<Startup, Report> {
    let (mut user, mut database) = (String::new(), String::new());
    let (mut parameters, mut from_options, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let name = text(fields.text().map_err(malformed)?)?;
        if name.is_empty() {
            break;
        }
        let value = text(fields.text().map_err(malformed)?)?;
        match name {
            "user" => value.clone_into(&mut user),
            "database" => value.clone_into(&mut database),
            "options" => from_options = options(value)?,
            "replication" if !is_false(value) => {
                return Err(fatal(
                    code::FEATURE_NOT_SUPPORTED,
                    "replication connections are not routed: connect to the node itself",
                ));
            }
            "replication" => {}
            _ if name.starts_with("_pq_.") => unknown.push(name.to_owned()),
            _ => parameters.push((name.to_owned(), value.to_owned())),
        }
    }
    if !fields.rest().is_empty() {
        return Err(fatal(
            code::PROTOCOL_VIOLATION,
            "invalid startup packet layout: expected terminator as last byte",
        ));
    }
    if user.is_empty() {
        return Err(fatal(
            code::INVALID_AUTHORIZATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if database.is_empty() {
        database.clone_from(&user);
    }
    for (what, name) in [("user", &user), ("database", &database)] {
        if name.len() > MAX_NAME {
            return Err(fatal(NAME_TOO_LONG, format!("the {what} name is longer than 63 bytes")));
        }
    }
    from_options.append(&mut parameters);
    Ok(Startup { minor, user, database, parameters: from_options, unknown })
}

/// What PostgreSQL's `parse_bool` takes for false, prefixes included.
fn is_false(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    value == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2)
}

/// Splits command-line options into settings. `-c name=value` and `--name=value` set something; the
/// other switches of a server process make no sense behind a router.
fn options(line: &str) -> Result<Vec<(String, String)>, Report> {
    let mut settings = Vec::new();
    let mut words = words(line).into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            Some("") if word == "-c" => words.next().unwrap_or_default(),
            Some(setting) => setting.to_owned(),
            None => return Err(wrong_option(&word)),
        };
        match setting.split_once('=') {
            // As in PostgreSQL, a hyphen in a name stands for an underscore.
            Some((name, value)) if !name.is_empty() => {
                settings.push((name.replace('-', "_"), value.to_owned()))
            }
            _ => return Err(wrong_option(&word)),
        }
    }
    Ok(settings)
}

fn wrong_option(word: &str) -> Report {
    let message = format!("invalid command-line argument for server process: {word}");
    Report::fatal(SYNTAX_ERROR, message, "In \"options\", use -c name=value or --name=value.")
}

/// Words between white space; a backslash takes the next character as it is (`pg_split_opts`).
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => words.extend(word.take()),
            // At the end of the line it stands for nothing.
            '\\' => word.get_or_insert_default().extend(characters.next()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

fn text(bytes: &[u8]) -> Result<&str, Report> {
    std::str::from_utf8(bytes)
        .map_err(|_| fatal(BAD_ENCODING, "a name or value in the startup packet is not UTF-8"))
}

fn malformed(_: WireError) -> Report {
    fatal(code::PROTOCOL_VIOLATION, "invalid startup packet layout")
}

fn fatal(code: Code, message: impl Into<String>) -> Report {
    Report::fatal(code, message, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(version: u32, rest: &[u8]) -> Vec<u8> {
        [&version.to_be_bytes()[..], rest].concat()
    }

    fn begun(rest: &[u8]) -> Startup {
        match read(&packet(PROTOCOL, rest)) {
            Ok(Request::Startup(startup)) => startup,
            other => panic!("{other:?}"),
        }
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(read(&packet(SSL_CODE, b"")), Ok(Request::Tls));
        assert_eq!(read(&packet(GSS_CODE, b"")), Ok(Request::Gss));
        assert_eq!(read(&packet(CANCEL_CODE, b"\0\0\0\x07\xff\xff\xff\xf7")), Ok(Request::Cancel(7, -9)));
        let startup = begun(b"user\0app\0\0");
        let expected = Startup {
            minor: 0,
            user: "app".to_owned(),
            database: "app".to_owned(),
            parameters: vec![],
            unknown: vec![],
        };
        assert_eq!(startup, expected);
    }

    #[test]
    fn settings_come_with_those_of_options_first() {
        let startup = begun(
            b"application_name\0psql\0user\0app\0database\0shop\0replication\0false\0\
              options\0-c search_path=a\\ b --statement-timeout=5s -cgeqo=off\0client_encoding\0UTF8\0\0",
        );
        assert_eq!(startup.database, "shop");
        assert_eq!(
            startup.parameters,
            pairs(&[
                ("search_path", "a b"),
                ("statement_timeout", "5s"),
                ("geqo", "off"),
                ("application_name", "psql"),
                ("client_encoding", "UTF8"),
            ])
        );
    }

    #[test]
    fn newer_minor_versions_and_options_are_negotiated_down() {
        let newer = packet(PROTOCOL | 2, b"user\0app\0_pq_.shiny\0on\0\0");
        let Ok(Request::Startup(startup)) = read(&newer) else { panic!() };
        assert_eq!((startup.minor, startup.unknown), (2, vec!["_pq_.shiny".to_owned()]));
        let Ok(Request::Startup(startup)) = read(&packet(PROTOCOL | 9999, b"user\0app\0\0")) else {
            panic!()
        };
        assert_eq!(startup.minor, 9999);
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_code() {
        let long = [b"user\0", "u".repeat(64).as_bytes(), b"\0\0"].concat();
        for (version, rest, code) in [
            (2 << 16, &b"user\0app\0\0"[..], "0A000"),
            (4 << 16, b"", "0A000"),
            (0x1603_0100, b"", "0A000"),
            (SSL_CODE, b"x", "08P01"),
            (GSS_CODE, b"x", "08P01"),
            (CANCEL_CODE, b"\0\0\0\x07", "08P01"),
            (CANCEL_CODE, b"\0\0\0\x07\0\0\0\x07\0", "08P01"),
            (PROTOCOL, b"", "08P01"),
            (PROTOCOL, b"user", "08P01"),
            (PROTOCOL, b"user\0app", "08P01"),
            (PROTOCOL, b"user\0app\0", "08P01"),
            (PROTOCOL, b"user\0app\0\0more", "08P01"),
            (PROTOCOL, b"\0", "28000"),
            (PROTOCOL, b"user\0\0\0", "28000"),
            (PROTOCOL, b"database\0shop\0\0", "28000"),
            (PROTOCOL, b"user\0\xff\0\0", "22021"),
            (PROTOCOL, b"user\0app\0replication\0database\0\0", "0A000"),
            (PROTOCOL, b"user\0app\0replication\0on\0\0", "0A000"),
            (PROTOCOL, b"user\0app\0replication\0o\0\0", "0A000"),
            (PROTOCOL, b"user\0app\0options\0-B 5\0\0", "42601"),
            (PROTOCOL, b"user\0app\0options\0-c\0\0", "42601"),
            (PROTOCOL, b"user\0app\0options\0-c novalue\0\0", "42601"),
            (PROTOCOL, b"user\0app\0options\0--=1\0\0", "42601"),
            (PROTOCOL, b"user\0app\0options\0word\0\0", "42601"),
            (PROTOCOL, &long, "42622"),
        ] {
            let report = read(&packet(version, rest)).expect_err("refused");
            let shown = String::from_utf8_lossy(rest);
            assert_eq!(report.code, code.as_bytes(), "{version:#x} {shown}: {}", report.message);
            assert_eq!(report.severity, crate::router::wire::backend::Severity::Fatal);
        }
    }

    #[test]
    fn lengths_are_bounded_as_postgresql_bounds_them() {
        for (length, expected) in
            [(0, None), (7, None), (8, Some(4)), (10_000, Some(9996)), (10_001, None), (u32::MAX, None)]
        {
            assert_eq!(body_length(length.to_be_bytes()).ok(), expected, "{length}");
        }
        assert!(body_length(*b"GET ").is_err());
    }

    #[test]
    fn words_are_split_as_postgresql_splits_them() {
        for (line, expected) in [
            ("", &[][..]),
            ("  a  b\t", &["a", "b"]),
            ("a\\ b c", &["a b", "c"]),
            ("a\\\\b", &["a\\b"]),
            ("a\\", &["a"]),
            ("\\", &[""]),
        ] {
            assert_eq!(words(line), expected, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn any_packet_is_borne(version in prop_oneof![Just(PROTOCOL), Just(CANCEL_CODE), any::<u32>()], rest: Vec<u8>) {
            if let Ok(Request::Startup(startup)) = read(&packet(version, &rest)) {
                prop_assert!(!startup.user.is_empty() && !startup.database.is_empty());
            }
        }

        #[test]
        fn settings_survive_the_way_through_options(
            list in prop::collection::vec(("[a-z][a-z_.]{0,10}", "[^\0]{0,12}"), 0..5),
        ) {
            let escaped = |text: &str| text.chars().flat_map(|c| ['\\', c]).collect::<String>();
            let line: Vec<String> =
                list.iter().map(|(name, value)| format!("-c {name}={}", escaped(value))).collect();
            let rest = ["user\0app\0options\0", &line.join(" "), "\0\0"].concat();
            prop_assert_eq!(begun(rest.as_bytes()).parameters, list);
        }
    }
}
