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
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use voltaxe_orchestrator::{
    Strike,
    authority::may,
    model::{ScheduleId, ScheduleKind, ScheduleRecord, ScheduleState},
    strike::{ScheduleRequest, When},
};
use voltaxe_protocol::{CommandId, EndpointId};

use super::{
    Moment, ROWS, accepted, cursor, idempotency_key, last_of_full, listed,
    order::{Beside, Params, command_of},
};
use crate::{
    clock,
    problem::ApiError,
    web::{
        records::words,
        session::{Acting, Permitted},
    },
};

/// A command at a later time: `not_before` or `cron`, not both.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewSchedule)]
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
    /// For one run, within a year.
    not_before: Option<Moment>,
    /// For many: five fields, minutes first.
    #[schema(example = "0 3 * * 1")]
    cron: Option<String>,
    /// By its IANA name; UTC when not given.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
    /// What the command's kind asks for.
    #[schema(value_type = Option<Object>)]
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

/// By how much an isolation lasts longer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Extend {
    #[schema(minimum = 60, maximum = 2_592_000)]
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
        (Some(at), None) => When::Once(at.into()),
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
        expires_at: body.expires_at.map(Into::into),
        idempotency_key: idempotency_key(&headers)?,
    };
    let schedule = strike.create_schedule(&acting.0, request, clock::now()).await?;
    Ok(accepted(&format!("/api/schedules/{}", schedule.id), Schedule::from(schedule)))
}

/// `GET /api/schedules?waiting=true&before=&limit=`: newest first.
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(ListQuery { waiting, before, limit }) = query?;
    let limit = limit.unwrap_or(ROWS);
    let schedules = strike.schedules(&permit, waiting, before.map(Into::into), limit).await?;
    let next = last_of_full(&schedules, limit).map(|last| {
        let before = cursor(Moment(last.created_at));
        format!("/api/schedules?waiting={waiting}&before={before}&limit={limit}")
    });
    Ok(listed(schedules.into_iter().map(Schedule::from).collect::<Vec<_>>(), next))
}

/// `GET /api/schedules/{id}`
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
) -> Result<Json<Schedule>, ApiError> {
    Ok(Json(strike.schedule(&permit, parse_id(&id)?).await?.into()))
}

/// `POST /api/schedules/{id}/cancel`
pub async fn cancel(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::CancelCommand>,
    Path(id): Path<String>,
) -> Result<Json<Schedule>, ApiError> {
    Ok(Json(strike.cancel_schedule(&permit, parse_id(&id)?, clock::now()).await?.into()))
}

/// `POST /api/schedules/{id}/extend {"seconds": 3600}`: an isolation's way back comes that much later.
pub async fn extend(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::Isolate>,
    Path(id): Path<String>,
    body: Result<Json<Extend>, JsonRejection>,
) -> Result<Json<Schedule>, ApiError> {
    let (id, Json(Extend { seconds })) = (parse_id(&id)?, body?);
    Ok(Json(strike.extend_rollback(&permit, id, seconds, clock::now()).await?.into()))
}

fn parse_id(text: &str) -> Result<ScheduleId, ApiError> {
    super::parse_id(text, "a schedule's id is a UUID")
}

/// A command that is made later, once or often, or that takes an isolation back.
#[derive(Debug, Serialize, ToSchema)]
pub struct Schedule {
    schedule_id: Uuid,
    #[schema(value_type = words::ScheduleKind)]
    kind: ScheduleKind,
    #[schema(value_type = words::ScheduleState)]
    state: ScheduleState,
    command: String,
    #[schema(value_type = Object)]
    params: Value,
    reason: String,
    #[schema(value_type = Vec<String>)]
    endpoint_ids: Vec<EndpointId>,
    created_by: String,
    created_at: DateTime<Utc>,
    /// `null` when it has ended, or when its isolation has not taken effect yet.
    next_run_at: Option<DateTime<Utc>>,
    ends_at: DateTime<Utc>,
    cron: Option<String>,
    time_zone: Option<String>,
    #[schema(value_type = Option<i64>)]
    rollback_of: Option<CommandId>,
    rollback_after_seconds: Option<i32>,
    runs: i32,
    last_run_at: Option<DateTime<Utc>>,
    last_batch_id: Option<Uuid>,
    /// Why the last run made no command, or why it ended.
    note: Option<String>,
    ended_by: Option<String>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<ScheduleRecord> for Schedule {
    fn from(schedule: ScheduleRecord) -> Self {
        Self {
            schedule_id: schedule.id.0,
            kind: schedule.kind,
            state: schedule.state,
            command: schedule.command,
            params: schedule.params,
            reason: schedule.reason,
            endpoint_ids: schedule.endpoint_ids,
            created_by: schedule.created_by,
            created_at: schedule.created_at,
            next_run_at: schedule.next_run_at,
            ends_at: schedule.ends_at,
            cron: schedule.cron,
            time_zone: schedule.time_zone,
            rollback_of: schedule.rollback_of,
            rollback_after_seconds: schedule.rollback_after_seconds,
            runs: schedule.runs,
            last_run_at: schedule.last_run_at,
            last_batch_id: schedule.last_batch_id.map(|id| id.0),
            note: schedule.note,
            ended_by: schedule.ended_by,
            ended_at: schedule.ended_at,
        }
    }
}
