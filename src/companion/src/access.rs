//! Who may read the admin listener, and who may order something there.

use crate::settings::Secret;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use subtle::ConstantTimeEq;

/// Why a request was refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It brings no token.
    Missing,
    /// It brings another one.
    Wrong,
    /// None is configured, so there is none that would do.
    NoneConfigured,
}

impl Refused {
    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        match self {
            Refused::Missing | Refused::Wrong => StatusCode::UNAUTHORIZED,
            Refused::NoneConfigured => StatusCode::FORBIDDEN,
        }
    }

    /// The remedy.
    pub fn remedy(&self) -> &'static str {
        match self {
            Refused::Missing => "a token is needed: send authorization: Bearer TOKEN",
            Refused::Wrong => "the token was refused: it is not the one in companion.token_file",
            Refused::NoneConfigured => {
                "orders are refused, since no token is configured: give companion.token_file and restart or reload"
            }
        }
    }
}

/// Whether a request may change something: a bearer token alone, since browsers send others unasked.
pub fn may_order(token: Option<&Secret>, headers: &HeaderMap) -> Result<(), Refused> {
    let token = token.ok_or(Refused::NoneConfigured)?;
    let given = authorization(headers, "bearer").ok_or(Refused::Missing)?;
    same(token, given.as_bytes())
}

/// Whether a request may read: anyone on loopback, else a bearer token or, for browsers, a password.
pub fn may_read(loopback: bool, token: Option<&Secret>, headers: &HeaderMap) -> Result<(), Refused> {
    if loopback {
        return Ok(());
    }
    let token = token.ok_or(Refused::NoneConfigured)?;
    if let Some(given) = authorization(headers, "bearer") {
        return same(token, given.as_bytes());
    }
    let basic = authorization(headers, "basic").ok_or(Refused::Missing)?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(basic).map_err(|_| Refused::Wrong)?;
    let password = decoded.iter().position(|b| *b == b':').and_then(|colon| decoded.get(colon + 1..));
    same(token, password.unwrap_or_default())
}

fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then_some(rest.trim())
}

/// The length may be learnt by timing, the text not.
fn same(token: &Secret, given: &[u8]) -> Result<(), Refused> {
    if bool::from(token.reveal().as_bytes().ct_eq(given)) { Ok(()) } else { Err(Refused::Wrong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn orders_need_the_very_token_as_a_bearer() {
        let token = Secret::new("0123456789abcdef");
        assert_eq!(may_order(None, &with("Bearer x")), Err(Refused::NoneConfigured));
        for (headers, expected) in [
            (HeaderMap::new(), Err(Refused::Missing)),
            (with("Bearer 0123456789abcdef"), Ok(())),
            (with("bearer 0123456789abcdef"), Ok(())),
            (with("Bearer 0123456789abcdeF"), Err(Refused::Wrong)),
            (with("Bearer 0123456789abcde"), Err(Refused::Wrong)),
            (with("Bearer "), Err(Refused::Wrong)),
            (with("Basic dTowMTIzNDU2Nzg5YWJjZGVm"), Err(Refused::Missing)),
        ] {
            assert_eq!(may_order(Some(&token), &headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn reading_is_open_on_loopback_alone() {
        let token = Secret::new("0123456789abcdef");
        assert_eq!(may_read(true, None, &HeaderMap::new()), Ok(()));
        assert_eq!(may_read(false, Some(&token), &HeaderMap::new()), Err(Refused::Missing));
        assert_eq!(may_read(false, Some(&token), &with("Basic dTowMTIzNDU2Nzg5YWJjZGVm")), Ok(()));
        assert_eq!(may_read(false, Some(&token), &with("Basic dTp4")), Err(Refused::Wrong));
        assert_eq!(may_read(false, Some(&token), &with("Basic %%%")), Err(Refused::Wrong));
    }
}
