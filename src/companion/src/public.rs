//! The listener that edges, load balancers and other voters ask: readiness, liveness, roles, votes; and
//! edges' states.

use crate::clock;
use crate::edges::{EdgeState, MAX_BYTES, Refused};
use crate::oracle::Oracle;
use crate::patroni;
use crate::readiness::{Readiness, Status};
use crate::world::World;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// What remains of the region's drain, for edges (`rules.md`, overrides).
const DRAIN: HeaderName = HeaderName::from_static("x-evenkeel-drain");

/// Everything this listener answers.
pub fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/actuator/health/readiness", get(readiness))
        .route("/actuator/health/liveness", get(liveness))
        .route("/primary", get(primary).options(primary))
        .route("/replica", get(replica).options(replica))
        .route("/v1/edge-state", post(edge_state))
        .route("/v1/votes", get(votes))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(world)
}

async fn readiness(State(world): State<Arc<World>>) -> Response {
    let began = Instant::now();
    let readiness = if world.stopping() {
        let region = world.settings().region.clone();
        Readiness { status: Status::OutOfService, region, components: BTreeMap::new() }
    } else {
        world.readiness().await
    };
    world.counters.readiness(readiness.status, began.elapsed());
    let status =
        if readiness.status == Status::Up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (status, Json(readiness)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(rest) = world.orders.drain_remaining() {
        // Never 0s, which would be no drain, while there is a rest.
        let value = HeaderValue::try_from(format!("{}s", rest.get().div_ceil(1000)));
        value.into_iter().for_each(|value| {
            headers.insert(DRAIN, value);
        });
    }
    response
}

/// That this process answers is all there is to it.
pub(crate) async fn liveness() -> Response {
    (StatusCode::OK, Json(json!({"status": Status::Up.as_str()}))).into_response()
}

async fn primary(State(world): State<Arc<World>>, Query(question): Query<patroni::Question>) -> Response {
    answered(patroni::primary(&world.settings(), world.seen().as_ref(), &question))
}

async fn replica(State(world): State<Arc<World>>, Query(question): Query<patroni::Question>) -> Response {
    answered(patroni::replica(&world.settings(), world.seen().as_ref(), &question))
}

async fn votes(State(world): State<Arc<World>>) -> Response {
    match &world.oracle {
        Some(oracle) => told(oracle),
        None => {
            let problem = "there is no dns section in this companion's topology file, so it votes on nothing";
            (StatusCode::NOT_FOUND, Json(json!({"error": problem}))).into_response()
        }
    }
}

/// A voter's own votes.
pub(crate) fn told(oracle: &Oracle) -> Response {
    let said = oracle.said().borrow().clone();
    ([(header::CACHE_CONTROL, "no-store")], Json(&*said)).into_response()
}

fn answered((status, body): patroni::Answer) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}

async fn edge_state(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let state = match EdgeState::read(&body) {
        Ok(state) => state,
        Err(problem) => {
            world.counters.edge_posts("malformed");
            return (StatusCode::BAD_REQUEST, Json(json!({"error": problem}))).into_response();
        }
    };
    let (edge, sequence) = (state.edge.clone(), state.sequence);
    match world.edges.take(state, clock::now()) {
        Ok(transitions) => {
            world.counters.edge_posts("taken");
            let settings = world.settings();
            for transition in &transitions {
                world.counters.edge_transition(transition, &settings.plan.file.regions);
                let region = transition.region.as_deref().unwrap_or("all");
                let (kind, from, to) =
                    (transition.kind.as_str(), transition.from.as_str(), transition.to.as_str());
                let cause = transition.cause.map(|cause| cause.as_str());
                tracing::info!(edge, region, kind, from, to, cause, "an edge's transition");
            }
            world.history.transitions(&edge, transitions);
            if let Some(oracle) = &world.oracle {
                oracle.edges(&world.edges.all(clock::now()));
            }
            world.news.notify_one();
            (StatusCode::OK, Json(json!({"accepted": sequence}))).into_response()
        }
        Err(Refused::Old { known }) => {
            world.counters.edge_posts("old");
            let problem = format!("sequence: {sequence}: {known} of edge {edge} is known already");
            (StatusCode::CONFLICT, Json(json!({"error": problem}))).into_response()
        }
        Err(Refused::Full) => {
            world.counters.edge_posts("full");
            let problem =
                format!("{} edges post already, and no more are remembered", crate::edges::MAX_EDGES);
            (StatusCode::TOO_MANY_REQUESTS, Json(json!({"error": problem}))).into_response()
        }
    }
}
