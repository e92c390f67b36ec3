//! `/api/operators`: who may use the console, and their sessions.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::Response,
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;
use voltaxe_orchestrator::{
    authority::{OperatorId, Role, may},
    operators::{OperatorSummary, OwnSession},
};

use crate::{
    clock,
    problem::ApiError,
    state::AppState,
    web::session::{Permitted, SignedIn},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct New {
    username: String,
    role: Role,
    password: SecretString,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    role: Option<Role>,
    disabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Password {
    password: SecretString,
}

type Manages = Permitted<may::ManageOperators>;

/// `GET /api/operators`: all of them, by name.
pub async fn list(
    State(state): State<AppState>,
    Permitted(permit): Manages,
) -> Result<Json<Value>, ApiError> {
    let operators = state.operators.list(&permit, clock::now()).await?;
    Ok(Json(operators.iter().map(operator_json).collect()))
}

/// `POST /api/operators {"username", "role", "password"}`: 201 and the id.
pub async fn create(
    State(state): State<AppState>,
    Permitted(permit): Manages,
    body: Result<Json<New>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(New { username, role, password }) = body?;
    let OperatorId(id) = state.operators.create(&permit, &username, role, password, clock::now()).await?;
    let mut response = super::accepted(&format!("/api/operators/{id}"), json!({ "id": id }));
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
) -> Result<Json<Value>, ApiError> {
    let own = own.as_ref().map(|own| &own.session);
    let sessions = state.operators.sessions_of(&permit, operator_id(&id)?, own, clock::now()).await?;
    Ok(Json(sessions.iter().map(session_json).collect()))
}

/// `DELETE /api/operators/{id}/sessions`: all but the one that asks.
pub async fn revoke_all(
    State(state): State<AppState>,
    Permitted(permit): Manages,
    own: Option<Extension<SignedIn>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let own = own.as_ref().map(|own| &own.session);
    let ended = state.operators.revoke_sessions(&permit, operator_id(&id)?, None, own, clock::now()).await?;
    Ok(Json(json!({ "ended": ended })))
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

fn operator_json(operator: &OperatorSummary) -> Value {
    json!({
        "id": operator.id,
        "username": operator.username,
        "role": operator.role,
        "created_at": operator.created_at,
        "disabled_at": operator.disabled_at,
        "last_seen_at": operator.last_seen_at,
        "sessions": operator.sessions,
    })
}

fn session_json(session: &OwnSession) -> Value {
    json!({
        "id": session.id,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
        "client": session.client,
        "is_own": session.is_own,
    })
}
