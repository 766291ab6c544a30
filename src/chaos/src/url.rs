//! `http://host:port/path`, read once.

use evenkeel_config::HostPort;
use std::str::FromStr;

/// The address of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Where it is asked.
    pub address: HostPort,
    /// Path and query.
    pub path: String,
}

impl FromStr for Url {
    type Err = String;

    /// # Errors
    /// A right form.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write http://host:port/path, like \"http://127.0.0.1:8080/health\"".to_owned();
        let rest = text.strip_prefix("http://").ok_or_else(wrong)?;
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let printable = path.bytes().all(|byte| byte.is_ascii_graphic());
        let address = address.parse().map_err(|_| wrong())?;
        let path = if path.is_empty() { "/" } else { path };
        if printable { Ok(Url { address, path: path.to_owned() }) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_an_address_and_a_path() {
        let url: Url = "http://127.0.0.1:80/a?b=c".parse().expect("good");
        assert_eq!((url.address.to_string().as_str(), url.path.as_str()), ("127.0.0.1:80", "/a?b=c"));
        assert_eq!("http://a:1".parse::<Url>().expect("good").path, "/");
        for text in ["", "https://a:1/", "http://a/", "a:1/", "http://a:1/b c"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }
}
