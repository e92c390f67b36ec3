//! `/api/isolate`, `/api/restore`, `/api/commands`: one order to one host.

use std::time::Duration;

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
use voltaxe_orchestrator::{
    Strike,
    authority::{Operator, may},
    model::{Accepted, BatchId, CommandFilter, ScheduleRecord},
    strike::{Request, ScheduleRequest, Target, When},
};
use voltaxe_protocol::{CommandId, CommandState, EndpointId};

use super::{
    Moment, accepted, cursor, idempotency_key,
    order::{Beside, Params, command_of},
    schedules::Schedule,
    with_next,
};
use crate::{
    clock,
    problem::ApiError,
    web::{
        records::{Command, words},
        session::{Acting, Permitted},
    },
};

/// An order to one host: `hostname` or `endpoint_id`, not both.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Order)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// For `/api/commands` alone; the other two say it by their address.
    #[schema(value_type = Option<words::Kind>)]
    command: Option<String>,
    /// The name of an active endpoint.
    #[schema(max_length = 253)]
    hostname: Option<String>,
    #[schema(value_type = Option<String>, pattern = "^ep_[0-9a-f]{32}$")]
    endpoint_id: Option<EndpointId>,
    /// Required by `/api/commands`.
    #[schema(min_length = 3, max_length = 500)]
    reason: Option<String>,
    /// Make the command then instead of now, within a year: the answer is a schedule.
    not_before: Option<Moment>,
    /// When the command is given up if its host has not taken it: 10 s to 90 days from now.
    expires_at: Option<Moment>,
    /// For `/api/commands` alone: what the command's kind asks for.
    #[schema(value_type = Option<Object>)]
    params: Option<Params>,
    /// What an isolate leaves open.
    #[schema(value_type = Option<Vec<Object>>, max_items = 32)]
    exceptions: Option<Value>,
    /// Goes with an isolate only.
    #[schema(value_type = Option<bool>)]
    allow_dns: Option<Value>,
    /// Goes with an isolate only: a message to whoever is signed in on the host.
    #[schema(value_type = Option<String>, max_length = 500)]
    notify_users: Option<Value>,
    /// Goes with an isolate only: it ends by itself.
    #[schema(value_type = Option<u32>, minimum = 60, maximum = 7_776_000)]
    auto_restore_after_seconds: Option<Value>,
}

/// The query of `POST /api/commands`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Seconds for which the answer waits for the command to be final; cut to the longest.
    #[serde(default)]
    wait: u64,
}

const LONGEST_WAIT_SECONDS: u64 = 20;

/// `POST /api/isolate {"hostname": "web-01"}`: 202 when the command is on disk.
pub async fn isolate(
    State(strike): State<Strike>,
    acting: Acting,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let body = without_command(body)?;
    Ok(answer(order(&strike, &acting.0, "network_isolate", body, &headers, "Manual isolation").await?))
}

/// `POST /api/restore {"hostname": "web-01"}`
pub async fn restore(
    State(strike): State<Strike>,
    acting: Acting,
    headers: HeaderMap,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let body = without_command(body)?;
    Ok(answer(order(&strike, &acting.0, "network_restore", body, &headers, "Manual release").await?))
}

/// `POST /api/commands[?wait=5] {"command": "agent_check", "hostname": "web-01", "reason": "..", "params": {..}}`. With `wait`
/// the answer has the command's record as well, final if it was so within that time.
pub async fn create(
    State(strike): State<Strike>,
    acting: Acting,
    headers: HeaderMap,
    wait: Result<Query<Wait>, QueryRejection>,
    body: Result<Json<Body>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (Query(Wait { wait }), Json(body)) = (wait?, body?);
    let kind = body.command.clone().unwrap_or_default();
    let made = order(&strike, &acting.0, &kind, body, &headers, "").await?;
    let Made::Command(command) = &made else { return Ok(answer(made)) };
    if wait == 0 {
        return Ok(answer(made));
    }
    let within = Duration::from_secs(wait.min(LONGEST_WAIT_SECONDS));
    let record = strike.command_when_final(&acting.0.permit()?, command.command_id, within).await?;
    let waited = Ordered { status: record.status, command: Some(record.into()), ..Ordered::from(command) };
    Ok(accepted(&location(command), waited))
}

/// The query of the list of commands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    state: Option<CommandState>,
    kind: Option<String>,
    operator: Option<String>,
    host: Option<String>,
    batch: Option<BatchId>,
    from: Option<Moment>,
    to: Option<Moment>,
    before: Option<i64>,
    limit: Option<i64>,
}

/// `GET /api/commands?state=&kind=&operator=&host=&batch=&from=&to=&before=&limit=`: newest first. A search that would take long
/// ends early: whether there may be more is said by the header `Link`, and not by how many there are.
pub async fn list(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = asked?;
    let (before, limit) = (asked.before.map(CommandId), asked.limit.unwrap_or(100));
    let query = words(&asked);
    let Asked { state, kind, operator, host, batch, from, to, .. } = asked;
    if state == Some(CommandState::Unknown) {
        let states = "must be pending, delivered, executed, failed, expired or cancelled";
        return Err(ApiError::invalid("state", states));
    }
    let (from, to) = (from.map(Into::into), to.map(Into::into));
    let filter = CommandFilter { state, kind, operator, host, batch, from, to };
    let found = strike.find_commands(&permit, filter, before, limit).await?;
    let body: Vec<Command> = found.rows.into_iter().map(Into::into).collect();
    Ok(with_next(Json(body), "/api/commands", &query, found.next))
}

/// What is asked again for the next part.
fn words(asked: &Asked) -> Vec<(&'static str, String)> {
    let Asked { state, kind, operator, host, batch, from, to, limit, .. } = asked;
    let words = [
        ("state", state.map(|state| state.to_string())),
        ("kind", kind.clone()),
        ("operator", operator.clone()),
        ("host", host.clone()),
        ("batch", batch.map(|batch| batch.to_string())),
        ("from", from.map(cursor)),
        ("to", to.map(cursor)),
        ("limit", limit.map(|limit| limit.to_string())),
    ];
    words.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// `GET /api/commands/{id}`
pub async fn get(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::View>,
    Path(id): Path<String>,
) -> Result<Json<Command>, ApiError> {
    let record = strike.command(&permit, parse_id(&id)?).await?;
    Ok(Json(record.into()))
}

/// `POST /api/commands/{id}/cancel`: final at once, or `cancel_requested_at` is set and the host answers.
pub async fn cancel(
    State(strike): State<Strike>,
    Permitted(permit): Permitted<may::CancelCommand>,
    Path(id): Path<String>,
) -> Result<Json<Command>, ApiError> {
    let record = strike.cancel(&permit, parse_id(&id)?, clock::now()).await?;
    Ok(Json(record.into()))
}

fn without_command(body: Result<Json<Body>, JsonRejection>) -> Result<Body, ApiError> {
    let Json(body) = body?;
    match body.command {
        Some(_) => Err(ApiError::invalid("command", "goes with /api/commands only: this address says it")),
        None if body.params.is_some() => Err(ApiError::invalid(
            "params",
            "goes with /api/commands only: here they stand beside the host's name",
        )),
        None => Ok(body),
    }
}

/// What came of an order: now, or for later.
enum Made {
    Command(Accepted),
    Schedule(Box<ScheduleRecord>),
}

async fn order(
    strike: &Strike,
    operator: &Operator,
    kind: &str,
    body: Body,
    headers: &HeaderMap,
    default_reason: &str,
) -> Result<Made, ApiError> {
    let Body { hostname, endpoint_id, not_before, expires_at, .. } = body;
    let ends_itself = body.auto_restore_after_seconds.is_some();
    let beside = Beside(vec![
        ("exceptions", body.exceptions),
        ("allow_dns", body.allow_dns),
        ("notify_users", body.notify_users),
        ("auto_restore_after_seconds", body.auto_restore_after_seconds),
    ]);
    let expires_at = expires_at.map(Into::into);
    let command = command_of(kind, body.params, beside)?;
    let reason = body.reason.unwrap_or_else(|| default_reason.to_owned());
    let idempotency_key = idempotency_key(headers)?;
    let Some(at) = not_before else {
        let target = match (hostname, endpoint_id) {
            (Some(name), None) => Target::Hostname(name),
            (None, Some(id)) => Target::Endpoint(id),
            _ => return Err(ApiError::invalid("hostname", "or endpoint_id must be given, and not both")),
        };
        let request = Request { target, reason, idempotency_key, expires_at };
        return Ok(Made::Command(strike.order(operator, command, request, clock::now()).await?));
    };
    if ends_itself {
        return Err(ApiError::invalid(
            "auto_restore_after_seconds",
            "does not go with not_before; schedule the restore as well",
        ));
    }
    let request = ScheduleRequest {
        command,
        hostnames: hostname.into_iter().collect(),
        endpoint_ids: endpoint_id.into_iter().collect(),
        reason,
        when: When::Once(at.into()),
        expires_at,
        idempotency_key,
    };
    Ok(Made::Schedule(Box::new(strike.create_schedule(operator, request, clock::now()).await?)))
}

fn answer(made: Made) -> Response {
    match made {
        Made::Command(command) => accepted(&location(&command), Ordered::from(&command)),
        Made::Schedule(schedule) => {
            accepted(&format!("/api/schedules/{}", schedule.id), Schedule::from(*schedule))
        }
    }
}

fn location(command: &Accepted) -> String {
    format!("/api/commands/{}", command.command_id)
}

/// A command that is on disk.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ordered {
    #[schema(value_type = i64)]
    command_id: CommandId,
    #[schema(value_type = words::State)]
    status: CommandState,
    /// The way on which it went out, or will.
    #[schema(value_type = words::Channel)]
    method: &'static str,
    /// It was there already: a repeated request, or the host is isolated or isolating.
    existing: bool,
    /// When the answer waited for it: the command as it was then.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Command>,
}

impl From<&Accepted> for Ordered {
    fn from(accepted: &Accepted) -> Self {
        Self {
            command_id: accepted.command_id,
            status: accepted.status,
            method: accepted.method.as_str(),
            existing: accepted.existing,
            command: None,
        }
    }
}

/// What came of an order. A schedule when it had `not_before`.
#[derive(ToSchema)]
#[schema(as = OrderAnswer)]
#[serde(untagged)]
pub enum Answer {
    Command(Ordered),
    Schedule(Schedule),
}

fn parse_id(text: &str) -> Result<CommandId, ApiError> {
    super::parse_id(text, "a command id is a whole number")
}
