//! `/api/isolate`, `/api/restore`, `/api/commands`: one order to one host.

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
    model::Accepted,
    strike::{Options, Order, Request, ScheduleRequest, Target, When},
};
use voltaxe_protocol::{CommandId, EndpointId};

use super::{Moment, Page, accepted, idempotency_key, order_of, schedules::schedule_json};
use crate::{
    clock,
    problem::ApiError,
    web::{records::command_json, session::Acting, session::Permitted},
};

/// The body of `POST /api/isolate`, `/api/restore` and `/api/commands`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// For `/api/commands` alone; the other two say it by their address.
    command: Option<String>,
    hostname: Option<String>,
    endpoint_id: Option<EndpointId>,
    reason: Option<String>,
    /// Make the command then instead of now: the answer is a schedule.
    not_before: Option<Moment>,
    expires_at: Option<Moment>,
    /// Isolate only.
    auto_restore_after_seconds: Option<i64>,
}

/// `POST /api/isolate {"hostname": "web-01"}`: 202 when the command is on disk.
pub async fn isolate(
    State(strike): State<Strike>,
    acting: Acting,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let body = without_command(body)?;
    order(&strike, &acting, Order::Isolate, body, &headers, "Manual isolation").await
}

/// `POST /api/restore {"hostname": "web-01"}`
pub async fn restore(
    State(strike): State<Strike>,
    acting: Acting,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let body = without_command(body)?;
    order(&strike, &acting, Order::Restore, body, &headers, "Manual release").await
}

/// `POST /api/commands {"command": "agent_check", "hostname": "web-01", "reason": ".."}`
pub async fn create(
    State(strike): State<Strike>,
    acting: Acting,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(body) = body?;
    let kind = order_of(body.command.as_deref().unwrap_or_default())?;
    order(&strike, &acting, kind, body, &headers, "").await
}

/// `GET /api/commands?before=&limit=`: newest first.
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    page: Result<Query<Page<i64>>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(page) = page?;
    let records = strike.commands(&permit, page.before.map(CommandId), page.limit()).await?;
    Ok(Json(records.iter().map(command_json).collect()))
}

/// `GET /api/commands/{id}`
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let record = strike.command(&permit, parse_id(&id)?).await?;
    Ok(Json(command_json(&record)))
}

/// `POST /api/commands/{id}/cancel`: final at once, or `cancel_requested_at` is set and the host answers.
pub async fn cancel(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::CancelCommand>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let record = strike.cancel(&permit, parse_id(&id)?, clock::now()).await?;
    Ok(Json(command_json(&record)))
}

fn without_command(body: Result<Json<Body>, JsonRejection>) -> Result<Body, ApiError> {
    let Json(body) = body?;
    match body.command {
        None => Ok(body),
        Some(_) => Err(ApiError::invalid("command", "goes with /api/commands only: this address says it")),
    }
}

async fn order(
    strike: &Strike,
    acting: &Acting,
    order: Order,
    body: Body,
    headers: &HeaderMap,
    default_reason: &str,
) -> Result<Response, ApiError> {
    let Body { hostname, endpoint_id, not_before, expires_at, auto_restore_after_seconds, .. } = body;
    let reason = body.reason.unwrap_or_else(|| default_reason.to_owned());
    let idempotency_key = idempotency_key(headers)?;
    let Some(at) = not_before else {
        let target = match (hostname, endpoint_id) {
            (Some(name), None) => Target::Hostname(name),
            (None, Some(id)) => Target::Endpoint(id),
            _ => return Err(ApiError::invalid("hostname", "or endpoint_id must be given, and not both")),
        };
        let options = Options { expires_at, auto_restore_after_seconds };
        let request = Request { target, reason, idempotency_key, options };
        let made = strike.order(&acting.0, order, request, clock::now()).await?;
        return Ok(accepted(&format!("/api/commands/{}", made.command_id), accepted_json(&made)));
    };
    if auto_restore_after_seconds.is_some() {
        return Err(ApiError::invalid(
            "auto_restore_after_seconds",
            "does not go with not_before; schedule the restore as well",
        ));
    }
    let request = ScheduleRequest {
        order,
        hostnames: hostname.into_iter().collect(),
        endpoint_ids: endpoint_id.into_iter().collect(),
        reason,
        when: When::Once(at),
        expires_at,
        idempotency_key,
    };
    let schedule = strike.create_schedule(&acting.0, request, clock::now()).await?;
    Ok(accepted(&format!("/api/schedules/{}", schedule.id), schedule_json(&schedule)))
}

fn accepted_json(accepted: &Accepted) -> Value {
    json!({
        "command_id": accepted.command_id,
        "status": accepted.status,
        "method": accepted.method.as_str(),
        "existing": accepted.existing,
    })
}

fn parse_id(text: &str) -> Result<CommandId, ApiError> {
    super::parse_id(text, "a command id is a whole number")
}
