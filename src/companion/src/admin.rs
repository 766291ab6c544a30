//! The listener for operators: status page, metrics, orders.

use crate::access;
use crate::orders::LONGEST_DRAIN;
use crate::world::World;
use crate::{clock, metrics, page};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use evenkeel_policy::time::Millis;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// An order is a line; nothing longer is read.
const MAX_ORDER: usize = 4096;

/// Everything this listener answers.
pub fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/", get(whole_page))
        .route("/main", get(main_part))
        .route("/style.css", get(|| async { asset("text/css; charset=utf-8", page::style()) }))
        .route("/live.js", get(|| async { asset("text/javascript; charset=utf-8", page::SCRIPT) }))
        .route("/icon.svg", get(|| async { asset("image/svg+xml", page::ICON) }))
        .route("/metrics", get(scrape))
        .route("/v1/status", get(status))
        .route("/v1/dns/explain", get(explain))
        .route("/v1/drain", post(drain))
        .route("/v1/undrain", post(undrain))
        .route("/v1/db/pause", post(pause))
        .route("/v1/db/resume", post(resume))
        .route("/v1/db/drain", post(drain_node))
        .route("/v1/db/undrain", post(undrain_node))
        .layer(DefaultBodyLimit::max(MAX_ORDER))
        .layer(middleware::from_fn_with_state(world.clone(), guard))
        .with_state(world)
}

/// Looks at who asks, and says what browsers may do with the answer.
async fn guard(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let settings = world.settings();
    let allowed = if request.method().is_safe() {
        access::may_read(settings.admin.ip().is_loopback(), settings.token.as_ref(), request.headers())
    } else {
        access::may_order(settings.token.as_ref(), request.headers())
    };
    let safe = request.method().is_safe();
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            let mut response = problem(refused.status(), refused.remedy());
            if safe {
                // So that browsers ask for it.
                let ask = HeaderValue::from_static("Basic realm=\"evenkeel\", charset=\"UTF-8\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
            }
            response
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        // Nothing from anywhere else, nothing inline, and no frame around it.
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

fn asset(kind: &'static str, content: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, kind)], content).into_response()
}

async fn whole_page(State(world): State<Arc<World>>) -> Response {
    html(page::whole(&world.status()).into_string())
}

async fn main_part(State(world): State<Arc<World>>) -> Response {
    html(page::main_part(&world.status()).into_string())
}

fn html(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

async fn scrape(State(world): State<Arc<World>>) -> Response {
    match metrics::written(&world) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

async fn status(State(world): State<Arc<World>>) -> Response {
    Json(world.status()).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    name: String,
    #[serde(default = "address", rename = "type")]
    record_type: String,
    from: std::net::IpAddr,
}

fn address() -> String {
    "A".to_owned()
}

async fn explain(State(world): State<Arc<World>>, asked: Result<Query<Asked>, QueryRejection>) -> Response {
    let Some(dns) = &world.dns else {
        return problem(StatusCode::NOT_FOUND, "there is no dns section in this companion's topology file");
    };
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => {
            return problem(StatusCode::BAD_REQUEST, &format!("{error}: ask with name=, from= and type="));
        }
    };
    match dns.explain(&asked.name, &asked.record_type, asked.from) {
        Ok(explanation) => Json(explanation).into_response(),
        Err(fault) => problem(StatusCode::BAD_REQUEST, &fault),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionOrder {
    region: String,
    #[serde(default, rename = "for")]
    span: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeOrder {
    node: String,
    #[serde(default, rename = "for")]
    span: Option<String>,
}

async fn drain(State(world): State<Arc<World>>, body: Bytes) -> Response {
    answer(|| {
        let order: RegionOrder = read(&body)?;
        own_region(&world, &order.region)?;
        let span = order.span.ok_or_else(|| bad("for: is missing: a drain ends by itself, like \"10m\""))?;
        let span = positive(&span)?;
        if span > LONGEST_DRAIN {
            return Err(bad(&format!(
                "for: {span}: at most {LONGEST_DRAIN}; put a longer one into the topology file's overrides"
            )));
        }
        world.orders.drain(Some(span)).map_err(|error| broken(&error))?;
        tracing::warn!(region = order.region, %span, reason = "override", cause = "drain", "region drained by order");
        Ok(json!({"region": order.region, "drained_for": span.to_string()}))
    })
}

async fn undrain(State(world): State<Arc<World>>, body: Bytes) -> Response {
    answer(|| {
        let order: RegionOrder = read(&body)?;
        own_region(&world, &order.region)?;
        let was = world.orders.drain_remaining();
        world.orders.drain(None).map_err(|error| broken(&error))?;
        tracing::warn!(region = order.region, reason = "override", "region's drain ended by order");
        Ok(json!({"region": order.region, "was_drained": was.is_some()}))
    })
}

async fn pause(State(world): State<Arc<World>>) -> Response {
    paused(&world, true)
}

async fn resume(State(world): State<Arc<World>>) -> Response {
    paused(&world, false)
}

fn paused(world: &World, pause: bool) -> Response {
    answer(|| {
        let database = world.database.as_ref().ok_or_else(no_database)?;
        database.pause(pause);
        tracing::warn!(
            reason = "override",
            "database sessions {} by order",
            if pause { "paused" } else { "resumed" }
        );
        Ok(json!({"paused": pause}))
    })
}

async fn drain_node(State(world): State<Arc<World>>, body: Bytes) -> Response {
    node_order(&world, &body, true)
}

async fn undrain_node(State(world): State<Arc<World>>, body: Bytes) -> Response {
    node_order(&world, &body, false)
}

fn node_order(world: &World, body: &[u8], drain: bool) -> Response {
    answer(|| {
        let order: NodeOrder = read(body)?;
        let database = world.database.as_ref().ok_or_else(no_database)?;
        let settings = world.settings();
        let nodes = settings.nodes();
        let index = nodes.iter().position(|node| node.name == order.node).ok_or_else(|| {
            let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
            let text =
                format!("node: {:?}: there is no such node: there are {}", order.node, names.join(", "));
            (StatusCode::NOT_FOUND, text)
        })?;
        let span = order.span.as_deref().filter(|_| drain).map(positive).transpose()?;
        let kept = match drain {
            true => world.orders.drain_node(&order.node, span),
            false => world.orders.undrain_node(&order.node),
        };
        kept.map_err(|error| broken(&error))?;
        database.drain(index, drain);
        let done = if drain { "drained" } else { "back in use" };
        tracing::warn!(node = order.node, reason = "override", "database node {done} by order");
        Ok(
            json!({"node": order.node, "drained": drain, "for": span.map(|span| span.to_string()), "at": clock::unix_ms()}),
        )
    })
}

type Problem = (StatusCode, String);

fn answer(order: impl FnOnce() -> Result<Value, Problem>) -> Response {
    match order() {
        Ok(body) => Json(body).into_response(),
        Err((status, text)) => problem(status, &text),
    }
}

fn problem(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({"error": text}))).into_response()
}

fn bad(text: &str) -> Problem {
    (StatusCode::BAD_REQUEST, text.to_owned())
}

fn broken(text: &str) -> Problem {
    (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned())
}

fn no_database() -> Problem {
    (StatusCode::NOT_FOUND, "there is no database section in this companion's topology file".to_owned())
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| bad(&format!("the order is not understood: {error}")))
}

fn positive(text: &str) -> Result<Millis, Problem> {
    let span = Millis::parse(text).map_err(|problem| bad(&format!("for: {problem}")))?;
    if span == Millis::ZERO { Err(bad("for: 0s: give a time above 0")) } else { Ok(span) }
}

/// A region is drained at its own companion, whose readiness answers carry the order to every edge.
fn own_region(world: &World, region: &str) -> Result<(), Problem> {
    let settings = world.settings();
    if settings.region == region {
        return Ok(());
    }
    let text = match settings.plan.file.regions.iter().any(|known| known.name == region) {
        true => format!(
            "region: {region:?}: this is the companion of {}: say it to {region}'s (--admin)",
            settings.region
        ),
        false => format!(
            "region: {region:?}: there is no such region: this is the companion of {}",
            settings.region
        ),
    };
    Err((StatusCode::NOT_FOUND, text))
}
