//! Every command that the documents tell somebody to type exists, with the options that stand there; and
//! every link between them leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn documents() -> Vec<PathBuf> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_dir(project.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    found.extend(["README.md", "envoy/README.md", "compose/README.md"].map(|name| project.join(name)));
    found
}

/// What stands as code: in single backticks, or a line of a fence that begins with a command.
fn code(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 1 {
            // A line that ends in a backslash goes on.
            let whole = part.replace("\\\n", " ");
            found.extend(whole.lines().map(|line| line.trim().trim_start_matches("$ ").to_owned()));
        } else {
            // A span may be broken over two lines.
            let spans = part.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    found
}

/// The commands of Evenkeel in one piece of code, each without what a shell does with it.
fn commands(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for separator in [" | ", "; ", " && ", "$(", "{ ", "<("] {
        if let Some((before, after)) = code.split_once(separator) {
            // `evenkeel db pause | resume` names two commands.
            let alternative = separator == " | " && before.starts_with("evenkeel db ");
            let after = if alternative { format!("evenkeel db {after}") } else { after.to_owned() };
            found.extend(commands(before));
            found.extend(commands(&after));
            return found;
        }
    }
    let Some(arguments) = code.strip_prefix("evenkeel ") else { return found };
    let ends = |word: &&str| !["#", ">", "&", "2>&1"].contains(word) && !word.starts_with('>');
    let words: Vec<&str> = arguments.split_whitespace().take_while(ends).collect();
    found.push(words.into_iter().map(|word| word.trim_matches([')', '"', ',']).to_owned()).collect());
    found
}

/// What `--help` says, and the commands below it; asked once.
#[derive(Default)]
struct Help(BTreeMap<Vec<String>, (String, BTreeSet<String>)>);

impl Help {
    fn of(&mut self, path: &[String]) -> &(String, BTreeSet<String>) {
        self.0.entry(path.to_vec()).or_insert_with(|| {
            let output =
                Command::new(env!("CARGO_BIN_EXE_evenkeel")).args(path).arg("--help").output().unwrap();
            assert!(output.status.success(), "{path:?}: {output:?}");
            let text = String::from_utf8(output.stdout).unwrap();
            let below = text.split("Commands:\n").nth(1).unwrap_or_default();
            let below = below.lines().take_while(|line| line.starts_with(' '));
            let names = below.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
            (text, names)
        })
    }

    /// What is wrong with a command.
    fn fault(&mut self, words: &[String]) -> Option<String> {
        let mut path = Vec::new();
        let mut rest = words;
        while let Some((first, after)) = rest.split_first() {
            let known = self.of(&path).1.clone();
            if known.is_empty() || first.starts_with('-') {
                break;
            }
            // `render istio|envoy-gateway` names two; `evenkeel …` none.
            let named: Vec<&str> = first.split('|').collect();
            if first == "…" {
                return None;
            }
            if let Some(wrong) = named.iter().find(|name| !known.contains(**name)) {
                return Some(format!("no command {path:?} {wrong}"));
            }
            path.push(named[0].to_owned());
            rest = after;
        }
        let help = self.of(&path).0.clone();
        let option = |word: &&String| word.starts_with("--");
        let name = |word: &String| word.split('=').next().unwrap_or_default().to_owned();
        let has = |name: &String| help.split([' ', ',', '\n', '=']).any(|word| word == name);
        rest.iter()
            .filter(option)
            .map(name)
            .find(|name| !has(name))
            .map(|name| format!("{path:?} has no {name}"))
    }
}

#[test]
fn commands_exist_with_their_options() {
    let mut help = Help::default();
    let (mut faults, mut seen) = (Vec::new(), 0);
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for command in code(&text).iter().flat_map(|code| commands(code)) {
            seen += 1;
            let fault = help.fault(&command);
            faults
                .extend(fault.map(|fault| format!("{}: {}: {fault}", document.display(), command.join(" "))));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 40, "only {seen} commands were found");
}

#[test]
fn what_does_not_exist_is_found() {
    let mut help = Help::default();
    let mut fault = |code: &str| {
        let [command] = &commands(code)[..] else { panic!("one command: {code}") };
        help.fault(command)
    };
    assert_eq!(fault("evenkeel db status --json"), None);
    assert_eq!(fault("evenkeel drain taiwan --for 10m"), None);
    assert!(fault("evenkeel db stats").is_some_and(|fault| fault.contains("stats")));
    assert!(fault("evenkeel drain taiwan --until 10m").is_some_and(|fault| fault.contains("--until")));
    assert!(fault("evenkeel render istio|gateway").is_some_and(|fault| fault.contains("gateway")));
}

/// As web pages of repositories make it: lower case, hyphens for blanks, nothing else.
fn anchor(heading: &str) -> String {
    let letters = heading.trim().to_lowercase();
    let kept = letters.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() {
    let (mut faults, mut seen) = (Vec::new(), 0);
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for link in links.filter(|link| !link.contains("://")) {
            seen += 1;
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            let heading = |text: String| {
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                headings.any(|line| anchor(line.trim_start_matches('#')) == place)
            };
            let leads =
                target.exists() && (place.is_empty() || std::fs::read_to_string(&target).is_ok_and(heading));
            if !leads {
                faults.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 20, "only {seen} links were found");
}
