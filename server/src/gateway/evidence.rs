//! `/agent/evidence`: agents hand bundles over, in pieces that survive a restart of either side.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{FromRequest, Path, Query, Request, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use voltaxe_orchestrator::{Strike, evidence::UploadError};
use voltaxe_protocol::{
    CommandId, EvidenceOffer, EvidenceState, LARGEST_EVIDENCE_CHUNK_BYTES, Problem, SignatureAlgorithm,
};

use super::signed::{Head, Signed};
use crate::{clock, problem::ApiError, state::AppState};

/// How long a piece waits for its turn before it is turned away.
const TURN_WITHIN: Duration = Duration::from_secs(3);
/// A sender that takes longer for one piece makes room for others.
const PIECE_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug, Deserialize)]
pub struct At {
    offset: u64,
}

/// A signed piece of a bundle, and its place among those that are worked on at once.
pub struct SignedPiece {
    signed: Signed,
    _place: OwnedSemaphorePermit,
}

impl FromRequest<AppState> for SignedPiece {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        // Places are for agents: who has no key takes none.
        let head = Head::verify(request, state, &[SignatureAlgorithm::Ed25519]).await?;
        let place = Arc::clone(&state.places.pieces).acquire_owned();
        let place = tokio::time::timeout(TURN_WITHIN, place).await;
        let Ok(Ok(place)) = place else { return Err(ApiError::busy()) };
        let signed = head.with_body(state, LARGEST_EVIDENCE_CHUNK_BYTES);
        match tokio::time::timeout(PIECE_WITHIN, signed).await {
            Ok(signed) => Ok(Self { signed: signed?, _place: place }),
            Err(_) => Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "piece-timeout",
                "The piece took too long to arrive",
            )
            .detail("a piece must arrive within 20 s: send smaller ones on a slow line")),
        }
    }
}

/// `POST /agent/evidence`: a bundle wants to be taken.
pub async fn offer(State(strike): State<Strike>, signed: Signed) -> Result<Json<EvidenceState>, Refused> {
    let offer: EvidenceOffer = signed.json()?;
    Ok(Json(strike.offer_evidence(&signed.endpoint, &offer, signed.peer, clock::now()).await?))
}

/// `GET /agent/evidence/{command_id}`: how much of it is here.
pub async fn state(
    State(strike): State<Strike>,
    Path(id): Path<String>,
    signed: Signed,
) -> Result<Json<EvidenceState>, Refused> {
    Ok(Json(strike.evidence_state(&signed.endpoint, parse_id(&id)?, clock::now()).await?))
}

/// `PUT /agent/evidence/{command_id}?offset=N`: a piece; on the server's disk when this is answered.
pub async fn piece(
    State(strike): State<Strike>,
    Path(id): Path<String>,
    at: Result<Query<At>, QueryRejection>,
    SignedPiece { signed, _place }: SignedPiece,
) -> Result<Json<EvidenceState>, Refused> {
    let (id, Query(At { offset })) = (parse_id(&id)?, at.map_err(ApiError::from)?);
    Ok(Json(strike.evidence_chunk(&signed.endpoint, id, offset, signed.body, clock::now()).await?))
}

fn parse_id(text: &str) -> Result<CommandId, ApiError> {
    text.parse().map_err(|_| ApiError::invalid("command_id", "is not valid: a command id is a whole number"))
}

/// An error on its way to an agent; a gap says where to go on, in `received_bytes`.
pub enum Refused {
    Gap { received_bytes: u64 },
    Other(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let received_bytes = match self {
            Self::Gap { received_bytes } => received_bytes,
            Self::Other(error) => return error.into_response(),
        };
        let problem = Problem::new(
            StatusCode::CONFLICT.as_u16(),
            "out-of-order",
            "The piece does not follow the last one",
        )
        .with_field("offset")
        .with_detail(format!("the next piece starts at {received_bytes}"));
        let mut body = json!(problem);
        body["received_bytes"] = json!(received_bytes);
        let mut response = (StatusCode::CONFLICT, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
        response
    }
}

impl From<UploadError> for Refused {
    fn from(error: UploadError) -> Self {
        let text = error.to_string();
        let problem = |status, word, title| ApiError::new(status, word, title).detail(text);
        Self::Other(match error {
            UploadError::Gap { received_bytes } => return Self::Gap { received_bytes },
            UploadError::NotExpected(_) | UploadError::Discarded(_) => {
                problem(StatusCode::NOT_FOUND, "evidence-not-expected", "No such bundle is expected")
            }
            UploadError::NotOffered(_) => {
                problem(StatusCode::NOT_FOUND, "evidence-not-offered", "The bundle is not under way")
            }
            UploadError::Invalid { field, problem } => ApiError::invalid(field, problem),
            UploadError::Differs(_) => {
                problem(StatusCode::CONFLICT, "evidence-differs", "Another bundle was reported or is stored")
            }
            UploadError::Beyond { .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "beyond-size",
                "The piece goes beyond the bundle's end",
            ),
            UploadError::DigestMismatch { .. } => problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "digest-mismatch",
                "What arrived is not what was claimed",
            ),
            UploadError::Full(_) => problem(
                StatusCode::INSUFFICIENT_STORAGE,
                "evidence-store-full",
                "The server has no room for the bundle",
            )
            .retry_after(600),
            UploadError::Storage(source) => ApiError::storage(source),
            UploadError::Strike(error) => error.into(),
        })
    }
}
