//! `host:port`, read once.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, net::IpAddr, str::FromStr};

/// An address with its port: `10.0.0.1:8080`, `[fd00::1]:8080` or `api.example.com:443`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// A default of ours.
    pub(crate) fn known(host: &str, port: u16) -> Self {
        HostPort { host: host.to_owned(), port }
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host as an IP address; none for a name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for HostPort {
    type Err = String;

    /// # Errors
    /// One sentence that quotes the text and shows a right form.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not an address: write host:port, like \"10.0.0.1:8080\", \"[fd00::1]:8080\" or \"api.example.com:443\""
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
            Some(_) => return Err(wrong()),
            None if is_name(host) => host,
            None => return Err(wrong()),
        };
        Ok(HostPort { host: host.to_owned(), port })
    }
}

/// A DNS name or an IPv4 address. Four numbers that are no address (`10.0.0.256`) are neither.
fn is_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    host.len() <= 253
        && if numeric {
            host.parse::<std::net::Ipv4Addr>().is_ok()
        } else {
            host.trim_end_matches('.').split('.').all(label)
        }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for HostPort {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for HostPort {
    fn schema_name() -> Cow<'static, str> {
        "HostPort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An address with its port: 10.0.0.1:8080, [fd00::1]:8080 or api.example.com:443.",
            "pattern": "^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_that_people_write() {
        for (text, host, port) in [
            ("10.0.0.1:8080", "10.0.0.1", 8080),
            ("[fd00::1]:443", "fd00::1", 443),
            ("api.example.com:65535", "api.example.com", 65535),
            ("my_service:1", "my_service", 1),
        ] {
            let address: HostPort = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, port));
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn rejects_the_rest_and_shows_a_right_form() {
        for text in [
            "",
            ":80",
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:-1",
            "http://host:80",
            "fd00::1:80",
            "[host]:80",
            "10.0.0.256:80",
            "-a:80",
            "a..b:80",
            "a b:80",
            "ü:80",
        ] {
            let error = text.parse::<HostPort>().unwrap_err();
            assert!(error.contains(text) && error.contains("10.0.0.1:8080"), "{text}: {error}");
        }
    }
}
