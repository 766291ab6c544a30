//! What came of a request: Envoy's flags and status in, one outcome for each attempt out.

use crate::host::{Attribute, Exchange};
use evenkeel_policy::words::Outcome;

/// What Envoy says of a finished request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// `response.flags`.
    pub flags: u64,
    /// `response.code`; none if no response was sent.
    pub code: Option<u16>,
    /// How many attempts there were; 0 if no upstream was chosen.
    pub attempts: u32,
    /// `response.grpc_status`, for gRPC requests.
    pub grpc_status: Option<i64>,
    /// Whether the last response came from the upstream rather than from Envoy.
    pub from_upstream: bool,
}

// Envoy's CoreResponseFlag, as bits in the order of its enum.
const NO_HEALTHY_UPSTREAM: u64 = 1 << 1;
const REQUEST_TIMEOUT: u64 = 1 << 2;
const REMOTE_RESET: u64 = 1 << 4;
const CONNECTION_FAILURE: u64 = 1 << 5;
const CONNECTION_TERMINATION: u64 = 1 << 6;
const OVERFLOW: u64 = 1 << 7;
const CLIENT_GONE: u64 = 1 << 14;
const RETRIES_USED_UP: u64 = 1 << 15;
const NO_CLUSTER: u64 = 1 << 24;

const RESETS: u64 = NO_HEALTHY_UPSTREAM | REMOTE_RESET | CONNECTION_FAILURE | CONNECTION_TERMINATION;
const IGNORED: u64 = CLIENT_GONE | NO_CLUSTER | OVERFLOW;

impl Finish {
    /// Asks Envoy. `grpc`: whether the request was a gRPC call.
    pub fn of(exchange: &impl Exchange, grpc: bool) -> Self {
        let number = |attribute| {
            let bytes = exchange.attribute(attribute)?;
            Some(i64::from_le_bytes(bytes.first_chunk::<8>().copied()?))
        };
        let flags = number(Attribute::ResponseFlags).map_or(0, |flags| flags as u64);
        let code = number(Attribute::ResponseCode).and_then(|code| u16::try_from(code).ok());
        let attempts = number(Attribute::AttemptCount).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        // Whose answer it was matters only where it was a bad one.
        let from_upstream = code.is_some_and(|code| code >= 500)
            && exchange
                .attribute(Attribute::ResponseCodeDetails)
                .is_some_and(|details| details.starts_with(b"via_upstream"));
        let grpc_status = grpc.then(|| number(Attribute::GrpcStatus)).flatten();
        Finish { flags, code, attempts, grpc_status, from_upstream }
    }

    /// What came of the last attempt.
    pub fn last(&self) -> Outcome {
        let has = |flags: u64| self.flags & flags != 0;
        if has(IGNORED) {
            return Outcome::Ignored;
        }
        if has(REQUEST_TIMEOUT) {
            return Outcome::Timeout;
        }
        if has(RESETS) {
            return Outcome::Reset;
        }
        if self.attempts == 0 {
            // Envoy answered before it chose an upstream: a redirect, a limit, another filter.
            return Outcome::Ignored;
        }
        match (self.code, self.from_upstream) {
            (Some(504), false) => Outcome::Timeout,
            (Some(code), false) if is_failure(code) => Outcome::Reset,
            (Some(code), true) if is_failure(code) => Outcome::Error,
            (None, _) if has(RETRIES_USED_UP) => Outcome::Reset,
            (None, _) => Outcome::Ignored,
            _ if has(RETRIES_USED_UP) => Outcome::Error,
            _ if matches!(self.grpc_status, Some(4 | 13 | 14)) => Outcome::Error,
            _ => Outcome::Ok,
        }
    }

    /// Whether the regions were tried in turn and the request, not they, is to blame.
    ///
    /// Envoy tells of the last attempt alone. Where it was answered with a 5xx after a retry, the
    /// earlier one is taken to have been so too: should it have been a reset, one failure less is
    /// counted, and the next request makes up for it.
    pub fn is_poison(&self, regions_tried: usize) -> bool {
        regions_tried >= 2 && self.from_upstream && self.last() == Outcome::Error
    }
}

fn is_failure(code: u16) -> bool {
    code >= 500 && code != 501 && code != 505
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(flags: u64, code: u16, attempts: u32, from_upstream: bool) -> Finish {
        let code = (code != 0).then_some(code);
        Finish { flags, code, attempts, grpc_status: None, from_upstream }
    }

    #[test]
    fn each_end_has_its_outcome() {
        let rows = [
            ("answered", finish(0, 200, 1, false), Outcome::Ok),
            ("not found", finish(0, 404, 1, false), Outcome::Ok),
            ("too many requests", finish(0, 429, 1, false), Outcome::Ok),
            ("not implemented", finish(0, 501, 1, true), Outcome::Ok),
            ("version not supported", finish(0, 505, 1, true), Outcome::Ok),
            ("server error", finish(0, 500, 1, true), Outcome::Error),
            ("unavailable", finish(0, 503, 1, true), Outcome::Error),
            ("refused", finish(CONNECTION_FAILURE, 503, 1, false), Outcome::Reset),
            ("refused, and no answer sent", finish(CONNECTION_FAILURE, 0, 1, false), Outcome::Reset),
            ("reset after the answer began", finish(REMOTE_RESET, 200, 1, false), Outcome::Reset),
            ("no healthy host", finish(NO_HEALTHY_UPSTREAM, 503, 0, false), Outcome::Reset),
            ("broken in the middle", finish(CONNECTION_TERMINATION, 200, 1, false), Outcome::Reset),
            ("reset", finish(REMOTE_RESET, 503, 1, false), Outcome::Reset),
            ("route time-out", finish(REQUEST_TIMEOUT, 504, 1, false), Outcome::Timeout),
            (
                "per-try time-out, then refused",
                finish(REQUEST_TIMEOUT | RETRIES_USED_UP, 504, 2, false),
                Outcome::Timeout,
            ),
            ("retries used up", finish(RETRIES_USED_UP, 503, 2, true), Outcome::Error),
            ("retries used up on resets", finish(RETRIES_USED_UP, 503, 2, false), Outcome::Reset),
            ("no such cluster", finish(NO_CLUSTER, 503, 0, false), Outcome::Ignored),
            ("client gone", finish(CLIENT_GONE, 0, 1, false), Outcome::Ignored),
            (
                "client gone after a failure",
                finish(CLIENT_GONE | REMOTE_RESET, 0, 1, false),
                Outcome::Ignored,
            ),
            ("concurrency limit", finish(OVERFLOW, 503, 1, false), Outcome::Ignored),
            ("rate limit", finish(1 << 11, 429, 0, false), Outcome::Ignored),
            ("another filter's 503", finish(0, 503, 0, false), Outcome::Ignored),
        ];
        for (name, finish, outcome) in rows {
            assert_eq!(finish.last(), outcome, "{name}");
        }
    }

    #[test]
    fn grpc_failures_hide_behind_a_200() {
        for (status, outcome) in [
            (0, Outcome::Ok),
            (4, Outcome::Error),
            (5, Outcome::Ok),
            (13, Outcome::Error),
            (14, Outcome::Error),
        ] {
            let finish = Finish { grpc_status: Some(status), ..finish(0, 200, 1, false) };
            assert_eq!(finish.last(), outcome, "status {status}");
        }
    }

    #[test]
    fn a_request_that_every_region_answers_badly_is_poison() {
        assert!(finish(RETRIES_USED_UP, 500, 2, true).is_poison(2));
        assert!(!finish(0, 500, 1, true).is_poison(1));
        assert!(!finish(CONNECTION_FAILURE, 503, 2, false).is_poison(2));
        assert!(!finish(0, 200, 2, false).is_poison(2));
    }
}
