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
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use voltaxe_orchestrator::{
    Strike,
    authority::may,
    model::{BatchId, BatchRecord, ExcludedHost, StateCounts},
    strike::{
        BatchProgress, BatchRequest,
        fleet::{Chosen, Exclusion, FleetOrder},
    },
};
use voltaxe_protocol::{CommandId, EndpointId};

use super::{
    Moment, Page, ROWS, accepted, cursor,
    endpoints::understood,
    idempotency_key, last_of_full, listed,
    order::{Beside, Params, command_of},
};
use crate::{
    clock,
    problem::ApiError,
    web::{
        records::{Command, words},
        session::{Acting, Permitted},
    },
};

/// The body of `POST /api/batches`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewBatch)]
#[serde(deny_unknown_fields)]
pub struct Body {
    #[schema(value_type = words::Kind)]
    command: String,
    /// Names of active endpoints; with `endpoint_ids` at least one and at most 20000.
    #[serde(default)]
    #[schema(max_items = 20000)]
    hostnames: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 20000)]
    endpoint_ids: Vec<EndpointId>,
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
    /// Until 90 days from now.
    expires_at: Option<Moment>,
    /// What the command's kind asks for.
    #[schema(value_type = Option<Object>)]
    params: Option<Params>,
    /// Goes with `network_isolate` only.
    #[schema(value_type = Option<u32>, minimum = 60, maximum = 7_776_000)]
    auto_restore_after_seconds: Option<Value>,
    /// Instead of hosts: all that `GET /api/endpoints` shows for this query when the order is given.
    #[schema(max_length = 2000)]
    query: Option<String>,
    /// With `query`: an order to more hosts than these is refused.
    #[schema(value_type = Option<u32>)]
    confirmed: Option<usize>,
    /// Hosts that are left out, each with a reason.
    #[serde(default)]
    excluded: Vec<Exclude>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    hostname: String,
    #[schema(min_length = 3, max_length = 500)]
    reason: String,
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    #[schema(min_length = 3, max_length = 500)]
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
        expires_at: body.expires_at.map(Into::into),
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
    Ok(answer(batch))
}

/// `GET /api/batches?before=&limit=`: newest first.
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    page: Result<Query<Page<Moment>>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(page) = page?;
    let limit = page.limit();
    let batches = strike.batches(&permit, page.before.map(Into::into), limit).await?;
    let next = last_of_full(&batches, limit)
        .map(|last| format!("/api/batches?before={}&limit={limit}", cursor(Moment(last.created_at))));
    Ok(listed(batches.into_iter().map(Batch::from).collect::<Vec<_>>(), next))
}

/// `GET /api/batches/{id}`: with how many of its commands are in each state.
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
) -> Result<Json<Progress>, ApiError> {
    Ok(Json(strike.batch(&permit, parse_id(&id)?).await?.into()))
}

/// `GET /api/batches/{id}/commands?after=&limit=`: by id.
pub async fn commands(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
    page: Result<Query<After>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(After { after, limit }) = page?;
    let (id, after, limit) = (parse_id(&id)?, after.map(CommandId), limit.unwrap_or(ROWS));
    let records = strike.commands_of_batch(&permit, id, after, limit).await?;
    let next = last_of_full(&records, limit)
        .map(|last| format!("/api/batches/{id}/commands?after={}&limit={limit}", last.id));
    Ok(listed(records.into_iter().map(Command::from).collect::<Vec<_>>(), next))
}

/// `POST /api/batches/{id}/cancel`: the rest of it.
pub async fn cancel(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::CancelCommand>,
    Path(id): Path<String>,
) -> Result<Json<Progress>, ApiError> {
    Ok(Json(strike.cancel_batch(&permit, parse_id(&id)?, clock::now()).await?.into()))
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
    Ok(answer(batch))
}

fn answer(batch: BatchRecord) -> Response {
    accepted(&format!("/api/batches/{}", batch.id), Batch::from(batch))
}

fn parse_id(text: &str) -> Result<BatchId, ApiError> {
    super::parse_id(text, "a batch's id is a UUID")
}

/// One order to many endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub struct Batch {
    batch_id: Uuid,
    command: String,
    reason: String,
    created_by: String,
    created_at: chrono::DateTime<chrono::Utc>,
    /// Endpoints it was for.
    total: i32,
    /// How many of them got a command.
    queued: i32,
    /// How many had one on its way already.
    existing: i32,
    undo_of: Option<Uuid>,
    schedule_id: Option<Uuid>,
    cancelled_by: Option<String>,
    cancelled_at: Option<chrono::DateTime<chrono::Utc>>,
    /// Hosts that were left out of it, and why.
    #[schema(value_type = Vec<Object>)]
    excluded: Vec<ExcludedHost>,
}

impl From<BatchRecord> for Batch {
    fn from(batch: BatchRecord) -> Self {
        Self {
            batch_id: batch.id.0,
            command: batch.command,
            reason: batch.reason,
            created_by: batch.created_by,
            created_at: batch.created_at,
            total: batch.total,
            queued: batch.queued,
            existing: batch.total - batch.queued,
            undo_of: batch.undo_of.map(|id| id.0),
            schedule_id: batch.schedule_id.map(|id| id.0),
            cancelled_by: batch.cancelled_by,
            cancelled_at: batch.cancelled_at,
            excluded: batch.excluded,
        }
    }
}

/// A batch, and how many of its commands are in each state.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchProgress)]
pub struct Progress {
    #[serde(flatten)]
    batch: Batch,
    #[schema(value_type = Object)]
    states: StateCounts,
}

impl From<BatchProgress> for Progress {
    fn from(BatchProgress { batch, states }: BatchProgress) -> Self {
        Self { batch: batch.into(), states }
    }
}
