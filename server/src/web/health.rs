use axum::{Json, extract::State};
use serde_json::{Value, json};
use voltaxe_orchestrator::Strike;

use crate::problem::ApiError;

/// `GET /healthz`: the process answers.
pub async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: it can do its work; 503 while the database is away.
pub async fn readyz(State(strike): State<Strike>) -> Result<Json<Value>, ApiError> {
    strike.ready().await?;
    Ok(Json(json!({ "status": "ready" })))
}
