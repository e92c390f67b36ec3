//! The HTTP API for operators. The pages' server functions end in the same methods.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;
use voltaxe_orchestrator::{
    Strike,
    authority::may,
    model::Accepted,
    strike::{Request, Target},
};
use voltaxe_protocol::CommandId;

use super::{records, session::Permitted};
use crate::{clock, problem::ApiError};

/// The body of `POST /api/isolate` and `POST /api/restore`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    hostname: String,
    reason: Option<String>,
}

/// `POST /api/isolate {"hostname": "web-01"}`: 202 when the command is on disk.
pub async fn isolate(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::Isolate>,
    headers: HeaderMap,
    body: Result<Json<Order>, JsonRejection>,
) -> Result<Response, ApiError> {
    let request = request(body, &headers, "Manual isolation")?;
    Ok(accepted(&strike.isolate(&permit, request, clock::now()).await?))
}

/// `POST /api/restore {"hostname": "web-01"}`
pub async fn restore(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::Restore>,
    headers: HeaderMap,
    body: Result<Json<Order>, JsonRejection>,
) -> Result<Response, ApiError> {
    let request = request(body, &headers, "Manual release")?;
    Ok(accepted(&strike.restore(&permit, request, clock::now()).await?))
}

/// `GET /api/commands/{id}`
pub async fn command(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let record = strike.command(&permit, parse_id(&id)?).await?;
    Ok(Json(records::command_json(&record)))
}

/// `POST /api/commands/{id}/cancel`
pub async fn cancel(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::CancelCommand>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let record = strike.cancel(&permit, parse_id(&id)?, clock::now()).await?;
    Ok(Json(records::command_json(&record)))
}

/// `GET /telemetry`: what each host reported last.
pub async fn telemetry(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
) -> Result<Json<Value>, ApiError> {
    let endpoints = strike.endpoints(&permit, clock::now()).await?;
    Ok(Json(endpoints.iter().map(records::telemetry_json).collect()))
}

fn request(
    body: Result<Json<Order>, JsonRejection>,
    headers: &HeaderMap,
    default_reason: &str,
) -> Result<Request, ApiError> {
    let Json(order) = body?;
    let key = headers.get(HeaderName::from_static("idempotency-key"));
    let idempotency_key = key
        .map(|value| value.to_str().ok().and_then(|text| text.parse::<Uuid>().ok()))
        .map(|key| key.ok_or_else(|| ApiError::invalid("Idempotency-Key", "must be a UUID")))
        .transpose()?;
    Ok(Request {
        target: Target::Hostname(order.hostname),
        reason: order.reason.unwrap_or_else(|| default_reason.to_owned()),
        idempotency_key,
    })
}

fn accepted(accepted: &Accepted) -> Response {
    let body = json!({
        "command_id": accepted.command_id,
        "status": accepted.status,
        "method": accepted.method.as_str(),
        "existing": accepted.existing,
    });
    let mut response = (StatusCode::ACCEPTED, Json(body)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/commands/{}", accepted.command_id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn parse_id(text: &str) -> Result<CommandId, ApiError> {
    text.parse().map_err(|error| ApiError::invalid("id", format!("is not valid: {error}")))
}
