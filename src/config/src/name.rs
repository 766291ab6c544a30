//! DNS names, read once.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};

/// A DNS name in lower case, without the dot at its end: `api.example.com`. Letters, digits, hyphens and
/// underscores; labels of 1 to 63, 253 characters in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `zone` itself or lies below it.
    pub fn within(&self, zone: &DnsName) -> bool {
        self == zone || self.0.strip_suffix(zone.as_str()).is_some_and(|rest| rest.ends_with('.'))
    }

    /// `label` in this zone; `@` is the zone itself.
    ///
    /// # Errors
    /// As [`FromStr`].
    pub fn below(&self, label: &str) -> Result<DnsName, String> {
        match label {
            "@" => Ok(self.clone()),
            label => format!("{label}.{self}").parse(),
        }
    }
}

impl FromStr for DnsName {
    type Err = String;

    /// # Errors
    /// One sentence that quotes the text and shows a right form.
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() <= 253 && name.split('.').all(label) {
            Ok(DnsName(name.to_ascii_lowercase()))
        } else {
            Err(format!("\"{text}\" is not a DNS name: write it like \"api.example.com\""))
        }
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for DnsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DnsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for DnsName {
    fn schema_name() -> Cow<'static, str> {
        "DnsName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A DNS name: api.example.com.",
            "pattern": "^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_with_or_without_the_last_dot() {
        let name: DnsName = "API.Example.com.".parse().unwrap();
        assert_eq!(name.as_str(), "api.example.com");
        let zone: DnsName = "example.com".parse().unwrap();
        assert!(name.within(&zone) && zone.within(&zone));
        assert!(!"notexample.com".parse::<DnsName>().unwrap().within(&zone));
        assert_eq!(zone.below("api").unwrap(), name);
        assert_eq!(zone.below("@").unwrap(), zone);
    }

    #[test]
    fn what_is_no_name_is_quoted_beside_a_right_one() {
        for text in ["", ".", "a..b", "-a.b", "a-.b", "a b", "ü.com", &"x".repeat(64), &"a.".repeat(128)] {
            let error = text.parse::<DnsName>().unwrap_err();
            assert!(error.contains(text) && error.contains("api.example.com"), "{error}");
        }
    }
}
