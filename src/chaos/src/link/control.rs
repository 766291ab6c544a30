//! The link's state over HTTP: `GET /` shows it, `POST /` with some of its fields changes those.

use super::{Condition, Link};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};

/// Both of them.
pub fn router(link: Link) -> Router {
    Router::new().route("/", get(show).post(change)).with_state(link)
}

async fn show(State(link): State<Link>) -> Response {
    Json(link.condition()).into_response()
}

async fn change(State(link): State<Link>, body: Bytes) -> Response {
    match merged(link.condition(), &body) {
        Ok(condition) => {
            link.set(condition);
            Json(condition).into_response()
        }
        Err(fault) => (StatusCode::BAD_REQUEST, Json(json!({"error": fault}))).into_response(),
    }
}

/// The condition with the fields that the body names.
fn merged(condition: Condition, body: &[u8]) -> Result<Condition, String> {
    let wrong = |error: serde_json::Error| format!("the change is not understood: {error}");
    let fields: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(wrong)?;
    let mut whole = serde_json::to_value(condition).map_err(wrong)?;
    for (field, value) in fields {
        match whole.get_mut(&field) {
            Some(known) => *known = value,
            None => {
                return Err(format!("{field}: there is no such field: use round_trip, loss_percent or cut"));
            }
        }
    }
    let condition: Condition = serde_json::from_value(whole).map_err(wrong)?;
    condition.check().map(|()| condition)
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_policy::time::Millis;

    #[test]
    fn only_what_is_named_changes_and_faults_name_their_fields() {
        let begun = Condition::default();
        let cut = merged(begun, br#"{"cut": true}"#).expect("good");
        assert_eq!(cut, Condition { cut: true, ..begun });
        let slow = merged(cut, br#"{"round_trip": "200ms"}"#).expect("good");
        assert_eq!(slow, Condition { cut: true, round_trip: Millis::new(200), ..begun });
        for (body, part) in [
            (&br#"{"rtt": 1}"#[..], "rtt"),
            (br#"{"loss_percent": 101}"#, "loss_percent: 101"),
            (br#"{"round_trip": "2m"}"#, "round_trip: 2m"),
            (b"cut", "not understood"),
        ] {
            let fault = merged(begun, body).expect_err(part);
            assert!(fault.contains(part), "{fault}");
        }
    }
}
