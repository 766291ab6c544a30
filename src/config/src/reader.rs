//! From bytes to a [`File`] (or another file of the house, a [`Document`]), with every fault of form that
//! can be found in one go.
//!
//! The YAML reader is serde-saphyr: kept up (serde_yaml is not), no unsafe C behind it, budgets
//! against alias bombs and deep nesting built in, duplicate keys refused, YAML 1.2 booleans (so
//! that the country `NO` stays a country), and positions for every node. It first gives a tree
//! with positions; the typed reading then runs over that tree, so a fault never ends the search
//! for the next one, and later checks of content find their lines too.

use crate::{File, Place, Problem, Problems};
use evenkeel_policy::error::{ConfigErrors, FieldError};
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_path_to_error::Segment;
use serde_saphyr::Spanned;
use std::{collections::HashMap, fmt};

/// The largest topology file. The schema's 32 regions with every field fill a tenth of it.
const MAX_BYTES: usize = 256 * 1024;

/// What the topology file is called in errors about the whole of it.
const TOPOLOGY: &str = "evenkeel.yaml";

/// Where each field stands, by its path (`regions[1].weight`).
#[derive(Debug, Default)]
pub(crate) struct Places(HashMap<String, Place>);

impl Places {
    /// The place of this field, or of the nearest thing around it.
    pub(crate) fn of(&self, field: &str) -> Option<Place> {
        let mut path = field;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(*place);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// Reads a topology file.
pub(crate) fn read(bytes: &[u8]) -> Result<(File, Places), Problems> {
    let document = Document::<File>::read(bytes, TOPOLOGY, "begin with \"service: NAME\" and \"regions:\"")?;
    Ok((document.value, document.places))
}

/// A file of the house other than the topology: the same YAML, the same limits, the same kind of errors.
#[derive(Debug)]
pub struct Document<T> {
    /// What stands in it.
    pub value: T,
    places: Places,
}

impl<T: DeserializeOwned> Document<T> {
    /// Reads a mapping. `name` is what the file is called in errors about the whole of it, `remedy` says how
    /// one begins.
    ///
    /// # Errors
    /// Every fault of form, with its place.
    pub fn read(bytes: &[u8], name: &str, remedy: &str) -> Result<Self, Problems> {
        let (value, places) = tree(bytes, name)?;
        if !value.is_object() {
            return Err(Problems::single(name, format!("is not a mapping: {remedy}"), None));
        }
        let value = typed::<T>(value).map_err(|errors| placed(errors, &places))?;
        Ok(Document { value, places })
    }
}

impl<T> Document<T> {
    /// The faults that a later check found, each where its field stands.
    pub fn problems(&self, errors: ConfigErrors) -> Problems {
        placed(errors.0, &self.places)
    }
}

/// Puts each error where its field stands, in the order of the file.
pub(crate) fn placed(errors: Vec<FieldError>, places: &Places) -> Problems {
    let placed = |error: FieldError| Problem { place: places.of(&error.field), error };
    let mut problems: Vec<Problem> = errors.into_iter().map(placed).collect();
    problems.sort_by_key(|problem| problem.place);
    Problems(problems)
}

/// Any YAML or JSON document as a JSON value.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, Problems> {
    document(bytes, usize::MAX, TOPOLOGY).map(|root| json(root.value, "", &mut Places::default()))
}

fn tree(bytes: &[u8], name: &str) -> Result<(Value, Places), Problems> {
    let root = document(bytes, MAX_BYTES, name)?;
    let mut places = Places::default();
    let value = json(root.value, "", &mut places);
    Ok((value, places))
}

fn document(bytes: &[u8], limit: usize, name: &str) -> Result<Spanned<Tree>, Problems> {
    if bytes.len() > limit {
        let size = format!("is {} bytes long: at most {limit} are read", bytes.len());
        return Err(Problems::single(name, size, None));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() as u64 + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() as u64 + 1;
        Problems::single(name, "is not UTF-8 here: save it as UTF-8", Some(Place { line, column }))
    })?;
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: 64, max_aliases: 1000, max_documents: 1 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map(|at| Place { line: at.line(), column: at.column() });
        // The reader's message ends with its own form of the place.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message).trim();
        Problems::single(name, message, place)
    })
}

/// A YAML node with the places of what is in it.
enum Tree {
    Leaf(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Tree)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Bool(value)))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Number(value.into())))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Number(value.into())))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        // Infinities and NaN have no place in JSON: they stay text, which no number field takes.
        Ok(Tree::Leaf(
            Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number),
        ))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::String(value.to_owned())))
    }
    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }
    fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf(Value::Null))
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Map(entries))
    }
}

fn json(tree: Tree, path: &str, places: &mut Places) -> Value {
    let place = |at: serde_saphyr::Location| Place { line: at.line(), column: at.column() };
    match tree {
        Tree::Leaf(value) => value,
        Tree::List(items) => {
            let item = |(index, item): (usize, Spanned<Tree>)| {
                let path = format!("{path}[{index}]");
                places.0.insert(path.clone(), place(item.referenced));
                json(item.value, &path, places)
            };
            Value::Array(items.into_iter().enumerate().map(item).collect())
        }
        Tree::Map(entries) => {
            let entry = |(key, tree): (Spanned<String>, Tree)| {
                let path = if path.is_empty() { key.value.clone() } else { format!("{path}.{}", key.value) };
                places.0.insert(path.clone(), place(key.referenced));
                let value = json(tree, &path, places);
                (key.value, value)
            };
            Value::Object(entries.into_iter().map(entry).collect::<Map<_, _>>())
        }
    }
}

/// Reads `value` as `T`. After each fault the faulty node is taken out and the reading repeated,
/// so that one run finds them all.
fn typed<T: DeserializeOwned>(mut value: Value) -> Result<T, Vec<FieldError>> {
    const MOST: usize = 64;
    let mut errors: Vec<FieldError> = Vec::new();
    while errors.len() < MOST {
        let error = match serde_path_to_error::deserialize::<_, T>(&value) {
            Ok(typed) if errors.is_empty() => return Ok(typed),
            Ok(_) => break,
            Err(error) => error,
        };
        let path: Vec<Segment> = error.path().iter().cloned().collect();
        let message = error.into_inner().to_string();
        let fault = Fault::of(&path, &message, &value);
        // What a repair made missing was reported already, under the same name.
        let known = errors.iter().any(|e| e.field == fault.error.field);
        if !known {
            errors.push(fault.error);
        }
        if known && matches!(fault.repair, Repair::Remove(_)) || !fault.repair.apply(&mut value) {
            break;
        }
    }
    Err(errors)
}

struct Fault {
    error: FieldError,
    repair: Repair,
}

/// How the reading can go on.
enum Repair {
    Remove(Vec<Segment>),
    Fill(Vec<Segment>, String),
}

impl Fault {
    fn of(path: &[Segment], message: &str, root: &Value) -> Self {
        let quoted = |prefix: &str| message.strip_prefix(prefix)?.split('`').next().map(str::to_owned);
        if let Some(name) = quoted("unknown field `") {
            // The path may or may not end with the unknown key itself.
            let mut path = path.to_vec();
            if !matches!(path.last(), Some(Segment::Map { key }) if *key == name) || at(root, &path).is_none()
            {
                path.push(Segment::Map { key: name });
            }
            let allowed = message.split_once("expected").map_or("", |(_, rest)| rest).replace('`', "");
            let allowed = allowed.trim().trim_start_matches("one of ");
            let remedy = format!("there is no such field: use {allowed}");
            return Fault { error: field(&path, "", &remedy), repair: Repair::Remove(path) };
        }
        if let Some(word) = quoted("unknown variant `") {
            // Inside something that is told apart by a tag the reading knows no path: the word itself has one.
            let path = place_of(at(root, path), path, &word);
            let allowed = message.split_once(", expected ").map_or("something else", |(_, rest)| rest);
            let error = field(&path, &Value::from(word).to_string(), &format!("must be {allowed}"));
            return Fault { error, repair: Repair::Remove(path) };
        }
        if let Some(name) = quoted("missing field `") {
            let mut at = path.to_vec();
            at.push(Segment::Map { key: name.clone() });
            return Fault {
                error: field(&at, "", "is missing: it is required"),
                repair: Repair::Fill(path.to_vec(), name),
            };
        }
        let secret =
            path.iter().any(|s| matches!(s, Segment::Map { key } if key == "secret" || key == "seed"));
        let error = if secret {
            field(path, "", "must be a text: put it in quotes")
        } else if let Some((_, expected)) = message.split_once(", expected ") {
            let expected = match expected {
                "u8" => "a whole number from 0 to 255",
                "u32" => "a whole number from 0 to 4294967295",
                "u64" => "a whole number",
                "f64" => "a number",
                "a string" => "a text",
                "a boolean" => "true or false",
                "a sequence" => "a list",
                other => other,
            };
            field(path, &shown(at(root, path)), &format!("must be {expected}"))
        } else {
            field(path, "", message)
        };
        Fault { error, repair: Repair::Remove(path.to_vec()) }
    }
}

fn field(path: &[Segment], value: &str, remedy: &str) -> FieldError {
    let mut name = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => name.push_str(&format!("[{index}]")),
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(key);
            }
            Segment::Unknown => {}
        }
    }
    if name.is_empty() {
        name.push_str(TOPOLOGY);
    }
    FieldError { field: name, value: value.to_owned(), remedy: remedy.to_owned() }
}

/// The path of this very text in what stands at `path`; `path` itself if it is not there.
fn place_of(node: Option<&Value>, path: &[Segment], text: &str) -> Vec<Segment> {
    fn search(node: &Value, text: &str, path: &mut Vec<Segment>) -> bool {
        let children: Vec<(Segment, &Value)> = match node {
            Value::String(found) => return found == text,
            Value::Array(items) => {
                items.iter().enumerate().map(|(index, item)| (Segment::Seq { index }, item)).collect()
            }
            Value::Object(map) => {
                map.iter().map(|(key, item)| (Segment::Map { key: key.clone() }, item)).collect()
            }
            _ => return false,
        };
        children.into_iter().any(|(segment, child)| {
            path.push(segment);
            search(child, text, path) || {
                path.pop();
                false
            }
        })
    }
    let mut found = path.to_vec();
    if !node.is_some_and(|node| search(node, text, &mut found)) {
        found.truncate(path.len());
    }
    found
}

/// What stands there, in at most 60 characters.
fn shown(value: Option<&Value>) -> String {
    let text = value.map(Value::to_string).unwrap_or_default();
    if text.chars().count() <= 60 { text } else { text.chars().take(59).chain(['…']).collect() }
}

fn at<'a>(root: &'a Value, path: &[Segment]) -> Option<&'a Value> {
    path.iter().try_fold(root, |node, segment| match segment {
        Segment::Seq { index } => node.get(index),
        Segment::Map { key } => node.get(key),
        _ => None,
    })
}

/// Stands in for a faulty text. An address has the form of every text that a required field takes.
const FILLER: &str = "a:1";

impl Repair {
    /// False if nothing could be done.
    fn apply(&self, root: &mut Value) -> bool {
        let (path, last) = match self {
            Repair::Remove(path) => match path.split_last() {
                Some((last, parent)) => (parent, Some(last)),
                None => return false,
            },
            Repair::Fill(path, _) => (path.as_slice(), None),
        };
        let node = path.iter().try_fold(root, |node, segment| match segment {
            Segment::Seq { index } => node.get_mut(index),
            Segment::Map { key } => node.get_mut(key),
            _ => None,
        });
        match (self, node, last) {
            (Repair::Fill(_, name), Some(Value::Object(map)), _) => {
                map.insert(name.clone(), FILLER.into()).is_none()
            }
            (Repair::Remove(_), Some(Value::Object(map)), Some(Segment::Map { key })) => {
                map.remove(key).is_some()
            }
            // Taking it out would give what follows a wrong index.
            (Repair::Remove(_), Some(Value::Array(list)), Some(Segment::Seq { index })) => {
                list.get_mut(*index).map(|item| *item = FILLER.into()).is_some()
            }
            _ => false,
        }
    }
}
