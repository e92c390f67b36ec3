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
pub mod tokens;
pub mod webhooks;

use std::str::FromStr;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Datelike as _, Utc};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;
use uuid::Uuid;
use voltaxe_orchestrator::{Strike, authority::may};

use super::{records::Telemetry, session::Permitted};
use crate::{clock, problem::ApiError};

/// `GET /telemetry`: what each host reported last.
pub async fn telemetry(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
) -> Result<Json<Vec<Telemetry>>, ApiError> {
    let endpoints = strike.endpoints(&permit, clock::now()).await?;
    Ok(Json(endpoints.into_iter().map(Into::into).collect()))
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
fn accepted(location: &str, body: impl Serialize) -> Response {
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
    let next = next.map(|next| {
        let query = query.iter().map(|(name, value)| (*name, value.as_str()));
        let start = format!("{path}?");
        let length = start.len();
        let mut address = url::form_urlencoded::Serializer::for_suffix(start, length);
        address.extend_pairs(query).append_pair("before", &next.to_string()).finish()
    });
    linked(response, next)
}

/// A page of a list; `next` is the address of the page after it (RFC 8288), when there may be one.
fn listed(rows: impl Serialize, next: Option<String>) -> Response {
    linked(Json(rows), next)
}

fn linked(response: impl IntoResponse, next: Option<String>) -> Response {
    let mut response = response.into_response();
    if let Some(Ok(link)) = next.map(|next| HeaderValue::from_str(&format!("<{next}>; rel=\"next\""))) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// The last row of a page that is full: there may be more after it. Lists answer at most 500 rows.
fn last_of_full<T>(rows: &[T], limit: i64) -> Option<&T> {
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit.clamp(1, MOST_ROWS));
    rows.last().filter(|_| is_full)
}

/// As a cursor that needs no escaping.
fn cursor(at: Moment) -> String {
    at.0.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// The query of a list: `?before=..&limit=..`; what `before` is depends on the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page<T> {
    before: Option<T>,
    limit: Option<i64>,
}

const ROWS: i64 = 100;
const MOST_ROWS: i64 = 500;

impl<T> Page<T> {
    fn limit(&self) -> i64 {
        self.limit.unwrap_or(ROWS)
    }
}

/// RFC 3339, from 1970 to 9999: what every part of the system can keep.
#[derive(Clone, Copy, Debug, ToSchema)]
pub struct Moment(DateTime<Utc>);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at = DateTime::deserialize(deserializer)?;
        if (1970..=9999).contains(&at.year()) {
            Ok(Self(at))
        } else {
            Err(D::Error::custom("a time must be from 1970 to 9999"))
        }
    }
}

impl From<Moment> for DateTime<Utc> {
    fn from(moment: Moment) -> Self {
        moment.0
    }
}
