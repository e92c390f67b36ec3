//! One line a request; what agents say all day, when it went well, at the debug level. The path is logged and the query is not: it can hold what people typed.

use std::time::Instant;

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use std::net::SocketAddr;
use uuid::Uuid;

use crate::problem::LoggedError;

/// The operator's name; travels in the response's extensions.
#[derive(Clone)]
pub struct Operator(pub String);

pub async fn log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = Uuid::now_v7().simple().to_string();
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(200).collect();
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_string());
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    let status = response.status().as_u16();
    let latency_ms = began.elapsed().as_secs_f64() * 1000.0;
    let latency_ms = (latency_ms * 100.0).round() / 100.0;
    let operator = response.extensions().get::<Operator>().map(|operator| operator.0.as_str());
    let error = response.extensions().get::<LoggedError>().map(|error| &*error.0);
    let client = client.as_deref();
    let is_from_agent = path.starts_with("/command/") || (path == "/telemetry" && operator.is_none());
    let is_routine = matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics")
        || path.starts_with("/pkg/")
        || (is_from_agent && status < 400);
    if status >= 500 {
        tracing::error!(%method, path, status, latency_ms, request_id = id, client, operator, error, "{method} {path} -> {status} in {latency_ms} ms");
    } else if is_routine {
        tracing::debug!(%method, path, status, latency_ms, request_id = id, client, "{method} {path} -> {status} in {latency_ms} ms");
    } else {
        tracing::info!(%method, path, status, latency_ms, request_id = id, client, operator, error, "{method} {path} -> {status} in {latency_ms} ms");
    }
    response
}
