//! The file of client users: who may come in, and as whom the router then logs in to the nodes.
//!
//! ```yaml
//! users:
//! - name: app
//!   password: "…"                  # or verifier: "SCRAM-SHA-256$4096:…"; exactly one
//!   login: {user: app_rw, password: "…"}   # default: the same name and password
//! ```

pub use super::secret::Secret;

use super::scram::{ITERATIONS, SALT_BYTES, Verifier, hmac};
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// The longest name that PostgreSQL gives a user, in bytes (`NAMEDATALEN` - 1).
const MAX_NAME: usize = 63;

/// The largest credentials file: about 50,000 users.
const MAX_BYTES: u64 = 16 << 20;

/// How the router logs in to the nodes for a client user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeLogin {
    /// The user on the nodes.
    pub user: String,
    /// Its password; none where the nodes ask for none.
    pub password: Option<Secret>,
}

/// A client user.
#[derive(Clone, Debug)]
pub struct User {
    verifier: Verifier,
    login: NodeLogin,
}

impl User {
    /// What the client's proof is checked against.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// How the router logs in to the nodes for this user.
    pub fn login(&self) -> &NodeLogin {
        &self.login
    }
}

/// The client users, by name.
#[derive(Debug, Default)]
pub struct Credentials {
    users: HashMap<String, Arc<User>>,
}

impl Credentials {
    /// Reads a credentials file. Takes about a millisecond for each user with a password rather than
    /// a verifier.
    ///
    /// # Errors
    /// What is wrong, with the file and the field; never with a secret.
    pub fn load(path: &Path) -> Result<Self, CredentialsError> {
        let at = |faults: Vec<Fault>| CredentialsError { path: path.to_owned(), faults };
        let unreadable = |error: std::io::Error| at(vec![Fault::of_file(format!("cannot be read: {error}"))]);
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_BYTES {
            return Err(at(vec![Fault::of_file(format!(
                "is {length} bytes long: at most {MAX_BYTES} are read"
            ))]));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| at(vec![Fault::of_file("is not UTF-8: save it as UTF-8".to_owned())]))?;
        Self::read(text).map_err(at)
    }

    fn read(text: &str) -> Result<Self, Vec<Fault>> {
        let file = File::read(text).map_err(|fault| vec![fault])?;
        let mut users = HashMap::with_capacity(file.users.len());
        let mut faults = Vec::new();
        for (index, entry) in file.users.into_iter().enumerate() {
            match entry.checked() {
                Ok((name, user)) => {
                    if users.insert(name, Arc::new(user)).is_some() {
                        let remedy = "is the name of an earlier user too: each stands once";
                        faults.push(Fault::of_user(index, "name", remedy));
                    }
                }
                Err((field, remedy)) => faults.push(Fault::of_user(index, field, remedy)),
            }
        }
        if faults.is_empty() { Ok(Credentials { users }) } else { Err(faults) }
    }

    /// The user of this name.
    pub fn find(&self, name: &str) -> Option<Arc<User>> {
        self.users.get(name).cloned()
    }

    /// What a client's proof is checked against: the user's verifier, or for a name that does not
    /// exist one that nothing fits, with a salt that stays the same for the name.
    pub fn verifier(&self, name: &str) -> Verifier {
        // Made for everyone, so that making it does not tell who exists.
        let unmatched = Verifier::unmatched(&salt(name));
        self.users.get(name).map_or(unmatched, |user| user.verifier.clone())
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}

/// The salt that belongs to a name while this process lives. Users with a password and names that do
/// not exist draw theirs the same way, so the salt does not tell one from the other.
fn salt(name: &str) -> [u8; SALT_BYTES] {
    static KEY: LazyLock<[u8; 32]> = LazyLock::new(rand::random);
    let mut salt = [0; SALT_BYTES];
    for (to, from) in salt.iter_mut().zip(hmac(&KEY, &[name.as_bytes()])) {
        *to = from;
    }
    salt
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    users: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    verifier: Option<Secret>,
    #[serde(default)]
    login: Option<LoginEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginEntry {
    user: String,
    #[serde(default)]
    password: Option<Secret>,
}

impl File {
    fn read(text: &str) -> Result<File, Fault> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            with_snippet: false,
            budget: serde_saphyr::budget! { max_depth: 16, max_aliases: 0, max_documents: 1, max_nodes: 1_000_000, max_events: 4_000_000 },
        };
        let mut path = String::new();
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                path = error.path().to_string();
                error.into_inner()
            })
        })
        .map_err(|error| Fault::of_form(&error, &path))
    }
}

impl Entry {
    /// The user, or the field that is wrong and why.
    fn checked(self) -> Result<(String, User), (&'static str, String)> {
        check_name(&self.name).map_err(|remedy| ("name", remedy.to_owned()))?;
        if let Some(login) = &self.login {
            check_name(&login.user).map_err(|remedy| ("login.user", remedy.to_owned()))?;
            if let Some(password) = &login.password {
                check_password(password).map_err(|remedy| ("login.password", remedy.to_owned()))?;
            }
        }
        let login = self.login.map(|login| NodeLogin { user: login.user, password: login.password });
        let (verifier, login) = match (self.password, self.verifier) {
            (Some(_), Some(_)) => {
                return Err(("verifier", "stands beside password: keep exactly one of the two".to_owned()));
            }
            (None, None) => {
                return Err(("password", "is missing: give a password or a verifier".to_owned()));
            }
            (Some(password), None) => {
                check_password(&password).map_err(|remedy| ("password", remedy.to_owned()))?;
                let verifier = Verifier::of(password.reveal(), &salt(&self.name), ITERATIONS);
                let same = || NodeLogin { user: self.name.clone(), password: Some(password) };
                (verifier, login.unwrap_or_else(same))
            }
            (None, Some(verifier)) => {
                let verifier =
                    verifier.reveal().parse().map_err(|remedy: &str| ("verifier", remedy.to_owned()))?;
                let remedy = "is missing: a verifier holds no password to log in to the nodes with";
                (verifier, login.ok_or(("login", remedy.to_owned()))?)
            }
        };
        Ok((self.name, User { verifier, login }))
    }
}

fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("is empty: give the user's name"),
        _ if name.len() > MAX_NAME => Err("is longer than PostgreSQL's 63 bytes"),
        _ if name.contains('\0') => Err("holds a zero byte, which PostgreSQL's protocol cannot carry"),
        _ => Ok(()),
    }
}

fn check_password(password: &Secret) -> Result<(), &'static str> {
    match password.reveal() {
        "" => Err("is empty: PostgreSQL refuses empty passwords"),
        text if text.contains('\0') => Err("holds a zero byte, which PostgreSQL's protocol cannot carry"),
        _ => Ok(()),
    }
}

/// One thing that is wrong with a credentials file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault {
    line: Option<u64>,
    /// Empty: the file as a whole.
    field: String,
    remedy: String,
}

impl Fault {
    fn of_file(remedy: String) -> Self {
        Fault { line: None, field: String::new(), remedy }
    }

    fn of_user(index: usize, field: &str, remedy: impl Into<String>) -> Self {
        Fault { line: None, field: format!("users[{index}].{field}"), remedy: remedy.into() }
    }

    /// The reader's own messages may quote what stands in the file: only those whose form is known
    /// are passed on, and of them only the parts that name fields.
    fn of_form(error: &serde_saphyr::Error, path: &str) -> Self {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        let name = |prefix: &str| {
            let (_, rest) = message.split_once(prefix)?;
            rest.split('`').next().map(str::to_owned)
        };
        let field = if path == "." { "" } else { path };
        let join = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        let (field, remedy) = if let Some(name) = name("missing field `") {
            (join(&name), "is missing: it is required".to_owned())
        } else if message.contains("unknown field `") {
            let allowed = message.split_once("expected").map_or("", |(_, rest)| rest).replace('`', "");
            let allowed = allowed.trim().trim_start_matches("one of ");
            (field.to_owned(), format!("holds a field that does not exist: use {allowed}"))
        } else if message.contains("duplicate") {
            (field.to_owned(), "holds a field twice: keep one".to_owned())
        } else {
            let remedy = "has not the form of a credentials file: \"users:\" is a list of mappings with name, \
                          password or verifier, and login; text with special characters needs quotes";
            (field.to_owned(), remedy.to_owned())
        };
        Fault { line: error.location().map(|at| at.line()), field, remedy }
    }
}

/// Why a credentials file is not taken. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsError {
    path: PathBuf,
    faults: Vec<Fault>,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}: ", self.path.display())?;
            if let Some(line) = fault.line {
                write!(f, "line {line}: ")?;
            }
            if !fault.field.is_empty() {
                write!(f, "{}: ", fault.field)?;
            }
            f.write_str(&fault.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for CredentialsError {}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    fn load(text: &str) -> Result<Credentials, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Credentials::load(file.path()).map_err(|error| {
            let error = error.to_string();
            assert!(
                error.lines().all(|line| line.starts_with(&file.path().display().to_string())),
                "{error}"
            );
            error.replace(&format!("{}: ", file.path().display()), "")
        })
    }

    #[test]
    fn a_user_logs_in_as_itself_or_as_another() {
        let text = format!(
            "users:\n- {{name: app, password: \"s3cret\"}}\n- name: report\n  verifier: '{STORED}'\n  \
             login: {{user: report_ro, password: other}}\n- {{name: bare, password: 0123, login: {{user: bare}}}}\n"
        );
        let users = load(&text).unwrap();
        assert_eq!(users.len(), 3);
        let login = |name: &str| users.find(name).unwrap().login().clone();
        assert_eq!(login("app"), NodeLogin { user: "app".into(), password: Some(Secret::new("s3cret")) });
        assert_eq!(
            login("report"),
            NodeLogin { user: "report_ro".into(), password: Some(Secret::new("other")) }
        );
        assert_eq!(login("bare"), NodeLogin { user: "bare".into(), password: None });
        assert_eq!(users.verifier("report"), STORED.parse().unwrap());
        // Digits are the text that stands there, not a number.
        assert_eq!(users.verifier("bare"), Verifier::of("0123", &salt("bare"), ITERATIONS));
        assert!(users.find("nobody").is_none());
    }

    #[test]
    fn names_that_do_not_exist_have_a_steady_salt_of_their_own() {
        let users = load("users: []").unwrap();
        assert!(users.is_empty());
        assert_eq!(users.verifier("nobody"), users.verifier("nobody"));
        assert_ne!(users.verifier("nobody"), users.verifier("none"));
        // A reload draws the same salts.
        assert_eq!(users.verifier("nobody"), load("users: []").unwrap().verifier("nobody"));
    }

    #[test]
    fn errors_name_the_field_and_never_the_secret() {
        for (text, says) in [
            ("users:\n- {password: hunter2}", "users[0].name: is missing"),
            ("users:\n- {name: a}", "users[0].password: is missing: give a password or a verifier"),
            (
                "users:\n- {name: a, password: hunter2}\n- {name: b, password: ''}",
                "users[1].password: is empty",
            ),
            ("users:\n- {name: '', password: hunter2}", "users[0].name: is empty"),
            (
                "users:\n- {name: a, password: hunter2, verifier: x}",
                "users[0].verifier: stands beside password",
            ),
            ("users:\n- {name: a, verifier: hunter2}", "users[0].verifier: has not the form SCRAM-SHA-256$"),
            ("users:\n- {name: a, pasword: hunter2}", "use name, password, verifier, login"),
            ("users:\n- {name: a, password: hunter2, password: hunter2}", "twice"),
            ("users:\n- {name: a, password: [hunter2]}", "users[0].password: has not the form"),
            ("users:\n- {name: a, password: *hunter2}", "has not the form"),
            ("users:\n- {name: a, password: {hunter2: 1}}", "has not the form"),
            ("users:\n- {name: a, login: hunter2, password: x}", "has not the form"),
            ("users: hunter2", "has not the form"),
            ("users:\n- {name: a, password: \"hunter2}", "has not the form"),
            ("hunter2", "has not the form"),
            ("", "has not the form"),
            (
                "users:\n- {name: a, password: x, login: {user: '', password: hunter2}}",
                "users[0].login.user: is empty",
            ),
            (
                "users:\n- {name: a, password: x, login: {user: a, password: \"hunter2\\0\"}}",
                "users[0].login.password: holds a zero byte",
            ),
            ("users:\n- {name: a, password: hunter2}\n- {name: a, password: hunter2}", "users[1].name"),
        ] {
            let error = load(text).expect_err(text);
            assert!(error.contains(says), "{text}\ngave: {error}");
            assert!(!error.contains("hunter2"), "{text}\ngave: {error}");
        }
        let stored = format!("users:\n- {{name: a, verifier: '{STORED}'}}");
        assert!(load(&stored).unwrap_err().starts_with("users[0].login: is missing"));
        let long = format!("users:\n- {{name: {}, password: hunter2}}", "a".repeat(64));
        assert!(load(&long).unwrap_err().starts_with("users[0].name: is longer"));
    }

    #[test]
    fn every_fault_of_content_is_found_in_one_go() {
        let error =
            load("users:\n- {name: a}\n- {name: '', password: x}\n- {name: b, password: x}").unwrap_err();
        assert_eq!(error.lines().count(), 2, "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Credentials::load(Path::new("/nonexistent/users.yaml")).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/users.yaml: cannot be read: "), "{error}");
    }

    #[test]
    fn secrets_do_not_show() {
        let users = load("users:\n- {name: app, password: hunter2}").unwrap();
        assert!(!format!("{users:?}").contains("hunter2"));
    }
}
