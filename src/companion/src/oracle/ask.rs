//! Votes by asking each other: `GET /v1/votes`.

use super::Oracle;
use super::http::{Endpoint, Kept, USER_AGENT};
use super::said::{MAX_BYTES, Said};
use crate::clock;
use evenkeel_config::HostPort;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// Where a voter tells its votes.
pub const PATH: &str = "/v1/votes";

/// Between two questions.
const EVERY: Duration = Duration::from_millis(500);

/// An answer takes no longer.
const WITHIN: Duration = Duration::from_secs(1);

/// Asks one voter, for ever.
pub(super) async fn ask(oracle: Arc<Oracle>, voter: String, address: HostPort) {
    let request = Request::get(PATH)
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, USER_AGENT)
        .body(Full::default());
    // An address is always a header's value.
    let Ok(request) = request else { return };
    let mut kept = Kept::new(Endpoint { address, tls: None });
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        // Its votes are as old as the question, not as the answer.
        let asked = clock::now();
        match kept.ask(&request, MAX_BYTES, WITHIN).await {
            Ok((StatusCode::OK, body)) => match Said::read(&body, &voter) {
                Ok(said) => oracle.heard(said, asked),
                Err(problem) => oracle.strange(&voter, &problem),
            },
            Ok((status, _)) => oracle.not_heard(&voter, &format!("answered {status}")),
            Err(reason) => oracle.not_heard(&voter, &reason),
        }
    }
}
