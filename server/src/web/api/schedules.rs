//! `/api/schedules`: commands at a later time.

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
    model::{ScheduleId, ScheduleRecord},
    strike::{ScheduleRequest, When},
};
use voltaxe_protocol::EndpointId;

use super::{
    Moment, accepted, idempotency_key,
    order::{Beside, Params, command_of},
};
use crate::{
    clock,
    problem::ApiError,
    web::session::{Acting, Permitted},
};

/// The body of `POST /api/schedules`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    command: String,
    #[serde(default)]
    hostnames: Vec<String>,
    #[serde(default)]
    endpoint_ids: Vec<EndpointId>,
    reason: String,
    /// Either this, for one run ..
    not_before: Option<Moment>,
    /// .. or this, for many.
    cron: Option<String>,
    time_zone: Option<String>,
    /// What the command's kind asks for.
    params: Option<Params>,
    expires_at: Option<Moment>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    #[serde(default)]
    waiting: bool,
    before: Option<Moment>,
    limit: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    seconds: i64,
}

/// `POST /api/schedules`
pub async fn create(
    State(strike): State<Strike>,
    acting: Acting,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(body) = body?;
    let when = match (body.not_before, body.cron) {
        (Some(at), None) => When::Once(at),
        (None, Some(expression)) => {
            When::Cron { expression, time_zone: body.time_zone.unwrap_or_else(|| "UTC".to_owned()) }
        }
        _ => return Err(ApiError::invalid("not_before", "or cron must be given, and not both")),
    };
    let request = ScheduleRequest {
        command: command_of(&body.command, body.params, Beside::default())?,
        hostnames: body.hostnames,
        endpoint_ids: body.endpoint_ids,
        reason: body.reason,
        when,
        expires_at: body.expires_at,
        idempotency_key: idempotency_key(&headers)?,
    };
    let schedule = strike.create_schedule(&acting.0, request, clock::now()).await?;
    Ok(accepted(&format!("/api/schedules/{}", schedule.id), schedule_json(&schedule)))
}

/// `GET /api/schedules?waiting=true&before=&limit=`: newest first.
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(ListQuery { waiting, before, limit }) = query?;
    let schedules = strike.schedules(&permit, waiting, before, limit.unwrap_or(100)).await?;
    Ok(Json(schedules.iter().map(schedule_json).collect()))
}

/// `GET /api/schedules/{id}`
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(schedule_json(&strike.schedule(&permit, parse_id(&id)?).await?)))
}

/// `POST /api/schedules/{id}/cancel`
pub async fn cancel(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::CancelCommand>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(schedule_json(&strike.cancel_schedule(&permit, parse_id(&id)?, clock::now()).await?)))
}

/// `POST /api/schedules/{id}/extend {"seconds": 3600}`: an isolation's way back comes that much later.
pub async fn extend(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::Isolate>,
    Path(id): Path<String>,
    body: Result<Json<Extend>, JsonRejection>,
) -> Result<Json<Value>, ApiError> {
    let (id, Json(Extend { seconds })) = (parse_id(&id)?, body?);
    Ok(Json(schedule_json(&strike.extend_rollback(&permit, id, seconds, clock::now()).await?)))
}

fn parse_id(text: &str) -> Result<ScheduleId, ApiError> {
    super::parse_id(text, "a schedule's id is a UUID")
}

pub(super) fn schedule_json(schedule: &ScheduleRecord) -> Value {
    json!({
        "schedule_id": schedule.id,
        "kind": schedule.kind,
        "state": schedule.state,
        "command": schedule.command,
        "params": schedule.params,
        "reason": schedule.reason,
        "endpoint_ids": schedule.endpoint_ids,
        "created_by": schedule.created_by,
        "created_at": schedule.created_at,
        "next_run_at": schedule.next_run_at,
        "ends_at": schedule.ends_at,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "rollback_of": schedule.rollback_of,
        "rollback_after_seconds": schedule.rollback_after_seconds,
        "runs": schedule.runs,
        "last_run_at": schedule.last_run_at,
        "last_batch_id": schedule.last_batch_id,
        "note": schedule.note,
        "ended_by": schedule.ended_by,
        "ended_at": schedule.ended_at,
    })
}
