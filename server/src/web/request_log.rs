//! One line a request; what agents say all day, when it went well, at the debug level. The path is logged and the query is not: it can hold what people typed.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderName, HeaderValue, Method, Uri},
    response::Response,
};
use uuid::{Uuid, fmt::Simple};

use crate::problem::LoggedError;

/// The operator's name; travels in the response's extensions.
#[derive(Clone)]
pub struct Operator(pub String);

/// A request, until its answer is known.
pub(crate) struct Entry {
    began: Instant,
    id: Uuid,
    method: Method,
    uri: Uri,
    client: Option<IpAddr>,
}

impl Entry {
    pub(crate) fn begin(request: &Request) -> Self {
        Self {
            began: Instant::now(),
            id: Uuid::now_v7(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            client: request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()),
        }
    }

    /// Writes the line, and the request's id into the answer.
    pub(crate) fn end(self, response: &mut Response) {
        let Self { began, id, method, uri, client } = self;
        let mut buffer = [0; Simple::LENGTH];
        let id: &str = id.simple().encode_lower(&mut buffer);
        if let Ok(value) = HeaderValue::from_str(id) {
            response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
        }
        let status = response.status().as_u16();
        let operator = response.extensions().get::<Operator>().map(|operator| operator.0.as_str());
        let error = response.extensions().get::<LoggedError>().map(|error| &*error.0);
        let path = uri.path();
        let is_from_agent = path.starts_with("/command/") || (path == "/telemetry" && operator.is_none());
        let is_routine = matches!(path, "/healthz" | "/readyz" | "/metrics")
            || path.starts_with("/pkg/")
            || (is_from_agent && status < 400);
        let path = path.char_indices().nth(200).map_or(path, |(end, _)| &path[..end]);
        let client = client.map(tracing::field::display);
        let latency_ms = began.elapsed().as_secs_f64() * 1000.0;
        let latency_ms = (latency_ms * 100.0).round() / 100.0;
        if status >= 500 {
            tracing::error!(%method, path, status, latency_ms, request_id = id, client, operator, error, "{method} {path} -> {status} in {latency_ms} ms");
        } else if is_routine {
            tracing::debug!(%method, path, status, latency_ms, request_id = id, client, "{method} {path} -> {status} in {latency_ms} ms");
        } else {
            tracing::info!(%method, path, status, latency_ms, request_id = id, client, operator, error, "{method} {path} -> {status} in {latency_ms} ms");
        }
    }
}
