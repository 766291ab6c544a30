//! The shop over HTTP.

use crate::Shop;
use crate::order::NewOrder;
use crate::store::{Placed, Unavailable};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// A hundred lines of the longest articles fill a fifth of it.
const MAX_ORDER: usize = 64 * 1024;

/// The region that answers.
const REGION_HEADER: &str = "x-demo-region";

/// Everything the shop answers.
pub fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/health", get(|| async { "ok\n" }))
        .route("/orders", post(place))
        .route("/orders/{id}", get(order))
        .route("/admin/prepare", post(prepare))
        .layer(DefaultBodyLimit::max(MAX_ORDER))
        .layer(map_response_with_state(shop.clone(), name_region))
        .with_state(shop)
}

/// Every answer says whose it is: an order says only who took it.
async fn name_region(State(shop): State<Arc<Shop>>, mut answer: Response) -> Response {
    if let Ok(region) = shop.region.parse() {
        answer.headers_mut().insert(REGION_HEADER, region);
    }
    answer
}

async fn front(State(shop): State<Arc<Shop>>) -> Response {
    Json(json!({"shop": "evenkeel", "region": shop.region})).into_response()
}

async fn place(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: Bytes) -> Response {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    if !(1..=128).contains(&key.len()) {
        let remedy = "idempotency-key: give a header of 1 to 128 characters, the same when you ask again";
        return problem(StatusCode::BAD_REQUEST, remedy);
    }
    let order: NewOrder = match serde_json::from_slice(&body) {
        Ok(order) => order,
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, &format!("the order is not understood: {error}"));
        }
    };
    if let Err(fault) = order.check() {
        return problem(StatusCode::UNPROCESSABLE_ENTITY, &fault);
    }
    let placed = shop.store.place(key, &order, &shop.region).await;
    #[cfg(feature = "broken")]
    if let Err(why) = crate::broken::strike(&shop.store, key).await {
        return unavailable(&why);
    }
    match placed {
        Ok(Placed::New(order)) => {
            shop.cache.keep(&order).await;
            let place = format!("/orders/{}", order.id);
            (StatusCode::CREATED, [("location", place)], Json(order)).into_response()
        }
        Ok(Placed::Repeated(order)) => {
            (StatusCode::OK, [("idempotent-replayed", "true")], Json(order)).into_response()
        }
        Ok(Placed::Conflict) => {
            let remedy = "idempotency-key: was used for another order: choose a new one";
            problem(StatusCode::CONFLICT, remedy)
        }
        Err(why) => unavailable(&why),
    }
}

async fn order(State(shop): State<Arc<Shop>>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<Uuid>() else {
        return problem(StatusCode::BAD_REQUEST, "the order's number is no UUID");
    };
    if let Some(order) = shop.cache.order(id).await {
        return ([("x-cache", "hit")], Json(order)).into_response();
    }
    match shop.store.order(id).await {
        Ok(Some(order)) => {
            shop.cache.keep(&order).await;
            ([("x-cache", "miss")], Json(order)).into_response()
        }
        Ok(None) => problem(StatusCode::NOT_FOUND, "there is no such order"),
        Err(why) => unavailable(&why),
    }
}

async fn prepare(State(shop): State<Arc<Shop>>) -> Response {
    match shop.store.prepare().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(why) => unavailable(&why),
    }
}

fn unavailable(Unavailable(why): &Unavailable) -> Response {
    tracing::warn!(why, "the database does not serve");
    let text = "the database does not serve just now: ask again with the same idempotency-key";
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "1")], Json(json!({"error": text}))).into_response()
}

fn problem(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}
