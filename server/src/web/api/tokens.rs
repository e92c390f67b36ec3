//! `/api/tokens`: credentials for machines. Only people manage them.

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use voltaxe_orchestrator::{
    api_tokens::{self, ApiTokenRequest, DEFAULT_DAYS},
    authority::{Role, may},
};

use super::parse_id;
use crate::{
    clock,
    problem::ApiError,
    state::AppState,
    web::{records::words, session::Permitted},
};

/// A token to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewApiToken)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Never given twice: in the audit log the actor is `token:` and this.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{1,47}$")]
    name: String,
    #[schema(value_type = words::Role)]
    role: Role,
    /// How long it holds; 90 when not given.
    #[schema(minimum = 1, maximum = 365)]
    days: Option<u32>,
}

/// `POST /api/tokens {"name": "soar", "role": "responder", "days": 90}`: the answer has the token, this once.
pub async fn create(
    State(state): State<AppState>,
    Permitted(permit): Permitted<may::ManageApiTokens>,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(Body { name, role, days }) = body?;
    let request = ApiTokenRequest { name, role, days: days.unwrap_or(DEFAULT_DAYS) };
    let (secret, made) = state.operators.api_tokens().create(&permit, request, clock::now()).await?;
    let body = MadeToken { token: secret.expose_secret().to_owned(), made: made.into() };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(body)).into_response())
}

/// `GET /api/tokens`: those that hold first, then by name; without the secrets.
pub async fn list(
    State(state): State<AppState>,
    Permitted(permit): Permitted<may::ManageApiTokens>,
) -> Result<Json<Vec<ApiToken>>, ApiError> {
    let tokens = state.operators.api_tokens().list(&permit, clock::now()).await?;
    Ok(Json(tokens.into_iter().map(Into::into).collect()))
}

/// `DELETE /api/tokens/{id}`: effective at once. Its line stays, with who revoked it.
pub async fn revoke(
    State(state): State<AppState>,
    Permitted(permit): Permitted<may::ManageApiTokens>,
    Path(id): Path<String>,
) -> Result<Json<ApiToken>, ApiError> {
    let id: Uuid = parse_id(&id, "a token's id is a UUID")?;
    Ok(Json(state.operators.api_tokens().revoke(&permit, id, clock::now()).await?.into()))
}

/// A token without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiToken {
    id: Uuid,
    name: String,
    #[schema(value_type = words::Role)]
    role: Role,
    created_by: String,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
    revoked_by: Option<String>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<api_tokens::ApiToken> for ApiToken {
    fn from(token: api_tokens::ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            role: token.role,
            created_by: token.created_by,
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_by: token.revoked_by,
            revoked_at: token.revoked_at,
        }
    }
}

/// A new token. Nobody is shown `token` again.
#[derive(Serialize, ToSchema)]
pub struct MadeToken {
    #[schema(example = "vxt_..")]
    token: String,
    #[serde(flatten)]
    made: ApiToken,
}
