//! `/api/operators`: who may use the console, and their sessions.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::Response,
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use voltaxe_orchestrator::{
    authority::{OperatorId, Role, may},
    operators::{OperatorSummary, OwnSession},
};

use crate::{
    clock,
    problem::ApiError,
    state::AppState,
    web::{
        records::words,
        session::{Permitted, SignedIn},
    },
};

/// An operator to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewOperator)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schema(min_length = 2, max_length = 64, pattern = "^[A-Za-z0-9][A-Za-z0-9._@-]+$")]
    username: String,
    #[schema(value_type = words::Role)]
    role: Role,
    /// Not the user name, and at least five different characters.
    #[schema(value_type = String, min_length = 12, max_length = 256)]
    password: SecretString,
}

/// What is to be different: at least one of them.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ChangeOperator)]
#[serde(deny_unknown_fields)]
pub struct Change {
    #[schema(value_type = Option<words::Role>)]
    role: Option<Role>,
    disabled: Option<bool>,
}

/// A new password for somebody else.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewPassword)]
#[serde(deny_unknown_fields)]
pub struct Password {
    #[schema(value_type = String, min_length = 12, max_length = 256)]
    password: SecretString,
}

type Manages = Permitted<may::ManageOperators>;

/// `GET /api/operators`: all of them, by name.
pub async fn list(
    State(state): State<AppState>,
    Permitted(permit): Manages,
) -> Result<Json<Vec<Operator>>, ApiError> {
    let operators = state.operators.list(&permit, clock::now()).await?;
    Ok(Json(operators.into_iter().map(Into::into).collect()))
}

/// `POST /api/operators {"username", "role", "password"}`: 201 and the id.
pub async fn create(
    State(state): State<AppState>,
    Permitted(permit): Manages,
    body: Result<Json<New>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(New { username, role, password }) = body?;
    let OperatorId(id) = state.operators.create(&permit, &username, role, password, clock::now()).await?;
    let mut response = super::accepted(&format!("/api/operators/{id}"), MadeOperator { id });
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `PATCH /api/operators/{id} {"role"?, "disabled"?}`: holds at once for their sessions.
pub async fn change(
    State(state): State<AppState>,
    Permitted(permit): Manages,
    Path(id): Path<String>,
    body: Result<Json<Change>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    let (id, Json(Change { role, disabled })) = (operator_id(&id)?, body?);
    if role.is_none() && disabled.is_none() {
        return Err(ApiError::invalid("role", "or disabled must be given"));
    }
    if let Some(role) = role {
        state.operators.set_role(&permit, id, role, clock::now()).await?;
    }
    if let Some(disabled) = disabled {
        state.operators.set_disabled(&permit, id, disabled, clock::now()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /api/operators/{id}/password {"password"}`: their sessions end.
pub async fn reset_password(
    State(state): State<AppState>,
    Permitted(permit): Manages,
    Path(id): Path<String>,
    body: Result<Json<Password>, JsonRejection>,
) -> Result<StatusCode, ApiError> {
    let (id, Json(Password { password })) = (operator_id(&id)?, body?);
    state.operators.reset_password(&permit, id, password, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /api/operators/{id}/sessions`: those that hold, newest first.
pub async fn sessions(
    State(state): State<AppState>,
    Permitted(permit): Manages,
    own: Option<Extension<SignedIn>>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Session>>, ApiError> {
    let own = own.as_ref().map(|own| &own.session);
    let sessions = state.operators.sessions_of(&permit, operator_id(&id)?, own, clock::now()).await?;
    Ok(Json(sessions.into_iter().map(Into::into).collect()))
}

/// `DELETE /api/operators/{id}/sessions`: all but the one that asks.
pub async fn revoke_all(
    State(state): State<AppState>,
    Permitted(permit): Manages,
    own: Option<Extension<SignedIn>>,
    Path(id): Path<String>,
) -> Result<Json<EndedSessions>, ApiError> {
    let own = own.as_ref().map(|own| &own.session);
    let ended = state.operators.revoke_sessions(&permit, operator_id(&id)?, None, own, clock::now()).await?;
    Ok(Json(EndedSessions { ended }))
}

/// `DELETE /api/operators/{id}/sessions/{session}`
pub async fn revoke(
    State(state): State<AppState>,
    Permitted(permit): Manages,
    own: Option<Extension<SignedIn>>,
    Path((id, session)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let session: Uuid = super::parse_id(&session, "a session's id is a UUID")?;
    let own = own.as_ref().map(|own| &own.session);
    state.operators.revoke_sessions(&permit, operator_id(&id)?, Some(session), own, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn operator_id(text: &str) -> Result<OperatorId, ApiError> {
    super::parse_id(text, "an operator's id is a UUID").map(OperatorId)
}

/// Who may use the console.
#[derive(Debug, Serialize, ToSchema)]
pub struct Operator {
    id: Uuid,
    username: String,
    #[schema(value_type = words::Role)]
    role: String,
    created_at: DateTime<Utc>,
    /// Since then nobody can sign in by this name.
    disabled_at: Option<DateTime<Utc>>,
    /// To the minute.
    last_seen_at: Option<DateTime<Utc>>,
    /// How many hold.
    sessions: i64,
}

impl From<OperatorSummary> for Operator {
    fn from(summary: OperatorSummary) -> Self {
        let OperatorSummary { id, username, role, created_at, disabled_at, last_seen_at, sessions } = summary;
        Self { id, username, role, created_at, disabled_at, last_seen_at, sessions }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct MadeOperator {
    id: Uuid,
}

/// A session that holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OperatorSession)]
pub struct Session {
    id: Uuid,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// The address it was opened from, when that is known.
    client: Option<String>,
    /// It is the one that asks.
    is_own: bool,
}

impl From<OwnSession> for Session {
    fn from(session: OwnSession) -> Self {
        let OwnSession { id, created_at, last_seen_at, expires_at, client, is_own } = session;
        Self { id, created_at, last_seen_at, expires_at, client, is_own }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EndedSessions {
    ended: i64,
}
