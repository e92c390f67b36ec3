//! The HTTP API for operators. The pages' server functions end in the same methods.

pub mod audit;
pub mod batches;
pub mod commands;
pub mod endpoints;
pub mod evidence;
pub mod limits;
pub mod operators;
mod order;
pub mod schedules;

use std::str::FromStr;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;
use voltaxe_orchestrator::{Strike, authority::may};

use super::{records, session::Permitted};
use crate::{clock, problem::ApiError};

/// `GET /telemetry`: what each host reported last.
pub async fn telemetry(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
) -> Result<Json<Value>, ApiError> {
    let endpoints = strike.endpoints(&permit, clock::now()).await?;
    Ok(Json(endpoints.iter().map(records::telemetry_json).collect()))
}

/// `GET /metrics`: what the server measures of itself, as Prometheus reads it.
pub async fn metrics(State(strike): State<Strike>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], strike.meters().text()).into_response()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    headers
        .get(HeaderName::from_static("idempotency-key"))
        .map(|value| value.to_str().ok().and_then(|text| text.parse::<Uuid>().ok()))
        .map(|key| key.ok_or_else(|| ApiError::invalid("Idempotency-Key", "must be a UUID")))
        .transpose()
}

/// An id in a path; `form` says what it looks like.
fn parse_id<T: FromStr>(text: &str, form: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_| ApiError::invalid("id", format!("is not valid: {form}")))
}

/// 202 with where to look.
fn accepted(location: &str, body: Value) -> Response {
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// Where a list goes on (RFC 8288): the same address, with `before` for what is older.
fn with_next(
    response: impl IntoResponse,
    path: &str,
    query: &[(&str, String)],
    next: Option<i64>,
) -> Response {
    let mut response = response.into_response();
    if let Some(next) = next {
        let query = query.iter().map(|(name, value)| (*name, value.as_str()));
        let start = format!("<{path}?");
        let length = start.len();
        let mut address = url::form_urlencoded::Serializer::for_suffix(start, length);
        let address = address.extend_pairs(query).append_pair("before", &next.to_string()).finish();
        if let Ok(link) = HeaderValue::from_str(&format!("{address}>; rel=\"next\"")) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    response
}

/// The query of a list: `?before=..&limit=..`; what `before` is depends on the list.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page<T> {
    before: Option<T>,
    limit: Option<i64>,
}

impl<T> Page<T> {
    const DEFAULT: i64 = 100;

    fn limit(&self) -> i64 {
        self.limit.unwrap_or(Self::DEFAULT)
    }
}

type Moment = DateTime<Utc>;
