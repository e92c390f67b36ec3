//! `/api/rate-limits`: how fast commands go out.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use voltaxe_orchestrator::{Strike, authority::may, model};

use crate::{clock, problem::ApiError, web::session::Permitted};

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewRateLimit)]
#[serde(deny_unknown_fields)]
pub struct Body {
    #[schema(minimum = 0.1, maximum = 1_000_000)]
    per_minute: f64,
    /// How many may go out at once after a quiet time.
    #[schema(minimum = 1, maximum = 1_000_000)]
    burst: i32,
}

/// `GET /api/rate-limits`
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
) -> Result<Json<Vec<RateLimit>>, ApiError> {
    let limits = strike.rate_limits(&permit, clock::now()).await?;
    Ok(Json(limits.into_iter().map(Into::into).collect()))
}

/// `PUT /api/rate-limits/{kind} {"per_minute": 60, "burst": 10}`; the kind `*` is all of them together.
pub async fn set(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::ManageRateLimits>,
    Path(kind): Path<String>,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Json<Limit>, ApiError> {
    let Json(Body { per_minute, burst }) = body?;
    strike.set_rate_limit(&permit, &kind, per_minute, burst, clock::now()).await?;
    Ok(Json(Limit { kind, per_minute, burst }))
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

/// A limit as it was set.
#[derive(Debug, Serialize, ToSchema)]
pub struct Limit {
    /// A command's kind, or `*` for all together.
    kind: String,
    per_minute: f64,
    burst: i32,
}

/// A limit, and how many commands could go out now.
#[derive(Debug, Serialize, ToSchema)]
pub struct RateLimit {
    kind: String,
    per_minute: f64,
    burst: i32,
    tokens: f64,
}

impl From<model::RateLimit> for RateLimit {
    fn from(model::RateLimit { kind, per_minute, burst, tokens }: model::RateLimit) -> Self {
        Self { kind, per_minute, burst, tokens }
    }
}
