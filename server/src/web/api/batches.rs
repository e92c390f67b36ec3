//! `/api/batches`: one order to many hosts, whole or not at all.

use axum::{
    Json,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::HeaderMap,
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};
use voltaxe_orchestrator::{
    Strike,
    authority::may,
    model::{BatchId, BatchRecord},
    strike::{
        BatchProgress, BatchRequest,
        fleet::{Chosen, Exclusion, FleetOrder},
    },
};
use voltaxe_protocol::{CommandId, EndpointId};

use super::{
    Moment, Page, accepted,
    endpoints::understood,
    idempotency_key,
    order::{Beside, Params, command_of},
};
use crate::{
    clock,
    problem::ApiError,
    web::{records::command_json, session::Acting, session::Permitted},
};

/// The body of `POST /api/batches`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    command: String,
    #[serde(default)]
    hostnames: Vec<String>,
    #[serde(default)]
    endpoint_ids: Vec<EndpointId>,
    reason: String,
    expires_at: Option<Moment>,
    /// What the command's kind asks for.
    params: Option<Params>,
    auto_restore_after_seconds: Option<Value>,
    /// Instead of hosts: all that `GET /api/endpoints` shows for this query when the order is given.
    query: Option<String>,
    /// With `query`: an order to more hosts than these is refused.
    confirmed: Option<usize>,
    /// Hosts that are left out, each with a reason.
    #[serde(default)]
    excluded: Vec<Exclude>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    hostname: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    reason: String,
}

/// The query of a batch's commands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    after: Option<i64>,
    limit: Option<i64>,
}

/// `POST /api/batches`: 202 when all its commands are on disk; an unknown host is named, and nothing is queued.
pub async fn create(
    State(strike): State<Strike>,
    acting: Acting,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(body) = body?;
    let beside = Beside(vec![("auto_restore_after_seconds", body.auto_restore_after_seconds)]);
    let request = BatchRequest {
        command: command_of(&body.command, body.params, beside)?,
        hostnames: body.hostnames,
        endpoint_ids: body.endpoint_ids,
        reason: body.reason,
        expires_at: body.expires_at,
        idempotency_key: idempotency_key(&headers)?,
    };
    let batch = match body.query {
        None if body.excluded.is_empty() => strike.create_batch(&acting.0, request, clock::now()).await?,
        None => {
            return Err(ApiError::invalid(
                "excluded",
                "goes with query only: leave the hosts out of the lists",
            ));
        }
        Some(_) if !request.hostnames.is_empty() || !request.endpoint_ids.is_empty() => {
            return Err(ApiError::invalid("query", "does not go with hostnames or endpoint_ids"));
        }
        Some(query) => {
            let confirmed = body.confirmed.ok_or_else(|| {
                ApiError::invalid("confirmed", "is missing: how many hosts the order may go to")
            })?;
            let chosen = Chosen::Matching(understood(&query)?.search());
            let excluded = body.excluded.into_iter();
            let excluded =
                excluded.map(|one| Exclusion { hostname: one.hostname, reason: one.reason }).collect();
            let order = FleetOrder { request, chosen, excluded, confirmed };
            strike.order_fleet(&acting.0, order, clock::now()).await?
        }
    };
    Ok(accepted(&format!("/api/batches/{}", batch.id), batch_json(&batch)))
}

/// `GET /api/batches?before=&limit=`: newest first.
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    page: Result<Query<Page<Moment>>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(page) = page?;
    let batches = strike.batches(&permit, page.before, page.limit()).await?;
    Ok(Json(batches.iter().map(batch_json).collect()))
}

/// `GET /api/batches/{id}`: with how many of its commands are in each state.
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(progress_json(&strike.batch(&permit, parse_id(&id)?).await?)))
}

/// `GET /api/batches/{id}/commands?after=&limit=`: by id.
pub async fn commands(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
    page: Result<Query<After>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(After { after, limit }) = page?;
    let (id, after) = (parse_id(&id)?, after.map(CommandId));
    let records = strike.commands_of_batch(&permit, id, after, limit.unwrap_or(100)).await?;
    Ok(Json(records.iter().map(command_json).collect()))
}

/// `POST /api/batches/{id}/cancel`: the rest of it.
pub async fn cancel(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::CancelCommand>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(progress_json(&strike.cancel_batch(&permit, parse_id(&id)?, clock::now()).await?)))
}

/// `POST /api/batches/{id}/undo {"reason": ".."}`: releases exactly those that it isolated.
pub async fn undo(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::Restore>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Result<Json<Undo>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (id, Json(Undo { reason })) = (parse_id(&id)?, body?);
    let batch = strike.undo_batch(&permit, id, &reason, idempotency_key(&headers)?, clock::now()).await?;
    Ok(accepted(&format!("/api/batches/{}", batch.id), batch_json(&batch)))
}

fn parse_id(text: &str) -> Result<BatchId, ApiError> {
    super::parse_id(text, "a batch's id is a UUID")
}

fn progress_json(progress: &BatchProgress) -> Value {
    let mut value = batch_json(&progress.batch);
    value["states"] = json!(progress.states);
    value
}

fn batch_json(batch: &BatchRecord) -> Value {
    json!({
        "batch_id": batch.id,
        "command": batch.command,
        "reason": batch.reason,
        "created_by": batch.created_by,
        "created_at": batch.created_at,
        "total": batch.total,
        "queued": batch.queued,
        "existing": batch.total - batch.queued,
        "undo_of": batch.undo_of,
        "schedule_id": batch.schedule_id,
        "cancelled_by": batch.cancelled_by,
        "cancelled_at": batch.cancelled_at,
        "excluded": batch.excluded,
    })
}
