//! YAML that Envoy and Kubernetes load and people read.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;

/// Writes one document under a comment.
pub(super) fn document(comment: &str, value: &Value) -> String {
    let mut text: String =
        comment.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
    // Type URLs are long, and a folded one cannot be searched for.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 1000 };
    // Only a broken formatter makes this fail, and a String is none.
    text.push_str(&serde_saphyr::to_string_with_options(&Ordered(value), options).unwrap_or_default());
    text
}

/// Several documents in one file.
pub(super) fn documents(comment: &str, values: &[Value]) -> String {
    let bodies: Vec<String> = values.iter().map(|value| document("", value)).collect();
    let head: String = comment.lines().map(|line| format!("# {line}").trim_end().to_owned() + "\n").collect();
    head + &bodies.join("---\n")
}

/// Maps in a reader's order: what a thing is, then its name, then the rest by the alphabet.
struct Ordered<'a>(&'a Value);

fn rank(key: &str) -> usize {
    const FIRST: [&str; 11] = [
        "apiVersion",
        "kind",
        "metadata",
        "@type",
        "name",
        "match",
        "predicate",
        "address",
        "alert",
        "record",
        "job_name",
    ];
    FIRST.iter().position(|k| *k == key).unwrap_or(FIRST.len())
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Ordered(item))?;
                }
                list.end()
            }
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| (rank(key), key.as_str()));
                let mut out = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    out.serialize_entry(key, &Ordered(value))?;
                }
                out.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comes_back_as_it_went_in() {
        let value = json!({
            "name": "x",
            "texts": ["on", "no", "NO", "1", "1.40", "1e3", "null", "~", "", " a ", "a: b", "# c", "2s", "0.250s", "0x10",
                      "2026-01-31", "12:30:45", "*", "&a", "@b", "%c", "'", "\"", "\\", "tab\t", "[::1]:80", "-", "a\nb\n", "{\n \"a\": 1\n}"],
            "numbers": [0, -1, 1.5, 50.0, 4294967295u64],
            "empty": {"list": [], "map": {}, "nothing": null},
            "@type": "type.googleapis.com/x"
        });
        let text = document("A head.\n\nTwo parts.", &value);
        assert!(text.starts_with("# A head.\n#\n# Two parts.\n\"@type\""), "{text}");
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(back, value, "{text}");
    }
}
