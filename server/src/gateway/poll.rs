use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use voltaxe_orchestrator::Strike;
use voltaxe_protocol::PollResponse;

use super::signed::Signed;
use crate::{clock, problem::ApiError};

#[derive(Debug, Deserialize)]
pub struct PollQuery {
    /// The agent's host name. Whose commands are answered is decided by the key alone.
    host: String,
}

/// `GET /command/poll?host=`: what is due for the agent that signed.
pub async fn poll(
    State(strike): State<Strike>,
    query: Result<Query<PollQuery>, QueryRejection>,
    signed: Signed,
) -> Result<Json<PollResponse>, ApiError> {
    let Query(query) = query?;
    if query.host.is_empty() {
        return Err(ApiError::invalid("host", "must be the agent's host name: /command/poll?host=web-01"));
    }
    Ok(Json(strike.poll(&signed.endpoint, clock::now()).await?))
}
