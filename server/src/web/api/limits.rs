//! `/api/rate-limits`: how fast commands go out.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};
use voltaxe_orchestrator::{Strike, authority::may};

use crate::{clock, problem::ApiError, web::session::Permitted};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    per_minute: f64,
    burst: i32,
}

/// `GET /api/rate-limits`
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!(strike.rate_limits(&permit, clock::now()).await?)))
}

/// `PUT /api/rate-limits/{kind} {"per_minute": 60, "burst": 10}`; the kind `*` is all of them together.
pub async fn set(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ManageRateLimits>,
    Path(kind): Path<String>,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let Json(Body { per_minute, burst }) = body?;
    strike.set_rate_limit(&permit, &kind, per_minute, burst, clock::now()).await?;
    Ok(Json(json!({ "kind": kind, "per_minute": per_minute, "burst": burst })))
}

/// `DELETE /api/rate-limits/{kind}`
pub async fn remove(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ManageRateLimits>,
    Path(kind): Path<String>,
) -> Result<StatusCode, ApiError> {
    strike.remove_rate_limit(&permit, &kind, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
