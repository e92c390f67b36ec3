use std::net::SocketAddr;

use axum::{
    Json,
    extract::{Extension, Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use voltaxe_orchestrator::Strike;
use voltaxe_protocol::ProbeAnswer;

use super::signed::Signed;
use crate::{clock, problem::ApiError};

/// Which of the server's addresses a request came to; in its extensions when the listener has one address alone.
#[derive(Clone, Copy, Debug)]
pub struct ArrivedAt(pub SocketAddr);

#[derive(Debug, Deserialize)]
pub struct ProbeQuery {
    /// 128 random bits, base64url.
    nonce: String,
}

/// `GET /agent/probe?nonce=`: shows the agent, by the server's signature, that it is reached. From memory.
pub async fn probe(
    State(strike): State<Strike>,
    arrived_at: Option<Extension<ArrivedAt>>,
    query: Result<Query<ProbeQuery>, QueryRejection>,
    signed: Signed,
) -> Result<Json<ProbeAnswer>, ApiError> {
    let Query(ProbeQuery { nonce }) = query?;
    let is_nonce =
        nonce.len() == 22 && nonce.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !is_nonce {
        return Err(ApiError::invalid("nonce", "must be 128 random bits: 22 base64url characters"));
    }
    let arrived_at = arrived_at.map(|Extension(ArrivedAt(address))| address);
    Ok(Json(strike.probe(&signed.endpoint, nonce, arrived_at, clock::now())))
}
