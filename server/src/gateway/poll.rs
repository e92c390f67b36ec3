use std::time::Duration;

use axum::{
    Json,
    extract::{Extension, Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use voltaxe_protocol::{LONGEST_POLL_SECONDS, PollResponse};

use super::signed::SignedPoll;
use crate::{clock, limits::Place, problem::ApiError, state::AppState};

#[derive(Debug, Deserialize)]
pub struct PollQuery {
    /// The agent's host name. Whose commands are answered is decided by the key alone.
    host: String,
    /// Seconds to wait for something to say; cut to the protocol's longest.
    #[serde(default)]
    wait: u64,
}

/// `GET /command/poll?host=[&wait=]`: what is due for the agent that signed.
pub async fn poll(
    State(state): State<AppState>,
    Extension(place): Extension<Place>,
    query: Result<Query<PollQuery>, QueryRejection>,
    SignedPoll(signed): SignedPoll,
) -> Result<Json<PollResponse>, ApiError> {
    let Query(query) = query?;
    if query.host.is_empty() {
        return Err(ApiError::invalid("host", "must be the agent's host name: /command/poll?host=web-01"));
    }
    let wait = Duration::from_secs(query.wait.min(LONGEST_POLL_SECONDS));
    if wait.is_zero() {
        return Ok(Json(state.strike.delivery().poll(&signed.endpoint, wait, clock::now).await?));
    }
    // It waits among its like, as the streams do, and not in the place of a request that is worked on.
    let Ok(_waiting) = state.places.streams.clone().try_acquire_owned() else { return Err(ApiError::busy()) };
    place.give_back();
    tokio::select! {
        biased;
        () = state.shutdown.cancelled() => Ok(Json(PollResponse::default())),
        answer = state.strike.delivery().poll(&signed.endpoint, wait, clock::now) => Ok(Json(answer?)),
    }
}
